"""Searching: each record gains the hits for what it is searched with; and how hits are written as a run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from xqe.files.records import Record
from xqe.retrieval.feedback import Feedback, expanded
from xqe.retrieval.pools import Pools
from xqe.retrieval.weighting import Query, Weighting, weighted_query

if TYPE_CHECKING:
    from xqe.retrieval.lexical import Index, Numbers, Parameters


@dataclass(frozen=True, slots=True)
class Settings:
    """How records are searched. k: most hits for a record. parameters: None is the index's own."""

    weighting: Weighting = field(default_factory=Weighting)
    k: int = 1000
    parameters: Parameters | None = None
    feedback: Feedback | None = None
    pools: Pools | None = None

    def described(self, index: Index, query: Query) -> dict[str, Any]:
        """What "index" of a record says of its search."""
        parameters = self.parameters or index.manifest.parameters
        said: dict[str, Any] = {
            "name": index.name,
            "lang": index.manifest.language,
            "use": str(self.weighting.use),
            "query_weight": query.query_weight,
            "source_weight": self.weighting.source_weight,
            "k": self.k,
            "k1": parameters.k1,
            "b": parameters.b,
        }
        if self.weighting.passage_terms is not None:
            said["passage_terms"] = self.weighting.passage_terms
        if self.feedback is not None:
            said["feedback"] = {
                "method": str(self.feedback.method),
                "documents": self.feedback.documents,
                "terms": self.feedback.terms,
                "weight": self.feedback.applied_weight,
            }
        if self.pools is not None:
            said["pool"] = True
        return said


def search(
    records: Iterable[Record], index: Index, settings: Settings, threads: int, place: Callable[[], str]
) -> Iterator[Record]:
    """Yield each record with "index" and "hits", in order, each as soon as it and those before it are done.

    `place` says where the record that was read last came from. Texts are analysed as records arrive, and `threads`
    searches run at a time, outside the interpreter's lock.
    """

    def query_of(record: Record) -> Query:
        return weighted_query(record, index, settings.weighting, place())

    def found(record: Record, query: Query) -> Record:
        numbers, scores = index.best(*searched(record, query.weights, index, settings))
        return answered(record, query, zip(index.ids(numbers), scores.tolist(), strict=True), index, settings)

    yield from _in_order(records, query_of, found, threads)


def answered(
    record: Record, query: Query, hits: Iterable[tuple[str, float]], index: Index, settings: Settings
) -> Record:
    """A record with "index" and "hits": ids and scores, best first."""
    return {
        **record,
        "index": settings.described(index, query),
        "hits": [{"id": name, "score": score} for name, score in hits],
    }


def searched(
    record: Record, weights: Mapping[str, float], index: Index, settings: Settings
) -> tuple[Mapping[str, float], int, Numbers | None, Parameters | None]:
    """What `Index.search` is given for a record: weights with feedback, k, the record's pool, parameters."""
    pool = settings.pools.of(record["id"]) if settings.pools is not None else None
    if settings.feedback is not None:
        weights = expanded(weights, index, settings.feedback, pool, settings.parameters)
    return weights, settings.k, pool, settings.parameters


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
