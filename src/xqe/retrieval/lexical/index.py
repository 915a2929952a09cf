"""An open index, in one piece (`opened`) or in shards (`sharded`): what whoever searches it needs to know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy

from xqe.files.names import Numbers
from xqe.retrieval.documents import Documents, Owners, Questions, Scores
from xqe.retrieval.lexical.bm25 import Parameters, idf
from xqe.retrieval.lexical.manifest import Contents
from xqe.retrieval.lexical.scoring import Contribution
from xqe.retrieval.lexical.statistics import Statistics
from xqe.text.analysis import Analyzer

Questioned = Mapping[str, Mapping[str, float]]
"""Weighted terms that are looked for in questions, by the language of these."""


class Hit(NamedTuple):
    """A document that was found; `score` is a float32 value."""

    id: str
    score: float


class Index(ABC):
    """An open index. Its methods may be called from several threads; `analyzer` is for one at a time, and so are
    `questions` and `terms_of`, which open the questions in a language that they are asked for first."""

    name: str
    manifest: Contents
    analyzer: Analyzer
    documents: Documents
    statistics: Statistics
    """Of the texts."""

    def __len__(self) -> int:
        """How many documents there are."""
        return len(self.documents)

    @property
    @abstractmethod
    def files(self) -> int:
        """How many files it has, those of questions too."""

    # ------------------------------------------------------------ questions

    @abstractmethod
    def questions(self, code: str) -> Questions:
        """The questions in one of the languages of the manifest's "questions". Raises InputError for damaged ones."""

    @abstractmethod
    def owners(self, code: str) -> Owners:
        """The documents that have questions in a language."""

    @abstractmethod
    def terms_of(self, code: str) -> Callable[[str], list[str]]:
        """What makes terms of a text, as it does of the questions in a language. Any number of threads may ask."""

    @abstractmethod
    def questions_of(self, code: str, number: int) -> str:
        """A document's questions in a language, one a line; "" for none."""

    # ------------------------------------------------------------ hits

    def search(
        self,
        weights: Mapping[str, float],
        k: int,
        pool: Numbers | None = None,
        parameters: Parameters | None = None,
        questions: Questioned | None = None,
    ) -> list[Hit]:
        """Return the `k` best documents for a sum of weighted terms, by score and then by id, both falling.

        A weight w counts as w repetitions of its term; terms of weight 0 or less are left out, and without terms
        there are no hits. `pool`: the numbers of the only documents that may be found, sorted; statistics stay those
        of the collection. `parameters`: others than the index was built with, which takes longer. `questions`: what is
        looked for in the questions in each language; their scores are added.
        """
        numbers, scores = self.best(weights, k, pool, parameters, questions)
        return [Hit(*hit) for hit in zip(self.documents.ids(numbers), scores.tolist(), strict=True)]

    @abstractmethod
    def best(
        self,
        weights: Mapping[str, float],
        k: int,
        pool: Numbers | None = None,
        parameters: Parameters | None = None,
        questions: Questioned | None = None,
    ) -> tuple[Numbers, Scores]:
        """The numbers and scores of the hits of `search`."""

    # ------------------------------------------------------------ why

    @abstractmethod
    def explain(
        self, weights: Mapping[str, float], number: int, parameters: Parameters | None = None
    ) -> list[Contribution]:
        """Return what each term of positive weight adds to the score of a document's text, the greatest first.

        Terms that the document does not hold add 0; those that no document holds have an idf all the same.
        """

    @abstractmethod
    def explain_questions(
        self, questions: Questioned, number: int, parameters: Parameters | None = None
    ) -> dict[str, tuple[dict[str, Any], list[Contribution]]]:
        """Return the same of a document's questions in each language, with "documents" (that have any), "length" and
        "average_length" (terms) and "K"; nothing of a language in which it has none."""

    @abstractmethod
    def length(self, number: int) -> int:
        """How many terms the text of a document has."""

    @abstractmethod
    def norm(self, number: int, parameters: Parameters | None = None) -> float:
        """K of a document: what its length makes of k1."""

    @abstractmethod
    def rank(
        self,
        weights: Mapping[str, float],
        number: int,
        parameters: Parameters | None = None,
        questions: Questioned | None = None,
    ) -> int | None:
        """The rank of a document among all, from 1, however low; None if no term of the query occurs in it.

        Scores every document: a third of a second for a million.
        """

    # ------------------------------------------------------------ terms of documents

    @abstractmethod
    def term_counts(self, number: int) -> dict[str, int]:
        """The terms of a document and how often it holds each."""

    def idfs(self, terms: Sequence[str]) -> list[float]:
        """The idf of each term; 0 for one that no document holds, which can match nothing."""
        frequencies = self.statistics.frequencies(terms)
        weights: list[float] = numpy.where(frequencies > 0, idf(self.statistics.documents, frequencies), 0.0).tolist()
        return weights

    def document_frequencies(self, terms: Sequence[str]) -> list[int]:
        """In how many documents each term occurs."""
        frequencies: list[int] = self.statistics.frequencies(terms).tolist()
        return frequencies
