"""Exact search: every row times every query, a block at a time, of which the best are kept.

Rows are multiplied in single precision, which adds up in whatever order is fastest. So what is found are candidates:
the k best and whatever is as good within the error of such sums. Their scores are then computed anew (`Rows.products`).

The only module that imports threadpoolctl: blocks are shared out to threads of our own, and a BLAS that has others for
each of these takes several times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy

from xqe.files.names import Numbers
from xqe.retrieval.dense.rows import Matrix, Rows
from xqe.retrieval.documents import Scores

_BLOCK = 1 << 18  # numbers of a block: 1 MB as float32, which a core's own cache nearly holds
_QUERIES = 64  # that are searched together
_HELD = 1 << 23  # candidates that a worker holds at most for all queries, but for what has equal scores
_LEAST = numpy.finfo(numpy.float32).min  # more than minus infinity, which is the score of what may not be found

Pool = Numbers | None


@cache
def _one_thread_of_blas() -> None:
    """For good: nothing else of xqe multiplies matrices with numpy."""
    from threadpoolctl import ThreadpoolController

    ThreadpoolController().limit(limits=1, user_api="blas")


class Workers:
    """Threads that look through rows."""

    def __init__(self, threads: int) -> None:
        _one_thread_of_blas()
        self.threads = threads
        self.executor: Executor = ThreadPoolExecutor(threads, "vectors")


def blocks(rows: Rows) -> Iterator[tuple[int, int]]:
    """The documents from where to where are one block, for all blocks."""
    step = max(1, _BLOCK // rows.dimension)
    if rows.ends is None:
        bounds = numpy.arange(0, rows.documents, step)
    else:
        bounds = numpy.unique(numpy.searchsorted(rows.ends, numpy.arange(0, len(rows), step), "right"))
        bounds = numpy.unique(numpy.concatenate([[0], bounds[bounds < rows.documents]]))
    yield from pairwise([*bounds.tolist(), rows.documents])


class Multiplier:
    """Computes the scores of blocks for some queries, float32 of shape (queries, documents). For one thread."""

    def __init__(self, rows: Rows, queries: Matrix) -> None:
        self._rows = rows
        self._queries = numpy.ascontiguousarray(queries, numpy.float32)
        self._into = numpy.empty((0, rows.dimension), numpy.int32)
        self._products = numpy.empty(0, numpy.float32)

    def scores(self, first: int, last: int) -> Matrix:
        """Of the documents from `first` to before `last`; it is overwritten by the next."""
        start, end = self._rows.span(first, last)
        if len(self._into) < end - start:
            self._into = numpy.empty((end - start, self._rows.dimension), numpy.int32)
            self._products = numpy.empty(len(self._queries) * (end - start), numpy.float32)
        block, scales = self._rows.unscaled(start, end, self._into)
        products = self._products[: len(self._queries) * (end - start)].reshape(len(self._queries), end - start)
        numpy.matmul(self._queries, block.T, out=products)
        if scales is not None:
            products *= scales
        if self._rows.ends is None:
            return products
        starts, _ = self._rows.spans(numpy.arange(first, last))
        return numpy.maximum.reduceat(products, starts - start, axis=1)


def margins(rows: Rows, queries: Matrix) -> Scores:
    """How far the score of a document may be from the true one, for each query: sums of n products of numbers of
    single precision are off by n of its units at most (Higham, Accuracy and Stability of Numerical Algorithms, 3.1)."""
    lengths = numpy.linalg.norm(queries.astype(numpy.float64), axis=1)
    errors: Scores = ((rows.dimension + 8) * 2.0**-24 * 1.01 * lengths).astype(numpy.float32)
    return errors


def candidates(rows: Rows, queries: Matrix, k: int, pools: Sequence[Pool], workers: Workers) -> Iterator[Numbers]:
    """For each query the documents among which the k best are, and all that score as the k-th, in any order."""
    together = max(1, min(_QUERIES, _HELD // (2 * k + 64)))
    for at in range(0, len(queries), together):
        yield from _candidates(rows, queries[at : at + together], k, pools[at : at + together], workers)


def _candidates(rows: Rows, queries: Matrix, k: int, pools: Sequence[Pool], workers: Workers) -> Iterator[Numbers]:
    margin = 2 * margins(rows, queries)  # the k-th may be off, too
    floors = numpy.full(len(queries), _LEAST, numpy.float32)
    queue = iter(list(blocks(rows)))  # a generator is not for two threads at once; a list is
    masks = _Masks(pools)

    def work(_: int) -> _Best:
        multiplier, best = Multiplier(rows, queries), _Best(k, margin, floors)
        for first, last in queue:
            scores = multiplier.scores(first, last)
            masks.apply(first, last, scores)
            best.add(first, scores)
        return best

    parts = list(workers.executor.map(work, range(workers.threads)))
    for query in range(len(queries)):
        found = [part.of(query) for part in parts]
        numbers, scores = (numpy.concatenate([one[field] for one in found]) for field in (0, 1))
        if len(scores) > k:
            numbers = numbers[scores >= numpy.partition(scores, -k)[-k] - margin[query]]
        yield numbers


class _Masks:
    """Takes away what is not in the pools of queries."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self._pools: dict[int, tuple[Numbers, list[int]]] = {}
        for query, pool in enumerate(pools):
            if pool is not None:
                self._pools.setdefault(id(pool), (pool, []))[1].append(query)

    def apply(self, first: int, last: int, scores: Matrix) -> None:
        for pool, queries in self._pools.values():
            start, end = numpy.searchsorted(pool, [first, last])
            outside = numpy.ones(last - first, numpy.bool_)
            outside[pool[start:end] - first] = False
            scores[numpy.ix_(numpy.array(queries), numpy.flatnonzero(outside))] = -numpy.inf


class _Best:
    """The best that one worker has seen, for each query.

    floors: below what a document of each query need not be kept; workers share it, and may overwrite one another's with
    a lower one, which costs a little time.
    """

    def __init__(self, k: int, margin: Scores, floors: Scores) -> None:
        self._k, self._margin, self._floors = k, margin, floors
        self._full = 2 * k + 64
        self._used = numpy.zeros(len(margin), numpy.int64)
        self._numbers = numpy.empty((len(margin), 0), numpy.int64)
        self._scores = numpy.empty((len(margin), 0), numpy.float32)

    def add(self, first: int, scores: Matrix) -> None:
        """Look at the scores of the documents from `first` on."""
        queries = numpy.flatnonzero(scores.max(axis=1) >= self._floors)
        if not len(queries):
            return
        some = scores[queries]
        at, where = numpy.nonzero(some >= self._floors[queries, None])
        counts = numpy.bincount(at, minlength=len(queries))
        self._make_room(int((self._used[queries] + counts).max()))
        slots = numpy.arange(len(at)) + numpy.repeat(self._used[queries] - (numpy.cumsum(counts) - counts), counts)
        rows = queries[at]
        self._numbers[rows, slots] = first + where
        self._scores[rows, slots] = some[at, where]
        self._used[queries] += counts
        for query in queries[self._used[queries] >= self._full].tolist():
            self._thin(query)

    def _make_room(self, most: int) -> None:
        room = self._scores.shape[1]
        if most > room:
            more = ((0, 0), (0, max(most, 2 * room) - room))
            self._numbers, self._scores = numpy.pad(self._numbers, more), numpy.pad(self._scores, more)

    def _thin(self, query: int) -> None:
        """Keep what is among the best so far."""
        numbers, scores = self.of(query)
        floor = numpy.partition(scores, -self._k)[-self._k] - self._margin[query]
        kept = numpy.flatnonzero(scores >= floor)
        self._used[query] = len(kept)
        self._numbers[query, : len(kept)] = numbers[kept]
        self._scores[query, : len(kept)] = scores[kept]
        if floor > self._floors[query]:
            self._floors[query] = floor

    def of(self, query: int) -> tuple[Numbers, Scores]:
        used = self._used[query]
        return self._numbers[query, :used], self._scores[query, :used]


def standing(rows: Rows, query: Matrix, score: float, workers: Workers) -> tuple[Numbers, Numbers]:
    """The documents that certainly score more than `score`, and those that may score as much or more; sorted."""
    margin = float(margins(rows, query)[0])
    queue = iter(list(blocks(rows)))

    def work(_: int) -> list[tuple[Numbers, Numbers]]:
        multiplier = Multiplier(rows, query)
        found = []
        for first, last in queue:
            scores = multiplier.scores(first, last)[0]
            more, near = scores > score + margin, numpy.abs(scores - score) <= margin
            found.append((first + numpy.flatnonzero(more), first + numpy.flatnonzero(near)))
        return found

    parts = [part for parts in workers.executor.map(work, range(workers.threads)) for part in parts]
    more, near = (numpy.sort(numpy.concatenate([part[field] for part in parts])) for field in (0, 1))
    return more, near
