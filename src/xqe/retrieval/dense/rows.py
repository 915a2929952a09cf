"""Vectors on disk: rows of 16-bit floats, or of bytes of which each row has a scale. They are mapped into memory, and
become float32 as they are needed."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from xqe.files.arrays import mapped
from xqe.files.names import Numbers
from xqe.retrieval.choices import Precision
from xqe.retrieval.dense.description import ENDS, ROWS, SCALES, Description

Matrix = NDArray[numpy.float32]
Doubles = NDArray[numpy.float64]

_STORED = {Precision.F16: "<f2", Precision.INT8: "i1"}
_PLACES = 28  # binary places of queries
_PIECE = 1 << 14  # numbers that are converted at a time, so that they stay in the nearest cache
_GATHERED = 1 << 16  # of rows that are not side by side
_SIGN_AND_NUMBER = numpy.int32(-0x70000001)  # 0x8fffffff, all bits but those that the sign filled
_BIAS = 112  # by how much the exponents of the two formats differ


def stored(vectors: Matrix, precision: Precision) -> dict[str, bytes]:
    """What is appended to which file for some vectors.

    The scale of a row of bytes makes it as long as 1 again, so that products are cosines.
    """
    if precision is Precision.F16:
        return {ROWS: vectors.astype(_STORED[precision]).tobytes()}
    rows = in_bytes(vectors)
    lengths = numpy.linalg.norm(rows.astype(numpy.float64), axis=1)
    scales = numpy.divide(1, lengths, where=lengths > 0, out=numpy.zeros(len(rows)))
    return {ROWS: rows.tobytes(), SCALES: scales.astype("<f4").tobytes()}


def in_bytes(vectors: Matrix | Doubles) -> NDArray[numpy.int8]:
    """Vectors in steps of a 127th of the greatest number of each."""
    greatest = numpy.abs(vectors).max(axis=1, keepdims=True)
    return numpy.rint(vectors * (127 / numpy.where(greatest > 0, greatest, 1))).astype(numpy.int8)


def row_bytes(precision: Precision, dimension: int) -> dict[str, int]:
    """How much of which file a row is."""
    sizes = {ROWS: dimension * numpy.dtype(_STORED[precision]).itemsize}
    return sizes | ({SCALES: 4} if precision is Precision.INT8 else {})


class Rows:
    """The rows of a set of vectors, and which are whose. Any number of threads may read."""

    def __init__(self, folder: Path, description: Description) -> None:
        precision = description.storing.precision
        self.dimension = description.dimension
        self.documents = description.documents
        self._bias = _BIAS if precision is Precision.F16 else 0
        self._rows: NDArray[Any] = mapped(folder / ROWS, _STORED[precision]).reshape(-1, self.dimension)
        self._scales = mapped(folder / SCALES, "<f4") if precision is Precision.INT8 else None
        self.ends = mapped(folder / ENDS, "<i8") if ENDS in description.files else None

    def replaced(self, rows: NDArray[numpy.float16]) -> Rows:
        """Other rows of the same documents."""
        others = copy(self)
        others._rows, others._scales, others._bias = rows, None, _BIAS
        return others

    def __len__(self) -> int:
        return len(self._rows)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where the rows of the documents from `first` to before `last` begin and end."""
        if self.ends is None:
            return first, last
        return int(self.ends[first - 1]) if first else 0, int(self.ends[last - 1]) if last else 0

    def spans(self, documents: Numbers) -> tuple[Numbers, Numbers]:
        """Where the rows of each of these documents begin, and how many there are."""
        if self.ends is None:
            return documents, numpy.ones(len(documents), numpy.int64)
        starts = numpy.where(documents > 0, self.ends[numpy.maximum(documents - 1, 0)], 0)
        return starts, self.ends[documents] - starts

    def owners(self, rows: Numbers) -> Numbers:
        """The documents that these rows are of, sorted."""
        return numpy.unique(rows if self.ends is None else numpy.searchsorted(self.ends, rows, "right"))

    def unscaled(self, start: int, end: int, into: NDArray[numpy.int32]) -> tuple[Matrix, Matrix | None]:
        """Consecutive rows as float32, and what products with each are to be multiplied by. into: room for them."""
        into = into[: end - start]
        step = max(1, _PIECE // self.dimension)
        for at in range(0, end - start, step):
            values = _shifted(self._rows[start + at : min(end, start + at + step)], into[at : at + step])
            if self._bias:
                values *= numpy.float32(2.0**self._bias)
        return into.view(numpy.float32), self._scales[start:end] if self._scales is not None else None

    def floats(self, numbers: Numbers) -> Doubles:
        """Rows with these numbers."""
        values = numpy.ldexp(_shifted(self._rows[numbers], self._room(len(numbers))).astype(numpy.float64), self._bias)
        return values if self._scales is None else values * self._scales[numbers, None]

    def _room(self, count: int) -> NDArray[numpy.int32]:
        return numpy.empty((count, self.dimension), numpy.int32)

    def products(self, query: Matrix, numbers: Numbers) -> Matrix:
        """The products of rows with a query, each the same whatever rows are beside it.

        A query that is no longer than 1 is rounded to multiples of 2^-28. Those of rows are of 2^-24, and no sum of
        products exceeds 2 (with bytes: of 1, and 127 times the root of the dimension). So double precision holds all
        sums without an error, in whatever order they are made.
        """
        _, exponent = numpy.frexp(numpy.linalg.norm(query.astype(numpy.float64)))
        rounded = numpy.rint(numpy.ldexp(query.astype(numpy.float64), _PLACES - exponent))
        exact = numpy.ldexp(rounded, self._bias - _PLACES)
        found = numpy.empty(len(numbers))
        step = max(1, _GATHERED // self.dimension)
        into = self._room(min(step, len(numbers)))
        values = numpy.empty(into.shape)
        for at in range(0, len(numbers), step):
            rows = self._rows.take(numbers[at : at + step], axis=0)
            count = len(rows)
            numpy.copyto(values[:count], _shifted(rows, into[:count]))
            numpy.matmul(values[:count], exact, out=found[at : at + count])
        if self._scales is not None:
            found *= self._scales[numbers]
        return numpy.ldexp(found, exponent).astype(numpy.float32)


def _shifted(rows: NDArray[Any], into: NDArray[numpy.int32]) -> Matrix:
    """Rows as float32 in the memory of `into`, those of 16-bit floats without `_BIAS`.

    numpy converts 16-bit floats one at a time. The bits of one, moved to where float32 has its own, are a float32 that
    is too small by a power of two, subnormal numbers too; this takes a third of the time.
    """
    if rows.dtype.kind == "i":
        numpy.copyto(into.view(numpy.float32), rows)
    else:
        numpy.copyto(into, rows.view("<i2"))
        numpy.left_shift(into, 13, out=into)
        numpy.bitwise_and(into, _SIGN_AND_NUMBER, out=into)
    return into.view(numpy.float32)
