"""Tables of text, CSV and TSV: a row is an object, by the names of its columns.

CSV is RFC 4180's, as Python's csv reads it: quotation marks hold delimiters, ends of lines and, doubled, themselves;
columns are parted by commas, semicolons, tabs or bars. In TSV a quotation mark is a character like any other, and a
line is id<TAB>text where it has no header.

The first row is a header where it names an id or a text as fields are called, or holds the names that were asked for;
it is never taken for a row, and neither is one that only looks like a header.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from xqe.errors import InputError
from xqe.files import jsonl
from xqe.files.fields import Fields
from xqe.files.forms import Kind, called, column_name, delimiter_of
from xqe.files.jsonl import Line
from xqe.messages import plural

Cells = tuple[str, list[str]]
Row = tuple[str, dict[str, str]]

_QUOTES = 'within a quoted column a quotation mark is doubled: ""'
_WORD = re.compile(r"[^\W\d_]{2,}")
_NAME = re.compile(r"[^\W\d][\w .:/()-]{0,60}")


def csv_rows(lines: Iterator[Line], kind: Kind, fields: Fields) -> Iterator[Row]:
    """Yield ("file:line" of where it begins, columns by name) for each row of CSV."""
    where, header = next(((where, line.lstrip("\ufeff")) for where, line in lines if line.strip("\ufeff \r")), ("", ""))
    cells = _parsed(chain([(where, header)], lines), delimiter_of(header))
    yield from _named(cells, kind, fields, parted="")


def tsv_rows(lines: Iterator[Line], kind: Kind, fields: Fields) -> Iterator[Row]:
    """Yield ("file:line", columns by name) for each line of TSV; the last column may hold tabs."""
    cells = ((where, line.split("\t")) for where, line in jsonl.filled(lines))
    yield from _named(cells, kind, fields, parted="\t")


def _parsed(lines: Iterable[Line], delimiter: str) -> Iterator[Cells]:
    began = ""

    def fed() -> Iterator[str]:
        nonlocal began
        for where, line in lines:
            began = began or where
            yield f"{line.removesuffix(chr(13))}\n"

    csv.field_size_limit(jsonl.LONGEST_LINE)
    rows = csv.reader(fed(), delimiter=delimiter, strict=True)
    while True:
        began = ""
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise InputError(f"{began}: broken CSV ({error})", _QUOTES) from None
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield began, row


def _named(cells: Iterator[Cells], kind: Kind, fields: Fields, parted: str) -> Iterator[Row]:
    """Rows by the names of their columns. parted: what cells of TSV that are one are joined by; "" for CSV."""
    first = next(cells, None)
    if first is None:
        return
    where, head = first
    if fields.are_positions:
        for where, row in cells if _is_header(head, kind, fields) else chain([first], cells):
            yield where, {name: _cell(row, name, where, parted or " ") for name in fields.names}
        return
    names = _header(head, cells, where, kind, fields)
    if names is None:
        names = _usual(head, cells, where, kind, parted)
        cells = chain([first], cells)
    for where, row in cells:
        yield where, _row(names, row, where, parted, {"id", kind.field, *fields.names})


def _is_header(head: list[str], kind: Kind, fields: Fields) -> bool:
    """Whether a first row names the columns that were asked for by their numbers."""
    known = {*kind.ids, *kind.texts, "title"}
    numbers = [int(name.removesuffix("-")) for name in fields.names]
    return all(number <= len(head) and column_name(head[number - 1]) in known for number in numbers)


def _cell(row: list[str], position: str, where: str, parted: str) -> str:
    """The cell of a row at a position, or all from there on."""
    number = int(position.removesuffix("-"))
    if number > len(row):
        what = "no tab" if parted == "\t" and len(row) == 1 else f"no column {number}"
        raise InputError(f"{where}: {what}", f"it has {plural(len(row), 'column')}")
    return parted.join(row[number - 1 :]) if position.endswith("-") else row[number - 1]


def _row(names: Sequence[str], row: list[str], where: str, parted: str, kept: set[str]) -> dict[str, str]:
    """A row by the names of its columns. What is empty is not there, unless it is to be kept: an id, a text."""
    if parted and len(row) > len(names):
        row = [*row[: len(names) - 1], parted.join(row[len(names) - 1 :])]
    while len(row) > len(names) and not row[-1].strip():
        row = row[:-1]
    if len(row) != len(names):
        what = "no tab" if parted and len(row) == 1 else f"{len(row)} columns"
        hint = "parted by tabs" if parted else _QUOTES
        raise InputError(f"{where}: {what}, where the first line has {len(names)} columns", hint)
    return {name: cell for name, cell in zip(names, row, strict=True) if cell.strip() or name in kept}


def _header(head: list[str], rest: Iterator[Cells], where: str, kind: Kind, fields: Fields) -> list[str] | None:
    """The names of the columns, if that is what a first row holds; None if it is a row like others. Raises InputError
    for one that may be either, and for columns that were asked for and are not there; only then others are read."""
    if fields:
        names = [cell.strip() for cell in head]
        for asked in fields.names:
            if asked not in names:
                raise InputError(f'{where}: no column "{asked}"', f"its columns are {', '.join(names)}")
        return called(names, kind, fields.names)
    names = [column_name(cell) for cell in head]
    known_id = next((name for name in kind.ids if name in names), None)
    known_text = next((name for name in kind.texts if name in names), None)
    are_names = len(set(names)) == len(names) and all(_NAME.fullmatch(cell.strip()) for cell in head)
    if are_names and (known_id or known_text):
        if known_text is None and _may_be_row(head):
            return None
        if known_text is None:
            raise InputError(f"{where}: no column of the {kind.field}", _say_columns(head, rest))
        if known_id or not _may_be_row(head):
            return called(head, kind, ())
    if all(_WORD.fullmatch(cell.strip()) for cell in head):
        raise InputError(f"{where}: names of columns, or a {kind.one}?", _say_columns(head, rest))
    return None


def _may_be_row(head: list[str]) -> bool:
    """Whether what looks like names has a number in it, as an id has."""
    return any(character.isdigit() for cell in head for character in cell)


def _usual(head: list[str], rest: Iterator[Cells], where: str, kind: Kind, parted: str) -> list[str]:
    """The names of columns without a header: an id and a text, or in CSV a text alone."""
    if len(head) > 2:
        raise InputError(f"{where}: {len(head)} columns without names", _say_columns(head, rest))
    if parted and len(head) == 1:
        raise InputError(f"{where}: no tab", f"a line is id<TAB>{kind.field}; of a text alone, --input-format lines")
    return ["id", kind.field][-len(head) :]


def _say_columns(head: list[str], rest: Iterator[Cells]) -> str:
    """Options that may be what is meant: the text is where the next row has most."""
    if len(head) == 1:
        return f'if it is a header, --text-field "{head[0].strip()}" says so; if not, --text-field 1'
    row = next(rest, ("", head))[1]
    longest = max(range(1, len(head)), key=lambda at: (len(row[at]) if at < len(row) else 0, at))
    return (
        f'with a header, --id-field "{head[0].strip()}" --text-field "{head[longest].strip()}" or the like name them; '
        f"without one their numbers do: --id-field 1 --text-field {longest + 1}"
    )
