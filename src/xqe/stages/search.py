"""Searching: each record gains the hits that a retriever finds for it; and how hits are written as a run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from xqe.files.records import Record
from xqe.retrieval.pools import Pools

if TYPE_CHECKING:
    from xqe.retrieval.retriever import Retriever

Q = TypeVar("Q")

DEPTH = 1000
"""Most hits for a record, unless told."""


def search(
    records: Iterable[Record],
    retriever: Retriever[Q],
    threads: int,
    place: Callable[[], str],
    k: int = DEPTH,
    pools: Pools | None = None,
) -> Iterator[Record]:
    """Yield each record with "index" and "hits", in order, each as soon as it and those before it are done.

    `place` says where the record that was read last came from. k: most hits for a record. Queries are made as records
    arrive, and `threads` searches run at a time, outside the interpreter's lock.
    """

    def query_of(record: Record) -> Q:
        return retriever.query(record, place())

    def found(record: Record, query: Q) -> Record:
        pool = pools.of(record["id"]) if pools is not None else None
        numbers, scores = retriever.best(retriever.fed(query, pool), k, pool)
        hits = zip(retriever.documents.ids(numbers), scores.tolist(), strict=True)
        return answered(record, retriever, query, hits, k, pools)

    yield from _in_order(records, query_of, found, threads)


def answered(
    record: Record,
    retriever: Retriever[Q],
    query: Q,
    hits: Iterable[tuple[str, float]],
    k: int,
    pools: Pools | None,
) -> Record:
    """A record with "index" and "hits": ids and scores, best first."""
    return {
        **record,
        "index": {**retriever.described(query, k), **({"pool": True} if pools is not None else {})},
        "hits": [{"id": name, "score": score} for name, score in hits],
    }


def _in_order(
    records: Iterable[Record],
    prepare: Callable[[Record], Q],
    work: Callable[[Record, Q], Record],
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
