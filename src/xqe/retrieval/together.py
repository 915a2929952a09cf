"""The documents of several indexes as one list, and their vectors as one set, where one encoder has made them.

Documents have the numbers of their indexes, one index after the other. Cosines of one encoder mean the same in all, so
the nearest of all are the nearest of each, put in one order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy
from numpy.typing import NDArray

from xqe.errors import XqeError
from xqe.files.names import Numbers
from xqe.retrieval.documents import Concatenated, Documents, Scores

if TYPE_CHECKING:
    from xqe.retrieval.dense import Vectors

    Matrix = NDArray[numpy.float32]


class Part(NamedTuple):
    """An index among several. name: of its folder. language: of its documents."""

    name: str
    language: str
    documents: Documents


class DocumentsTogether(Concatenated):
    """The documents of several indexes. Raises XqeError for an id that two of them have.

    name: of all together, as "index" of a record has it; by default the names of all. are_distinct: no id is in two of
    them, which is known.
    """

    def __init__(self, parts: Sequence[Part], name: str | None = None, are_distinct: bool = False) -> None:
        super().__init__([part.documents for part in parts])
        self.parts = list(parts)
        self.name = name or ",".join(part.name for part in parts)
        for one, other in combinations(self.parts, 2):
            if not are_distinct and (name := one.documents.shared(other.documents)) is not None:
                raise XqeError(
                    f'document "{name}" is in two indexes, {one.name} and {other.name}',
                    "an id names one document; leave one of the indexes out, or build it with other ids",
                )

    def split(self, pools: Sequence[Numbers | None]) -> list[list[Numbers | None]]:
        """For each part what is its own of each of several pools; what is of one array is one array there, too."""
        distinct = {id(pool): self.pools(pool) for pool in pools}
        return [[distinct[id(pool)][at] for pool in pools] for at in range(len(self.parts))]

    def languages(self, numbers: Numbers) -> list[str]:
        return [self.parts[owner].language for owner in self.owners(numbers).tolist()]

    def counts(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for part in self.parts:
            counts[part.language] += len(part.documents)
        return dict(counts)

    @property
    def language(self) -> str:
        """Their languages, as "index" of a record has them."""
        return ",".join(dict.fromkeys(part.language for part in self.parts))


class VectorsTogether:
    """The vectors of several indexes, of one encoder and in the order of the documents; see `Vectors`."""

    def __init__(self, parts: Sequence[Vectors], documents: DocumentsTogether) -> None:
        self.name = parts[0].name
        self.documents = documents
        self._parts = list(parts)
        self.questions = tuple(dict.fromkeys(code for part in parts for code in part.questions))
        self.question_share = max(part.question_share for part in parts)
        self.contrast = parts[0].contrast

    def best(
        self,
        queries: Matrix,
        k: int,
        pools: Sequence[Numbers | None] | None = None,
        approximate: bool = False,
    ) -> list[tuple[Numbers, Scores]]:
        split = self.documents.split(pools if pools is not None else [None] * len(queries))
        by_part = [part.best(queries, k, its, approximate) for part, its in zip(self._parts, split, strict=True)]
        return [self._merged(found, k) for found in zip(*by_part, strict=True)]

    def _merged(self, found: Sequence[tuple[Numbers, Scores]], k: int) -> tuple[Numbers, Scores]:
        starts = self.documents.starts
        numbers = numpy.concatenate([its + starts[at] for at, (its, _) in enumerate(found)])
        return self.documents.best(numbers, numpy.concatenate([scores for _, scores in found]), k)

    def scores(self, query: Matrix, numbers: Numbers) -> Scores:
        owners, scores = self.documents.owners(numbers), numpy.empty(len(numbers), numpy.float32)
        for owner, part in enumerate(self._parts):
            at = numpy.flatnonzero(owners == owner)
            scores[at] = part.scores(query, numbers[at] - self.documents.starts[owner])
        return scores

    def rank(self, query: Matrix, number: int, pool: Numbers | None) -> int | None:
        if pool is not None and number not in pool:
            return None
        own = float(self.scores(query, numpy.array([number]))[0])
        rank = 1
        for start, part, its in zip(self.documents.starts, self._parts, self.documents.pools(pool), strict=False):
            more, equal = part.standing(query, own, its)
            rank += more + self.documents.above(number, equal + start)
        return rank

    def of(self, numbers: Numbers) -> Matrix:
        placed = (self.documents.placed(number) for number in numbers.tolist())
        rows = [self._parts[owner].of(numpy.array([own]))[0] for owner, own in placed]
        return numpy.array(rows, numpy.float32).reshape(len(rows), self._parts[0].description.dimension)

    def windows(self, number: int) -> Matrix:
        owner, own = self.documents.placed(number)
        return self._parts[owner].windows(own)

    def nearest(self, query: Matrix, number: int) -> int:
        owner, own = self.documents.placed(number)
        return self._parts[owner].nearest(query, own)

    def shares(self, query: Matrix, number: int) -> dict[str, float]:
        owner, own = self.documents.placed(number)
        return self._parts[owner].shares(query, own)
