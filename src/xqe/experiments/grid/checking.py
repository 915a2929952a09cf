"""What would only be found when much of a grid is done already, found before."""

from __future__ import annotations

from xqe.errors import XqeError
from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.indexing import check_indexes
from xqe.experiments.grid.nights import check_gate
from xqe.experiments.grid.plan import Plan


def check(plan: Plan, folder: Folder, rebuild: bool) -> None:
    """Raise XqeError for a plan that cannot be done in this folder."""
    check_gate(plan)
    before = folder.manifest()
    if before and before.get("part") != plan.part:
        holds = f"part {before['part']} of it" if before.get("part") else "the whole grid"
        raise XqeError(f"{folder.path}: holds {holds}", "give each part a folder of its own")
    if before and before.get("name") != plan.grid.name:
        raise XqeError(f'{folder.path}: holds the grid "{before.get("name")}"', "give each grid a folder of its own")
    check_indexes(plan, folder, rebuild)
