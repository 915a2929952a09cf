"""Tables that fit the terminal and lose nothing that is to be read or typed.

Names of runs are shortened, prose is folded, and columns for which there is no room stand in a second block below.
Imports rich: load it in a command's body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from xqe.commands.screens import legible, rendered

GAP = 2  # cells between columns
_PROSE = 24  # cells that prose is given at least
_SHORTEST = 16  # cells that a name is shortened to at most, as long as it is one of its own
_NARROWEST = 8  # cells of a column that is folded
_GONE = "…"


class Kind(Enum):
    """What may become of a column. KEY stands whole in each block; RUN does, too, and may be shortened; a NUMBER is set
    flush right, and where it has parts that do not fit, these stand below each other; a WORD is never broken; PROSE is
    folded."""

    KEY = "key"
    RUN = "run"
    NUMBER = "number"
    WORD = "word"
    PROSE = "prose"

    @property
    def is_key(self) -> bool:
        return self in (Kind.KEY, Kind.RUN)


class Column(NamedTuple):
    """A column and its heading."""

    heading: str
    kind: Kind


class Fitting:
    """A table that is laid out for the room that it is given."""

    def __init__(self, columns: Sequence[Column], rows: Iterable[Sequence[Text | str]] = ()) -> None:
        self._columns, self._rows = columns, list(rows)

    def add_row(self, *cells: Text | str) -> None:
        self._rows.append(cells)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Table | str]:
        for number, block in enumerate(blocks(self._columns, self._rows, options.max_width)):
            if number:
                yield ""
            yield block

    def __rich_measure__(self, _: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, options.max_width)


def table(headings: Sequence[str], numbers: Sequence[str] = ()) -> Fitting:
    """A table of which the first column stands in each block, those in `numbers` hold numbers, and others prose."""
    kinds = [Kind.NUMBER if heading in numbers else Kind.PROSE for heading in headings]
    return Fitting([Column(*column) for column in zip(headings, [Kind.KEY, *kinds[1:]], strict=True)])


def laid_out(columns: Sequence[Column], rows: Sequence[Sequence[Text | str]]) -> str:
    """The table as text, as wide as the terminal."""
    return rendered(Fitting(columns, rows))


def blocks(columns: Sequence[Column], rows: Sequence[Sequence[Text | str]], width: int) -> list[Table]:
    """The table in as many blocks as it takes; each has the keys."""
    cells = [[_as_text(cell) for cell in row] for row in rows]
    natural = [
        max(map(cell_len, (column.heading, *(cell.plain for cell in _side_by_side(column, at, cells)))))
        for at, column in enumerate(columns)
    ]
    keys = [at for at, column in enumerate(columns) if column.kind.is_key]
    others = [at for at, column in enumerate(columns) if not column.kind.is_key]
    needed = sum(natural) + GAP * (len(columns) - 1)
    widths = list(natural)
    for_keys = width - _longest_part(columns, cells, others)
    for at in keys:
        if needed > width and columns[at].kind is Kind.RUN:
            beside = sum(natural[key] + GAP for key in keys if key != at)
            most = max(natural[at] - (needed - width), min(_SHORTEST, natural[at]))
            names = shortened([row[at].plain for row in cells], max(min(most, for_keys - beside - GAP), _NARROWEST))
            for row, name in zip(cells, names, strict=True):
                row[at] = Text(name)
            widths[at] = max(map(cell_len, [columns[at].heading, *names]))
    if (over := sum(widths[at] + GAP for at in keys) - for_keys) > 0:  # the longest is folded
        longest = max(keys, key=lambda at: widths[at])
        widths[longest] = max(widths[longest] - over, _NARROWEST)
    beside = sum(widths[at] + GAP for at in keys)
    room = max(width - beside, 1)
    for at in others:
        if columns[at].kind is Kind.PROSE:
            widths[at] = min(natural[at], _PROSE, room)
        elif widths[at] > room:
            widths[at] = _longest_part(columns, cells, [at])
    return [_block(columns, cells, natural, widths, keys, group, room) for group in _groups(others, widths, room)]


def shortened(names: Sequence[str], width: int) -> list[str]:
    """Names of so many characters, or a few more, of which a part is left out, such that different names stay so: the
    middle, or where they differ in it, the beginning, or what is the same in all of them."""
    different = len(set(names))
    for most in range(width, max(map(len, names), default=0)):
        for cut in (_without_middle, _without_beginning, _without_common):
            made = cut(names, most)
            if len(set(made)) == different:
                return made
    return list(names)


def _without_middle(names: Sequence[str], most: int) -> list[str]:
    end = 2 * (most - 1) // 3  # of a path, the end tells most
    return [name if len(name) <= most else f"{name[: most - 1 - end]}{_GONE}{name[-end:]}" for name in names]


def _without_beginning(names: Sequence[str], most: int) -> list[str]:
    return [name if len(name) <= most else f"{_GONE}{name[1 - most :]}" for name in names]


def _without_common(names: Sequence[str], most: int) -> list[str]:
    """What the names have between their common beginning and their common end, with as much around it as there is
    room for."""
    first, last = min(names), max(names)
    begin = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    turned = [name[begin:][::-1] for name in names]
    end = next((at for at, chars in enumerate(zip(*turned, strict=False)) if len(set(chars)) > 1), 0)
    made = []
    for name in names:
        start, stop = begin, len(name) - end
        spare = max(most - (stop - start) - 2, 0)
        start, stop = max(start - spare // 2, 0), min(stop + spare - spare // 2, len(name))
        made.append(f"{_GONE if start else ''}{name[start:stop]}{_GONE if stop < len(name) else ''}")
    return made


def _as_text(cell: Text | str) -> Text:
    return Text(legible(cell)) if isinstance(cell, str) else cell


def _side_by_side(column: Column, at: int, cells: Sequence[Sequence[Text]], width: int = 0) -> list[Text]:
    """The cells of a column where their parts stand beside each other. width: of the column, if that is known."""
    its = [row[at] for row in cells]
    if column.kind is not Kind.NUMBER:
        return its
    made = _aligned(its)
    for cell in made:
        cell.pad_left(max(width - cell_len(cell.plain), 0))
    return made


def _aligned(cells: Sequence[Text]) -> list[Text]:
    """Numbers with parts such that each part stands below its like, and the digits of what is marked, too."""
    parts = [list(cell.split(" ")) for cell in cells]
    wide = [0] * max(map(len, parts), default=0)
    for row in parts:
        for at, part in enumerate(row):
            wide[at] = max(wide[at], cell_len(part.plain))
    made = []
    for row in parts:
        whole = Text()
        for at, cells_of_it in enumerate(wide):
            part = row[at].copy() if at < len(row) else Text()
            is_marked = any(other[at].plain.endswith("*") for other in parts if at < len(other))
            if is_marked and not part.plain.endswith("*"):
                part.append(" ")
            part.pad_left(max(cells_of_it - cell_len(part.plain), 0))
            whole.append(" " if at else "").append_text(part)
        made.append(whole)
    return made


def _longest_part(columns: Sequence[Column], cells: Sequence[Sequence[Text]], which: Sequence[int]) -> int:
    """How many cells the longest piece that cannot be broken has, of some columns."""
    parts = [
        part
        for at in which
        if columns[at].kind is not Kind.PROSE
        for text in (columns[at].heading, *(row[at].plain for row in cells))
        for part in (text.split() if columns[at].kind is Kind.NUMBER else [text])
    ]
    return max(map(cell_len, parts), default=min(_PROSE, 12))


def _groups(which: Sequence[int], widths: Sequence[int], room: int) -> list[list[int]]:
    """The columns that stand side by side."""
    groups: list[list[int]] = []
    used = room + 1
    for at in which:
        if not groups or used + GAP + widths[at] > room:
            groups.append([])
            used = -GAP
        groups[-1].append(at)
        used += GAP + widths[at]
    return groups or [[]]


def _block(
    columns: Sequence[Column],
    cells: Sequence[Sequence[Text]],
    natural: Sequence[int],
    widths: Sequence[int],
    keys: Sequence[int],
    group: Sequence[int],
    room: int,
) -> Table:
    """A block of the keys and some columns; what room is left is given to prose."""
    wide = {at: widths[at] for at in (*keys, *group)}
    spare = room - sum(wide[at] + GAP for at in group) + GAP
    for at in group:
        if columns[at].kind is Kind.PROSE and spare > 0:
            more = min(spare, natural[at] - wide[at])
            wide[at], spare = wide[at] + more, spare - more
    made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for at in sorted(wide):
        is_number = columns[at].kind is Kind.NUMBER
        heading = Text(columns[at].heading, justify="right" if is_number else "left")
        is_folded = is_number and wide[at] < natural[at]
        made.add_column(heading, width=wide[at], justify="right" if is_folded else "left", overflow="fold")
    shown = {
        at: _side_by_side(columns[at], at, cells, wide[at]) if wide[at] >= natural[at] else [row[at] for row in cells]
        for at in sorted(wide)
    }
    for row in zip(*shown.values(), strict=True):
        made.add_row(*row)
    return made
