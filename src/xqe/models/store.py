"""Finished generations, so that none is made twice: one SQLite file, which any number of processes may share.

A generation is found by the sha256 of all that its text depends on (`Asked`). What many of them have in common is
kept once: the model and the parameters in the table `origin`, and in `opening` a prompt that others begin like; both
have a hash of their content for their id. Each generation is committed when it is finished, and has a checksum, since
SQLite notices damage to its structure but not to what it holds.

`Database` is the file, and raises what goes wrong. `Store` is what a run uses: it never fails once it is open.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from xqe.errors import XqeError
from xqe.files import times
from xqe.files.cache import cache_folder
from xqe.messages import say

T = TypeVar("T")

APPLICATION_ID = int.from_bytes(b"xqeg", "big")  # in the file's header, for `file` and for us
VERSION = 1
BUSY_SECONDS = 30.0

_MAGIC = b"SQLite format 3\0"
_BESIDE = ("", "-wal", "-shm")  # what the files of a database are called, after its own name
_PAGE = 500  # generations that are read at a time, so that no transaction is held open for a slow reader
_CHECKED = 32 << 20  # bytes; a file up to that is read through when it is opened, which takes some 30 ms
_OPENINGS = 32  # that a new prompt is compared to: more than there are languages

_SCHEMA = """
CREATE TABLE origin (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE opening (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE generation (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,   -- sha256 of what the text depends on
    origin INTEGER NOT NULL,    -- the model, how it was run, the parameters
    seed INTEGER,               -- of this text; NULL where it has no effect
    opening INTEGER NOT NULL,   -- the prompt is the first `shared` bytes of this one,
    shared INTEGER NOT NULL,
    rest BLOB NOT NULL,         -- and then these
    text BLOB NOT NULL,
    finish BLOB NOT NULL,
    tokens INTEGER NOT NULL,
    created INTEGER NOT NULL,   -- seconds since 1970
    checksum INTEGER NOT NULL   -- of all of these
);
"""


class StoreError(XqeError):
    """A file cannot be used as a store: it is something else, or it cannot be opened."""


class DamagedError(Exception):
    """What a store holds is not what was put in."""


@dataclass(frozen=True)
class Asked:
    """What a text depends on: the same asked again is the same text.

    identity: of the model. parameters: of sampling, those in force. prompt: as it goes to the model. stop: None where
    the model ends by itself. seed: of this text, None where nothing is drawn. Mappings hold JSON values.
    """

    identity: Mapping[str, Any]
    parameters: Mapping[str, Any]
    max_tokens: int
    prompt: str
    stop: tuple[str, ...] | None = None
    seed: int | None = None

    @cached_property
    def key(self) -> bytes:
        """The sha256 of all of it, as JSON in ASCII with sorted keys and no white space."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Generation:
    """A text that is finished. model: as people call it. made_by: how the model was run; JSON values."""

    text: str
    finish: str
    tokens: int
    model: str
    made_by: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Summary:
    """What a store has of one model. sha256: None for a model that is no file. oldest, newest: times as in RFC 3339."""

    model: str
    sha256: str | None
    generations: int
    tokens: int
    oldest: str
    newest: str


class Row(NamedTuple):
    """A row of the table `generation`, without its id."""

    key: bytes
    origin: int
    seed: int | None
    opening: int
    shared: int
    rest: bytes
    text: bytes
    finish: bytes
    tokens: int
    created: int
    checksum: int = 0

    def sealed(self) -> Row:
        """The row with its checksum."""
        return self._replace(checksum=_short_hash(repr(self[:-1]).encode()))

    def check(self) -> Row:
        """Raise DamagedError if the row is not as it was sealed."""
        if self.sealed() != self:
            raise DamagedError("a generation does not have its checksum")
        return self


_COLUMNS = ", ".join(Row._fields)
_INSERT = f"INSERT OR IGNORE INTO generation ({_COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"


def default_path() -> Path:
    """Where generations are kept unless told."""
    return cache_folder() / "generations.sqlite"


def file_of(option: str | None) -> Path:
    """The file that --store means."""
    return (Path(option).expanduser() if option else default_path()).resolve()  # SQLite follows links, too


# The file


class Database:
    """An open store. Everything may raise sqlite3.Error, and what reads may raise DamagedError; see `is_damage`.

    Any thread may use it, one at a time.
    """

    def __init__(self, path: Path, create: bool) -> None:
        """Open a file, or make a new store of one that is missing or empty, where `create` allows it.

        Raises StoreError for a database that is no store of this version, and for a missing file with no `create`.
        """
        self.path = path
        if not create and not os.access(path, os.F_OK):
            raise StoreError(f"{path}: no such file")
        self._connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        self._connection.text_factory = bytes  # what is damaged may be no UTF-8
        self._origins: dict[int, dict[str, Any]] = {}
        self._openings: deque[bytes] | None = None  # the one used last first; read when it is needed
        try:
            self._begin(create)
            self.inode = _inode(path)
        except BaseException:
            self.close()
            raise

    def _begin(self, create: bool) -> None:
        if create and self._is_blank():
            self._execute("PRAGMA journal_mode = WAL")
            with self._transaction():
                if self._is_blank():
                    for statement in _SCHEMA.split(";\n"):
                        self._execute(statement)
                    self._execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    self._execute(f"PRAGMA user_version = {VERSION}")
        if self._pragma("application_id") != APPLICATION_ID:
            raise StoreError(f"{self.path}: a database, but not a store of generations", "give another --store")
        if (version := self._pragma("user_version")) != VERSION:
            raise StoreError(
                f"{self.path}: a store of version {version}, and this xqe knows version {VERSION}",
                "update xqe, or give another --store",
            )
        self._execute("PRAGMA synchronous = NORMAL")  # in WAL mode a loss of power costs the last texts, no more
        for table in ("origin", "opening", "generation"):
            self._execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
        if not create:
            return
        if self.path.stat().st_size <= _CHECKED:
            (found,) = self._execute("PRAGMA integrity_check(1)").fetchone()
            if found != b"ok":
                raise DamagedError(found.decode("utf-8", "replace").splitlines()[-1])
        with self._transaction():  # fails here, rather than at the first text, where nothing can be written
            self._execute(f"PRAGMA user_version = {VERSION}")

    def _is_blank(self) -> bool:
        (objects,) = self._execute("SELECT count(*) FROM sqlite_master").fetchone()
        return not (objects or self._pragma("application_id") or self._pragma("user_version"))

    def _pragma(self, name: str) -> int:
        return int(self._execute(f"PRAGMA {name}").fetchone()[0])

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._execute("ROLLBACK")
            raise

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()

    # One generation

    def get(self, key: bytes) -> Generation | None:
        found = self._execute(f"SELECT {_COLUMNS} FROM generation WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        row = Row(*found).check()
        origin = self._origin(row.origin)
        return Generation(_text(row.text), row.finish.decode(), row.tokens, origin["model"], origin["made_by"])

    def put(self, asked: Asked, generation: Generation) -> None:
        """Keep a generation, unless there is one for the same."""
        origin = _bytes(
            json.dumps(
                {
                    "model": generation.model,
                    "identity": asked.identity,
                    "made_by": generation.made_by,
                    "parameters": asked.parameters,
                    "max_tokens": asked.max_tokens,
                    "stop": asked.stop,
                }
            )
        )
        prompt = _bytes(asked.prompt)
        opening, shared = self._opening_for(prompt)
        row = Row(
            asked.key,
            _short_hash(origin),
            asked.seed,
            _short_hash(opening),
            shared,
            prompt[shared:],
            _bytes(generation.text),
            generation.finish.encode(),
            generation.tokens,
            int(time.time()),
        )
        with self._transaction():
            self._insert(row.sealed(), origin, opening)
            if self._execute("SELECT id FROM generation WHERE key = ?", (row.key,)).fetchone() is None:
                raise DamagedError("a generation is not found where it was put")

    def _insert(self, row: Row, origin: bytes, opening: bytes) -> int:
        self._execute("INSERT OR IGNORE INTO origin VALUES (?, ?)", (row.origin, origin))
        self._execute("INSERT OR IGNORE INTO opening VALUES (?, ?)", (row.opening, opening))
        return self._execute(_INSERT, row).rowcount

    def _opening_for(self, prompt: bytes) -> tuple[bytes, int]:
        """Return an opening and how many bytes of it the prompt begins with: half of the prompt or more."""
        if self._openings is None:
            self._openings = deque(self._recent_openings(), maxlen=_OPENINGS)
        for position, opening in enumerate(self._openings):
            shared = _common(opening, prompt)
            if 2 * shared >= len(prompt):
                del self._openings[position]
                self._openings.appendleft(opening)
                return opening, shared
        self._openings.appendleft(prompt)
        return prompt, len(prompt)

    def _recent_openings(self) -> list[bytes]:
        identifiers = self._execute(
            "SELECT DISTINCT opening FROM generation WHERE id > (SELECT max(id) FROM generation) - ? LIMIT ?",
            (_PAGE, _OPENINGS),
        )
        return [self.content("opening", identifier) for (identifier,) in identifiers.fetchall()]

    def _origin(self, identifier: int) -> dict[str, Any]:
        if identifier not in self._origins:
            self._origins[identifier] = json.loads(self.content("origin", identifier))
        return self._origins[identifier]

    def content(self, table: str, identifier: int) -> bytes:
        """Return what a row of the table `origin` or `opening` holds."""
        found = self._execute(f"SELECT content FROM {table} WHERE id = ?", (identifier,)).fetchone()
        if found is None or not isinstance(found[0], bytes) or _short_hash(found[0]) != identifier:
            raise DamagedError(f"an {table} is missing or changed")
        return found[0]

    # All of them

    def rows(self, page: int = _PAGE, backwards: bool = False) -> Iterator[Row]:
        """Yield every row in the order in which they came, or from the last one back, reading `page` at a time.

        No transaction stays open while the caller does something with a row.
        """
        order, beyond, last = ("DESC", "<", 1 << 62) if backwards else ("ASC", ">", 0)
        statement = f"SELECT id, {_COLUMNS} FROM generation WHERE id {beyond} ? ORDER BY id {order} LIMIT {page}"
        while found := self._execute(statement, (last,)).fetchall():
            for identifier, *row in found:
                if identifier == last or (identifier < last) != backwards:
                    raise DamagedError("the generations are out of order")
                last = identifier
                yield Row(*row)

    def export(self) -> Iterator[dict[str, Any]]:
        """Yield every generation as a JSON object, in the order in which they came."""
        openings: dict[int, bytes] = {}
        for row in self.rows():
            row.check()
            if row.opening not in openings:
                if len(openings) >= _OPENINGS:
                    openings.clear()
                openings[row.opening] = self.content("opening", row.opening)
            origin = self._origin(row.origin)
            stop = {"stop": origin["stop"]} if origin["stop"] is not None else {}
            seed = {"seed": row.seed} if row.seed is not None else {}
            yield {
                "key": row.key.hex(),
                "created": times.written(row.created),
                "model": origin["model"],
                "identity": origin["identity"],
                "made_by": origin["made_by"],
                "parameters": origin["parameters"],
                "max_tokens": origin["max_tokens"],
                **stop,
                **seed,
                "prompt": _text(openings[row.opening][: row.shared] + row.rest),
                "text": _text(row.text),
                "finish": row.finish.decode(),
                "tokens": row.tokens,
            }

    def summaries(self) -> list[Summary]:
        """Return what there is of each model, the model of the newest generation first."""
        found: dict[tuple[str, str | None], Summary] = {}
        counted = self._execute(
            "SELECT origin, count(*), sum(tokens), min(created), max(created) FROM generation "
            "GROUP BY 1 ORDER BY 5 DESC, 1"
        )
        for identifier, generations, tokens, oldest, newest in counted.fetchall():
            origin = self._origin(identifier)
            model, sha256 = origin["model"], origin["identity"].get("sha256")
            whole = found.setdefault(
                (model, sha256), Summary(model, sha256, 0, 0, times.written(oldest), times.written(newest))
            )
            whole.generations += generations
            whole.tokens += tokens
            whole.oldest = min(whole.oldest, times.written(oldest))
        return list(found.values())

    def size(self) -> int:
        """Bytes on the disk, what is not yet in the file proper included."""
        log = Path(f"{self.path}-wal")
        return self.path.stat().st_size + (log.stat().st_size if log.exists() else 0)

    def prune(self, before: float | None = None, model: str | None = None) -> int:
        """Remove the generations made before a time and by a model, or all; return how many. The file is not smaller
        until `shrink`."""
        with self._transaction():
            condition = "TRUE"
            values: tuple[float, ...] = ()
            if model is not None:
                origins = [identifier for (identifier,) in self._execute("SELECT id FROM origin").fetchall()]
                ours = [str(each) for each in origins if self._origin(each)["model"] == model]
                condition = f"origin IN ({', '.join(ours)})"
            if before is not None:
                condition, values = f"{condition} AND created < ?", (before,)
            removed = self._execute(f"DELETE FROM generation WHERE {condition}", values).rowcount
            for table in ("origin", "opening"):
                self._execute(f"DELETE FROM {table} WHERE id NOT IN (SELECT {table} FROM generation)")
        return removed

    def salvage(self, path: Path) -> int:
        """Take over what is whole in a damaged store; return how many generations that is."""
        with self._transaction():
            return sum(self._insert(*whole) for whole in _whole(path))

    def shrink(self) -> None:
        """Give the space of what was removed back to the disk."""
        if self._pragma("freelist_count"):
            self._execute("VACUUM")
        self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _whole(path: Path) -> Iterator[tuple[Row, bytes, bytes]]:
    """Yield the rows of a damaged store that are whole, each with its origin and opening: from the first one to where
    reading fails, and if it does, from the last one back."""
    with suppress(sqlite3.Error, DamagedError, StoreError):
        database = Database(path, create=False)
        for backwards in (False, True):
            with suppress(sqlite3.Error, DamagedError):
                for row in database.rows(1, backwards):
                    with suppress(DamagedError):
                        row.check()
                        yield row, database.content("origin", row.origin), database.content("opening", row.opening)
                break
        database.close()


def is_damage(error: Exception) -> bool:
    """True for an error that says that the file is not as SQLite or xqe wrote it."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return isinstance(error, DamagedError) or code in _DAMAGE


_DAMAGE = {  # an error in our statements means that tables of ours are not there
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_ERROR,
}


@contextmanager
def opened(path: Path) -> Iterator[Database | None]:
    """A store to look into, None where there is none yet. Raises StoreError for whatever is wrong with it."""
    database = None
    try:
        if os.access(path, os.F_OK) and path.stat().st_size:
            database = Database(path, create=False)
        yield database
    except (sqlite3.Error, DamagedError) as error:
        raise _unusable(path, error) from None
    finally:
        if database is not None:
            database.close()


def _unusable(path: Path, error: Exception) -> StoreError:
    if not is_damage(error):
        return StoreError(f"{path}: {_reason(path, error)}", "give access to it, or name another file with --store")
    if not _has_magic(path):
        return StoreError(f"{path}: not a store of generations", "move it away, or give another --store")
    return StoreError(f"{path}: damaged ({error})", "the next run that uses it sets it aside and saves what it can")


def _reason(path: Path, error: Exception) -> str:
    """Why a file cannot be opened; SQLite says only that it cannot."""
    folder = path.parent
    reasons = (
        (os.path.isdir(path), "is a folder"),  # noqa: PTH112 - Path.is_dir raises where the folder cannot be entered
        (not os.access(folder, os.F_OK), f"there is no folder {folder}"),
        (not os.path.isdir(folder), f"{folder} is not a folder"),  # noqa: PTH112
        (not os.access(folder, os.W_OK | os.X_OK), "its folder cannot be written"),
        (os.access(path, os.F_OK) and not os.access(path, os.R_OK | os.W_OK), "cannot be read and written"),
    )
    return next((reason for holds, reason in reasons if holds), getattr(error, "strerror", None) or str(error))


def _has_magic(path: Path) -> bool:
    """True for a file that begins as an SQLite database does. No connection to it may be open: closing it here would
    drop the connection's locks."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


# What a run uses


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
            if path == default_path().resolve():
                path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path.parent):
                self._open()
        except (sqlite3.Error, OSError) as error:
            raise _unusable(path, error) from None

    def get(self, key: bytes) -> Generation | None:
        """Return the generation for a key of `Asked`, None if there is none."""
        with self._lock:
            try:
                return self._attempt(lambda database: database.get(key))
            except (sqlite3.Error, DamagedError) as error:
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
            except (sqlite3.Error, DamagedError) as error:
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
        except (sqlite3.Error, DamagedError) as error:
            if not is_damage(error):
                raise
            self._renew(error)
        return work(self._database) if self._database is not None else None

    def _open(self) -> None:
        try:
            self._database = Database(self._path, create=True)
        except (sqlite3.Error, DamagedError) as error:
            if not is_damage(error) or not (_has_magic(self._path) or self._path == default_path().resolve()):
                raise
            self._rebuild(error)

    def _renew(self, error: Exception) -> None:
        """Go on with a new file, unless another process has seen to that already."""
        inode = self._database.inode if self._database is not None else None
        self._end()
        try:
            with _alone(self._path.parent):
                if _inode(self._path) == inode:
                    self._rebuild(error)
                else:
                    self._open()
        except (sqlite3.Error, OSError, StoreError, DamagedError) as failure:
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


# Small things


def _inode(path: Path) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        state = path.stat()
        return state.st_dev, state.st_ino
    return None


def _short_hash(content: bytes) -> int:
    """64 bits of a hash, as the signed integer that SQLite knows."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big", signed=True)


def _common(one: bytes, other: bytes) -> int:
    """The length of the beginning that two strings share."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # JSON input may hold a lone surrogate


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")
