"""The store that a run uses: it never fails once it is open."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Self, TypeVar

from xqe.messages import say
from xqe.models.store.access import has_magic, unusable
from xqe.models.store.database import FAILURES, Database, StoreError, inode_of, is_damage
from xqe.models.store.generation import Asked, Generation
from xqe.models.store.place import file_of

T = TypeVar("T")

_BESIDE = ("", "-wal", "-shm")  # what the files of a database are called, after its own name


class Store:
    """The generations of earlier runs and of this one, for any number of threads.

    What goes wrong after opening is said in one line and never ends the run. A damaged file is set aside, and a new
    one begun with what can be saved from it; where nothing can be written, what is there is still read.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the store. Raises StoreError where that cannot be, and for a file that is something else."""
        self._path = path
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._is_writable = True
        try:
            if path == file_of(None):
                path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path.parent):
                self._open()
        except (*FAILURES, OSError) as error:
            raise unusable(path, error) from None

    def get(self, key: bytes) -> Generation | None:
        """Return the generation for a key of `Asked`, None if there is none."""
        with self._lock:
            try:
                return self._attempt(lambda database: database.get(key))
            except FAILURES as error:
                self._end()
                say(f"{self._path}: {error}; the run goes on without the store")
                return None

    def put(self, asked: Asked, generation: Generation) -> None:
        """Keep a finished generation; from now on it outlives the process."""
        with self._lock:
            if not self._is_writable:
                return
            try:
                self._attempt(lambda database: database.put(asked, generation))
            except FAILURES as error:
                self._is_writable = False
                say(
                    f"{self._path}: {error}; the run goes on, and what it generates from here on is not kept; "
                    "make room, or name another file with --store"
                )

    def close(self) -> None:
        with self._lock:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _attempt(self, work: Callable[[Database], T]) -> T | None:
        """Do something with the file, and if that is damaged, with a new one; None where there is none any more."""
        if self._database is None:
            return None
        try:
            return work(self._database)
        except FAILURES as error:
            if not is_damage(error):
                raise
            self._renew(error)
        return work(self._database) if self._database is not None else None

    def _open(self) -> None:
        try:
            self._database = Database(self._path, create=True)
        except FAILURES as error:
            if not is_damage(error) or not (has_magic(self._path) or self._path == file_of(None)):
                raise
            self._rebuild(error)

    def _renew(self, error: Exception) -> None:
        """Go on with a new file, unless another process has seen to that already."""
        inode = self._database.inode if self._database is not None else None
        self._end()
        try:
            with _alone(self._path.parent):
                if inode_of(self._path) == inode:
                    self._rebuild(error)
                else:
                    self._open()
        except (*FAILURES, OSError, StoreError) as failure:
            self._end()
            say(f"{self._path}: damaged ({error}), and cannot be set aside ({failure}); the run goes on without it")

    def _rebuild(self, error: Exception) -> None:
        aside = _set_aside(self._path)
        self._database = Database(self._path, create=True)
        saved = self._database.salvage(aside)
        say(
            f"{self._path}: damaged ({error}); it is set aside as {aside}, "
            f"and a new store begun with {saved} generations of it"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from opening stores in a folder, or setting them aside, for as long as the block runs."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without such locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _set_aside(path: Path) -> Path:
    """Rename a store that no connection of this process is open on, with what belongs to it; return its new name."""
    aside = next(name for number in count(1) if not os.access(name := f"{path}.damaged-{number}", os.F_OK))
    for suffix in _BESIDE:
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return Path(aside)
