"""Files that come to be a piece at a time: FILE.VERSION.part beside FILE, kept from one process to the next."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO

from xqe.messages import say


def part_path(target: Path, version: str) -> Path:
    """Where the part of a version of a file lies, or would."""
    return target.with_name(f"{target.name}.{version}.part")


@contextmanager
def part_of(target: Path, version: str) -> Iterator[BinaryIO]:
    """Open the part of a version of `target` for this process alone, at its end; an empty one is removed afterwards.

    Where another process has it, wait until that one is done with it.
    """
    path = part_path(target, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("ab") as part:
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for the process that writes {path}")
                fcntl.flock(part, fcntl.LOCK_EX)
            if not _names(path, part):  # that process has put it in place or removed it
                continue
            try:
                yield part
            finally:
                part.flush()
                if os.fstat(part.fileno()).st_size == 0:
                    path.unlink(missing_ok=True)
            return


def _names(path: Path, file: BinaryIO) -> bool:
    """True if `path` is still the path of the open file."""
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    return False


def empty(part: BinaryIO) -> None:
    """Begin a part anew."""
    part.truncate(0)
    part.seek(0)


def put_in_place(part: BinaryIO, target: Path) -> None:
    """Make a finished part the file, and remove what there is of other versions."""
    part.flush()
    os.fsync(part.fileno())
    for outdated in set(target.parent.glob(f"{escape(target.name)}.*.part")) - {Path(part.name)}:
        outdated.unlink(missing_ok=True)
    Path(part.name).replace(target)
