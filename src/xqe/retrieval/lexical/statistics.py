"""What scores depend on beside a document and a query: how many documents have a field, how long it is in them, and in
how many each term occurs. They are those of a whole collection, of which an index may hold but a part (`sharded`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy

from xqe.files.names import NONE, Numbers
from xqe.retrieval.lexical.bm25 import Floats, idf
from xqe.retrieval.lexical.vectors import Vectors


class Query(NamedTuple):
    """Terms that some document holds, in the order of their names: their numbers, weights and idf."""

    terms: list[str]
    numbers: Numbers
    weights: Floats
    idf: Floats


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one field. documents: that have it. average_length: terms. parts: the vectors of all of them, which are added
    as they are opened."""

    documents: int
    average_length: float
    parts: list[Vectors] = field(default_factory=list)

    def queries(self, weights: Mapping[str, float]) -> list[Query]:
        """For each part the terms of positive weight that some document of it holds; their idf is that of all parts."""
        positive = sorted((term, weight) for term, weight in weights.items() if weight > 0)
        terms = [term for term, _ in positive]
        values = numpy.array([weight for _, weight in positive], numpy.float64)
        numbers, frequencies = self._looked_up(terms)
        idfs = idf(self.documents, frequencies)
        queries = []
        for its in numbers:
            known = numpy.flatnonzero(its != NONE)
            queries.append(Query([terms[at] for at in known.tolist()], its[known], values[known], idfs[known]))
        return queries

    def frequencies(self, terms: Sequence[str]) -> Numbers:
        """In how many documents each term occurs."""
        return self._looked_up(terms)[1]

    def _looked_up(self, terms: Sequence[str]) -> tuple[list[Numbers], Numbers]:
        """The number of each term in each part, and in how many documents of all it occurs."""
        numbers = [part.numbers(terms) for part in self.parts]
        frequencies = numpy.zeros(len(terms), numpy.int64)
        for part, its in zip(self.parts, numbers, strict=True):
            known = numpy.flatnonzero(its != NONE)
            frequencies[known] += part.df[its[known]]
        return numbers, frequencies
