"""The commands that show a query of a cell on its way: as the cell searched it, and from the start, with its model."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from xqe.experiments.report.results import DIRECT, EXPANSION, GENERATED, Json, Result, Results, System
from xqe.files import jsonl
from xqe.retrieval.choices import By

MOST_RELEVANT = 3
"""Documents of a query that are looked for, and shown."""
_GIVEN = {"passage_tokens": "--max-tokens", "temperature": "--temperature", "top_p": "--top-p", "top_k": "--top-k"}
_GIVEN |= {"repeat_penalty": "--repeat-penalty", "shots": "--shots", "seed": "--seed"}
"""What a grid file may say of generating, and the option that says it to xqe trace."""


def commands(results: Results, result: Result, query: str) -> Iterator[tuple[str, str]]:
    """Yield (what it does, the command) for a query of a cell with texts. Paths are from where the report is written.

    The second has a model write the texts again, and is there where options can say all that the grid did.
    """
    options = [*_place(results, result, query), *_searching(results, result)]
    if result.texts is not None:
        line = re.sub(r"[][\\.*^$]", r"\\\g<0>", jsonl.dumps({"id": query})[:-1])
        texts = shlex.join(["grep", f"^{line},", str(result.folder / result.texts)])
        yield "as it was searched, without a model", f"{texts} | {shlex.join(['xqe', 'trace', *options])}"
    asked = results.question(result.collection, result.pair[0]).get(query)
    if asked and (generating := _generating(results, result)) is not None:
        words = ["--", asked] if asked.startswith("-") else [asked]
        yield "from the start, with the model", shlex.join(["xqe", "trace", *generating, *options, *words])


def _place(results: Results, result: Result, query: str) -> list[str]:
    index = result.folder / "indexes" / result.collection / result.pair[1]
    relevant = results.relevant(result.collection, result.pair, query)[:MOST_RELEVANT]
    return ["--index", str(index), *(part for one in relevant for part in ("-r", one))]


def _searching(results: Results, result: Result) -> list[str]:
    """How the cell searches, as options."""
    system, settings = result.system, _said(results, "settings")
    by = By(system.retriever)
    options = ["--by", system.retriever, "--use", system.use]
    if system.query_weight not in (None, "auto"):
        options += ["--query-weight", str(system.query_weight)]
    if by is not By.DENSE:
        usual = 0 if by is By.BM25 else "auto"
        options += ["--source-weight", str(settings.get("source_weight", usual))]
    if by is not By.BM25 and settings.get("encode"):
        options += ["--encode", str(settings["encode"])]
    if by is By.HYBRID and settings.get("dense_weight") is not None:
        options += ["--dense-weight", str(settings["dense_weight"])]
    if system.guided is not None and system.guided.judge:
        options += ["--judge", system.guided.judge]
    if results.collections[result.collection].get("drop_self"):
        options.append("--drop-self")
    return options


def _generating(results: Results, result: Result) -> list[str] | None:
    """How the texts of the cell were made, as options; None where these cannot say it."""
    system, grid = result.system, _said(results, "grid")
    model = results.models.get(system.model or "", {})
    if system.kind not in GENERATED or not _can_be_said(system, model, _said(results, "settings")):
        return None
    source, target = result.pair
    options = ["--lang", source]
    if system.kind in (DIRECT, EXPANSION):
        options += ["--to", target, "--order", "direct" if system.kind == DIRECT else str(system.order)]
    options += ["--strategy", str(system.strategy), "--model", str(model["model"])]
    if model.get("base_url"):
        options += ["--base-url", str(model["base_url"])]
    if (system.samples or 1) > 1:
        options += ["--samples", str(system.samples)]
    for name, option in _GIVEN.items():
        if grid.get(name) is not None:
            options += [option, str(grid[name])]
    return options


def _can_be_said(system: System, model: Json, settings: Json) -> bool:
    """Adapters are known by their hash alone, and what an encoder or a train split showed is a run's own."""
    is_plain = system.guided is None or not system.guided.guide
    is_usual = settings.get("examples", "builtin") == "builtin" and settings.get("translations", 1) == 1
    return "model" in model and not model.get("lora") and is_plain and is_usual


def _said(results: Results, what: str) -> dict[str, Any]:
    return results.manifests[0].get(what) or {}
