"""A report as one HTML page that needs nothing else: no network; pictures, styles and a small script stand in it.

The script sorts and filters, and draws what a reader chooses; without it all of the page can be read. The page lets no
other script run than the one with its hash (CSP level 2, section 4.2.5: script-src with a hash).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files

import jinja2
from markupsafe import Markup

from xqe.experiments.report import drawing
from xqe.experiments.report.blocks import (
    Bars,
    Block,
    Cases,
    Curve,
    HeatMap,
    Links,
    Paragraph,
    Report,
    Row,
    Table,
    Trend,
    Versus,
    anchor,
    means_as_table,
)
from xqe.experiments.report.markdown import as_table, means_note
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
    Versus: "versus",
    Links: "links",
}
Saved = Mapping[str, Sequence[tuple[str, str]]]
"""By the key of a picture, (form, place) of its files beside the page."""


def page(report: Report, made: str, saved: Saved | None = None) -> str:
    """Return the page. made: what it was made by and when, for its last line. saved: pictures that are files, too."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.globals |= {
        "anchor": anchor,
        "as_table": as_table,
        "text_columns": _text_columns,
        "data": _data,
        "exact": lambda number: f"{number:.6g}",
        "kind": lambda block: _KINDS[type(block)],
        "more": lambda row: ", ".join(filter(None, row.heads[1:])),
        "noted": _noted,
        "means_note": means_note,
        "means_table": means_as_table,
    }
    folder = files("xqe.experiments.report")
    template = environment.from_string((folder / "page.html").read_text("utf-8"))
    style = Markup((folder / "page.css").read_text("utf-8"))
    script = (folder / "page.js").read_text("utf-8")
    known = {"style": style, "script": Markup(script), "hash": hash_of(script), "saved": saved or {}}
    pictures = {
        block.key: Markup(drawing.svg(block)) for block in _blocks(report) if isinstance(block, drawing.Picture)
    }
    while True:
        text = template.render(report=report, made=made, paper=PAPER, pictures=pictures, **known)
        cases = (one for one in _blocks(report) if isinstance(one, Cases))
        most = max((max(len(one.won), len(one.lost)) for one in cases), default=0)
        if len(text.encode("utf-8", "replace")) <= LARGEST or not most:
            return text
        report = _with_fewer(report, most - 1)


def hash_of(script: str) -> str:
    """How a page's policy names the script that it lets run."""
    return f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}"


def _data(block: Versus) -> Markup:
    """What the script draws of, as JSON that ends no element: values in hundredths of a percent."""
    said = {
        "collection": block.collection,
        "systems": block.systems,
        "asked": block.asked,
        "values": [[round(10_000 * value) for value in column] for column in block.values],
        "before": block.before,
        "after": block.after,
        "measure": block.measure,
    }
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _noted(table: Table) -> list[tuple[str, str, str]]:
    """(row, column, note) of all that only a pointer would find."""
    return [
        (_called(row), column, value.note)
        for row in table.rows
        for column, value in zip(table.columns, row.values, strict=True)
        if value.note
    ]


def _called(row: Row) -> str:
    return ", ".join(filter(None, row.heads))


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
