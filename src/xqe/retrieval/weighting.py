"""What a record is searched with: a weight for each term of its query, its passages and its source.

    query_weight x its count in the query
    + its weight in the passages
    + source_weight x query_weight x its count in the query as it was before it was translated

In the questions of documents a term of the query counts question_weight x query_weight x its count: so they keep their
part of the score beside passages.

With a query weight that is a number, the weight of a term in the passages is its count in all of them, divided by
their number: --use query+doc with weight 1 is the paper's, the query and its passage joined once. Several passages
count as their mean, which leaves the share of the query independent of how many there are.

With the automatic weight the passages are searched by their stems (`xqe.text.analysis`), without what stands beside
these, and each counts once in a passage that holds it, since what a model repeats is rarely what matters. That halves
the terms of a long query and loses nothing. The query gets a share of all weight that depends on how far the passages
keep to it:

    coverage = idf-weighted share of the query's stems that occur in the passages (their mean)
    share    = GREATEST_SHARE - (GREATEST_SHARE - LEAST_SHARE) x coverage

A passage that has none of the query's words is likely to be about something else. That is not so of passages that were
written in another language than the query's: there the query has LEAST_SHARE. docs/performance.md has the figures.

A record whose passages were written by a published method says in "combine" how that puts them together (`combining`),
which goes before the automatic weight: passages count as their sum then.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xqe.errors import InputError
from xqe.files.records import Record, has_failed, passages_lang, untranslated
from xqe.retrieval.choices import Use
from xqe.retrieval.combining import USUAL, Combination, combination_of, mixed_terms
from xqe.text.analysis import is_added
from xqe.text.languages import code_of

if TYPE_CHECKING:
    from xqe.retrieval.lexical import Index

LEAST_SHARE, GREATEST_SHARE = 0.6, 0.9
"""Of the query in all weight, with passages that keep to it and with passages that do not."""


@dataclass(frozen=True, slots=True)
class Weighting:
    """query_weight: None is automatic. passage_terms: how many terms of the passages are kept, those of the greatest
    weight x idf; None is all. question_weight: of the questions of documents, where their text counts 1.
    questions_of: only those in these languages; None is all. heeds_record: whether what a record says of how its
    passages are combined goes before the automatic weight."""

    use: Use = Use.QUERY_DOC
    query_weight: float | None = None
    source_weight: float = 0.0
    passage_terms: int | None = None
    question_weight: float = 0.0
    questions_of: tuple[str, ...] | None = None
    heeds_record: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """The weight of each term that a record is searched with, and the query weight that was applied.

    parts: what of it comes from the "query", the "passages" and the "source", and from "feedback" once that is added;
    for each term they sum to its weight. questions: by language, the terms that are looked for in the questions of
    documents.
    """

    weights: Mapping[str, float]
    query_weight: float
    parts: Mapping[str, Mapping[str, float]]
    questions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def weighted_query(record: Record, index: Index, weighting: Weighting, where: str) -> Query:
    """Return what a record is searched with; `where` names it in errors.

    Raises InputError if only passages are to be used and there are none, unless an earlier stage failed on the
    record: then its query is used, since a query without an answer would count as 0.
    """
    passages = record.get("passages", []) if weighting.use is not Use.QUERY else []
    if weighting.use is Use.DOC and not passages and not has_failed(record):
        raise InputError(f'{where}: no "passages" to search with', "write them with xqe expand, or give --use query")
    terms_of = index.analyzer.terms
    query = Counter(terms_of(record["query"]) if weighting.use is not Use.DOC or not passages else [])
    combination = combination_of(record, where) if weighting.heeds_record else USUAL
    automatic = weighting.query_weight is None and not combination.decides_words
    expanded = [terms_of(passage) for passage in passages]
    if automatic and query:
        expanded = [_distinct_stems(terms) for terms in expanded]
    expansion, query_weight = _combined(combination, record, query, expanded, weighting)
    if weighting.passage_terms is not None:
        expansion = _heaviest(expansion, index, weighting.passage_terms)
    if query_weight is None:
        share = None if code_of(passages_lang(record)) == code_of(record.get("lang", "")) else LEAST_SHARE
        query_weight = auto_weight(query, expansion, index, share)

    source = Counter(terms_of(untranslated(record, where)) if weighting.source_weight > 0 else [])
    parts = {
        "passages": expansion,
        "query": {term: query_weight * count for term, count in query.items()},
        "source": {
            term: weighting.source_weight * (query_weight if query else 1.0) * count for term, count in source.items()
        },
    }
    weights: defaultdict[str, float] = defaultdict(float)
    for part in parts.values():
        for term, weight in part.items():
            weights[term] += weight
    questions = _asked_of_questions(record, index, weighting, query_weight, where) if query else {}
    return Query(weights, query_weight, parts, questions)


def _asked_of_questions(
    record: Record, index: Index, weighting: Weighting, query_weight: float, where: str
) -> dict[str, dict[str, float]]:
    """What is looked for in questions: in those of each language the query in it, which is the one that first arrived,
    or the one that it is now."""
    if not weighting.question_weight:
        return {}
    asked = {code_of(record.get("lang", index.manifest.language)): record["query"]}
    if source := untranslated(record, where):
        asked.setdefault(code_of(str(record["source"].get("lang", ""))), source)
    weight = weighting.question_weight * query_weight
    return {
        code: {term: weight * count for term, count in Counter(index.terms_of(code)(text)).items()}
        for code, text in asked.items()
        if code in index.manifest.questions and code in (weighting.questions_of or [code])
    }


def _distinct_stems(terms: Iterable[str]) -> list[str]:
    return [term for term in dict.fromkeys(terms) if not is_added(term)]


def _combined(
    combination: Combination,
    record: Record,
    query: Mapping[str, int],
    expanded: list[list[str]],
    weighting: Weighting,
) -> tuple[dict[str, float], float | None]:
    """The weights of the passages' terms, and that of each of the query's; None where it is automatic."""
    given = weighting.query_weight
    if not combination.decides_words or not expanded:
        return _mean_counts(expanded), given
    if combination.terms is not None and given is None:
        return mixed_terms(query, expanded, weighting.passage_terms or combination.terms)
    weights = {term: float(count) for term, count in Counter(term for terms in expanded for term in terms).items()}
    return weights, combination.repeats(record["query"], record["passages"]) if given is None else given


def _mean_counts(passages: list[list[str]]) -> dict[str, float]:
    weights: defaultdict[str, float] = defaultdict(float)
    for terms in passages:
        for term in terms:
            weights[term] += 1 / len(passages)
    return weights


def auto_weight(
    query: Mapping[str, int], expansion: Mapping[str, float], index: Index, share: float | None = None
) -> float:
    """How often a query must be repeated to have its share of all weight; never less than once.

    share: None is the one that depends on how far the passages keep to the query (see above).
    """
    if not query or not expansion:
        return 1.0
    if share is None:
        share = GREATEST_SHARE - (GREATEST_SHARE - LEAST_SHARE) * _coverage(query, expansion, index)
    return max(1.0, share / (1 - share) * sum(expansion.values()) / sum(query.values()))


def _coverage(query: Mapping[str, int], expansion: Mapping[str, float], index: Index) -> float:
    stems = [term for term in query if not is_added(term)]
    idfs = index.idfs(stems)
    total = sum(idfs)
    held = sum(idf * min(1.0, expansion.get(term, 0.0)) for term, idf in zip(stems, idfs, strict=True))
    return held / total if total else 0.0


def _heaviest(weights: Mapping[str, float], index: Index, most: int) -> dict[str, float]:
    terms = list(weights)
    idf = dict(zip(terms, index.idfs(terms), strict=True))
    kept = sorted(terms, key=lambda term: (-weights[term] * idf[term], term))[:most]
    return {term: weights[term] for term in kept}
