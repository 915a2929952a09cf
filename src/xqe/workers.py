"""Analysis of a stream of documents, on all cores where that is sooner."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing.connection import wait
from typing import NamedTuple

from xqe.analysis import analyzer
from xqe.counting import TermCounter, TermCounts
from xqe.documents import Placed
from xqe.errors import XqeError
from xqe.machine import available_cores

_CHUNK = 500_000  # characters that are one task of a worker; each document counts 100 more
_LARGE = 8  # chunks; a smaller collection is analysed before worker processes would have started
_PIECE = 1_000_000  # characters of a document that are analysed at a time: its words take fifty times their length


class Batch(NamedTuple):
    """Documents that were analysed. bodies: the terms of each, in their order, joined by spaces."""

    documents: list[Placed]
    bodies: list[str]
    counts: TermCounts


def analysed(documents: Iterable[Placed], code: str) -> Iterator[Batch]:
    """Yield the documents analysed, in order; what is read ahead is bounded.

    A large collection is shared out to as many processes as this one may use cores. They take no interrupts, since
    Ctrl-C is this process's to answer, and end when it ends, however it does.
    """
    chunks = _chunks(documents)
    head = list(islice(chunks, _LARGE))
    cores = available_cores()
    if len(head) < _LARGE or cores == 1:
        counter = TermCounter()
        for chunk in chain(head, chunks):
            yield Batch(chunk, *_analyse(code, [document.searched for _, document in chunk], counter))
        return
    # Spawned, because forking a process that has threads, as tantivy's writer does, is not safe.
    executor = ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), _start_worker)
    others = set(multiprocessing.active_children())
    try:
        pending: deque[tuple[list[Placed], Future[tuple[list[str], TermCounts]]]] = deque()
        for chunk in chain(head, chunks):
            pending.append((chunk, _submit(executor, code, [document.searched for _, document in chunk])))
            if len(pending) > 2 * cores:
                done, result = pending.popleft()
                yield Batch(done, *result.result())
        for done, result in pending:
            yield Batch(done, *result.result())
    except BaseException as error:
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()  # what it is at may take seconds, and is for nothing
        if isinstance(error, BrokenProcessPool):
            raise XqeError(
                "a process that analyses the documents was killed", "most likely for want of memory; free some"
            ) from None
        raise
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


def _analyse(code: str, texts: list[str], counter: TermCounter) -> tuple[list[str], TermCounts]:
    terms_of = analyzer(code).terms
    analysed = [terms_of(text) if len(text) <= _PIECE else _in_pieces(text, code) for text in texts]
    return [" ".join(terms) for terms in analysed], counter.count(analysed)


def _in_pieces(text: str, code: str) -> list[str]:
    """The terms of a long text, of which only pieces that end at white space are taken apart at a time."""
    terms: list[str] = []
    start = 0
    while start < len(text):
        piece = text[start : start + _PIECE]
        if start + _PIECE < len(text):
            piece = piece[: _last_space(piece)] or piece
        terms += analyzer(code).terms(piece)
        start += len(piece)
    return terms


def _last_space(text: str) -> int:
    """Where the last white space of a text is, 0 if it has none."""
    last_word = "" if text[-1].isspace() else text.rsplit(None, 1)[-1]
    return max(0, len(text) - len(last_word) - 1)


def _submit(executor: ProcessPoolExecutor, code: str, texts: list[str]) -> Future[tuple[list[str], TermCounts]]:
    """Submitting starts a worker process when none is idle; it inherits the mask and so is never interrupted."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return executor.submit(_work, code, texts)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_counter = TermCounter()
"""Of a worker process. Batches come to it in the order in which they come back to be indexed, so that what it tells
once is known ever after."""


def _work(code: str, texts: list[str]) -> tuple[list[str], TermCounts]:
    return _analyse(code, texts, _counter)


def _start_worker() -> None:
    """A worker that waits for a task does not notice that the process it works for was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
