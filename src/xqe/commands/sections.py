"""Sections of a screen: a heading, and labelled rows below it. Imports rich: load it in a command's body."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text as Styled

from xqe.commands.columns import Fitting
from xqe.commands.screens import legible

NAMES = 20  # of terms that are only named

HEADING, LABEL, QUIET, NOTE, ERROR, GOOD, MATCH = "bold cyan", "dim", "dim", "yellow", "red", "green", "bold"

Row = tuple[str, Styled | Table | Fitting]


def section(name: str, said: Styled, rows: Iterable[Row] = ()) -> Table:
    """A heading with what is said of it, and labelled rows below."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, min_width=9)
    grid.add_column(overflow="fold")
    grid.add_row(Styled(name, HEADING), Prose(said))
    for label, content in rows:
        grid.add_row(Styled(label, LABEL), Prose(content) if isinstance(content, Styled) else content)
    return grid


def fields(said: Mapping[str, Styled]) -> Table:
    """What is said of a thing, a field after the other."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in said.items():
        grid.add_row(Styled(name, LABEL), Prose(value))
    return grid


class Prose:
    """Text that is folded where Unicode lets a line break; rich itself breaks a line at spaces only."""

    def __init__(self, text: Styled) -> None:
        self._text = text

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Styled]:
        lines = self._text.divide(_line_ends(self._text.plain, options.max_width))
        for line in lines:
            line.rstrip()
        yield Styled("\n", overflow="fold").join(lines)

    def __rich_measure__(self, _: Console, options: ConsoleOptions) -> Measurement:
        widest = max(map(cell_len, self._text.plain.split("\n")))
        return Measurement(1, widest).clamp(max_width=options.max_width)


def _line_ends(text: str, width: int) -> list[int]:
    """Where to break a text so that no line takes more than `width` cells, unless it has nowhere to break."""
    from unicode_segmentation_rs import line_break_units

    ends, at, used = [], 0, 0
    for unit in line_break_units(text):
        if used and used + cell_len(unit.rstrip()) > width:
            ends.append(at)
            used = 0
        at, used = at + len(unit), used + cell_len(unit)
        if unit.endswith("\n"):
            ends.append(at)
            used = 0
    return [end for end in ends if end < len(text)]


def plain(text: object, style: str = "") -> Styled:
    """A text of somebody else's, to be shown as it is."""
    return Styled(legible(str(text)).expandtabs(4), style)


def counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' if number != 1 else ''}"


def named(names: Sequence[str], full: bool = False) -> Styled:
    """The first of many terms, or all of them."""
    some = names if full else names[:NAMES]
    rest = f" … {len(names) - len(some)} more" if len(some) < len(names) else ""
    return plain(" ".join(some) + rest, QUIET)
