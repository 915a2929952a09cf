"""An open index: hits for weighted terms, why a document scores what it scores, and its terms."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from xqe.errors import InputError
from xqe.files.names import NONE, Names, Numbers
from xqe.retrieval.documents import Documents, Scores
from xqe.retrieval.lexical.bm25 import TANTIVY_K1, Floats, Parameters, excess, idf
from xqe.retrieval.lexical.builder import DOCUMENTS
from xqe.retrieval.lexical.candidates import Candidates
from xqe.retrieval.lexical.manifest import Manifest, check_files, fitting_analyzer, read_manifest
from xqe.retrieval.lexical.vectors import Vectors
from xqe.text.analysis import Analyzer

_AT_A_TIME = 4096  # documents whose vectors are held together
_SMALL_POOL = 20_000  # documents that are scored one and all sooner than candidates are looked for among them
_MANY_TERMS = 10_000  # more of them are looked up in every document sooner than tantivy opens all their lists
_ROUNDING = 1e-5  # tantivy sums in single precision

_REACH = 5.0  # how much deeper to look at first, for each part by which scores may exceed the exact ones


class Hit(NamedTuple):
    """A document that was found; `score` is a float32 value."""

    id: str
    score: float


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


class _Query(NamedTuple):
    """Terms that some document holds, in the order of their names: their numbers, weights and idf."""

    terms: list[str]
    numbers: Numbers
    weights: Floats
    idf: Floats


class _Tables(NamedTuple):
    """For each term of the collection: whether the query has it, false between uses; and weight x idf x (k1 + 1)."""

    wanted: NDArray[numpy.bool_]
    impacts: Floats


def open_index(directory: Path, verify: bool = False) -> Index:
    """Open the index in a folder, having checked that it is whole and that text is analysed as when it was built.

    tantivy would answer from a damaged file without a word, so the files are hashed the first time, and every time
    with `verify`. Raises InputError, with what to do, for a missing, damaged or unfit index.
    """
    manifest = read_manifest(directory)
    while True:
        try:
            return _opened(directory, manifest, verify)
        except InputError:
            newer = read_manifest(directory)
            if newer == manifest:
                raise
            manifest = newer  # it was replaced between reading the manifest and the files


def _opened(directory: Path, manifest: Manifest, verify: bool) -> Index:
    analyze = fitting_analyzer(directory, manifest)
    check_files(directory, manifest, verify)
    data = directory / manifest.data
    tantivy_files = [name for name in manifest.files if not name.startswith((f"{DOCUMENTS}.", "vectors.", "terms."))]
    try:
        candidates = Candidates(data, tantivy_files)
        documents = Documents(Names(data, DOCUMENTS), data, candidates.text if manifest.texts else None)
        return Index(directory.resolve().name, manifest, analyze, candidates, Vectors(data), documents)
    except FileNotFoundError as error:
        raise InputError(f"{directory}: {error.filename} is gone", "it was replaced; try again") from None


class Index:
    """An open index. Its methods may be called from several threads; `analyzer` is for one at a time."""

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        analyze: Analyzer,
        candidates: Candidates,
        vectors: Vectors,
        documents: Documents,
    ) -> None:
        self.name = name
        self.manifest = manifest
        self.analyzer = analyze
        self.vectors = vectors
        self.documents = documents
        self._candidates = candidates
        self._local = threading.local()
        self._excess = {manifest.parameters: manifest.excess}

    def __len__(self) -> int:
        """How many documents there are."""
        return len(self.documents)

    # ------------------------------------------------------------ hits

    def search(
        self,
        weights: Mapping[str, float],
        k: int,
        pool: Numbers | None = None,
        parameters: Parameters | None = None,
    ) -> list[Hit]:
        """Return the `k` best documents for a sum of weighted terms, by score and then by id, both falling.

        A weight w counts as w repetitions of its term; terms of weight 0 or less are left out, and without terms
        there are no hits. `pool`: the numbers of the only documents that may be found, sorted; statistics stay those
        of the collection. `parameters`: others than the index was built with, which takes longer.
        """
        numbers, scores = self.best(weights, k, pool, parameters)
        return [Hit(*hit) for hit in zip(self.documents.ids(numbers), scores.tolist(), strict=True)]

    def best(
        self,
        weights: Mapping[str, float],
        k: int,
        pool: Numbers | None = None,
        parameters: Parameters | None = None,
    ) -> tuple[Numbers, Scores]:
        """The numbers and scores of the hits of `search`."""
        query = self._query(weights)
        parameters = parameters or self.manifest.parameters
        if not query.terms or k < 1:
            return numpy.empty(0, numpy.int64), numpy.empty(0, numpy.float32)
        many = len(query.terms) > _MANY_TERMS
        if many and pool is None:
            pool = numpy.arange(len(self))
        if pool is not None and (many or len(pool) <= max(_SMALL_POOL, k)):
            scores = self._scores(query, pool, parameters)
            matching = scores > 0
            return self.documents.best(pool[matching], scores[matching], k)
        return self.documents.best(*self._found(query, k, pool, parameters), k)

    def _found(self, query: _Query, k: int, pool: Numbers | None, parameters: Parameters) -> tuple[Numbers, Scores]:
        """Documents and exact scores, among them the k best and all that score as the k-th (see `bm25`)."""
        boosts = self._boosts(query, parameters)
        ceiling = self._ceiling(parameters) * (1 + _ROUNDING)
        limit = 16 + int(k * (1.125 + _REACH * (self._ceiling(parameters) - 1)))
        if pool is not None:
            limit = limit * len(self) // len(pool)
        while True:
            limit = min(limit, len(self) + 1)
            numbers, bounds = self._candidates.best(zip(query.terms, boosts, strict=True), limit)
            exhausted = len(numbers) < limit
            lowest = bounds[-1] * ceiling if len(bounds) else 0.0
            if pool is not None:
                at = numpy.minimum(numpy.searchsorted(pool, numbers), len(pool) - 1)
                numbers = numbers[pool[at] == numbers]
            scores = self._scores(query, numbers, parameters)
            if exhausted or (len(scores) >= k and lowest < numpy.partition(scores, -k)[-k]):
                return numbers, scores
            limit *= 3

    def _query(self, weights: Mapping[str, float]) -> _Query:
        positive = sorted((term, weight) for term, weight in weights.items() if weight > 0)
        numbers = self.vectors.names.numbers([term for term, _ in positive])
        known = [(term, weight) for (term, weight), number in zip(positive, numbers, strict=True) if number != NONE]
        numbers = numbers[numbers != NONE]
        idfs = idf(len(self), self.vectors.df[numbers])
        return _Query([term for term, _ in known], numbers, numpy.array([weight for _, weight in known]), idfs)

    def _boosts(self, query: _Query, parameters: Parameters) -> list[float]:
        """The boosts with which tantivy's scores bound the exact ones: it counts documents of padding, too."""
        documents = len(self) + len(self.manifest.fillers)
        theirs = idf(documents, self.vectors.df[query.numbers]) * (TANTIVY_K1 + 1)
        boosts: list[float] = (query.weights * query.idf * (parameters.k1 + 1) / theirs).tolist()
        return boosts

    def _ceiling(self, parameters: Parameters) -> float:
        if parameters not in self._excess:
            average = self.manifest.average_length
            self._excess[parameters] = excess(parameters, self.vectors.lengths, average, self.manifest.padding)
        return self._excess[parameters]

    def _scores(self, query: _Query, documents: Numbers, parameters: Parameters) -> Scores:
        """The exact scores of documents, 0 where no term occurs."""
        tables = self._tables()
        tables.wanted[query.numbers] = True
        tables.impacts[query.numbers] = query.weights * query.idf * (parameters.k1 + 1)
        try:
            parts = [
                self._sums(documents[start : start + _AT_A_TIME], tables, parameters)
                for start in range(0, len(documents), _AT_A_TIME)
            ]
        finally:
            tables.wanted[query.numbers] = False
        return numpy.concatenate(parts) if parts else numpy.empty(0, numpy.float32)

    def _sums(self, documents: Numbers, tables: _Tables, parameters: Parameters) -> Scores:
        pairs = self.vectors.pairs(documents, tables.wanted)
        norms = parameters.norms(self.vectors.lengths[documents], self.manifest.average_length)
        parts = tables.impacts.take(pairs.terms) * pairs.counts / (pairs.counts + norms.take(pairs.documents))
        return numpy.bincount(pairs.documents, parts, len(documents)).astype(numpy.float32)

    def _tables(self) -> _Tables:
        """One entry for each term of the collection; each thread has its own."""
        if not hasattr(self._local, "tables"):
            terms = len(self.vectors.names)
            self._local.tables = _Tables(numpy.zeros(terms, numpy.bool_), numpy.empty(terms))
        tables: _Tables = self._local.tables
        return tables

    # ------------------------------------------------------------ why

    def explain(
        self, weights: Mapping[str, float], number: int, parameters: Parameters | None = None
    ) -> list[Contribution]:
        """Return what each term of positive weight adds to a document's score, the greatest first.

        Terms that the document does not hold add 0; those that no document holds have an idf all the same.
        """
        parameters = parameters or self.manifest.parameters
        terms = [term for term, weight in weights.items() if weight > 0]
        known = self.vectors.names.numbers(terms)
        df = numpy.where(known == NONE, 0, self.vectors.df[numpy.maximum(known, 0)] if len(self.vectors.df) else 0)
        idfs = idf(len(self), df)
        pairs = self.vectors.pairs(numpy.array([number]))
        counts = dict(zip(pairs.terms.tolist(), pairs.counts.tolist(), strict=True))
        norm = float(self.norm(number, parameters))
        contributions = []
        for term, its_number, n, its_idf in zip(terms, known.tolist(), df.tolist(), idfs.tolist(), strict=True):
            tf = counts.get(its_number, 0.0)
            score = weights[term] * its_idf * (parameters.k1 + 1) * tf / (tf + norm) if tf else 0.0
            contributions.append(Contribution(term, weights[term], int(tf), int(n), its_idf, score))
        return sorted(contributions, key=lambda part: (-part.score, -part.weight * part.idf, part.term))

    def norm(self, number: int, parameters: Parameters | None = None) -> float:
        """K of a document: what its length makes of k1."""
        parameters = parameters or self.manifest.parameters
        return float(parameters.norms(self.vectors.lengths[number], self.manifest.average_length))

    def rank(self, weights: Mapping[str, float], number: int, parameters: Parameters | None = None) -> int | None:
        """The rank of a document among all, from 1, however low; None if no term of the query occurs in it.

        Scores every document: a third of a second for a million.
        """
        query = self._query(weights)
        parameters = parameters or self.manifest.parameters
        scores = self._scores(query, numpy.arange(len(self)), parameters)
        own = scores[number]
        if not own > 0:
            return None
        equal = numpy.flatnonzero(scores == own)
        return int((scores > own).sum()) + self.documents.above(number, equal) + 1

    # ------------------------------------------------------------ terms of documents

    def term_counts(self, number: int) -> dict[str, int]:
        """The terms of a document and how often it holds each."""
        pairs = self.vectors.pairs(numpy.array([number]))
        names = self.vectors.names.texts(pairs.terms.astype(numpy.int64))
        return dict(zip(names, pairs.counts.astype(int).tolist(), strict=True))

    def idfs(self, terms: Sequence[str]) -> list[float]:
        """The idf of each term; 0 for one that no document holds, which can match nothing."""
        frequencies = numpy.array(self.document_frequencies(terms))
        weights: list[float] = numpy.where(frequencies > 0, idf(len(self), frequencies), 0.0).tolist()
        return weights

    def document_frequencies(self, terms: Sequence[str]) -> list[int]:
        """In how many documents each term occurs."""
        numbers = self.vectors.names.numbers(terms)
        return [int(self.vectors.df[number]) if number != NONE else 0 for number in numbers.tolist()]
