"""The file of a store."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xqe.errors import XqeError
from xqe.files import times
from xqe.models.store import pages
from xqe.models.store.generation import Asked, Generation
from xqe.models.store.pages import APPLICATION_ID, Pages
from xqe.models.store.rows import COLUMNS, INSERT, SCHEMA, DamagedError, Row, common, short_hash, to_bytes, to_text

VERSION = 1
BUSY_SECONDS = 30.0

_PAGE = 500  # generations that are read at a time, so that no transaction is held open for a slow reader
_CHECKED = 32 << 20  # bytes; a file up to that is read through when it is opened, which takes some 30 ms
_OPENINGS = 32  # that a new prompt is compared to: more than there are languages
_LATEST = 127  # the highest number that a version may have some day; what is beyond is a damaged one

_WITH_LOG = "PRAGMA journal_mode = WAL"
_UNUSED_OPENINGS = "DELETE FROM opening WHERE id NOT IN (SELECT opening FROM generation UNION SELECT id FROM origin)"

FAILURES = (sqlite3.Error, DamagedError)
"""What anything that is done with an open store may raise; see `is_damage`."""


class StoreError(XqeError):
    """A file cannot be used as a store: it is something else, or it cannot be opened."""


@dataclass(slots=True)
class Summary:
    """What a store has of one model. sha256: None for a model that is no file. oldest, newest: times as in RFC 3339."""

    model: str
    sha256: str | None
    generations: int
    tokens: int
    oldest: str
    newest: str


class Database:
    """An open store, of which everything may raise one of FAILURES.

    Any thread may use it, one at a time.
    """

    def __init__(self, path: Path, create: bool) -> None:
        """Open a file, or make a new store of one that is missing or empty, where `create` allows it.

        rescued: what was found in the rest of a damaged log, and SQLite would have dropped.

        Raises StoreError for a database that is no store of this version, for a missing file with no `create`, and for
        what is no file: a folder, or a pipe, which would be waited for.
        """
        self.path = path
        self.rescued = 0
        size = _size_of_file(path)
        if size is None and not create:
            raise StoreError(f"{path}: no such file")
        if not size and _size_of_file(pages.log_of(path)):
            raise DamagedError("it is empty, and the log beside it is not")  # which SQLite would remove
        self._connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        self._connection.text_factory = bytes  # what is damaged may be no UTF-8
        self._origins: dict[int, dict[str, Any]] = {}
        self._openings: deque[bytes] | None = None  # the one used last first; read when it is needed
        try:
            self._begin(create)
            self.inode = inode_of(path)
        except BaseException:
            self.close()
            raise

    def _begin(self, create: bool) -> None:
        if create and self._is_blank():
            self._execute(_WITH_LOG)
            with self._transaction():
                if self._is_blank():
                    for statement in SCHEMA.split(";\n"):
                        self._execute(statement)
                    self._execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    self._execute(f"PRAGMA user_version = {VERSION}")
        if (application := self._pragma("application_id")) != APPLICATION_ID:
            if pages.is_nearly(application, APPLICATION_ID):
                raise DamagedError("its header is changed")
            raise StoreError(f"{self.path}: a database, but not a store of generations", "give another --store")
        if (version := self._pragma("user_version")) != VERSION:
            if not 0 < version <= _LATEST and pages.is_nearly(version, VERSION):
                raise DamagedError("its header is changed")
            raise StoreError(
                f"{self.path}: a store of version {version}, and this xqe knows version {VERSION}",
                "update xqe, or give another --store",
            )
        self._execute("PRAGMA synchronous = NORMAL")  # in WAL mode a loss of power costs the last texts, no more
        for table in ("origin", "opening", "generation"):
            self._execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
        self._rescue()
        if not create:
            return
        if self.path.stat().st_size <= _CHECKED:
            (found,) = self._execute("PRAGMA integrity_check(1)").fetchone()
            if found != b"ok":
                raise DamagedError(found.decode("utf-8", "replace").splitlines()[-1])
        try:  # fails here, rather than at the first text, where nothing can be written
            self._execute(_WITH_LOG)
            with self._transaction():
                self._execute(f"PRAGMA user_version = {VERSION}")
                self._execute("INSERT OR IGNORE INTO opening SELECT id, content FROM origin")  # of a store from before
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_READONLY and os.access(self.path, os.W_OK):
                raise DamagedError("its header is changed") from None  # a number there keeps SQLite from writing
            raise

    def _rescue(self) -> None:
        """Take over what is in the log beyond a damaged page of it, before SQLite writes there."""
        if not _size_of_file(pages.log_of(self.path)):
            return
        _, known, _ = self._execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if (rest := pages.rest_of_log(self.path, max(known, 0))) is not None:
            with self._transaction():
                self.rescued = self._take([rest])

    def _is_blank(self) -> bool:
        (objects,) = self._execute("SELECT count(*) FROM sqlite_master").fetchone()
        return not (objects or self._pragma("application_id") or self._pragma("user_version"))

    def _pragma(self, name: str) -> int:
        return int(self._execute(f"PRAGMA {name}").fetchone()[0])

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except UnicodeDecodeError:  # the message of an error, with a damaged name in it
            raise DamagedError("its tables have other names") from None

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
        found = self._execute(f"SELECT {COLUMNS} FROM generation WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        row = Row(*found).check()
        origin = self._origin(row.origin)
        return Generation(to_text(row.text), row.finish.decode(), row.tokens, origin["model"], origin["made_by"])

    def put(self, asked: Asked, generation: Generation) -> None:
        """Keep a generation, unless there is one for the same."""
        origin = to_bytes(
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
        prompt = to_bytes(asked.prompt)
        opening, shared = self._opening_for(prompt)
        row = Row(
            asked.key,
            short_hash(origin),
            asked.seed,
            short_hash(opening),
            shared,
            prompt[shared:],
            to_bytes(generation.text),
            generation.finish.encode(),
            generation.tokens,
            int(time.time()),
        )
        with self._transaction():
            self._insert(row.sealed(), origin, opening)
            if self._execute("SELECT id FROM generation WHERE key = ?", (row.key,)).fetchone() is None:
                raise DamagedError("a generation is not found where it was put")

    def _insert(self, row: Row, origin: bytes, opening: bytes) -> None:
        """Put a row, and what it refers to. Its origin, which thousands may share, is kept twice, on two pages, so that
        a damaged one does not take them all with it."""
        self._execute("INSERT OR IGNORE INTO origin VALUES (?, ?)", (row.origin, origin))
        self._execute("INSERT OR IGNORE INTO opening VALUES (?, ?), (?, ?)", (row.opening, opening, row.origin, origin))
        self._execute(INSERT, row)

    def _opening_for(self, prompt: bytes) -> tuple[bytes, int]:
        """Return an opening and how many bytes of it the prompt begins with: half of the prompt or more."""
        if self._openings is None:
            self._openings = deque(self._recent_openings(), maxlen=_OPENINGS)
        for position, opening in enumerate(self._openings):
            shared = common(opening, prompt)
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
        found = [self._opening(identifier) for (identifier,) in identifiers.fetchall()]
        return [opening for opening in found if opening is not None]

    def _origin(self, identifier: int) -> dict[str, Any]:
        if identifier not in self._origins:
            found = self._execute("SELECT content FROM origin WHERE id = ?", (identifier,)).fetchone()
            self._origins[identifier] = json.loads(_checked(found and found[0], identifier))
        return self._origins[identifier]

    def _opening(self, identifier: int) -> bytes | None:
        """An opening, None for one that a damaged page took with it: texts are found without."""
        found = self._execute("SELECT content FROM opening WHERE id = ?", (identifier,)).fetchone()
        return None if found is None else _checked(found[0], identifier)

    # All of them

    def _rows(self) -> Iterator[Row]:
        """Yield every row in the order in which they came.

        No transaction stays open while the caller does something with a row.
        """
        last = 0
        statement = f"SELECT id, {COLUMNS} FROM generation WHERE id > ? ORDER BY id LIMIT {_PAGE}"
        while found := self._execute(statement, (last,)).fetchall():
            for identifier, *row in found:
                if identifier <= last:
                    raise DamagedError("the generations are out of order")
                last = identifier
                yield Row(*row)

    def export(self) -> Iterator[dict[str, Any]]:
        """Yield every generation as a JSON object, in the order in which they came; the "prompt" is None where a
        damaged page took its beginning."""
        openings: dict[int, bytes | None] = {}
        for row in self._rows():
            row.check()
            if row.opening not in openings:
                if len(openings) >= _OPENINGS:
                    openings.clear()
                openings[row.opening] = self._opening(row.opening)
            opening = openings[row.opening]
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
                "prompt": None if opening is None else to_text(opening[: row.shared] + row.rest),
                "text": to_text(row.text),
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
        until `shrink`; what was there is overwritten, so that nothing brings it back."""
        self._execute("PRAGMA secure_delete = ON")
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
            self._execute("DELETE FROM origin WHERE id NOT IN (SELECT origin FROM generation)")
            self._execute(_UNUSED_OPENINGS)
        return removed

    def salvage(self, path: Path) -> int:
        """Take over what is whole in a damaged store; return how many generations that is."""
        with self._transaction(), pages.opened(path) as readings:
            return self._take(readings)

    def _take(self, readings: Iterable[Pages]) -> int:
        """Take over the generations that are whole, with what they refer to; return how many were not there."""
        before = self._count()
        for reading in readings:
            origins, openings = set(), set()
            for row in reading.rows():
                self._execute(INSERT, row)
                origins.add(row.origin)
                openings.add(row.opening)
            for identifier, content in reading.contents():
                if identifier in origins:
                    self._execute("INSERT OR IGNORE INTO origin VALUES (?, ?)", (identifier, content))
                if identifier in origins or identifier in openings:
                    self._execute("INSERT OR IGNORE INTO opening VALUES (?, ?)", (identifier, content))
        self._execute("DELETE FROM generation WHERE origin NOT IN (SELECT id FROM origin)")
        self._execute(_UNUSED_OPENINGS)
        return self._count() - before

    def _count(self) -> int:
        (count,) = self._execute("SELECT count(*) FROM generation").fetchone()
        return int(count)

    def shrink(self) -> None:
        """Give the space of what was removed back to the disk."""
        if self._pragma("freelist_count"):
            self._execute("VACUUM")
        self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _checked(content: Any, identifier: int) -> bytes:
    """What a row of the table `origin` or `opening` holds, if that is what it is called."""
    if not isinstance(content, bytes) or short_hash(content) != identifier:
        raise DamagedError("what generations refer to is missing or changed")
    return content


def _size_of_file(path: Path) -> int | None:
    """Bytes, None where there is nothing. Raises StoreError for what is no file, and cannot be replaced by one."""
    try:
        state = path.stat()
    except OSError:  # SQLite says what is wrong
        return None
    if not stat.S_ISREG(state.st_mode):
        what = "a folder" if stat.S_ISDIR(state.st_mode) else "no file"
        raise StoreError(f"{path}: is {what}", "name a file with --store; --no-store is a run without one")
    return state.st_size


def inode_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from the one that takes its place, None where there is none."""
    with suppress(FileNotFoundError):
        state = path.stat()
        return state.st_dev, state.st_ino
    return None


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
