"""Tables, as tbl(1) reads them: options, formats, and rows of cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_TAB = re.compile(r"\btab\s*\(\s*(.)\s*\)")
_RULE = re.compile(r"\s*(?:[_=]|\\_|\\\^)?\s*")


def rows(lines: Sequence[str]) -> Iterator[list[list[str]]]:
    """The rows of a table, without its rules: of each cell the lines, which are still roff.

    lines: what stands between .TS and .TE. A cell of several lines stands between T{ and T}.
    """
    left = iter(lines)
    tab = "\t"
    first = next(left, "")
    if first.rstrip().endswith(";"):
        if match := _TAB.search(first):
            tab = match[1]
    else:
        left = iter([first, *left])
    _pass_format(left)
    for line in left:
        if line.startswith(".T&"):
            _pass_format(left)
        elif line.startswith(".") and not line[1:2].isdigit():
            continue  # a request between rows
        else:
            cells = list(_cells(line, tab, left))
            if not all(len(cell) == 1 and _RULE.fullmatch(cell[0]) for cell in cells):
                yield [[] if len(cell) == 1 and _RULE.fullmatch(cell[0]) else cell for cell in cells]


def _pass_format(left: Iterator[str]) -> None:
    """Pass over how columns are set: lines up to one that ends with a dot."""
    for line in left:
        if line.rstrip().endswith("."):
            return


def _cells(line: str, tab: str, left: Iterator[str]) -> Iterator[list[str]]:
    """The cells of the row that a line begins."""
    while True:
        *whole, last = line.split(tab)
        for cell in whole:
            yield [cell]
        if last.strip() != "T{":
            yield [last]
            return
        block: list[str] = []
        for inner in left:
            if inner.startswith("T}"):
                yield block
                line = inner[2:]
                break
            block.append(inner)
        else:
            yield block
            return
        if not line.startswith(tab):
            return
        line = line[len(tab) :]
