"""What a record is searched with: a weight for each term of its query, its passages and its source.

    query_weight x its count in the query
    + its weight in the passages
    + source_weight x query_weight x its count in the query as it was before it was translated

A query that has several translations counts as their weighted mean (see `nbest`). With the automatic source weight each
word of the untranslated query has its own (see `source_words`).

In the questions of documents a term of the query counts question_weight x query_weight x its count: so they keep their
part of the score beside passages. Whatever stands beside a stem then weighs less (`xqe.text.analysis.lighter`).

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

Where an encoder judged the passages (`closeness`), each has that weight, and their mean closeness takes the place of
the coverage: it sees what they keep in any language.

A record whose passages were written by a published method says in "combine" how that puts them together (`combining`),
which goes before the automatic weight: passages count as their sum then.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from xqe.errors import InputError
from xqe.files.records import Record, has_failed, passages_lang, untranslated
from xqe.retrieval.choices import MASS, Use
from xqe.retrieval.closeness import passage_weights
from xqe.retrieval.combining import USUAL, Combination, combination_of, mixed_terms
from xqe.retrieval.nbest import alternatives, counted
from xqe.retrieval.source_words import source_terms
from xqe.text.analysis import is_added, lighter
from xqe.text.languages import code_of

if TYPE_CHECKING:
    from xqe.retrieval.lexical import Index

LEAST_SHARE, GREATEST_SHARE = 0.6, 0.9
"""Of the query in all weight, with passages that keep to it and with passages that do not."""


@dataclass(frozen=True, slots=True)
class Weighting:
    """query_weight, source_weight: None is automatic. nbest_mass: of several translations, the likeliest that have so
    much of all probability; 0 is the query alone. passage_terms: how many terms of the passages are kept, those of the
    greatest weight x idf; None is all. question_weight: of the questions of documents, where their text counts 1.
    questions_of: only those in these languages; None is all. heeds_record: whether what a record says of how its
    passages are combined goes before the automatic weight."""

    use: Use = Use.QUERY_DOC
    query_weight: float | None = None
    source_weight: float | None = 0.0
    passage_terms: int | None = None
    question_weight: float = 0.0
    questions_of: tuple[str, ...] | None = None
    nbest_mass: float = MASS
    heeds_record: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """The weight of each term that a record is searched with, and the query weight that was applied.

    parts: what of it comes from the "query", the "passages" and the "source", and from "feedback" once that is added;
    for each term they sum to its weight. questions: by language, the terms that are looked for in the questions of
    documents. translations: how many texts of the query there are in it. automatic: how the query's weight came about,
    where it was not given.
    """

    weights: Mapping[str, float]
    query_weight: float
    parts: Mapping[str, Mapping[str, float]]
    questions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    translations: int = 1
    automatic: Automatic | None = None


class Automatic(NamedTuple):
    """share: of all weight that the query is to have. coverage: None where the share is not by that."""

    share: float
    coverage: float | None


def weighted_query(record: Record, index: Index, weighting: Weighting, where: str) -> Query:
    """Return what a record is searched with; `where` names it in errors.

    Raises InputError if only passages are to be used and there are none, unless an earlier stage failed on the
    record: then its query is used, since a query without an answer would count as 0.
    """
    passages = record.get("passages", []) if weighting.use is not Use.QUERY else []
    if weighting.use is Use.DOC and not passages and not has_failed(record):
        raise InputError(f'{where}: no "passages" to search with', "write them with xqe expand, or give --use query")
    terms_of = index.analyzer.terms
    texts = alternatives(record, weighting.nbest_mass, where)
    query = counted(texts, terms_of) if weighting.use is not Use.DOC or not passages else {}
    combination = combination_of(record, where) if weighting.heeds_record else USUAL
    automatic = weighting.query_weight is None and not combination.decides_words
    expanded = [terms_of(passage) for passage in passages]
    if automatic and query:
        expanded = [_distinct_stems(terms) for terms in expanded]
    weights_of, is_judged = passage_weights(record, passages, where, are_alone=not query)
    expansion, query_weight = _combined(combination, record, query, expanded, weights_of, weighting)
    if weighting.passage_terms is not None:
        expansion = _heaviest(expansion, index, weighting.passage_terms)
    reason = None
    if query_weight is None:
        if is_judged:
            reason = Automatic(_share(sum(weights_of)), None)
        elif code_of(passages_lang(record)) != code_of(record.get("lang", "")):
            reason = Automatic(LEAST_SHARE, None)
        else:
            coverage = _coverage(query, expansion, index)
            reason = Automatic(_share(coverage or 0.0), coverage)
        query_weight = auto_weight(query, expansion, reason.share)

    source = _source_weights(record, query, index, weighting.source_weight, where)
    parts = {
        "passages": lighter(expansion),
        "query": lighter({term: query_weight * count for term, count in query.items()}),
        "source": lighter({term: (query_weight if query else 1.0) * weight for term, weight in source.items()}),
    }
    weights: defaultdict[str, float] = defaultdict(float)
    for part in parts.values():
        for term, weight in part.items():
            weights[term] += weight
    questions = _asked_of_questions(record, texts, index, weighting, query_weight, where) if query else {}
    return Query(weights, query_weight, parts, questions, len(texts), reason if query and expansion else None)


def _source_weights(
    record: Record, query: Mapping[str, float], index: Index, weight: float | None, where: str
) -> dict[str, float]:
    """What each term of the untranslated query counts, where the query counts 1."""
    text = untranslated(record, where) if weight != 0 else ""
    if not text:
        return {}
    if weight is None:
        return source_terms(text, str(record["source"].get("lang", "")), query, index)
    return {term: weight * count for term, count in Counter(index.analyzer.terms(text)).items()}


def _asked_of_questions(
    record: Record,
    texts: Sequence[tuple[str, float]],
    index: Index,
    weighting: Weighting,
    query_weight: float,
    where: str,
) -> dict[str, dict[str, float]]:
    """What is looked for in questions: in those of each language the query in it, which is the one that first arrived,
    or the one that it is now."""
    if not weighting.question_weight:
        return {}
    asked = {code_of(record.get("lang", index.manifest.language)): texts}
    if source := untranslated(record, where):
        asked.setdefault(code_of(str(record["source"].get("lang", ""))), [(source, 1.0)])
    weight = weighting.question_weight * query_weight
    return {
        code: {term: weight * own for term, own in lighter(counted(its, index.terms_of(code))).items()}
        for code, its in asked.items()
        if code in index.manifest.questions and (weighting.questions_of is None or code in weighting.questions_of)
    }


def _distinct_stems(terms: Iterable[str]) -> list[str]:
    return [term for term in dict.fromkeys(terms) if not is_added(term)]


def _combined(
    combination: Combination,
    record: Record,
    query: Mapping[str, float],
    expanded: Sequence[Sequence[str]],
    weights_of: Sequence[float],
    weighting: Weighting,
) -> tuple[dict[str, float], float | None]:
    """The weights of the passages' terms, and that of each of the query's; None where it is automatic."""
    given, expansion = weighting.query_weight, _mean_counts(expanded, weights_of)
    if not combination.decides_words or not expanded:
        return expansion, given
    sums = {term: weight * len(expanded) for term, weight in expansion.items()}
    if combination.terms is not None and given is None:
        return mixed_terms(query, sums, weighting.passage_terms or combination.terms)
    return sums, combination.repeats(record["query"], record["passages"]) if given is None else given


def _mean_counts(passages: Sequence[Sequence[str]], weights_of: Sequence[float]) -> dict[str, float]:
    """What each term counts in passages, each of which has a weight; nothing of one that has none."""
    weights: defaultdict[str, float] = defaultdict(float)
    for terms, weight in zip(passages, weights_of, strict=True):
        for term in terms if weight else ():
            weights[term] += weight
    return weights


def auto_weight(query: Mapping[str, float], expansion: Mapping[str, float], share: float) -> float:
    """How often a query must be repeated to have a share of all weight; never less than once."""
    if not query or not expansion:
        return 1.0
    return max(1.0, share / (1 - share) * sum(expansion.values()) / sum(query.values()))


def _share(kept: float) -> float:
    """The query's share of all weight, with passages that keep so much of it, from 0 to 1."""
    return GREATEST_SHARE - (GREATEST_SHARE - LEAST_SHARE) * kept


def _coverage(query: Mapping[str, float], expansion: Mapping[str, float], index: Index) -> float | None:
    """None where no document has any of the query's stems."""
    stems = [term for term in query if not is_added(term)]
    idfs = [idf * min(1.0, query[term]) for term, idf in zip(stems, index.idfs(stems), strict=True)]
    total = sum(idfs)
    held = sum(idf * min(1.0, expansion.get(term, 0.0)) for term, idf in zip(stems, idfs, strict=True))
    return held / total if total else None


def _heaviest(weights: Mapping[str, float], index: Index, most: int) -> dict[str, float]:
    terms = list(weights)
    idf = dict(zip(terms, index.idfs(terms), strict=True))
    kept = sorted(terms, key=lambda term: (-weights[term] * idf[term], term))[:most]
    return {term: weights[term] for term in kept}
