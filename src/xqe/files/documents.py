"""Documents as they arrive: JSONL in several spellings, or TSV, plain or packed, from files or standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from xqe.errors import InputError
from xqe.files import jsonl, packing
from xqe.files.records import (
    DOCUMENT_IDS,
    QUERY_IDS,
    TEXT_FIELDS,
    Document,
    Record,
    check_document,
    document_record,
    failed_document,
)
from xqe.lines import cut

Placed = tuple[str, Document]

_SHOWN = 60  # characters of an error
_LEAVE_OUT = "do it again, or leave it out: jq -c 'select(.error | not)'"


class Format(StrEnum):
    """How a file of documents is written; `auto` goes by its name and first line."""

    AUTO = "auto"
    JSONL = "jsonl"
    TSV = "tsv"


def documents(
    paths: Sequence[str], form: Format = Format.AUTO, on_failed: Callable[[str], object] | None = None
) -> Iterator[Placed]:
    """Yield ("file:line", document) for each line of the files; "-" is standard input.

    on_failed: called with the place of a document that a stage could not do, which is then left out. Raises InputError
    that names the line for one that is no document, and without `on_failed` for one that a stage could not do.
    """
    for where, raw in _raw(paths, form):
        if problem := failed_document(raw):
            if on_failed is None:
                raise InputError(f"{where}: a document that failed ({cut(problem, _SHOWN)})", _LEAVE_OUT)
            on_failed(where)
            continue
        yield where, check_document(raw, where)


def records(paths: Sequence[str], form: Format = Format.AUTO) -> Iterator[tuple[str, Record]]:
    """Yield the same documents with all the fields that they have (`document_record`)."""
    for where, raw in _raw(paths, form):
        yield where, document_record(raw, where)


def _raw(paths: Sequence[str], form: Format) -> Iterator[tuple[str, Any]]:
    """Yield each line of the files as JSON has it, or as its columns are named."""
    for path in paths:
        parse: Callable[[str, str], Any] | None = None
        for where, text in jsonl.lines(path):
            if parse is None:
                shape = form if form is not Format.AUTO else _recognised(path, text, where)
                if shape is Format.TSV and (names := header(text)) is not None:
                    parse = partial(named_columns, names)
                    continue
                parse = _PARSERS[shape]
            yield where, parse(text, where)


def header(line: str) -> list[str] | None:
    """The names of columns, if a line of TSV holds nothing else: those of an id and a text, and a title perhaps.

    The id and the text of a query are such names, too. They are returned as documents have them.
    """
    names = [_COLUMNS.get(name.strip().lower(), "") for name in line.split("\t")]
    return names if {"id", "text"} <= set(names) and "" not in names and len(set(names)) == len(names) else None


_COLUMNS = (
    dict.fromkeys((*DOCUMENT_IDS, *QUERY_IDS), "id")
    | dict.fromkeys((*TEXT_FIELDS, "query"), "text")
    | {"title": "title"}
)


def named_columns(names: Sequence[str], text: str, where: str) -> dict[str, str]:
    """The columns of a line of TSV by their names; the last one may hold tabs. Raises InputError where one lacks."""
    columns = text.split("\t", len(names) - 1)
    if len(columns) != len(names):
        raise InputError(f"{where}: {len(columns)} columns", f"the header has {len(names)}, parted by tabs")
    return dict(zip(names, columns, strict=True))


def _recognised(path: str, first: str, where: str) -> Format:
    if packing.unpacked_name(path).endswith(".tsv"):
        return Format.TSV
    if first.lstrip().startswith(("{", "[")):  # an array is refused as what it is
        return Format.JSONL
    if "\t" in first:
        return Format.TSV
    if first.lstrip().startswith("<"):
        raise InputError(f"{where}: SGML, XML or HTML", "xqe data convert trec reads TREC's documents; see docs/cli.md")
    raise InputError(f"{where}: neither a JSON object nor id<TAB>text", "documents are JSONL or TSV; see --format")


def _columns(text: str, where: str) -> dict[str, str]:
    identifier, tab, rest = text.partition("\t")
    if not tab:
        raise InputError(f"{where}: no tab", "each line of a TSV file is id<TAB>text")
    return {"id": identifier, "text": rest}


_PARSERS: dict[Format, Callable[[str, str], Any]] = {Format.JSONL: jsonl.value, Format.TSV: _columns}


def line_count(paths: Sequence[str]) -> int | None:
    """Return how many lines the files hold, None where that takes more than counting them: a pipe, or a packed file."""
    total = 0
    for path in paths:
        if path.endswith(packing.SUFFIXES) or not Path(path).is_file():
            return None
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                total += block.count(b"\n")
    return total
