"""Folders that one process at a time writes."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from xqe.errors import XqeError, why
from xqe.files.times import now


def opened(lock_file: Path) -> TextIO:
    """A lock file, open for reading and writing. Raises OSError, as for a link, since it will be emptied."""
    if lock_file.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(lock_file))
    return lock_file.open("a+")


@contextmanager
def held(lock_file: Path, doing: str) -> Iterator[None]:
    """Hold a folder by a lock in it, which the system gives back when this process ends, however it does.

    Raises XqeError, naming the other one, where a process that is `doing` something holds it, and where there can be no
    lock.
    """
    folder = lock_file.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = opened(lock_file)
    except OSError as error:
        raise XqeError(f"{folder}: {why(error)}", "check its permissions") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = " ".join(lock.read().split()) or "another process"
            raise XqeError(f"{folder}: {holder} is {doing}", "wait until it has ended") from None
        except OSError as error:  # as where a file system has no locks
            raise XqeError(f"{lock_file}: {why(error)}", "give a folder on another disk") from None
        with suppress(OSError):  # a disk without room for who holds it
            lock.truncate(0)
            os.write(lock.fileno(), f"process {os.getpid()}, since {now()},".encode())
        yield
