"""A graph that finds candidates without looking at all rows: hierarchical navigable small worlds (Malkov and Yashunin,
2016), as usearch has them. The only module that imports usearch.

The graph has its own copy of the rows in bytes. What it finds is scored from the rows themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy

from xqe.errors import MissingExtraError
from xqe.files.atomic import sync
from xqe.files.names import Numbers
from xqe.files.packages import version
from xqe.retrieval.dense.description import GRAPH
from xqe.retrieval.dense.rows import Matrix, Rows, in_bytes

CONNECTIVITY, EXPANSION = 16, 128
"""usearch's defaults: neighbours of a row, and how many are looked at to find them."""

_BLOCK = 2048  # rows that are added together
_WIDER, _MORE = 2, 100  # candidates for k documents: _WIDER k + _MORE


def check_installed() -> None:
    """Raise MissingExtraError where usearch is not installed."""
    if find_spec("usearch") is None:
        raise MissingExtraError("--approximate needs usearch", "approximate")


def made_with() -> dict[str, Any]:
    """What the description says of a graph, but for its recall."""
    return {"library": f"usearch {version('usearch')}", "connectivity": CONNECTIVITY, "expansion_add": EXPANSION}


def build(folder: Path, rows: Rows, threads: int) -> Iterator[int]:
    """Make the graph of rows, in memory, and write it into their folder; yield how many rows are in it."""
    from usearch.index import Index

    index = Index(ndim=rows.dimension, metric="cos", dtype="i8", connectivity=CONNECTIVITY, expansion_add=EXPANSION)
    for start in range(0, len(rows), _BLOCK):
        numbers = numpy.arange(start, min(start + _BLOCK, len(rows)))
        index.add(numbers.astype(numpy.uint64), in_bytes(rows.floats(numbers)), threads=threads)
        yield int(numbers[-1]) + 1
    beside = folder / f".{GRAPH}.{os.getpid()}.part"
    try:
        index.save(str(beside))
        sync(beside)
        beside.replace(folder / GRAPH)
    finally:
        beside.unlink(missing_ok=True)


class Graph:
    """A graph on disk, mapped into memory. Any number of threads may ask; they take turns."""

    def __init__(self, folder: Path, threads: int) -> None:
        check_installed()
        from usearch.index import Index

        self._index: Any = Index.restore(str(folder / GRAPH), view=True)
        self._threads = threads
        self._lock = Lock()  # a search keeps what it is at in the index

    def near(self, queries: Matrix, k: int, rows_each: float) -> list[Numbers]:
        """For each query, rows among which the k best documents most likely are; rows_each: of a document."""
        count = min(len(self._index), self.reach(k, rows_each))
        with self._lock:
            found = self._index.search(in_bytes(queries), count, threads=self._threads)
        several = [found] if len(queries) == 1 else [found[at] for at in range(len(queries))]
        return [one.keys.astype(numpy.int64) for one in several]

    @staticmethod
    def reach(k: int, rows_each: float) -> int:
        """How many rows are asked for, for k documents."""
        return int((_WIDER * k + _MORE) * rows_each)
