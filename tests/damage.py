"""Ways to damage a file: bytes, lines, values and JSON trees, as transfers, editors and other programs do it."""

from __future__ import annotations

import bz2
import gzip
import json
import random
import re
from collections.abc import Callable
from typing import Any

# What stands in files of the field and in those that somebody broke.
WORDS = [
    b"NaN", b"-Infinity", b"1e400", b"1" * 400, b"1_0", "１".encode(), b"\xef\xbb\xbf", b"\x00", b"\xff\xfe",
    b"\xed\xa0\x80", b"\x1b[31m", b"\r", b"\r\n", b"\n", b"\t", b" ", b'"', b"{", b"}", b"[", b"]", b"[" * 2000, b"<",
    b">", b"</DOC>", b"<top>", b"null", b"true", b"-1", b"0", b"../../x", b"/etc/hostname", b"a" * 70_000,
    "\u202e".encode(), "ﷺ".encode() * 50, b"\\ud800", b"\\u0000", b"0.1", b":", b",", b"=", b"#", b"'", b"{query}",
    b"{{", b"%s",
]  # fmt: skip
JSON: list[Any] = [
    None, True, 0, -1, 1.5, 2**70, -(10**400), 1e308, float("nan"), "", " ", "a", "é" * 300, "\ud800", "\x00",
    "\x1b[2J", "de", "pt-BR", "d1", [], {}, [[]], [None], ["a", 1], {"": {}}, [{"id": "d1", "score": "high"}],
    "x" * 100_000, "../../x", "1e400",
]  # fmt: skip
KEYS = [
    "id", "query", "lang", "text", "hits", "error", "steps", "passages", "score", "_id", "", "title", "source",
    "weight",
]  # fmt: skip
Mutation = Callable[[random.Random, bytes], bytes]


def _spot(draw: random.Random, data: bytes) -> int:
    return draw.randrange(len(data) + 1)


def _flip(draw: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 3, 20))):
        if changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _insert(draw: random.Random, data: bytes) -> bytes:
    at = _spot(draw, data)
    return data[:at] + draw.choice(WORDS) + data[at:]


def _value(draw: random.Random, data: bytes) -> bytes:
    """Another value for a number or a string of the file."""
    found = list(re.finditer(rb'"[^"\n]*"|\b\d+(\.\d+)?\b', data))
    if not found:
        return _insert(draw, data)
    one = draw.choice(found)
    return data[: one.start()] + draw.choice((draw.choice(WORDS), b'"' + draw.choice(WORDS) + b'"')) + data[one.end() :]


def _cut(draw: random.Random, data: bytes) -> bytes:
    return data[: _spot(draw, data)]


def _delete(draw: random.Random, data: bytes) -> bytes:
    at = _spot(draw, data)
    return data[:at] + data[at + draw.choice((1, 1, 5, 50)) :]


def _double(draw: random.Random, data: bytes) -> bytes:
    at, size = _spot(draw, data), draw.choice((1, 10, 100))
    return data[: at + size] + data[at:]


def _line(draw: random.Random, data: bytes) -> bytes:
    """A line is gone, comes twice, or has lost its end."""
    rows = data.splitlines(keepends=True) or [b""]
    at = draw.randrange(len(rows))
    rows[at] = draw.choice(
        (b"", rows[at] * 2, rows[at].rstrip(b"\n"), rows[at].replace(b"\n", b"\r\n"), b"\n" + rows[at])
    )
    return b"".join(rows)


def _tree(draw: random.Random, data: bytes) -> bytes:
    """Another value, or another key, somewhere in a JSON line."""
    rows = data.splitlines(keepends=True)
    try:
        at = draw.randrange(len(rows))
        holder = whole = json.loads(rows[at])
        while True:
            key = draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            if not isinstance(holder[key], dict | list) or not holder[key] or draw.random() < 0.3:
                break
            holder = holder[key]
    except (ValueError, TypeError, IndexError, RecursionError):
        return _value(draw, data)
    kind = draw.random()
    if kind < 0.2:
        del holder[key]
    elif kind < 0.3 and isinstance(holder, dict):
        holder[draw.choice(KEYS)] = holder.pop(key)
    else:
        holder[key] = draw.choice((draw.choice(JSON), [holder[key]], {"id": holder[key]}, str(holder[key])))
    rows[at] = json.dumps(whole, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass") + b"\n"
    return b"".join(rows)


def _packed(draw: random.Random, data: bytes) -> bytes:
    pack = draw.choice((gzip.compress, bz2.compress, lambda data: data.decode("latin-1").encode("utf-16")))
    return draw.choice((lambda _, data: data, _cut, _flip))(draw, pack(data))


def _other(draw: random.Random, data: bytes) -> bytes:
    return draw.choice(
        (b"", b"\n", b"[]", b"{}", b"null\n", b"\x00" * 100, b"PK\x03\x04", b"a\tb\tc\n", bytes(range(256)))
    )


MUTATIONS: tuple[Mutation, ...] = (
    _flip,
    _insert,
    _insert,
    _value,
    _value,
    _tree,
    _tree,
    _tree,
    _tree,
    _cut,
    _delete,
    _double,
    _line,
    _packed,
    _other,
)


def damaged(draw: random.Random, data: bytes) -> bytes:
    """`data` after one to four of the mutations."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        data = draw.choice(MUTATIONS)(draw, data)
    return data
