"""Files that are whole or not there, and what is left of them where a process was killed."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from pathlib import Path
from unittest.mock import Mock

import pytest

from xqe.errors import XqeError
from xqe.files.atomic import remove_parts
from xqe.files.locks import held

OURS = re.compile(r"manifest\.json|cells/[^/]+\.json")


def test_only_parts_of_our_files_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    ours = [".manifest.json.17.part", "cells/.a.json.4711.part", "cells/.b.json.1.part"]
    theirs = [
        *("notes/.film.mkv.part", ".film.mkv.part", "cells/.film.17.part", "notes/.a.json.17.part", "cells/a.json"),
        *(
            "cells/.a.json.part",
            "cells/a.json.17.part",
            "manifest.json",
            ".manifest.json.x.part",
            "cells/c/.a.json.1.part",
        ),
    ]
    for name in (*ours, *theirs, "../behind/.a.json.17.part"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "cells").rename(tmp_path / "elsewhere")
    (folder / "cells").symlink_to(tmp_path / "elsewhere")
    remove_parts(folder, OURS)
    assert (folder / ours[1]).exists()  # behind a link
    (folder / "cells").unlink()
    (tmp_path / "elsewhere").rename(folder / "cells")
    remove_parts(folder, OURS)
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert left == set(theirs)


def test_a_lock_is_had_on_a_full_disk_and_not_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    with held(tmp_path / "lock", "writing"), pytest.raises(XqeError, match="is writing; wait until it has ended"):
        held(tmp_path / "lock", "writing").__enter__()
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))))
    with pytest.raises(XqeError, match="lock: no locks available; give a folder"), held(tmp_path / "lock", "writing"):
        pass


def test_a_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "lock").symlink_to("mine")
    with pytest.raises(XqeError, match="too many levels of symbolic links"), held(tmp_path / "lock", "writing"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"
