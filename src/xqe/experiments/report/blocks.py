"""What a report is made of, apart from how it is written: sections of paragraphs, tables, pictures and cases."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

BEST, WORST = "best", "worst"
NOTHING = "–"
LEGIBLE = 20
"""Languages, up to which all numbers of a map can be read as they are, and all bars of a picture."""


@dataclass(frozen=True, slots=True)
class Value:
    """A number in a table. text: as it is shown. number: what it is, None for words. mark: BEST, WORST or "". note:
    more of it, for a reader who asks."""

    text: str
    number: float | None = None
    mark: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table. heads: what it is of. kind: "" for what is marked best and worst, else "baseline", "paper" or
    "mean". ruled: a line stands above it."""

    heads: tuple[str, ...]
    values: tuple[Value, ...]
    kind: str = ""
    ruled: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """key: its name in files. heads: of the columns that say what a row is of. groups: (name, columns) above the
    columns, () without. notes: what must be known to read it. folded: only shown when asked for, where that can be.
    on_page: long, and to be searched, so that only the page has it."""

    key: str
    title: str
    heads: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    groups: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    folded: bool = False
    on_page: bool = False


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Rows by columns of numbers, in the unit they are shown in. row_groups, column_groups: (name, how many) of the
    languages that stand together, () for none. means: of each group of rows by each of columns, over language pairs.
    diverging: around 0. stars: marks of significance, as `values`. file: the name of what has all values beside the
    report, "" where nothing does."""

    key: str
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    row_groups: tuple[tuple[str, int], ...] = ()
    column_groups: tuple[tuple[str, int], ...] = ()
    means: tuple[tuple[float | None, ...], ...] = ()
    diverging: bool = False
    stars: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    file: str = ""

    @property
    def is_large(self) -> bool:
        """Whether a picture of it needs small cells."""
        return max(len(self.rows), len(self.columns)) > LEGIBLE

    @property
    def is_wide(self) -> bool:
        """Whether it has more columns than a table of text has room for."""
        return len(self.columns) > LEGIBLE

    @property
    def has_few_groups(self) -> bool:
        """Whether a sentence has room for the means: those of quadrants."""
        return max(len(self.row_groups), len(self.column_groups)) <= 2


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of several series in each of some groups. panels: one picture each."""

    key: str
    title: str
    panels: tuple[Panel, ...]
    series: tuple[str, ...]
    unit: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    groups: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]  # of each group, one a series


@dataclass(frozen=True, slots=True)
class Trend:
    """Lines over time. times: as they are shown. lines: name -> a number or None for each time. changes: (place, what)
    of what changed before that time."""

    key: str
    title: str
    times: tuple[str, ...]
    lines: tuple[tuple[str, tuple[float | None, ...]], ...]
    changes: tuple[tuple[int, str], ...]
    failed: tuple[int, ...]
    unit: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Curve:
    """Lines over a number, whose numbers stand in a table beside it. axis: what the number is. places: its values.
    lines: name -> a number or None for each; the last one is the mean of the others. level: a name and a number to
    compare with, None for none."""

    key: str
    title: str
    axis: str
    places: tuple[float, ...]
    lines: tuple[tuple[str, tuple[float | None, ...]], ...]
    level: tuple[str, float] | None
    unit: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Versus:
    """Two systems query by query, of several that a reader may choose. collection: which it is of. systems: their
    names. asked: what each value is of. values: of each system, 0..1, as `asked`. before, after: the two that are
    shown at first."""

    key: str
    collection: str
    systems: tuple[str, ...]
    asked: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    before: int
    after: int
    measure: str
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"Query by query: {self.systems[self.after]} against {self.systems[self.before]}, {self.collection}"

    @property
    def gains(self) -> list[float]:
        """What `after` has more than `before`, in points, the greatest first."""
        both = zip(self.values[self.after], self.values[self.before], strict=True)
        return sorted((100 * (after - before) for after, before in both), reverse=True)


@dataclass(frozen=True, slots=True)
class Tile:
    """A number to begin with. name: of what. value, interval: as they are shown. said: what that is."""

    name: str
    value: str
    interval: str
    said: str


@dataclass(frozen=True, slots=True)
class Tiles:
    """key: its name in files. title: what the numbers are of. measure: of the values."""

    key: str
    title: str
    measure: str
    tiles: tuple[Tile, ...]


def means_as_table(heat_map: HeatMap) -> Table:
    """The means of the groups of a map as a table of their own."""
    rows = (
        Row((f"{name} ({many})",), tuple(map_value(number, heat_map.diverging) for number in line))
        for (name, many), line in zip(heat_map.row_groups, heat_map.means, strict=True)
    )
    return Table(
        f"{heat_map.key}-means",
        f"{heat_map.title}: means of groups",
        ("queries \\ documents",),
        tuple(f"{name} ({many})" for name, many in heat_map.column_groups),
        tuple(rows),
    )


def map_value(number: float | None, has_sign: bool) -> Value:
    """A number of a map, in the unit it is shown in."""
    if number is None:
        return Value(NOTHING)
    return Value(signed(number) if has_sign else f"{number:.2f}", number)


def tiles_as_table(tiles: Tiles) -> Table:
    """The numbers to begin with as rows, where there are no tiles."""
    rows = (Row((one.name,), tuple(map(Value, (one.value, one.interval, one.said)))) for one in tiles.tiles)
    columns = (tiles.measure, "95 % interval", "what it is")
    return Table(tiles.key, tiles.title, ("",), columns, tuple(rows))


@dataclass(frozen=True, slots=True)
class Link:
    """name: what lies there. place: from the folder of the report. about: what it holds."""

    name: str
    place: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Links:
    title: str
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One query before and after. texts: (label, text, language) from the query to the documents. commands: (what it
    does, as it is typed)."""

    head: str
    texts: tuple[tuple[str, str, str], ...]
    facts: tuple[tuple[str, str, str], ...]  # what, before, after
    commands: tuple[tuple[str, str], ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Cases:
    """The queries that a system won or lost most by. best: whether it is the best system of its collection."""

    key: str
    title: str
    said: str
    won: tuple[Case, ...]
    lost: tuple[Case, ...]
    best: bool


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


Block = Paragraph | Table | HeatMap | Bars | Trend | Curve | Versus | Links | Cases


@dataclass(frozen=True, slots=True)
class Section:
    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """title: of the whole. lead: what it is of, in words. sections: the rest. tiles: the numbers to begin with.
    legend: what holds for all tables."""

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    tiles: tuple[Tiles, ...] = ()
    legend: tuple[str, ...] = ()


def named(report: Report) -> dict[str, str]:
    """What the file of each table and picture is called, by its key: letters that LaTeX and shells take as they are."""
    blocks = (block for section in report.sections for block in section.blocks)
    keys = [one.key for one in (*report.tiles, *blocks) if not isinstance(one, Paragraph | Links | Cases)]
    found: dict[str, str] = {}
    for key in keys:
        name = re.sub(r"[^A-Za-z0-9+-]+", "_", key)
        while name in found.values():
            name += "_"
        found[key] = name
    return found


def percent(value: float | None, note: str = "") -> Value:
    """A measure 0..1 as a percentage with two places, as in the paper."""
    return Value(NOTHING) if value is None else Value(f"{100 * value:.2f}", value, "", note)


def count(value: int) -> Value:
    return Value(f"{value:,}", float(value))


def words(text: str) -> Value:
    return Value(text)


def points(value: float) -> str:
    """A difference of measures in points of a percentage, with its sign."""
    return signed(100 * value)


def anchor(key: str) -> str:
    """The key of a block as an id in a page: a collection's name, which is part of it, may hold white space.

    >>> anchor("my notes-models")
    'my_notes-models'
    """
    return re.sub(r"[^\w.+-]", "_", key)


def signed(number: float, places: int = 2) -> str:
    """A number with its sign, which is + where all that is shown is 0.

    >>> signed(-0.004), signed(-0.04, 1), signed(-0.06, 1)
    ('+0.00', '+0.0', '-0.1')
    """
    return f"{round(number, places) + 0.0:+.{places}f}"  # the sum makes -0.0 positive


def marked(rows: Iterable[Row], columns: Sequence[int], eligible: Callable[[Row], bool] | None = None) -> list[Row]:
    """The rows with the best and the worst of each of the columns marked, among three eligible rows or more, where one
    alone is."""
    made = list(rows)
    may = eligible or (lambda row: not row.kind)
    for column in columns:
        numbers = {
            place: number
            for place, row in enumerate(made)
            if may(row) and (number := row.values[column].number) is not None
        }
        shown = {place: round(number, 4) for place, number in numbers.items()}  # what looks equal is equal
        for mark, pick in ((BEST, max), (WORST, min)):
            places = [place for place, number in shown.items() if number == pick(shown.values())]
            if len(shown) > 2 and len(places) == 1:
                values = list(made[places[0]].values)
                values[column] = replace(values[column], mark=mark)
                made[places[0]] = replace(made[places[0]], values=tuple(values))
    return made
