"""The store that a run uses: it never fails once it is open."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Self, TypeVar

from xqe.messages import plural, say
from xqe.models.store.access import unusable
from xqe.models.store.database import FAILURES, Database, StoreError, inode_of, is_damage
from xqe.models.store.generation import Asked, Generation
from xqe.models.store.pages import is_ours
from xqe.models.store.place import file_of

T = TypeVar("T")

_BESIDE = ("", "-wal", "-shm")  # what the files of a database are called, after its own name


class Store:
    """The generations of earlier runs and of this one, for any number of threads.

    What goes wrong after opening is said in one line and never ends the run. A damaged file is set aside, and a new
    one begun with what can be saved from it; where nothing can be written, what is there is still read. The store that
    nobody named is its user's alone to read; one that is named is as readable as files are that the user makes.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the store. Raises StoreError where that cannot be, and for a file that is something else."""
        self._path = path
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._is_writable = True
        self._is_default = path == file_of(None)
        try:
            if self._is_default:
                path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path.parent):
                if self._is_default:
                    _make_private(path)
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
            if not is_damage(error) or not (self._is_default or is_ours(self._path)):
                raise
            self._rebuild(error)
        else:
            if rescued := self._database.rescued:
                say(f"{self._path}-wal: a page of it is damaged; {plural(rescued, 'generation')} after that are saved")

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
        """Make a new store of what is whole, and only then put it in place of the damaged one."""
        descriptor, name = tempfile.mkstemp(".part", f".{self._path.name}.", self._path.parent)  # nobody else reads it
        os.close(descriptor)
        beside = Path(name)
        try:
            saved = _salvaged(self._path, beside)
            if not self._is_default:
                with suppress(FileNotFoundError):
                    beside.chmod(stat.S_IMODE(self._path.stat().st_mode))
            aside = _set_aside(self._path)
            beside.replace(self._path)
        finally:
            for suffix in _BESIDE:
                Path(f"{beside}{suffix}").unlink(missing_ok=True)
        self._database = Database(self._path, create=True)
        say(
            f"{self._path}: damaged ({error}); it is set aside as {aside}, "
            f"and a new store begun with {saved} generations of it"
        )


def _salvaged(damaged: Path, new: Path) -> int:
    """Take over what is whole in a store; return how many generations that is."""
    database = Database(new, create=True)
    try:
        return database.salvage(damaged)
    finally:
        database.close()


def _make_private(path: Path) -> None:
    """Let nobody but its user read a store, which need not be there yet."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    for suffix in _BESIDE:
        with suppress(OSError):  # it is another user's, or is not there
            mode = Path(f"{path}{suffix}").stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                Path(f"{path}{suffix}").chmod(mode & 0o700)


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
    """Give a store that no connection of this process is open on another name, with what belongs to it; return that.

    The file keeps its old name, too, until another takes it: a process that is killed meanwhile leaves one in place.
    """
    names = (f"{path}.damaged-{number}" for number in count(1))
    aside = next(name for name in names if not any(os.path.lexists(f"{name}{suffix}") for suffix in _BESIDE))
    try:
        os.link(path, aside)
    except FileNotFoundError:  # its log alone is left
        pass
    except OSError:  # a file system without links
        path.rename(aside)
    for suffix in _BESIDE[1:]:
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return Path(aside)
