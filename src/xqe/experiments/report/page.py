"""A report as one HTML page that needs nothing else: no script, no network; pictures and styles stand in it."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

import jinja2
from markupsafe import Markup

from xqe.experiments.report import drawing
from xqe.experiments.report.blocks import Bars, Block, Cases, Curve, HeatMap, Paragraph, Report, Table, Trend, anchor
from xqe.experiments.report.markdown import as_table, quadrant_note
from xqe.experiments.report.published import PAPER

LARGEST = 5_000_000
"""Bytes of a page; above it, fewer won and lost queries are shown."""

_LONG = 18  # characters of a text that is set as one

_KINDS = {
    Table: "table",
    HeatMap: "map",
    Bars: "bars",
    Trend: "trend",
    Curve: "curve",
    Cases: "cases",
    Paragraph: "paragraph",
}


def page(report: Report, made: str) -> str:
    """Return the page. made: what it was made by and when, for its last line."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.globals |= {
        "anchor": anchor,
        "as_table": as_table,
        "text_columns": _text_columns,
        "kind": lambda block: _KINDS[type(block)],
        "quadrant_note": quadrant_note,
    }
    folder = files("xqe.experiments.report")
    template = environment.from_string((folder / "page.html").read_text("utf-8"))
    style = Markup((folder / "page.css").read_text("utf-8"))
    pictures = {
        block.key: Markup(drawing.svg(block))
        for block in _blocks(report)
        if isinstance(block, HeatMap | Bars | Trend | Curve)
    }
    while True:
        text = template.render(report=report, style=style, made=made, paper=PAPER, pictures=pictures)
        cases = (one for one in _blocks(report) if isinstance(one, Cases))
        most = max((max(len(one.won), len(one.lost)) for one in cases), default=0)
        if len(text.encode("utf-8", "replace")) <= LARGEST or not most:
            return text
        report = _with_fewer(report, most - 1)


def _text_columns(table: Table) -> set[int]:
    """The columns that hold words: some value is long, and none is a number."""
    return {
        column
        for column in range(len(table.columns))
        if all(row.values[column].number is None for row in table.rows)
        and any(len(row.values[column].text) > _LONG for row in table.rows)
    }


def _blocks(report: Report) -> list[Block]:
    return [block for section in report.sections for block in section.blocks]


def _with_fewer(report: Report, most: int) -> Report:
    def cut(block: Block) -> Block:
        return replace(block, won=block.won[:most], lost=block.lost[:most]) if isinstance(block, Cases) else block

    sections = (replace(section, blocks=tuple(map(cut, section.blocks))) for section in report.sections)
    return replace(report, sections=tuple(sections))
