"""A report as LaTeX: tables by booktabs, to be \\input or compiled as it is with pdflatex, xelatex or lualatex.

Texts of queries are left out, since most fonts lack their scripts; maps and bars are tables of their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from xqe.experiments.report.blocks import (
    BEST,
    WORST,
    Bars,
    Cases,
    Curve,
    HeatMap,
    Paragraph,
    Report,
    Table,
    Trend,
    Value,
)
from xqe.experiments.report.markdown import as_table, quadrant_note, shown

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
_HEAD = r"""\documentclass[a4paper]{article}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage{iftex}
\ifPDFTeX\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}\fi
\newcommand{\fit}[1]{\sbox0{#1}\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi}
\begin{document}"""


def latex(report: Report) -> str:
    """Return the whole report as one document."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield _HEAD
    yield rf"\section*{{{escaped(report.title)}}}"
    for text in report.lead:
        yield from (escaped(text), "")
    for section in report.sections:
        blocks = [lines for block in section.blocks if (lines := list(_WRITERS[type(block)](block)))]
        if blocks:
            yield rf"\subsection*{{{escaped(section.title)}}}"
            for lines in blocks:
                yield from lines
    yield r"\end{document}"


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is; what its usual fonts lack becomes a question mark."""
    plain = " ".join(text.split())
    return "".join(_SPECIAL.get(letter, letter if ord(letter) < 0x250 else "?") for letter in plain)


def _paragraph(paragraph: Paragraph) -> Iterator[str]:
    yield from (escaped(paragraph.text), "")


def _table(table: Table) -> Iterator[str]:
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
    yield from _float(table.title, "l" * heads + "r" * len(table.columns), body, table.notes)


def _value(value: Value) -> str:
    text = escaped(value.text)
    if value.mark == BEST:
        return rf"\textbf{{{text}}}$\uparrow$"
    return rf"\underline{{{text}}}$\downarrow$" if value.mark == WORST else text


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"


def _float(title: str, columns: str, body: Sequence[str], notes: Sequence[str]) -> Iterator[str]:
    yield r"\begin{table}[htbp]\centering\footnotesize"
    yield rf"\caption{{{escaped(title)}}}"
    yield rf"\fit{{\begin{{tabular}}{{{columns}}}"
    yield r"\toprule"
    yield from body
    yield r"\bottomrule"
    yield r"\end{tabular}}"
    if notes:
        yield rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {escaped(' '.join(notes))}}}"
    yield r"\end{table}"


def _heat_map(heat_map: HeatMap) -> Iterator[str]:
    body = [_row(["", *heat_map.columns]), r"\midrule"]
    for place, code in enumerate(heat_map.rows):
        if place == heat_map.row_split and place > 0:
            body.append(r"\midrule")
        stars = heat_map.stars[place] if heat_map.stars else ("",) * len(heat_map.columns)
        cells = [
            shown(number, heat_map.diverging) + star for number, star in zip(heat_map.values[place], stars, strict=True)
        ]
        body.append(_row([code, *cells]))
    left, right = heat_map.column_split, len(heat_map.columns) - heat_map.column_split
    columns = "l" + "r" * left + ("|" if left and right else "") + "r" * right
    yield from _float(heat_map.title, columns, body, [quadrant_note(heat_map), *heat_map.notes])


def _bars(bars: Bars) -> Iterator[str]:
    body: list[str] = []
    for panel in bars.panels:
        body += [*([r"\midrule"] if body else []), _row([panel.title, *bars.series]), r"\midrule"]
        body += [
            _row([group, *(shown(number, True) for number in numbers)])
            for group, numbers in zip(panel.groups, panel.values, strict=True)
        ]
    yield from _float(bars.title, "l" + "r" * len(bars.series), body, [f"In {bars.unit}.", *bars.notes])


def _trend(trend: Trend) -> Iterator[str]:
    body = [_row(["system", "first", "last", "change"]), r"\midrule"]
    body += [_row([row.heads[0], *(value.text for value in row.values[:3])]) for row in as_table(trend).rows]
    yield from _float(trend.title, "lrrr", body, trend.notes)


def _curve(_: Curve) -> Iterator[str]:
    """Nothing: its numbers stand in the table beside it."""
    yield from ()


def _cases(_: Cases) -> Iterator[str]:
    """Nothing: they are texts of queries."""
    yield from ()


_WRITERS: dict[type, Callable[[Any], Iterator[str]]] = {
    Table: _table,
    HeatMap: _heat_map,
    Bars: _bars,
    Trend: _trend,
    Curve: _curve,
    Cases: _cases,
    Paragraph: _paragraph,
}
