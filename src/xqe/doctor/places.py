"""Where files of xqe's lie, how much they take, and whether they can be written."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder of xqe's. obstacle: why it cannot be written. disk: where its file system is mounted."""

    name: str
    path: str
    exists: bool
    writable: bool
    obstacle: str | None
    size: int
    free: int | None
    disk: str


def place_at(path: Path, name: str, is_file: bool = False) -> Place:
    """What is true of a place, and of the folder that it would be made in. is_file: not a folder."""
    folder = path.parent if is_file else path
    standing = next(each for each in (folder, *folder.parents) if os.path.lexists(each) or each == each.parent)
    exists, is_folder = os.access(path, os.F_OK), os.path.isdir(path)  # noqa: PTH112 - Path.is_dir may raise
    obstacles = (
        (not os.path.isdir(standing), f"{standing} is not a folder"),  # noqa: PTH112
        (not os.access(standing, os.W_OK | os.X_OK), f"{standing} cannot be written"),
        (is_file and is_folder, f"{path} is a folder"),
        (is_file and exists and not os.access(path, os.R_OK | os.W_OK), f"{path} cannot be read and written"),
    )
    obstacle = next((text for holds, text in obstacles if holds), None)
    disk = standing
    while not os.path.ismount(disk) and disk != disk.parent:
        disk = disk.parent
    free = None
    with suppress(OSError):
        free = shutil.disk_usage(disk).free
    return Place(name, str(path), exists, obstacle is None, obstacle, size_of(path), free, str(disk))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    total = 0
    with suppress(OSError):
        total = path.stat().st_size if path.is_file() else 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += Path(folder, name).lstat().st_size
    return total
