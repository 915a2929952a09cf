"""The folder of a grid: what in it is another's stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xqe.errors import XqeError
from xqe.experiments.grid.folder import Folder


def put(path: Path, text: str = "mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", ["{}", "mine", '{"name": "an app", "start_url": "/"}'])
def test_a_manifest_of_something_else_makes_no_grid(tmp_path: Path, text: str) -> None:
    put(tmp_path / "manifest.json", text)
    for resume in (False, True):
        with pytest.raises(XqeError, match="holds other files, so it is not the folder of a grid"):
            Folder(tmp_path, resume)
    put(tmp_path / "manifest.json", '{"format": 1, "grid": {}}')  # a copy without its lock
    Folder(tmp_path, resume=True)


def test_going_on_removes_what_a_kill_left_and_nothing_else(tmp_path: Path) -> None:
    put(tmp_path / "grid.lock", "")
    mine = [
        put(tmp_path / name)
        for name in ("notes/.film.mkv.part", "report/.report.md.17.part", "cells/.a.1.part", "texts/.notes.txt.1.part")
    ]
    left = [
        put(tmp_path / name)
        for name in (
            *(".manifest.json.17.part", "queries/c/.de.jsonl.1.part", "texts/c/m/.t.en.jsonl.2.part"),
            *("texts/c/m/.t.en.json.2.part", "indexes/c/.de.json.3.part", "runs/c/de-en/.s.trec.gz.4.part"),
            *("cells/c/de-en/.s.json.5.part", "nights/.2026-01-01T00.json.gz.6.part"),
        )
    ]
    with Folder(tmp_path, resume=True).locked():
        assert all(path.exists() for path in mine) and not any(path.exists() for path in left)


def test_only_cells_are_removed_with_their_runs(tmp_path: Path) -> None:
    cell = json.dumps({"format": 1, "key": "x"})
    ours = [put(tmp_path / "cells/c/de-en/s.json", cell), put(tmp_path / "runs/c/de-en/s.trec.gz")]
    mine = [
        *(
            put(tmp_path / name)
            for name in ("cells/notes.json", "cells/c/de-en/notes.json", "runs/c/de-en/notes.trec.gz")
        ),
        *(put(tmp_path / name, cell) for name in ("cells/c/s.json", "cells/c/de-en/old/s.json")),
    ]
    behind = put(tmp_path / "elsewhere/de-en/s.json", cell)
    (tmp_path / "cells/linked").symlink_to(tmp_path / "elsewhere")
    put(tmp_path / "grid.lock", "")
    assert Folder(tmp_path, resume=True).remove_others([]) == 1
    assert all(path.exists() for path in (*mine, behind)) and not any(path.exists() for path in ours)
