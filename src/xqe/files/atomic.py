"""Files that are whole or not there: written beside their place, brought to the disk, then renamed into it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_PART = re.compile(r"\.(.+)\.[0-9]+\.part")


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file to write what is to be at `path`; it takes that place at the end, and after an error there is none. Who
    may read what it replaces may read it, and nobody else.

    The name beside it carries the process's number, so that two processes do not write one file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            with suppress(OSError):  # there is none, or a file system without modes
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def remove_parts(folder: Path, ours: re.Pattern[str]) -> None:
    """Remove what killed processes left of files that were to be in a folder that nobody writes to now.

    ours: what these files are called, relative to the folder. What has another name stays, and what lies behind a link.
    """
    for above, _, names in os.walk(folder):
        for name in names:
            part = _PART.fullmatch(name)
            if part is not None and ours.fullmatch((Path(above).relative_to(folder) / part[1]).as_posix()):
                Path(above, name).unlink(missing_ok=True)


def replace(path: Path, data: bytes) -> None:
    """Write a whole file in place of what is there."""
    with replaced(path) as file:
        file.write(data)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file in one write, which on a local disk is whole or not there.

    A last line that a crash left without its end is ended first, so that only that one is lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = "\n" + line
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
