"""The forms that queries and documents come in, and how one is told: by the name of a file, else by its first line."""

from __future__ import annotations

import csv
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath

from xqe.files import jsonl, packing
from xqe.files.records import DOCUMENT_IDS, QUERY_IDS, TEXT_FIELDS


class Form(StrEnum):
    """How a file is written; `auto` goes by its name and first line."""

    AUTO = "auto"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    TSV = "tsv"
    LINES = "lines"
    TEXT = "text"
    TREC = "trec"
    PARQUET = "parquet"


SAID = {
    Form.JSONL: "a JSON object a line",
    Form.JSON: "an array of JSON",
    Form.CSV: "columns of CSV",
    Form.TSV: "columns parted by tabs",
    Form.LINES: "a text a line",
    Form.TEXT: "one text",
    Form.TREC: "TREC's SGML",
    Form.PARQUET: "Parquet",
}

_SUFFIXES = {
    ".jsonl": Form.JSONL,
    ".ndjson": Form.JSONL,
    ".json": Form.JSON,
    ".csv": Form.CSV,
    ".tsv": Form.TSV,
    ".tab": Form.TSV,
    ".parquet": Form.PARQUET,
    ".pq": Form.PARQUET,
}
TEXT_SUFFIXES = frozenset({".txt", ".text", ".md", ".markdown", ".rst"})
"""What files that are one text each are called."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is read.

    one, several: its names. field: what a text without any field is. ids, texts: how its id and its text may be called
    in the header of a table. forms: that it may have. numbered: forms in which it need not have an id.
    """

    one: str
    several: str
    field: str
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    forms: frozenset[Form]
    numbered: frozenset[Form]


_TABLES = frozenset({Form.CSV, Form.TSV, Form.PARQUET})
_OF_QUERIES = frozenset({Form.JSONL, Form.JSON, Form.LINES, Form.TREC, *_TABLES})
QUERIES = Kind("query", "queries", "query", QUERY_IDS, ("query", *TEXT_FIELDS, "question"), _OF_QUERIES, _OF_QUERIES)
DOCUMENTS = Kind(
    "document",
    "documents",
    "text",
    (*DOCUMENT_IDS, *QUERY_IDS),
    (*TEXT_FIELDS, "content", "query"),
    frozenset(Form) - {Form.AUTO},
    frozenset({Form.LINES, Form.TEXT, *_TABLES}),
)
TEXTS = Kind("text", "texts", "text", (*DOCUMENT_IDS, *QUERY_IDS), ("query", *TEXT_FIELDS), _OF_QUERIES, frozenset())
"""Whatever has a text, of which nothing else matters; JSON may stand among lines of text."""
RECORDS = Kind("record", "records", "", (), (), frozenset({Form.JSONL, Form.JSON}), frozenset())
"""What another command wrote, with more in it than a text."""


def by_name(path: str) -> Form | None:
    """The form that a file's name says, packed or not; None where it says none."""
    return _SUFFIXES.get(suffix(path))


def suffix(path: str) -> str:
    """How a name ends, in small letters and without what it was given when it was packed."""
    return PurePath(packing.unpacked_name(path)).suffix.lower()


def recognised(path: str, first: str, kind: Kind) -> Form | None:
    """The form of a file by its name and its first line that is not blank; None for none that can be told."""
    has_tab = "\t" in first
    first = first.strip()
    named = by_name(path)
    if kind is TEXTS and first.startswith("{"):
        return Form.LINES
    if named in (Form.JSONL, Form.JSON):
        return Form.JSON if first.startswith("[") else Form.JSONL
    if named is not None:
        return named
    if first.startswith("{") or first == "null":  # the other of a program that found no field
        return Form.JSONL
    if first.startswith("["):
        return Form.JSON
    if re.match(r"<[?!/a-zA-Z]", first):
        return Form.TREC
    if has_tab:
        return Form.TSV
    if kind is not RECORDS and _is_header_of_csv(first, kind):
        return Form.CSV
    if kind is DOCUMENTS:
        return Form.TEXT if suffix(path) in TEXT_SUFFIXES else None
    return Form.LINES


def delimiter_of(header: str) -> str:
    """What parts the columns of CSV: whichever is most often in its first line, outside of quotation marks."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t|", key=bare.count)


def _is_header_of_csv(line: str, kind: Kind) -> bool:
    """Whether a line holds nothing but names of columns, of a text among them."""
    names = {column_name(cell) for cell in next(csv.reader([line], delimiter=delimiter_of(line)), [])}
    return len(names) > 1 and bool(names & {*kind.texts}) and names <= {*kind.ids, *kind.texts, "title", "lang"}


def begins_as_trec(path: Path) -> bool:
    """Whether a file begins with an element, as TREC's documents do."""
    return next((text for _, text in jsonl.lines(str(path))), "").lstrip().startswith("<")


_CALLED = {"language": "lang", "headline": "title"}


def column_name(cell: str) -> str:
    """The name of a column as fields are called: "Query ID" is query_id."""
    name = re.sub(r"[\s-]+", "_", cell.strip().lower())
    return _CALLED.get(name, name)


def called(header: Sequence[str], kind: Kind, claimed: Container[str]) -> list[str]:
    """What columns are called as fields, the id and the text as records have them; those that are claimed as they are
    in the header."""
    names = [cell if cell in claimed else column_name(cell) for cell in header]
    free = [name for cell, name in zip(header, names, strict=True) if cell not in claimed]
    own = {"id": kind.ids, kind.field: kind.texts}
    found = {next((name for name in some if name in free), ""): field for field, some in own.items()}
    return [cell if cell in claimed else found.get(name, name) for cell, name in zip(header, names, strict=True)]
