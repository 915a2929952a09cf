"""Exact scores of one field of documents, of their text or of their questions, for weighted terms, and the boosts with
which tantivy's scores bound them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from xqe.files.names import Numbers
from xqe.retrieval.documents import Owners
from xqe.retrieval.lexical.bm25 import TANTIVY_K1, Floats, Padding, Parameters, excess, idf, idf_of_tantivy
from xqe.retrieval.lexical.statistics import Query, Statistics
from xqe.retrieval.lexical.vectors import Vectors


class Contribution(NamedTuple):
    """What one term of a query adds to the score of a document.

    weight: its weight in the query. tf: how often the document holds it. df: how many documents do.
    score: weight x idf x (k1 + 1) tf / (tf + K). Scores of all terms sum to the document's, in double precision.
    """

    term: str
    weight: float
    tf: int
    df: int
    idf: float
    score: float


class _Tables(NamedTuple):
    """For each term of the collection: whether the query has it, false between uses; and weight x idf x (k1 + 1)."""

    wanted: NDArray[numpy.bool_]
    impacts: Floats


class Scorer:
    """Scores documents. Any number of threads may ask."""

    def __init__(self, vectors: Vectors, statistics: Statistics) -> None:
        self._vectors, self._statistics = vectors, statistics
        self._local = threading.local()

    @property
    def lengths(self) -> NDArray[numpy.uint32]:
        """The number of terms of each document."""
        return self._vectors.lengths

    @property
    def average(self) -> float:
        return self._statistics.average_length

    def frequencies(self, query: Query) -> NDArray[numpy.uint32]:
        """In how many of the documents here each term of a query occurs."""
        frequencies: NDArray[numpy.uint32] = self._vectors.df[query.numbers]
        return frequencies

    def scores(self, query: Query, documents: Numbers, parameters: Parameters) -> Floats:
        """The exact scores of documents, 0 where no term occurs."""
        tables = self._tables()
        tables.wanted[query.numbers] = True
        tables.impacts[query.numbers] = query.weights * query.idf * (parameters.k1 + 1)
        try:
            parts = [self._sums(some, tables, parameters) for some in self._vectors.parted(documents)]
        finally:
            tables.wanted[query.numbers] = False
        return numpy.concatenate(parts)

    def _sums(self, documents: Numbers, tables: _Tables, parameters: Parameters) -> Floats:
        pairs = self._vectors.pairs(documents, tables.wanted)
        norms = parameters.norms(self._vectors.lengths[documents], self._statistics.average_length)
        parts = tables.impacts.take(pairs.terms) * pairs.counts / (pairs.counts + norms.take(pairs.documents))
        return numpy.bincount(pairs.documents, parts, len(documents)).astype(numpy.float64, copy=False)

    def _tables(self) -> _Tables:
        """One entry for each term of the collection; each thread has its own."""
        if not hasattr(self._local, "tables"):
            terms = len(self._vectors.names)
            self._local.tables = _Tables(numpy.zeros(terms, numpy.bool_), numpy.empty(terms))
        tables: _Tables = self._local.tables
        return tables

    def explain(self, weights: Mapping[str, float], number: int, parameters: Parameters) -> list[Contribution]:
        """What each term of positive weight adds to a document's score, the greatest first.

        Terms that the document does not hold add 0; those that no document holds have an idf all the same.
        """
        terms = [term for term, weight in weights.items() if weight > 0]
        df = self._statistics.frequencies(terms)
        idfs = idf(self._statistics.documents, df)
        known = self._vectors.numbers(terms)
        pairs = self._vectors.pairs(numpy.array([number]))
        counts = dict(zip(pairs.terms.tolist(), pairs.counts.tolist(), strict=True))
        norm = self.norm(number, parameters)
        contributions = []
        for term, its_number, n, its_idf in zip(terms, known.tolist(), df.tolist(), idfs.tolist(), strict=True):
            tf = counts.get(its_number, 0.0)
            score = weights[term] * its_idf * (parameters.k1 + 1) * tf / (tf + norm) if tf else 0.0
            contributions.append(Contribution(term, weights[term], int(tf), int(n), its_idf, score))
        return sorted(contributions, key=lambda part: (-part.score, -part.weight * part.idf, part.term))

    def norm(self, number: int, parameters: Parameters) -> float:
        """K of a document: what its length makes of k1."""
        return float(parameters.norms(self._vectors.lengths[number], self._statistics.average_length))


@dataclass(frozen=True, slots=True)
class Asked:
    """What one field is asked. field: as the candidates call it. owners: the document that each number of the field is
    of, rising; None where these are the numbers of the documents."""

    field: str
    scorer: Scorer
    query: Query
    parameters: Parameters
    owners: Owners | None = None

    def scores(self, documents: Numbers) -> Floats:
        """The exact scores of documents, 0 where no term occurs."""
        if self.owners is None:
            return self.scorer.scores(self.query, documents, self.parameters)
        at = numpy.minimum(numpy.searchsorted(self.owners, documents), len(self.owners) - 1)
        own = numpy.flatnonzero(self.owners[at] == documents)
        scores = numpy.zeros(len(documents))
        scores[own] = self.scorer.scores(self.query, at[own], self.parameters)
        return scores

    def boosts(self, documents: int) -> Iterator[tuple[str, str, float]]:
        """The boosts with which tantivy's scores bound the exact ones, where it counts so many documents, those of
        padding too."""
        theirs = self._theirs(documents) * (TANTIVY_K1 + 1)
        boosts = (self.query.weights * self.query.idf * (self.parameters.k1 + 1) / theirs).tolist()
        return ((self.field, term, boost) for term, boost in zip(self.query.terms, boosts, strict=True))

    def is_seen(self, documents: int) -> bool:
        """Whether there are such boosts: a term that tantivy has no idf for adds nothing to its scores."""
        return bool((self._theirs(documents) > 0).all())

    def _theirs(self, documents: int) -> Floats:
        return idf_of_tantivy(documents, self.scorer.frequencies(self.query))

    def excess(self, documents: int, padding: Padding) -> float:
        """How many times its score by tantivy a document's exact one is at most, where all of them are so many."""
        lengths = self.scorer.lengths
        if self.owners is not None:
            lengths = numpy.zeros(documents, numpy.uint32)
            lengths[self.owners] = self.scorer.lengths
        return excess(self.parameters, lengths, self.scorer.average, padding)
