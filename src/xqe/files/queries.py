"""Queries as they arrive, in any of the forms of `forms`, plain or packed, from files or standard input."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from xqe.files import jsonl
from xqe.files.records import Record
from xqe.files.rows import Rows, can_be_read_twice
from xqe.messages import say

T = TypeVar("T")
Parse = Callable[[Any, str], T]


def checked(rows: Rows, paths: Sequence[str], parse: Parse[T]) -> tuple[Iterator[tuple[str, T]], int | None]:
    """Return the parsed rows of `paths`, and how many there are where that can be known beforehand.

    Regular files are read through once before anything is returned, so that a bad line in a file is found before a
    model is loaded; a pipe is checked line by line as it is read.
    """
    total: int | None = 0
    for path in paths:
        if not can_be_read_twice(path):
            total = None
            continue
        start = os.lseek(0, 0, os.SEEK_CUR) if path == jsonl.STDIN else 0
        count = 0
        for where, raw in rows.read([path]):
            parse(raw, where)
            count += 1
        if path == jsonl.STDIN:
            os.lseek(0, start, os.SEEK_SET)
        total = None if total is None else total + count
    return ((where, parse(raw, where)) for where, raw in rows.read(paths)), total


class Twice:
    """Says once that an id comes twice: xqe eval and xqe fuse want one answer to a query."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], str] = {}
        self._said = False

    def look(self, record: Record, where: str) -> None:
        """Look at a record that no stage has been at. An id may come again in another language."""
        key = record["id"], str(record.get("lang", ""))
        first = self._first.setdefault(key, where)
        if first != where and not self._said:
            self._said = True
            say(f'{where}: query "{record["id"]}" again, first at {first}; xqe eval and xqe fuse take a query once')
