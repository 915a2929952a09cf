"""Pseudo-relevance feedback: terms of the documents that a query finds first are added to it.

The formulas are those of Anserini's rerankers, whose results they equal:

    rm3      relevance model 3 (Lavrenko and Croft, 2001; Abdul-Jaleel et al., TREC 2004): the terms of each document,
             cut to the most frequent and brought to sum 1, weighted by its score; of the sum again the best terms,
             brought to sum 1 and mixed with the query: (1 - weight) x query + weight x feedback
    rocchio  (Rocchio, 1971): the mean of the documents' term counts at length 1, of which the best terms, at length 1,
             are added: query + weight x feedback

Very frequent terms, very short and long ones, and the terms beside a stem (`xqe.text.analysis`) do not come from
documents; those of the query stay.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from xqe.retrieval.choices import Method
from xqe.retrieval.retriever import FEEDBACK
from xqe.retrieval.weighting import Query
from xqe.text.analysis import is_added

if TYPE_CHECKING:
    from xqe.retrieval.lexical import Index

Weights = Mapping[str, float]

_GREATEST_SHARE = 0.1  # of the documents that a feedback term may occur in
_LENGTHS = range(2, 21)  # characters
_LEAST_NORM = 0.001


@dataclass(frozen=True, slots=True)
class Feedback:
    """documents: how many of the first hits are taken as relevant. terms: how many are added to the query. weight: of
    what is added, None for the method's default."""

    method: Method
    documents: int = 10
    terms: int = 10
    weight: float | None = None

    @property
    def applied_weight(self) -> float:
        return _METHODS[self.method][1] if self.weight is None else self.weight


def fed(query: Query, hits: Sequence[int], scores: Sequence[float], index: Index, feedback: Feedback) -> Query:
    """Return a query with the terms of its first hits, `hits` by number with their `scores`; without hits, as it is.

    Terms come from texts alone; what is looked for in questions keeps its part beside the query's own terms.
    """
    if not hits:
        return query
    vectors = [index.term_counts(number) for number in hits]
    allowed = _allowed({term for vector in vectors for term in vector}, index, feedback.method is Method.RM3)
    kept = [{term: float(count) for term, count in vector.items() if term in allowed} for vector in vectors]
    model, _ = _METHODS[feedback.method]
    weights = model(query.weights, kept, scores, feedback.terms, feedback.applied_weight)
    own = model(query.weights, [], [], feedback.terms, feedback.applied_weight)
    scale = next((own[term] / weight for term, weight in query.weights.items() if weight > 0 and term in own), 1.0)
    parts = {
        part: {term: own.get(term, 0.0) * weight / query.weights[term] for term, weight in its.items() if weight > 0}
        for part, its in query.parts.items()
    }
    added = {term: more for term, weight in weights.items() if (more := weight - own.get(term, 0.0)) > 0}
    questions = {code: {term: scale * weight for term, weight in its.items()} for code, its in query.questions.items()}
    return replace(query, weights=weights, parts={**parts, FEEDBACK: added}, questions=questions)


def rm3(
    query: Weights, vectors: Sequence[Weights], scores: Sequence[float], terms: int, weight: float
) -> dict[str, float]:
    """(1 - weight) x the query at sum 1 + weight x the relevance model of the documents at sum 1."""
    model: defaultdict[str, float] = defaultdict(float)
    for vector, score in zip(vectors, scores, strict=True):
        for term, share in _scaled(_best(vector, terms), 1).items():
            model[term] += share * score
    return _mixed(_scaled(query, 1), 1 - weight, _scaled(_best(model, terms), 1), weight)


def rocchio(
    query: Weights, vectors: Sequence[Weights], scores: Sequence[float], terms: int, weight: float
) -> dict[str, float]:
    """The query at length 1 + weight x the mean of the documents at length 1."""
    mean: defaultdict[str, float] = defaultdict(float)
    for vector in vectors:
        for term, value in _scaled(vector, 2).items():
            mean[term] += value / len(vectors)
    return _mixed(_scaled(query, 2), 1.0, _scaled(_best(mean, terms), 2), weight)


_Model = Callable[[Weights, Sequence[Weights], Sequence[float], int, float], dict[str, float]]
_METHODS: dict[Method, tuple[_Model, float]] = {Method.RM3: (rm3, 0.5), Method.ROCCHIO: (rocchio, 0.75)}


def _mixed(query: Weights, its_weight: float, model: Weights, weight: float) -> dict[str, float]:
    return {
        term: its_weight * query.get(term, 0.0) + weight * model.get(term, 0.0)
        for term in dict.fromkeys([*query, *model])
    }


def _best(weights: Weights, most: int) -> dict[str, float]:
    return dict(sorted(weights.items(), key=lambda entry: (-entry[1], entry[0]))[:most])


def _scaled(weights: Weights, norm: int) -> dict[str, float]:
    """Brought to sum 1 (norm 1) or length 1 (norm 2)."""
    size = math.fsum(value**norm for value in weights.values()) ** (1 / norm)
    return {term: value / size for term, value in weights.items()} if size > _LEAST_NORM else {}


def _allowed(terms: set[str], index: Index, words_only: bool) -> set[str]:
    stems = [term for term in terms if not is_added(term)]
    candidates = [term for term in stems if _is_long_enough(term) and (not words_only or _is_word(term))]
    most = _GREATEST_SHARE * len(index)
    frequencies = index.document_frequencies(candidates)
    return {term for term, frequency in zip(candidates, frequencies, strict=True) if frequency <= most}


def _is_long_enough(term: str) -> bool:
    """Of two to twenty characters, or one that is a word by itself, as a Chinese one may be."""
    return len(term) in _LENGTHS or (len(term) == 1 and unicodedata.category(term) == "Lo")


def _is_word(term: str) -> bool:
    """Of letters, the marks that they bear, and digits: no "node.js"."""
    return all(character.isalnum() or unicodedata.category(character)[0] == "M" for character in term)
