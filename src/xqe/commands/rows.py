"""Rows of one kind in each form that --format has for them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from xqe.commands.options.forms import Rows, on_screen
from xqe.files import jsonl

Row = dict[str, Any]


def write_rows(rows: Iterable[Row], form: Rows, table: Callable[[], str]) -> None:
    """Write rows in a form. table: what makes a table of them."""
    if on_screen(form):
        jsonl.write(table())
    elif form is Rows.CSV:
        for line in csv_lines(list(rows)):
            jsonl.write(line)
    else:
        for row in rows:
            jsonl.write(jsonl.dumps(row))


def csv_lines(rows: Sequence[Row]) -> Iterator[str]:
    """The lines of a CSV file (RFC 4180), a header first; "difference.MRR" is the field of a field, and a list of
    values has spaces between them."""
    flat = [dict(_flat(row)) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    names = [name for name in names if not any(other.startswith(f"{name}.") for other in names)]  # null in one row
    for values in (names, *([row.get(name, "") for name in names] for row in flat)):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(values)
        yield line.getvalue()


def _flat(row: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{above}{name}", " ".join(map(str, value))
        else:
            yield f"{above}{name}", "" if value is None else value
