"""Queries, records and documents as they are given to a function: texts, dicts, or any iterable of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from xqe.commands.streams import Spoken
from xqe.errors import InputError
from xqe.files.documents import Placed
from xqe.files.forms import DOCUMENTS, QUERIES, Kind
from xqe.files.queries import Twice
from xqe.files.records import Record, check_document, check_query

One = str | Mapping[str, Any]
"""A text, or a dict."""
Many = Iterable[One]

Check = Callable[[Record, str], object]


def queries(
    given: One | Many, lang: str | None = None, spoken: bool = False, check: Check | None = None
) -> list[Record]:
    """The records of queries that were given, checked, all of them before anything is done.

    One without an id has its number for one: q1, q2 and so on. spoken: each must have a language, its own or `lang`;
    "auto" tells it from the text. check: is given each record and where it stands, and raises InputError. Raises
    InputError that says which it is for one that is no query.
    """
    languages = Spoken("query", "lang=", lang) if spoken else None
    twice = Twice()
    records = []
    for where, raw in _numbered(given, QUERIES):
        record = check_query(raw, where)
        if languages is not None:
            record = languages.named(record, record["query"], where)
            languages.count(record)
        if check is not None:
            check(record, where)
        if "source" not in record:
            twice.look(record, where)
        records.append(record)
    if languages is not None:
        languages.sum_up()
    return records


def documents(given: Many) -> Iterator[Placed]:
    """Yield where each document stands, and the document; one without an id is d1, d2 and so on, by its number."""
    for where, raw in _numbered(given, DOCUMENTS):
        yield where, check_document(raw, where)


def _numbered(given: One | Many, kind: Kind) -> Iterator[tuple[str, Any]]:
    """Yield what is given, each with its place ("queries:3") and with an id."""
    if isinstance(given, bytes | PurePath) or not isinstance(given, Iterable):
        raise InputError(f"{given!r} is no {kind.one}", f"read the file: xqe.read_{kind.several}")
    for number, raw in enumerate([given] if isinstance(given, str | Mapping) else given, 1):
        made: Any = {kind.field: raw} if isinstance(raw, str) else raw
        if isinstance(made, Mapping):
            has_id = any(name in made for name in kind.ids)
            made = dict(made) if has_id else {"id": f"{kind.one[0]}{number}", **made}
        yield f"{kind.several}:{number}", made


def answered(records: list[Record], given: object) -> Record | list[Record]:
    """One record where one was given, else the list of all."""
    return records[0] if isinstance(given, str | Mapping) else records
