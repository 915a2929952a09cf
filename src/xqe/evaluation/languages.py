"""Which languages the first hits are in: what a search of documents in several languages prefers, without judgements.

An encoder that finds documents in the query's own language sooner than others of the same content shows here (Cross-
Lingual Cost, arXiv 2507.07543): compare the shares with those of the documents, and query languages with each other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from xqe.errors import InputError
from xqe.evaluation.groups import NO_VALUE, field_value
from xqe.evaluation.values import ranking, without_own
from xqe.files.records import Record
from xqe.files.trec import Answer, Hits
from xqe.text.languages import code_of

AT = 10
"""How many of the first hits count, unless told."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What languages the first hits of a run, or of a group of its queries, are in.

    queries: how many have hits. languages: language -> its share of the first `at` hits, the mean over these queries;
    they sum to 1. documents: language -> its share of the documents that were searched; empty where it is not known.
    """

    run: str
    group: dict[str, str]
    at: int
    queries: int
    languages: dict[str, float]
    documents: dict[str, float]


def language_shares(
    run: str, answers: Iterable[Answer], at: int, fields: Sequence[str] = (), drop_own: bool = False
) -> list[Shares]:
    """Return the shares of a whole run, then those of each group of the values of some fields of its records.

    drop_own: hits that have the query's id do not count. Raises InputError for a run of columns, and for a hit whose
    language is not said.
    """
    found: defaultdict[tuple[str, ...] | None, list[dict[str, float]]] = defaultdict(list)
    searched: defaultdict[tuple[str, ...] | None, list[dict[str, float]]] = defaultdict(list)
    found[None] = []
    for answer in answers:
        if answer.record is None:
            raise InputError(f"{answer.where}: a run of columns says no languages", "give the JSONL of xqe search")
        record = answer.record
        groups = [None, tuple(field_value(record, field) or NO_VALUE for field in fields)] if fields else [None]
        hits = without_own(answer.id, answer.hits) if drop_own else answer.hits
        shares = _shares(Counter(_first_languages(answer, hits, record, at)))
        documents = _shares(_counts(_index(record).get("languages")))
        for group in groups:
            if shares:
                found[group].append(shares)
            searched[group].append(documents)
    return [
        Shares(
            run,
            dict(zip(fields, group, strict=True)) if group is not None else {},
            at,
            len(found[group]),
            _mean(found[group]),
            searched[group][0] if searched[group] and all(one == searched[group][0] for one in searched[group]) else {},
        )
        for group in sorted(found, key=lambda group: group or ())
    ]


def _first_languages(answer: Answer, hits: Hits, record: Record, at: int) -> list[str]:
    """The languages of the first hits; a hit that names none is in that of the only index."""
    index = _index(record)
    only = index.get("lang") if "languages" not in index else None
    said = {str(hit["id"]): hit.get("lang", only) for hit in record.get("hits", ())}
    languages = []
    for document in ranking(hits)[:at]:
        language = said.get(document)
        if not isinstance(language, str):
            raise InputError(
                f'{answer.where}: document "{document}" of query "{answer.id}" has no "lang", nor has the index',
                "give a run of xqe search",
            )
        languages.append(code_of(language))
    return languages


def _index(record: Record) -> dict[str, Any]:
    index = record.get("index")
    return index if isinstance(index, dict) else {}


def _counts(said: object) -> Counter[str]:
    """How many documents an index says to have in each language; none where it does not say it in numbers."""
    counts: Counter[str] = Counter()
    for language, count in said.items() if isinstance(said, dict) else ():
        if type(count) is not int or not 0 <= count < 2**63:
            return Counter()
        counts[code_of(language)] += count
    return counts


def _shares(counts: Counter[str]) -> dict[str, float]:
    total = sum(counts.values())
    return {language: count / total for language, count in sorted(counts.items())} if total else {}


def _mean(shares: Sequence[dict[str, float]]) -> dict[str, float]:
    languages = sorted({language for one in shares for language in one})
    return {language: fsum(one.get(language, 0.0) for one in shares) / len(shares) for language in languages}
