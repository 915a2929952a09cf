"""Searching: what of a record is searched for, with which weights, and how hits are written.

A query is a sum of weighted terms. The weight of a term is

    query_weight x its count in the query
    + its count in the passages / number of passages
    + source_weight x its count in the query as it was before it was translated

so that --use query+doc with query weight 1 is the paper's: the query and its passage, joined once. Several passages
count as their mean, which leaves the share of the query independent of how many there are.
"""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from xqe.errors import InputError
from xqe.records import Record, has_failed

if TYPE_CHECKING:
    from xqe.analysis import Analyzer
    from xqe.index import Index

AUTO_BETA = 1.0
"""With an automatic weight the query has 1 / (1 + AUTO_BETA), half, of the weight of all terms. Weak models drift, and
a fifth (beta 4) lost most of what translation had gained: see the README's table."""


GREATEST_WEIGHT = 1e6
"""Of a query or source; scores are float32."""


class Use(StrEnum):
    """Which text of a record is searched for."""

    QUERY = "query"
    DOC = "doc"
    QUERY_DOC = "query+doc"


@dataclass(frozen=True, slots=True)
class Settings:
    """How records are searched. query_weight: None is automatic (`auto_weight`). k: most hits for a record."""

    use: Use = Use.QUERY_DOC
    query_weight: float | None = None
    source_weight: float = 0.0
    k: int = 1000


@dataclass(frozen=True, slots=True)
class Query:
    """The weight of each term that a record is searched with, and the query weight that was applied."""

    weights: Mapping[str, float]
    query_weight: float


def auto_weight(query_terms: int, passage_terms: float) -> float:
    """How often a query must be repeated to hold its share against a passage; never less than once.

    The formula is MuGI's (arXiv 2401.06311), on numbers of terms: passage length / (query length x beta).
    """
    return max(1.0, passage_terms / (query_terms * AUTO_BETA)) if query_terms else 1.0


def weighted_query(record: Record, analyzer: Analyzer, settings: Settings, where: str) -> Query:
    """Return what a record is searched with; `where` names it in errors.

    Raises InputError if only passages are to be used and there are none, unless an earlier stage failed on the
    record: then its query is used, since a query without an answer would count as 0.
    """
    passages = record.get("passages", []) if settings.use is not Use.QUERY else []
    if settings.use is Use.DOC and not passages and not has_failed(record):
        raise InputError(f'{where}: no "passages" to search with', "write them with xqe expand, or give --use query")
    query_terms = analyzer.terms(record["query"]) if settings.use is not Use.DOC or not passages else []
    passage_terms = [analyzer.terms(passage) for passage in passages]
    query_weight = settings.query_weight
    if query_weight is None:
        mean_length = sum(map(len, passage_terms)) / len(passage_terms) if passage_terms else 0.0
        query_weight = auto_weight(len(query_terms), mean_length)

    weights: defaultdict[str, float] = defaultdict(float)
    for term in query_terms:
        weights[term] += query_weight
    for terms in passage_terms:
        for term in terms:
            weights[term] += 1 / len(passage_terms)
    if settings.source_weight > 0:
        for term in analyzer.terms(_untranslated(record, where)):
            weights[term] += settings.source_weight
    return Query(weights, query_weight)


def _untranslated(record: Record, where: str) -> str:
    """The query as it first arrived; "" if it is the query still."""
    text = record.get("source", {}).get("query", "")
    if not isinstance(text, str):
        raise InputError(f'{where}: "query" of "source" is not a string', "it is the query as it first arrived")
    return text if text != record["query"] else ""


def search(
    records: Iterable[Record], index: Index, settings: Settings, threads: int, place: Callable[[], str]
) -> Iterator[Record]:
    """Yield each record with "index" and "hits", in order, each as soon as it and those before it are done.

    `place` says where the record that was read last came from. Texts are analysed as records arrive, and `threads`
    searches run at a time, outside the interpreter's lock.
    """

    def query_of(record: Record) -> Query:
        return weighted_query(record, index.analyzer, settings, place())

    def found(record: Record, query: Query) -> Record:
        hits = index.search(query.weights, settings.k)
        return {
            **record,
            "index": {
                "name": index.name,
                "lang": index.manifest.language,
                "use": str(settings.use),
                "query_weight": query.query_weight,
                "source_weight": settings.source_weight,
                "k": settings.k,
            },
            "hits": [{"id": hit.id, "score": hit.score} for hit in hits],
        }

    yield from _in_order(records, query_of, found, threads)


def _in_order(
    records: Iterable[Record],
    prepare: Callable[[Record], Query],
    work: Callable[[Record, Query], Record],
    threads: int,
) -> Iterator[Record]:
    """Read and prepare in one thread, work in `threads`, and yield in this one: an answer never waits for input."""
    answers: queue.Queue[Future[Record] | BaseException | None] = queue.Queue(4 * threads)
    executor = ThreadPoolExecutor(threads)

    def read() -> None:
        try:
            for record in records:
                answers.put(executor.submit(work, record, prepare(record)))
            answers.put(None)
        except BaseException as error:
            answers.put(error)

    # A daemon, since it may be waiting for input when this process ends.
    threading.Thread(target=read, daemon=True).start()
    try:
        while (answer := answers.get()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield answer.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def run_lines(record: Record, tag: str) -> list[str]:
    """The lines of a TREC run for a record's hits: query, "Q0", document, rank from 1, score, tag.

    Scores are made strictly decreasing by the least float32 steps, so that every program that sorts by them
    agrees on the order.
    """
    import numpy

    scores = numpy.array([hit["score"] for hit in record["hits"]], numpy.float32)
    for before, rank in pairwise(range(len(scores))):
        if scores[rank] >= scores[before]:
            scores[rank] = numpy.nextafter(scores[before], numpy.float32("-inf"))
    return [
        f"{record['id']} Q0 {hit['id']} {rank} {score:.9g} {tag}"
        for rank, (hit, score) in enumerate(zip(record["hits"], scores.tolist(), strict=True), 1)
    ]
