"""Counting the terms of documents, a batch at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, count, islice
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from xqe.files.fingerprints import Keys, fingerprints

Counts = NDArray[numpy.uint32]

_REMEMBERED = 1 << 19  # terms; some 60 MB


class TermCounts(NamedTuple):
    """The terms of some documents, counted.

    keys: the fingerprints of the distinct terms, sorted. terms: those of them that the counter had not met before, and
    places: where their keys are. frequencies: for each distinct term, how many of the documents hold it. Pairs of
    document and term, in the order of the documents and within one in that of the keys: numbers (into `keys`) and
    counts. For each document: sizes, how many pairs it has, and lengths, how many terms.
    """

    keys: Keys
    terms: list[str]
    places: Counts
    frequencies: Counts
    numbers: Counts
    counts: Counts
    sizes: Counts
    lengths: Counts


class TermCounter:
    """Counts terms, and remembers them: a term is fingerprinted, and told by its name, once.

    When it has met very many terms it forgets them all, and tells each again.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._number_of: defaultdict[str, int] = defaultdict(count().__next__)
        self._keys: Keys = numpy.empty(0, numpy.uint64)

    def count(self, documents: Sequence[Sequence[str]]) -> TermCounts:
        if len(self._keys) > _REMEMBERED:
            self._forget()
        lengths = numpy.fromiter(map(len, documents), numpy.uint32, len(documents))
        terms = chain.from_iterable(documents)
        flat = numpy.fromiter(map(self._number_of.__getitem__, terms), numpy.uint32, int(lengths.sum()))
        met = len(self._keys)
        new = list(islice(reversed(self._number_of), len(self._number_of) - met))[::-1]
        self._keys = numpy.concatenate([self._keys, fingerprints(new)])

        held = numpy.zeros(len(self._keys), numpy.bool_)
        held[flat] = True
        distinct = numpy.flatnonzero(held)
        distinct = distinct[numpy.argsort(self._keys[distinct])]
        place = numpy.empty(len(self._keys), numpy.uint64)
        place[distinct] = numpy.arange(len(distinct), dtype=numpy.uint64)

        owners = numpy.repeat(numpy.arange(len(documents), dtype=numpy.uint64), lengths)
        pairs, counts = numpy.unique(owners << numpy.uint64(32) | place[flat], return_counts=True)
        numbers = (pairs & numpy.uint64(0xFFFFFFFF)).astype(numpy.uint32)
        sizes = numpy.bincount((pairs >> numpy.uint64(32)).astype(numpy.int64), minlength=len(documents))
        return TermCounts(
            keys=self._keys[distinct],
            terms=new,
            places=place[met:].astype(numpy.uint32),
            frequencies=numpy.bincount(numbers, minlength=len(distinct)).astype(numpy.uint32),
            numbers=numbers,
            counts=counts.astype(numpy.uint32),
            sizes=sizes.astype(numpy.uint32),
            lengths=lengths,
        )
