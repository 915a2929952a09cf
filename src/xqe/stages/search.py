"""Searching: each record gains the hits that a retriever finds for it; and how hits are written as a run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy

from xqe.errors import XqeError
from xqe.files.arriving import together
from xqe.files.hits import HitList, plain
from xqe.files.jsonl import text_of
from xqe.files.records import Record, failed
from xqe.machine import frozen
from xqe.retrieval.choices import DEPTH
from xqe.retrieval.fusion import fallen
from xqe.retrieval.pools import Pools
from xqe.retrieval.retriever import Best, QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xqe.retrieval.documents import Numbered
    from xqe.retrieval.retriever import Retriever

Q = TypeVar("Q")


def search(
    records: Iterable[Record],
    retriever: Retriever[Q],
    threads: int,
    place: Callable[[], str],
    k: int = DEPTH,
    pools: Pools | None = None,
    drop_own: bool = False,
    texts: bool = False,
) -> Iterator[Record]:
    """Yield each record with "index" and "hits", a `HitList`, in order, each as soon as it and those before are done.

    `place` says where the record that was read last came from. k: most hits for a record. drop_own: no hit has the
    record's own id, as where queries are documents of the collection. texts: each hit has the text of its document,
    for what reads them (`with_texts`). Queries are made as records arrive, as many
    together as the retriever likes and have arrived; `threads` searches run at a time, outside the interpreter's lock.
    """

    def found(arrived: list[Record], queries: list[Q | QueryError]) -> list[Record]:
        able = [query for query in queries if not isinstance(query, QueryError)]
        own = [
            pools.of(record["id"]) if pools is not None else None
            for record, query in zip(arrived, queries, strict=True)
            if not isinstance(query, QueryError)
        ]
        results = iter(retriever.found(able, k + drop_own, own)) if able else iter(())
        return [
            failed(record, "search", str(query))
            if isinstance(query, QueryError)
            else answered(record, retriever, query, next(results), k, pools, drop_own)
            for record, query in zip(arrived, queries, strict=True)
        ]

    with frozen():
        for record in _in_order(records, place, retriever, found, threads):
            yield with_texts(record, retriever.documents) if texts else record


def with_texts(record: Record, documents: Numbered) -> Record:
    """A record with "text" of each hit, its title first, as the index keeps it."""
    hits = record.get("hits") or []
    numbers = documents.numbers([hit["id"] for hit in hits]).tolist()
    read = [documents.text(number) or "" for number in numbers]
    return {**record, "hits": [{**hit, "text": text} for hit, text in zip(hits, read, strict=True)]}


def looked_up(
    records: Sequence[Record], retriever: Retriever[Q], n: int, pools: Pools | None = None, drop_own: bool = False
) -> list[Record]:
    """The records with their best `n` hits and the texts of these, for a strategy that reads documents. Raises XqeError
    where the index keeps no texts."""
    check_texts(retriever.documents, "what is asked reads documents")
    found = search(records, retriever, 1, lambda: "a query to expand", n, pools, drop_own, texts=True)
    return listed(found)


def listed(found: Iterable[Record]) -> list[Record]:
    """The records with their hits as lists of dicts, with none for one that failed."""
    return [plain(one) if "hits" in one else {**one, "hits": []} for one in found]


def check_texts(documents: Numbered, why: str) -> None:
    """Raise XqeError where an index keeps no texts."""
    if not documents.has_texts:
        raise XqeError(f"{why}, and the index keeps no texts", "build it without --no-texts")


def but_own(best: Best, documents: Numbered, query: str, k: int) -> Best:
    """The `k` best documents but for the one that has the query's id; among k + 1 there are so many."""
    ids = documents.ids(best.numbers)
    kept = [place for place, name in enumerate(ids) if name != query][:k]
    return best if len(kept) == len(ids) else best.of(kept)


def answered(
    record: Record,
    retriever: Retriever[Q],
    query: Q,
    best: Best,
    k: int,
    pools: Pools | None,
    drop_own: bool = False,
) -> Record:
    """A record with "index" and "hits": ids and scores, best first, and what else the retriever says of each; "lang" of
    each, and "languages" of the index with their documents, where those of several indexes are searched."""
    if drop_own:
        best = but_own(best, retriever.documents, record["id"], k)
    languages = retriever.documents.languages(best.numbers)
    more = {**({"lang": languages} if languages is not None else {}), **best.said}
    counts = retriever.documents.counts()
    return {
        **record,
        "index": {
            **retriever.described(query, k),
            **({"languages": counts} if counts else {}),
            **({"pool": True} if pools is not None else {}),
            **({"drop_self": True} if drop_own else {}),
        },
        "hits": HitList(retriever.documents.ids(best.numbers), best.scores.tolist(), more),
    }


def _in_order(
    records: Iterable[Record],
    place: Callable[[], str],
    retriever: Retriever[Q],
    work: Callable[[list[Record], list[Q | QueryError]], list[Record]],
    threads: int,
) -> Iterator[Record]:
    """Read in one thread, make queries in another, work in `threads`, and yield in this one: an answer never waits for
    input."""
    answers: queue.Queue[Future[list[Record]] | BaseException | None] = queue.Queue(4 * threads)
    executor = ThreadPoolExecutor(threads if retriever.together == 1 else 1)  # what is found together has threads

    def ask() -> None:
        try:
            arriving = ((record, place()) for record in records)
            for group in together(arriving, retriever.together, 4 * threads * retriever.together):
                queries = retriever.queries(group)
                answers.put(executor.submit(work, [record for record, _ in group], queries))
            answers.put(None)
        except BaseException as error:
            answers.put(error)

    # A daemon, since it may be waiting for input when this process ends.
    threading.Thread(target=ask, daemon=True).start()
    try:
        while (answer := answers.get()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield from answer.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def run_lines(record: Record, tag: str) -> list[str]:
    """The lines of a TREC run for a record's hits: query, "Q0", document, rank from 1, score, tag.

    Scores are made strictly decreasing by the least float32 steps, so that every program that sorts by them
    agrees on the order.
    """
    hits = HitList.of(record.get("hits") or ())  # a record that failed may have none
    query, scores = record["id"], nine_digits(fallen(hits.scores))
    return [
        f"{query} Q0 {name} {rank} {score} {tag}"
        for rank, (name, score) in enumerate(zip(hits.ids, scores, strict=True), 1)
    ]


_BOUNDS = 10.0 ** numpy.arange(-4, 10)
_SCALES = 10.0 ** numpy.arange(13, -2, -1)


def nine_digits(scores: NDArray[numpy.float32]) -> list[str]:
    """Each as f"{score:.9g}" writes it, by which any two of them are told apart.

    From 0.0001 to 10^9 a score x 10^n that has nine digits has at most 52 bits and is exact; divided again it is the
    double of which these digits are the shortest form.
    """
    if not len(scores) or not _BOUNDS[0] <= scores.min() <= scores.max() < _BOUNDS[-1]:
        return [f"{score:.9g}" for score in scores.tolist()]
    scale = _SCALES.take(numpy.searchsorted(_BOUNDS, scores.astype(numpy.float64), "right"))
    return f"{text_of((numpy.rint(scores * scale) / scale).tolist())[1:-1]},".replace(".0,", ",")[:-1].split(",")
