"""Vectors of the questions that documents answer, and how they are mixed with those of their passages.

    DIR/data-N/dense-NAME-HASH/questions-LANG/    of the questions in a language
        dense.json, blocks.jsonl                  as of passages
        rows, scales                              for each document that has any the sum of the vectors of its
                                                  questions, brought to length 1
        sums, counts                              how long that sum is, float32, and of how many, uint32

With a share B the vector of a document, or of a window of it, is

    e' = (1 - B) x e + B x the mean of the vectors of its questions in all languages that count, at length 1

and that of a document without questions is e. xQG (Zhuang, Shou and Zuccon, SIGIR 2023, arXiv 2305.03950) makes
(1 - a) x e + a x the sum of n questions, once for all. With vectors of length 1 that has the same direction for
B = a n / (1 - a + a n): their a = .01 with 35 questions is B = .26. A mean weighs as much in a document with few
questions as in one with many, and what is kept here does not depend on B.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from xqe.errors import XqeError
from xqe.files.arrays import mapped
from xqe.files.names import Numbers
from xqe.retrieval.dense.description import (
    COUNTS,
    SUMS,
    Description,
    check_description,
    questions_folder,
    read_questions,
)
from xqe.retrieval.dense.rows import Matrix, Rows, rounded_query
from xqe.retrieval.documents import Owners

_GRID = 1 << 24  # mixed rows are multiples of its inverse, as those of 16-bit floats are
_GATHERED = 1 << 16  # numbers of rows that are mixed at a time


class Asked:
    """The vectors of the questions in one language. owners: the document of each row, rising. sums: how long the sum
    is that a row is the direction of. counts: of how many questions."""

    def __init__(self, folder: Path, description: Description, owners: Owners) -> None:
        self.rows = Rows(folder, description)
        self.owners = owners
        self.sums, self.counts = mapped(folder / SUMS, "<f4"), mapped(folder / COUNTS, "<u4")


def opened_questions(folder: Path, description: Description, owners: Mapping[str, Owners]) -> dict[str, Asked]:
    """Of a set of vectors those of the questions in each language. Raises XqeError where some are not made, and
    InputError for damaged ones."""
    asked = {}
    for code, its in owners.items():
        found = read_questions(folder, code)
        if found is None:
            directory = folder.parent.parent
            raise XqeError(
                f"{directory}: has no vectors of {description.encoder} of its questions in {code}",
                f"make them: xqe embed {directory} --encoder {description.encoder}",
            )
        check_description(questions_folder(folder, code), found)
        asked[code] = Asked(questions_folder(folder, code), found, its)
    return asked


class Mixed(Rows):
    """The rows of passages, mixed with the questions of their documents as they are read. share: of the questions.

    A row is rounded to multiples of 2^-24, so that its products are exact, too.
    """

    def __init__(self, folder: Path, description: Description, asked: Mapping[str, Asked], share: float) -> None:
        super().__init__(folder, description)
        self._asked = asked
        counts = numpy.zeros(self.documents)
        for its in asked.values():
            counts[its.owners] += its.counts
        self._own = numpy.where(counts > 0, 1 - share, 1).astype(numpy.float32)  # of each document's passage
        self._weights = {
            code: (share * its.sums / counts[its.owners]).astype(numpy.float32) for code, its in asked.items()
        }
        self._local = threading.local()

    @property
    def error(self) -> int:
        return 2 * self.dimension + 32  # the length is such a sum, too

    def unscaled(self, start: int, end: int, into: NDArray[numpy.int32]) -> tuple[Matrix, None]:
        block, scales = super().unscaled(start, end, into)
        documents = self._documents(numpy.arange(start, end))
        first, last = int(documents[0]), int(documents[-1]) + 1
        own = self._own[documents]
        block *= (own if scales is None else own * scales)[:, None]
        for code, its in self._asked.items():
            low, high = numpy.searchsorted(its.owners, [first, last]).tolist()
            if low == high:
                continue
            rows, row_scales = its.rows.unscaled(low, high, self._scratch(high - low))
            weights = self._weights[code][low:high]
            rows *= (weights if row_scales is None else weights * row_scales)[:, None]
            if high - low == len(block) and self.ends is None:
                block += rows
            else:
                at, which = _matched(its.owners[low:high], documents)
                block[at] += rows[which]
        self._shorten(block, own)
        return block, None

    def _scratch(self, count: int) -> NDArray[numpy.int32]:
        """Room for the rows of questions; each thread has its own."""
        if not hasattr(self._local, "room") or len(self._local.room) < count:
            self._local.room = numpy.empty((count, self.dimension), numpy.int32)
        room: NDArray[numpy.int32] = self._local.room
        return room

    def _documents(self, numbers: Numbers) -> Numbers:
        """The document of each row."""
        return numbers if self.ends is None else numpy.searchsorted(self.ends, numbers, "right")

    @staticmethod
    def _shorten(block: Matrix, own: NDArray[numpy.float32]) -> None:
        """Bring rows to length 1, but for those without questions, which stay as they are."""
        lengths = numpy.sqrt(numpy.add.reduce(block * block, axis=1))
        block /= numpy.where((own < 1) & (lengths > 0), lengths, numpy.float32(1))[:, None]

    def singles(self, numbers: Numbers) -> Matrix:
        documents = self._documents(numbers)
        own = self._own[documents]
        block = super().singles(numbers) * own[:, None]
        for code, its in self._asked.items():
            at, which = _matched(its.owners, documents)
            block[at] += its.rows.singles(which) * self._weights[code][which, None]
        self._shorten(block, own)
        rounded: Matrix = numpy.rint(block * numpy.float32(_GRID)) / numpy.float32(_GRID)
        return rounded

    def floats(self, numbers: Numbers) -> NDArray[numpy.float64]:
        return self.singles(numbers).astype(numpy.float64)

    def products(self, query: Matrix, numbers: Numbers) -> Matrix:
        rounded, exponent = rounded_query(query)
        found = numpy.empty(len(numbers))
        step = max(1, _GATHERED // self.dimension)
        for at in range(0, len(numbers), step):
            found[at : at + step] = self.floats(numbers[at : at + step]) @ rounded
        return numpy.ldexp(found, exponent).astype(numpy.float32)

    def shares(self, query: Matrix, number: int) -> dict[str, Any]:
        """What the passage of a row adds to its product with a query, and what the questions in each language do."""
        [document] = self._documents(numpy.array([number])).tolist()
        parts = {"passage": self._own[document] * super().floats(numpy.array([number]))[0]}
        for code, its in self._asked.items():
            for which in _matched(its.owners, numpy.array([document]))[1].tolist():
                parts[code] = self._weights[code][which] * its.rows.floats(numpy.array([which]))[0]
        size = float(numpy.linalg.norm(sum(parts.values()))) if len(parts) > 1 else 1.0
        return {name: float(vector @ query) / (size or 1.0) for name, vector in parts.items()}


def _matched(owners: NDArray[Any], documents: Numbers) -> tuple[Numbers, Numbers]:
    """Which of some documents have questions, and which rows these are."""
    which = numpy.minimum(numpy.searchsorted(owners, documents), len(owners) - 1)
    at = numpy.flatnonzero(owners[which] == documents)
    return at, which[at]
