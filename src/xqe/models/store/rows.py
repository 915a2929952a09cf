"""What the tables of a store hold, and in which form."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

SCHEMA = """
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


class DamagedError(Exception):
    """What a store holds is not what was put in."""


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
        return self._replace(checksum=short_hash(repr(self[:-1]).encode()))

    def check(self) -> Row:
        """Raise DamagedError if the row is not as it was sealed."""
        if self.sealed() != self:
            raise DamagedError("a generation does not have its checksum")
        return self


COLUMNS = ", ".join(Row._fields)
INSERT = f"INSERT OR IGNORE INTO generation ({COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"


def short_hash(content: bytes) -> int:
    """64 bits of a hash, as the signed integer that SQLite knows."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big", signed=True)


def common(one: bytes, other: bytes) -> int:
    """The length of the beginning that two strings share."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def to_bytes(text: str) -> bytes:
    """A text as it is kept; JSON input may hold a lone surrogate."""
    return text.encode("utf-8", "surrogatepass")


def to_text(content: bytes) -> str:
    """The text that is kept as these bytes."""
    return content.decode("utf-8", "surrogatepass")
