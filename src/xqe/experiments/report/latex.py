"""A report as LaTeX, to be compiled as it is with pdflatex, xelatex or lualatex: tables by booktabs, each of them also
for itself, and pictures by graphicx.

Texts of queries are left out, since most fonts lack their scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from xqe.experiments.report.blocks import (
    BEST,
    WORST,
    Bars,
    Cases,
    HeatMap,
    Paragraph,
    Report,
    Table,
    Trend,
    Value,
    means_as_table,
    tiles_as_table,
)
from xqe.experiments.report.markdown import as_table, means_note, shown, values_note

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "…": r"\ldots{}",
    "▲": r"$\uparrow$",
    "▼": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "·": r"$\cdot$",
}
_SENTENCE = 60  # characters of a text that is set in lines
_HEAD = r"""\documentclass[a4paper]{article}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage{iftex}
\ifPDFTeX\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}\fi
\newcommand{\fit}[1]{\sbox0{#1}\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi}
\begin{document}"""


def latex(report: Report, pictures: Mapping[str, str] | None = None, tables: Mapping[str, str] | None = None) -> str:
    """Return the whole report as one document.

    pictures, tables: the files beside it, by the keys of blocks; what has none is set in the document itself, pictures
    as tables of their numbers.
    """
    return "\n".join(_lines(report, pictures or {}, tables or {})) + "\n"


def parts(report: Report) -> Iterator[tuple[str, str]]:
    """Yield (key, content) of each table, and of pictures as numbers: a tabular that a paper can take in by \\input."""
    for block in _blocks(report):
        if (tabular := _tabular_of(block)) is not None:
            yield block.key, f"% {' '.join(tabular.title.split())}\n" + "\n".join(_set(tabular)) + "\n"


def _lines(report: Report, pictures: Mapping[str, str], tables: Mapping[str, str]) -> Iterator[str]:
    yield _HEAD
    yield rf"\section*{{{escaped(report.title)}}}"
    for text in report.lead:
        yield from (escaped(text), "")
    for tiles in report.tiles:
        yield from _block(tiles_as_table(tiles), pictures, tables)
    if report.legend:
        yield escaped(" ".join(report.legend))
    for section in report.sections:
        blocks = [lines for block in section.blocks if (lines := list(_block(block, pictures, tables)))]
        if blocks and not any(isinstance(block, Cases) for block in section.blocks):  # queries, and words about them
            yield rf"\subsection*{{{escaped(section.title)}}}"
            for lines in blocks:
                yield from lines
    yield r"\end{document}"


def _blocks(report: Report) -> Iterator[Any]:
    yield from map(tiles_as_table, report.tiles)
    for section in report.sections:
        yield from section.blocks


def _block(block: Any, pictures: Mapping[str, str], tables: Mapping[str, str]) -> Iterator[str]:
    """A block as it stands in the document: cases and links are for other forms."""
    if isinstance(block, Paragraph):
        yield from (escaped(block.text), "")
    elif getattr(block, "key", None) in pictures and not isinstance(block, Table):
        yield from _figure(block, pictures[block.key])
    elif (tabular := _tabular_of(block)) is not None:
        yield from _float(tabular, tables.get(block.key))


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is; what its usual fonts lack becomes a question mark."""
    plain = " ".join(text.split())
    return "".join(_SPECIAL.get(letter, letter if ord(letter) < 0x250 else "?") for letter in plain)


@dataclass(frozen=True, slots=True)
class _Tabular:
    """columns: as tabular takes them. body: its lines."""

    title: str
    columns: str
    body: Sequence[str]
    notes: Sequence[str]


def _tabular_of(block: Any) -> _Tabular | None:
    make = _TABULARS.get(type(block))
    return None if make is None else make(block)


def _set(tabular: _Tabular) -> Iterator[str]:
    yield rf"\begin{{tabular}}{{{tabular.columns}}}"
    yield r"\toprule"
    yield from tabular.body
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _float(tabular: _Tabular, file: str | None) -> Iterator[str]:
    yield r"\begin{table}[htbp]\centering\footnotesize"
    yield rf"\caption{{{escaped(tabular.title)}}}"
    if file is not None:
        yield rf"\fit{{\input{{{file}}}}}"
    else:
        first, *others, last = _set(tabular)
        yield from (rf"\fit{{{first}", *others, f"{last}}}")
    yield from _notes(tabular.notes)
    yield r"\end{table}"


def _figure(block: Any, file: str) -> Iterator[str]:
    yield r"\begin{figure}[htbp]\centering"
    yield rf"\fit{{\includegraphics{{{file}}}}}"
    yield rf"\caption{{{escaped(block.title)}}}"
    yield from _notes(block.notes)
    yield r"\end{figure}"


def _notes(notes: Sequence[str]) -> Iterator[str]:
    if notes:
        yield rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {escaped(' '.join(notes))}}}"


def _table(table: Table) -> _Tabular | None:
    if table.on_page:
        return None
    heads = len(table.heads)
    body = []
    if table.groups:
        cells = [f"\\multicolumn{{{width}}}{{c}}{{{escaped(name)}}}" for name, width in table.groups]
        body.append(" & ".join([""] * heads + cells) + r" \\")
        start = heads + 1
        for _, width in table.groups:
            body.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
            start += width
    body += [_row([*table.heads, *table.columns]), r"\midrule"]
    for row in table.rows:
        if row.ruled:
            body.append(r"\addlinespace")
        body.append(" & ".join([*map(escaped, row.heads), *map(_value, row.values)]) + r" \\")
    columns = "".join(_column(one) for one in zip(*(row.values for row in table.rows), strict=True))
    return _Tabular(table.title, "l" * heads + columns, body, table.notes)


def _column(values: Sequence[Value]) -> str:
    """How a column is set: numbers to the right, sentences in lines."""
    return r"p{8cm}" if max(len(one.text) for one in values) > _SENTENCE else "r"


def _value(value: Value) -> str:
    text = escaped(value.text)
    if value.mark == BEST:
        return rf"\textbf{{{text}}}$\uparrow$"
    return rf"\underline{{{text}}}$\downarrow$" if value.mark == WORST else text


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"


def _heat_map(heat_map: HeatMap) -> _Tabular | None:
    if heat_map.is_wide:
        means = _table(means_as_table(heat_map))
        assert means is not None  # it is not for the page alone
        return replace(means, title=heat_map.title, notes=[values_note(heat_map), *heat_map.notes])
    body = [_row(["", *heat_map.columns]), r"\midrule"]
    first = set(accumulate((many for _, many in heat_map.row_groups), initial=0)) - {0}
    for place, code in enumerate(heat_map.rows):
        if place in first:
            body.append(r"\midrule")
        stars = heat_map.stars[place] if heat_map.stars else ("",) * len(heat_map.columns)
        cells = [
            shown(number, heat_map.diverging) + star for number, star in zip(heat_map.values[place], stars, strict=True)
        ]
        body.append(_row([code, *cells]))
    columns = "l" + "|".join("r" * many for _, many in heat_map.column_groups or (("", len(heat_map.columns)),))
    return _Tabular(heat_map.title, columns, body, [*means_note(heat_map), *heat_map.notes])


def _bars(bars: Bars) -> _Tabular:
    body: list[str] = []
    for panel in bars.panels:
        body += [*([r"\midrule"] if body else []), _row([panel.title, *bars.series]), r"\midrule"]
        body += [
            _row([group, *(shown(number, True) for number in numbers)])
            for group, numbers in zip(panel.groups, panel.values, strict=True)
        ]
    return _Tabular(bars.title, "l" + "r" * len(bars.series), body, [f"In {bars.unit}.", *bars.notes])


def _trend(trend: Trend) -> _Tabular:
    body = [_row(["system", "first", "last", "change"]), r"\midrule"]
    body += [_row([row.heads[0], *(value.text for value in row.values[:3])]) for row in as_table(trend).rows]
    return _Tabular(trend.title, "lrrr", body, trend.notes)


_TABULARS: dict[type, Callable[[Any], _Tabular | None]] = {
    Table: _table,
    HeatMap: _heat_map,
    Bars: _bars,
    Trend: _trend,
}
"""What has numbers of its own: those of curves stand in a table beside them, and single queries are no table."""
