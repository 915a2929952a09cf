"""Documents as they arrive: JSONL in four spellings, or TSV, plain or gz, from files or standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from xqe.errors import InputError
from xqe.files import jsonl
from xqe.files.records import Document, check_document

Placed = tuple[str, Document]


class Format(StrEnum):
    """How a file of documents is written; `auto` goes by its name and first line."""

    AUTO = "auto"
    JSONL = "jsonl"
    TSV = "tsv"


def documents(paths: Sequence[str], form: Format = Format.AUTO) -> Iterator[Placed]:
    """Yield ("file:line", document) for each line of the files; "-" is standard input.

    Raises InputError that names the line for one that is no document.
    """
    for path in paths:
        parse: Callable[[str, str], Document] | None = None
        for where, text in jsonl.lines(path):
            if parse is None:
                parse = _PARSERS[form if form is not Format.AUTO else _recognised(path, text, where)]
            yield where, parse(text, where)


def _recognised(path: str, first: str, where: str) -> Format:
    if path.removesuffix(".gz").endswith(".tsv"):
        return Format.TSV
    if first.lstrip().startswith("{"):
        return Format.JSONL
    if "\t" in first:
        return Format.TSV
    raise InputError(f"{where}: neither a JSON object nor id<TAB>text", "documents are JSONL or TSV; see --format")


def _from_json(text: str, where: str) -> Document:
    return check_document(jsonl.value(text, where), where)


def _from_tsv(text: str, where: str) -> Document:
    identifier, tab, rest = text.partition("\t")
    if not tab:
        raise InputError(f"{where}: no tab", "each line of a TSV file is id<TAB>text")
    return check_document({"id": identifier, "text": rest}, where)


_PARSERS: dict[Format, Callable[[str, str], Document]] = {Format.JSONL: _from_json, Format.TSV: _from_tsv}


def line_count(paths: Sequence[str]) -> int | None:
    """Return how many lines the files hold, None where that takes more than counting them: a pipe, or gz."""
    total = 0
    for path in paths:
        if path.endswith(".gz") or not Path(path).is_file():
            return None
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                total += block.count(b"\n")
    return total
