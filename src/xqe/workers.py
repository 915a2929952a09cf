"""Analysis of a stream of documents, on all cores where that is sooner."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing.connection import wait
from typing import NamedTuple

from xqe.analysis import analyzer
from xqe.documents import Placed
from xqe.machine import available_cores

_CHUNK = 500_000  # characters that are one task of a worker; each document counts 100 more
_LARGE = 8  # chunks; a smaller collection is analysed before worker processes would have started


class Analysed(NamedTuple):
    """A document as it is indexed: `body` is its terms, joined by spaces."""

    where: str
    id: str
    body: str


def analysed(documents: Iterable[Placed], code: str) -> Iterator[Analysed]:
    """Yield the documents analysed, in order; what is read ahead is bounded.

    A large collection is shared out to as many processes as this one may use cores. They take no interrupts, since
    Ctrl-C is this process's to answer, and end when it ends, however it does.
    """
    chunks = _chunks(documents)
    head = list(islice(chunks, _LARGE))
    cores = available_cores()
    if len(head) < _LARGE or cores == 1:
        for chunk in chain(head, chunks):
            yield from _joined(chunk, _bodies(code, [document.searched for _, document in chunk]))
        return
    # Spawned, because forking a process that has threads, as tantivy's writer does, is not safe.
    executor = ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), _start_worker)
    try:
        pending: deque[tuple[list[Placed], Future[list[str]]]] = deque()
        for chunk in chain(head, chunks):
            pending.append((chunk, _submit(executor, code, [document.searched for _, document in chunk])))
            if len(pending) > 2 * cores:
                done, bodies = pending.popleft()
                yield from _joined(done, bodies.result())
        for done, bodies in pending:
            yield from _joined(done, bodies.result())
    finally:
        executor.shutdown(cancel_futures=True)


def _chunks(documents: Iterable[Placed]) -> Iterator[list[Placed]]:
    chunk: list[Placed] = []
    size = 0
    for placed in documents:
        chunk.append(placed)
        size += 100 + len(placed[1].text)
        if size >= _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _joined(chunk: list[Placed], bodies: list[str]) -> Iterator[Analysed]:
    for (where, document), body in zip(chunk, bodies, strict=True):
        yield Analysed(where, document.id, body)


def _bodies(code: str, texts: list[str]) -> list[str]:
    terms = analyzer(code).terms
    return [" ".join(terms(text)) for text in texts]


def _submit(executor: ProcessPoolExecutor, code: str, texts: list[str]) -> Future[list[str]]:
    """Submitting starts a worker process when none is idle; it inherits the mask and so is never interrupted."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return executor.submit(_bodies, code, texts)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_worker() -> None:
    """A worker that waits for a task does not notice that the process it works for was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
