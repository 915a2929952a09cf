"""An open set of vectors: the best documents for a query's vector, scores, ranks, and the vectors themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy
from numpy.typing import NDArray

from xqe.errors import InputError, XqeError
from xqe.files.names import Numbers
from xqe.kept import kept
from xqe.machine import available_cores
from xqe.retrieval.dense.approximate import Graph
from xqe.retrieval.dense.description import Description, check_description, chosen
from xqe.retrieval.dense.exact import Workers, candidates, standing
from xqe.retrieval.dense.questions import Asked, Mixture, opened_questions
from xqe.retrieval.dense.rows import Doubles, Matrix, Rows
from xqe.retrieval.documents import Documents, Owners, Scores

Vector = NDArray[numpy.float32]

_GAIN = 8  # the graph is faster where it looks at no more than this part of the rows
_SMALL_POOL = 16  # a pool that is no more than this part of all documents is scored one and all


def open_vectors(
    directory: Path,
    documents: Documents,
    encoder: str | None = None,
    threads: int | None = None,
    owners: Mapping[str, Owners] | None = None,
    share: float = 0.0,
) -> Vectors:
    """Open the vectors of the documents of an index, having checked that they are whole.

    directory: the folder of the index, for messages. encoder: whose; the only ones where it is None. threads: that
    search, by default one for each core. owners: which documents have questions, in each language of which these are
    mixed into their vectors; share: that they have. Raises XqeError where there are none, or several, or damaged ones.
    """
    description = chosen(documents.folder, directory, encoder)
    folder = documents.folder / description.folder_name
    check_description(folder, description)
    try:
        workers = threads or available_cores()
        vectors = kept(
            "vectors",
            (str(folder.resolve()), repr(description), workers),
            lambda: opened(folder, description, documents, workers),
        )
        return vectors.mixed(opened_questions(folder, description, owners), share) if owners and share else vectors
    except FileNotFoundError as error:
        raise InputError(f"{directory}: {error.filename} is gone", "the index was replaced; try again") from None


def opened(folder: Path, description: Description, documents: Documents, threads: int) -> Vectors:
    """The vectors in a folder, which is not checked."""
    return Vectors(folder, description, Rows(folder, description), documents, Workers(threads))


class Vectors:
    """An open set of vectors. Any number of threads may call it.

    A score is the cosine of a query and a document, of its best window where it has several, as float32. It is the same
    alone, in a pool and among other queries.
    """

    def __init__(
        self, folder: Path, description: Description, rows: Rows, documents: Documents, workers: Workers
    ) -> None:
        self.name = description.encoder
        self._folder = folder
        self._graph: Graph | None = None
        self.description = description
        self.contrast = description.contrast
        self.documents = documents
        self._rows = rows
        self._workers = workers
        self.questions: tuple[str, ...] = ()
        """The languages of the questions that are mixed in."""
        self.question_share = 0.0
        self._mixture: Mixture | None = None

    def mixed(self, questions: Mapping[str, Asked], share: float) -> Vectors:
        """The same documents, of which each vector is mixed with those of the questions."""
        mixture = Mixture(self._rows, questions, share)
        rows = mixture.mixed(self._workers)
        mixed = Vectors(self._folder, self.description, rows, self.documents, self._workers)
        mixed.questions, mixed.question_share, mixed._mixture = tuple(questions), share, mixture
        return mixed

    def best(
        self,
        queries: Matrix,
        k: int,
        pools: Sequence[Numbers | None] | None = None,
        approximate: bool = False,
    ) -> list[tuple[Numbers, Scores]]:
        """For each query's vector, of length 1, the numbers and scores of the `k` best documents, by score and then by
        id, both falling; without those that have no text, whose vectors are zeros.

        queries: float32 of shape (queries, dimension). pools: for each the numbers of the only documents that may be
        found, sorted; None is all. The same array for several queries is faster than equal ones. approximate: look
        only where the graph leads, and miss a few; scores are exact all the same. A query with a pool, or for so many
        documents that the graph would be no faster, is answered exactly. Raises XqeError where there is no graph.
        """
        if k < 1:
            return [(numpy.empty(0, numpy.int64), numpy.empty(0, numpy.float32)) for _ in queries]
        if pools is None:
            pools = [None] * len(queries)
        found: list[Numbers | None] = [self._small(pool, k) for pool in pools]
        if approximate:
            self._lead(queries, k, pools, found)
        rest = [query for query, numbers in enumerate(found) if numbers is None]
        among = candidates(self._rows, queries[rest], k, [pools[query] for query in rest], self._workers)
        for query, numbers in zip(rest, among, strict=True):
            found[query] = numbers

        def cut(query: int) -> tuple[Numbers, Scores]:
            numbers = found[query]
            assert numbers is not None
            numbers, scores = self.documents.best(numbers, self.scores(queries[query], numbers), k)
            has_text = scores != 0
            if not has_text.all():
                has_text[~has_text] = self.of(numbers[~has_text]).any(axis=1)
            return numbers[has_text], scores[has_text]

        return list(self._workers.executor.map(cut, range(len(queries))))

    def _lead(self, queries: Matrix, k: int, pools: Sequence[Numbers | None], found: list[Numbers | None]) -> None:
        """Put what the graph finds into `found`, for queries that have no pool."""
        if self.description.approximate is None:
            raise XqeError(
                f"{self._folder.parent.parent}: the vectors of {self.name} have no graph for approximate search",
                f"make one: xqe embed {self._folder.parent.parent} --encoder {self.name} --approximate",
            )
        each = len(self._rows) / len(self.documents)
        free = [query for query, pool in enumerate(pools) if pool is None]
        if not free or _GAIN * Graph.reach(k, each) > len(self._rows):
            return
        self._graph = self._graph or Graph(self._folder, self._workers.threads)
        for query, rows in zip(free, self._graph.near(queries[free], k, each), strict=True):
            found[query] = self._rows.owners(rows)

    def _small(self, pool: Numbers | None, k: int) -> Numbers | None:
        """The pool if its documents are scored sooner than they are found among all."""
        return pool if pool is not None and len(pool) <= max(k, len(self.documents) // _SMALL_POOL) else None

    def scores(self, query: Vector, numbers: Numbers) -> Scores:
        """The scores of documents."""
        products, firsts = self._products(query, numbers)
        return products if self._rows.ends is None or not len(numbers) else numpy.maximum.reduceat(products, firsts)

    def _products(self, query: Vector, numbers: Numbers) -> tuple[Scores, Numbers]:
        """The scores of all windows of documents, and where those of each begin."""
        at, firsts = self._places(numbers)
        return self._rows.products(query, at), firsts

    def _places(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """The rows of documents, and where among them those of each begin."""
        starts, counts = self._rows.spans(numbers)
        firsts = numpy.cumsum(counts) - counts
        return numpy.arange(int(counts.sum())) + numpy.repeat(starts - firsts, counts), firsts

    def rank(self, query: Vector, number: int, pool: Numbers | None) -> int | None:
        """The rank of a document, from 1, among all that may be found, however low; None for one that may not be."""
        if pool is not None and number not in pool:
            return None
        more, equal = self.standing(query, float(self.scores(query, numpy.array([number]))[0]), pool)
        return more + self.documents.above(number, equal) + 1

    def standing(self, query: Vector, score: float, pool: Numbers | None) -> tuple[int, Numbers]:
        """How many documents score more than a score of float32, and which have the same."""
        more, near = standing(self._rows, query[None], score, self._workers) if pool is None else (pool[:0], pool)
        scores = self.scores(query, near)
        return len(more) + int((scores > score).sum()), near[scores == score]

    def of(self, numbers: Numbers) -> Matrix:
        """The vectors of documents, of length 1; of one with several windows their mean."""
        at, firsts = self._places(numbers)
        vectors = self._rows.floats(at)
        if self._rows.ends is not None and len(numbers):
            vectors = numpy.add.reduceat(vectors, firsts, axis=0)
        return normalised(vectors).astype(numpy.float32)

    def windows(self, number: int) -> Matrix:
        """The vectors of a document's windows, shape (windows, dimension), as they are kept."""
        at, _ = self._places(numpy.array([number]))
        return self._rows.floats(at).astype(numpy.float32)

    def nearest(self, query: Vector, number: int) -> int:
        """Which window of a document scores best, from 0; the first of equal ones."""
        return int(self._products(query, numpy.array([number]))[0].argmax())

    def shares(self, query: Vector, number: int) -> dict[str, float]:
        """What the passage and the questions in each language add to a document's score; nothing where these are not
        mixed in."""
        at, _ = self._places(numpy.array([number]))
        return self._mixture.shares(query, number, int(at[self.nearest(query, number)])) if self._mixture else {}


def normalised(vectors: Doubles) -> Doubles:
    """Vectors with length 1; one of zeros stays so."""
    lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / numpy.where(lengths > 0, lengths, 1)
