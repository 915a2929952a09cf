"""A report as Markdown: tables in the GitHub form, pictures as tables of their numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from xqe.experiments.report.blocks import (
    BEST,
    WORST,
    Bars,
    Case,
    Cases,
    Curve,
    HeatMap,
    Links,
    Paragraph,
    Report,
    Row,
    Table,
    Trend,
    Value,
    Versus,
    map_value,
    means_as_table,
    signed,
    tiles_as_table,
)
from xqe.experiments.report.published import PAPER
from xqe.experiments.report.sparkline import sparkline

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def markdown(report: Report) -> str:
    """Return the whole report as one text."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {escaped(report.title)}"
    yield ""
    for text in report.lead:
        yield from (escaped(text), "")
    for tiles in report.tiles:
        yield from (*_table(tiles_as_table(tiles)), "")
    yield from (*(f"- {escaped(line)}" for line in report.legend), *([""] if report.legend else []))
    for section in report.sections:
        yield from (f"## {escaped(section.title)}", "")
        for block in section.blocks:
            if lines := list(WRITERS[type(block)](block)):
                yield from (*lines, "")
    yield f"The paper: [arXiv 2511.19325]({PAPER})."


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _table(table: Table) -> Iterator[str]:
    if table.on_page:
        return
    yield f"### {escaped(table.title)}"
    yield ""
    yield from _grid(table)
    yield from _notes(table.notes)


def _grid(table: Table) -> Iterator[str]:
    names = flat_columns(table)
    yield _line([*table.heads, *names])
    yield _line(["---"] * len(table.heads) + ["---:"] * len(names), plain=True)
    for row in table.rows:
        yield _line([*map(escaped, row.heads), *map(value, row.values)], plain=True)


def flat_columns(table: Table) -> list[str]:
    """The columns with the name of their group before them, where they have one and it is needed."""
    names: list[str] = []
    for group, width in table.groups:
        part = table.columns[len(names) : len(names) + width]
        names += [one if group == "measured" else f"{group}: {one}" for one in part]
    return names + list(table.columns[len(names) :])


def value(one: Value) -> str:
    text = escaped(one.text)
    if one.mark == BEST:
        return f"**{text}** ▲"
    return f"_{text}_ ▼" if one.mark == WORST else text


def _line(cells: Sequence[str], plain: bool = False) -> str:
    return f"| {' | '.join(cells if plain else map(escaped, cells))} |"


def _notes(notes: Sequence[str]) -> Iterator[str]:
    if notes:
        yield ""
        yield "<sub>" + " ".join(map(escaped, notes)) + "</sub>"


def _heat_map(heat_map: HeatMap) -> Iterator[str]:
    yield f"### {escaped(heat_map.title)}"
    yield ""
    if heat_map.is_wide:
        yield from _grid(means_as_table(heat_map))
        yield from _notes([values_note(heat_map), *heat_map.notes])
        return
    yield _line(["queries \\ documents", *heat_map.columns])
    yield _line(["---", *["---:"] * len(heat_map.columns)], plain=True)
    for place, code in enumerate(heat_map.rows):
        stars = heat_map.stars[place] if heat_map.stars else ("",) * len(heat_map.columns)
        cells = [
            shown(number, heat_map.diverging) + escaped(star)
            for number, star in zip(heat_map.values[place], stars, strict=True)
        ]
        yield _line([code, *cells], plain=True)
    if not heat_map.has_few_groups:
        yield from ("", *_grid(means_as_table(heat_map)))
    yield from _notes([*means_note(heat_map), *heat_map.notes])


def shown(number: float | None, has_sign: bool) -> str:
    return map_value(number, has_sign).text


def means_note(heat_map: HeatMap) -> list[str]:
    """The means of the parts of a map in a sentence; none where they are a table."""
    if not heat_map.has_few_groups:
        return []
    parts = [
        f"{source} queries, {target} documents {shown(number, heat_map.diverging)}"
        for (source, _), line in zip(heat_map.row_groups, heat_map.means, strict=True)
        for (target, _), number in zip(heat_map.column_groups, line, strict=True)
        if number is not None
    ]
    return [f"Means of the quadrants: {'; '.join(parts)}."] if parts else []


def values_note(heat_map: HeatMap) -> str:
    """Where the numbers of a large map are, where the means of its groups stand for them."""
    counted = sum(number is not None for line in heat_map.values for number in line)
    size = f"{counted:,} values, {len(heat_map.rows)} languages of queries by {len(heat_map.columns)} of documents"
    where = f"{heat_map.file} has all of them" if heat_map.file else "csv among the formats writes all of them"
    return f"Means over language pairs. The map has {size}; {where}."


def _bars(bars: Bars) -> Iterator[str]:
    yield f"### {escaped(bars.title)}"
    for panel in bars.panels:
        yield ""
        yield _line([panel.title, *bars.series])
        yield _line(["---", *["---:"] * len(bars.series)], plain=True)
        for group, numbers in zip(panel.groups, panel.values, strict=True):
            yield _line([escaped(group), *(shown(number, True) for number in numbers)], plain=True)
    yield from _notes([f"In {bars.unit}.", *bars.notes])


def _trend(trend: Trend) -> Iterator[str]:
    yield from _table(as_table(trend))


def as_table(trend: Trend) -> Table:
    """The lines of a trend as rows, each with its course in blocks and its ends."""
    rows = []
    for name, numbers in trend.lines:
        there = [number for number in numbers if number is not None]
        ends = (f"{there[0]:.2f}", f"{there[-1]:.2f}", signed(there[-1] - there[0]))
        span = (f"{min(there):.2f}", f"{max(there):.2f}")
        rows.append(Row((name, sparkline(numbers)), tuple(map(Value, (*ends, *span)))))
    columns = ("first", "last", "change", "least", "greatest")
    return Table(f"{trend.key}-numbers", trend.title, ("system", "trend"), columns, tuple(rows), notes=trend.notes)


def _versus(versus: Versus) -> Iterator[str]:
    yield f"### {escaped(versus.title)}"
    yield ""
    gains = versus.gains
    won, lost = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    yield _line(["won", "tied", "lost", "greatest gain", "greatest loss"])
    yield _line(["---:"] * 5, plain=True)
    ends = (signed(max(gains[0], 0.0)), signed(min(gains[-1], 0.0)))
    yield _line([str(won), str(len(gains) - won - lost), str(lost), *ends])


def _links(links: Links) -> Iterator[str]:
    yield from (f"### {escaped(links.title)}", "")
    for one in links.links:
        yield f"- [{escaped(one.name)}]({one.place}): {escaped(one.about)}"


def _curve(_: Curve) -> Iterator[str]:
    """Nothing: its numbers stand in the table beside it."""
    yield from ()


def _cases(cases: Cases) -> Iterator[str]:
    """Those of the best system; the page has all."""
    if not cases.best:
        return
    yield f"<details><summary>{escaped(cases.title)}: {escaped(cases.said)} (report.html has all systems)</summary>"
    yield ""
    for name, some in (("Won", cases.won), ("Lost", cases.lost)):
        for case in some:
            yield from _case(name, case)
    yield "</details>"


def _case(name: str, case: Case) -> Iterator[str]:
    yield f"- {name}: **{escaped(case.head)}**"
    for label, text, _ in case.texts:
        yield f"  - {escaped(label)}: {escaped(text)}"
    facts = (f"{what} {before} → {after}" for what, before, after in case.facts)
    yield f"  - {escaped('; '.join(facts))}"
    for what, command in case.commands:
        yield f"  - {escaped(what)}: {_code(command)}"
    yield ""


def _code(text: str) -> str:
    """A text as code, in as many backticks as it needs (CommonMark 0.31, section 6.1)."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{' '.join(text.splitlines())}{space}{fence}"


def _paragraph(paragraph: Paragraph) -> Iterator[str]:
    yield escaped(paragraph.text)


WRITERS: dict[type, Callable[[Any], Iterator[str]]] = {
    Table: _table,
    HeatMap: _heat_map,
    Bars: _bars,
    Trend: _trend,
    Curve: _curve,
    Versus: _versus,
    Links: _links,
    Cases: _cases,
    Paragraph: _paragraph,
}
