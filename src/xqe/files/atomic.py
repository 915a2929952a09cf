"""Files that are whole or not there: written beside their place, brought to the disk, then renamed into it; and folders
that one process at a time writes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from xqe.errors import XqeError


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


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file to write what is to be at `path`; it takes that place at the end, and after an error there is none.

    The name beside it carries the process's number, so that two processes do not write one file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


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


def now() -> str:
    """The time, as in RFC 3339, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@contextmanager
def held(lock_file: Path, doing: str) -> Iterator[None]:
    """Hold a folder by a lock in it, which the system gives back when this process ends, however it does.

    Raises XqeError, naming the other one, where a process that is `doing` something holds it, and where there can be no
    lock. What killed runs left in the folder is removed.
    """
    folder = lock_file.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = lock_file.open("a+")
    except OSError as error:
        raise XqeError(f"{folder}: {(error.strerror or str(error)).lower()}", "check its permissions") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = " ".join(lock.read().split()) or "another process"
            raise XqeError(f"{folder}: {holder} is {doing}", "wait until it has ended") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, since {now()},")
        lock.flush()
        for left in folder.rglob(".*.part"):
            left.unlink(missing_ok=True)
        yield
