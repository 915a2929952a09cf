"""Term vectors: which terms a document holds, and how often; what exact scores, explanations and feedback need.

    vectors.terms    the numbers of the terms of each document, one document after the other, uint32
    vectors.counts   how often each occurs, uint8; 255 stands for that many or more
    vectors.large    where those are (uint64), and their true counts (uint64), one after the other
    vectors.ends     where each document begins and ends: n + 1 offsets, uint64
    vectors.lengths  the number of terms of each document, uint32
    vectors.df       in how many documents each term occurs, uint32

Five bytes a pair of document and term. Within a document the terms stand in the order of their fingerprints, so that
a sum over them is the same in every index.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from xqe.files.arrays import Writers, mapped, runs
from xqe.files.names import NONE, Names, NamesWriter, Numbering, Numbers
from xqe.machine import keep_freed_memory
from xqe.text.counting import TermCounts

_LARGE = 255
_REMEMBERED = 1 << 17  # terms, of which every query has the same again
_AT_A_TIME = 1 << 17  # pairs: some megabytes are made of them
TERMS = "terms"
_FILES = {"terms": "<u4", "counts": "<u1", "large": "<u8", "ends": "<u8", "lengths": "<u4", "df": "<u4"}


class VectorsWriter:
    """Writes the vectors of documents as they come, and the table of all terms."""

    def __init__(self, folder: Path, files: Writers) -> None:
        self._names = NamesWriter(folder, TERMS, files)
        self._numbering = Numbering()
        writers = {name: files.array(folder / f"vectors.{name}", dtype) for name, dtype in _FILES.items()}
        self._terms, self._counts, self._ends = writers["terms"], writers["counts"], writers["ends"]
        self._lengths, self._frequencies, self._large = writers["lengths"], writers["df"], writers["large"]
        self._ends.append([0])
        self._pairs = 0
        self._large_counts: list[tuple[Numbers, Numbers]] = []
        self._df = numpy.zeros(1 << 16, numpy.uint32)
        self.terms = 0

    def append(self, batch: TermCounts) -> None:
        numbers = self._numbered(batch)
        self._df[numbers] += batch.frequencies
        self._terms.append(numbers[batch.numbers])
        self._counts.append(numpy.minimum(batch.counts, _LARGE))
        large = numpy.flatnonzero(batch.counts >= _LARGE)
        if len(large):
            self._large_counts.append((large + self._pairs, batch.counts[large].astype(numpy.int64)))
        ends = numpy.cumsum(batch.sizes, dtype=numpy.uint64) + numpy.uint64(self._pairs)
        self._ends.append(ends)
        self._pairs += len(batch.numbers)
        self._lengths.append(batch.lengths)

    def _numbered(self, batch: TermCounts) -> Numbers:
        """The number of each term of a batch; new terms get the next ones."""
        numbers = self._numbering.find(batch.keys)
        new = numpy.flatnonzero(numbers == NONE)
        numbers[new] = numpy.arange(self.terms, self.terms + len(new))
        self._numbering.add(batch.keys[new], numbers[new])
        told = numpy.full(len(numbers), NONE)
        told[batch.places] = numpy.arange(len(batch.terms))
        self._names.append(batch.terms[at] for at in told[new].tolist())
        self.terms += len(new)
        while self.terms > len(self._df):
            self._df = numpy.concatenate([self._df, numpy.zeros_like(self._df)])
        return numbers

    def finish(self) -> None:
        self._names.finish(self._numbering)
        self._frequencies.append(self._df[: self.terms])
        for column in zip(*self._large_counts, strict=True):
            self._large.append(numpy.concatenate(column))


class Pairs(NamedTuple):
    """Pairs of document and term, one array each: which of the documents that were asked for; number; count."""

    documents: Numbers
    terms: NDArray[numpy.uint32]
    counts: NDArray[numpy.float64]


class Vectors:
    """Term vectors as they were written, mapped into memory."""

    def __init__(self, folder: Path) -> None:
        arrays = {name: mapped(folder / f"vectors.{name}", dtype) for name, dtype in _FILES.items()}
        self._terms, self._counts, self._ends = arrays["terms"], arrays["counts"], arrays["ends"]
        self.lengths, self.df, large = arrays["lengths"], arrays["df"], arrays["large"]
        self._large_at, self._large_counts = large[: len(large) // 2], large[len(large) // 2 :]
        self.names = Names(folder, TERMS)
        self._known: dict[str, int] = {}
        keep_freed_memory()

    def __len__(self) -> int:
        return len(self.lengths)

    def numbers(self, terms: Sequence[str]) -> Numbers:
        """The number of each term, NONE for one that no document holds."""
        known = self._known
        if len(known) > _REMEMBERED:
            known = self._known = {}
        if new := [term for term in terms if term not in known]:
            known.update(zip(new, self.names.numbers(new).tolist(), strict=True))
        return numpy.fromiter(map(known.__getitem__, terms), numpy.int64, len(terms))

    def parted(self, documents: Numbers) -> list[Numbers]:
        """Documents in parts, of which each has about so many pairs as are best looked at together; at least one."""
        ends = numpy.cumsum(self._ends[documents + 1] - self._ends[documents])
        return numpy.split(documents, numpy.flatnonzero(numpy.diff(ends // _AT_A_TIME)) + 1)

    def pairs(self, documents: Numbers, wanted: NDArray[numpy.bool_] | None = None) -> Pairs:
        """The terms of documents; with `wanted`, a truth value for each term, only those that are."""
        starts = self._ends[documents].astype(numpy.int64)
        sizes = self._ends[documents + 1].astype(numpy.int64) - starts
        at = runs(starts, sizes)
        owners = numpy.repeat(numpy.arange(len(documents)), sizes)
        terms = self._terms.take(at)
        if wanted is not None:
            kept = numpy.flatnonzero(wanted.take(terms))
            at, owners, terms = at.take(kept), owners.take(kept), terms.take(kept)
        return Pairs(owners, terms, self._true_counts(at))

    def _true_counts(self, at: Numbers) -> NDArray[numpy.float64]:
        counts = self._counts[at].astype(numpy.float64)
        if len(self._large_at):
            large = numpy.flatnonzero(counts == _LARGE)
            counts[large] = self._large_counts[numpy.searchsorted(self._large_at, at[large].astype(numpy.uint64))]
        return counts
