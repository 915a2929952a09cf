"""Where the files of a grid lie, seen from the folder of its report: for links in it, and what to find where."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from xqe.experiments.report.blocks import Link, Links
from xqe.experiments.report.results import HUMAN_QUERIES, QRELS, QUERIES, Results

_TABLES = {
    "cells": "a system on a language pair: its means, counts and seconds",
    "queries": "a query of a cell: its values, the rank of the first relevant document, the best hit",
    "differences": "a system against a baseline: difference, interval, p, wins",
    "maps": "a language pair in a map of languages: its value",
    "costs": "a stage of a cell: records, tokens, seconds",
    "failures": "a query that failed in a cell, and why",
}
_OF_GRID = {
    "runs": "hits of every system, as TREC runs",
    QRELS: "the judgements of the queries that were drawn: xqe eval --qrels takes them for a run beside",
    QUERIES: "the queries as they were asked",
    HUMAN_QUERIES: "the same as people wrote them in the documents' language",
    "texts": "what models wrote",
}


class Places:
    """folder: where the report goes, None for standard output, from where nothing is linked."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def link(self, name: str, path: Path, about: str = "") -> Iterator[Link]:
        """A link to a file of the grid, where there is one."""
        if self._folder is not None and path.exists():
            place = os.path.relpath(path.resolve(), self._folder.resolve())
            yield Link(name, quote(Path(place).as_posix()), about)


def files(results: Results, places: Places, tables: Sequence[str]) -> Iterator[Links]:
    """Yield what lies beside the report, and what in the folders of the grid. tables: the CSV files that are written
    with it."""
    beside = [Link(one, quote(one), f"a row is {_TABLES[one.split('.')[0]]}") for one in tables]
    if beside:
        yield Links("Tables beside this page", tuple(beside))
    for folder in results.folders:
        there = [
            link
            for collection in results.collections
            for name, about in _OF_GRID.items()
            for link in places.link(f"{name}/{collection}", folder / name / collection, about)
        ]
        if there:
            yield Links(f"In the folder of the grid, {folder.name}", tuple(there))
