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
questions as in one with many, and what lies on disk does not depend on B.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile, gettempdir

import numpy

from xqe.errors import XqeError, why
from xqe.files.arrays import mapped
from xqe.retrieval.dense.description import (
    COUNTS,
    SUMS,
    Description,
    check_description,
    questions_folder,
    read_questions,
)
from xqe.retrieval.dense.exact import Workers, blocks
from xqe.retrieval.dense.rows import Matrix, Rows
from xqe.retrieval.documents import Owners


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
            raise lacking(folder.parent.parent, description.encoder, code)
        check_description(questions_folder(folder, code), found)
        asked[code] = Asked(questions_folder(folder, code), found, its)
    return asked


def lacking(directory: Path, encoder: str, code: str) -> XqeError:
    """An index has vectors of an encoder, and none of its questions in a language."""
    return XqeError(
        f"{directory}: has no vectors of {encoder} of its questions in {code}",
        f"make them: xqe embed {directory} --encoder {encoder}",
    )


class Mixture:
    """Passages mixed with the questions of their documents. share: of the questions."""

    def __init__(self, rows: Rows, asked: Mapping[str, Asked], share: float) -> None:
        self._rows, self._asked = rows, asked
        counts = numpy.zeros(rows.documents)
        for its in asked.values():
            counts[its.owners] += its.counts
        self._own = numpy.where(counts > 0, 1 - share, 1).astype(numpy.float32)  # of each document's passage
        self._weights = {
            code: (share * its.sums / counts[its.owners]).astype(numpy.float32) for code, its in asked.items()
        }

    def mixed(self, workers: Workers) -> Rows:
        """The mixed rows, in 16 bits, in a file of their own that nobody else sees. Raises XqeError for a full disk."""
        queue = iter(blocks(self._rows))
        with TemporaryFile(prefix="xqe-") as file:
            try:
                while some := list(islice(queue, 4 * workers.threads)):
                    for block in workers.executor.map(self._block, *zip(*some, strict=True)):
                        file.write(block)
                file.flush()
            except OSError as error:
                raise XqeError(
                    f"{gettempdir()}: cannot keep the mixed vectors there ({why(error)})", "make room, or set TMPDIR"
                ) from None
            data = numpy.memmap(file, "<f2", "r").view(numpy.ndarray)
        return self._rows.replaced(data.reshape(-1, self._rows.dimension))

    def _block(self, first: int, last: int) -> bytes:
        """The rows of the documents from `first` to before `last`."""
        start, end = self._rows.span(first, last)
        documents = numpy.repeat(numpy.arange(first, last), self._rows.spans(numpy.arange(first, last))[1])
        block = _floats(self._rows, start, end) * self._own[documents, None]
        for code, its in self._asked.items():
            low, high = numpy.searchsorted(its.owners, [first, last]).tolist()
            rows = _floats(its.rows, low, high) * self._weights[code][low:high, None]
            nothing = numpy.zeros((1, rows.shape[1]), numpy.float32)  # for a document that has no questions
            at = numpy.full(last - first, len(rows))
            at[its.owners[low:high] - first] = numpy.arange(len(rows))
            block += numpy.concatenate([rows, nothing]).take(at[documents - first], axis=0)
        lengths = numpy.linalg.norm(block, axis=1)
        block /= numpy.where((self._own[documents] < 1) & (lengths > 0), lengths, numpy.float32(1))[:, None]
        return block.astype("<f2").tobytes()

    def shares(self, query: Matrix, document: int, row: int) -> dict[str, float]:
        """What the passage of a document's row adds to its product with a query, and what the questions in each
        language do."""
        parts = {"passage": self._own[document] * self._rows.floats(numpy.array([row]))[0]}
        for code, its in self._asked.items():
            for own in numpy.flatnonzero(its.owners == document).tolist():
                parts[code] = self._weights[code][own] * its.rows.floats(numpy.array([own]))[0]
        size = float(numpy.linalg.norm(sum(parts.values()))) if len(parts) > 1 else 1.0
        return {name: float(vector @ query) / (size or 1.0) for name, vector in parts.items()}


def _floats(rows: Rows, start: int, end: int) -> Matrix:
    values, scales = rows.unscaled(start, end, numpy.empty((end - start, rows.dimension), numpy.int32))
    return values if scales is None else values * scales[:, None]
