"""Analysis of a stream of documents, on all cores where that is sooner."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from xqe.errors import XqeError
from xqe.files.documents import Placed
from xqe.machine import available_cores
from xqe.text.analysis import analyzer
from xqe.text.counting import TermCounter, TermCounts

if TYPE_CHECKING:
    from concurrent.futures import Future
    from multiprocessing.connection import Connection

_CHUNK = 500_000  # characters that are one task of a worker; each document counts 100 more
LARGE = 8
"""Chunks; a smaller collection is analysed before worker processes would have started."""

_Analysed = tuple[str, TermCounts]  # bodies, a line each


class Batch(NamedTuple):
    """Documents that were analysed. bodies: the terms of each, those of a kind together, joined by spaces."""

    documents: list[Placed]
    bodies: list[str]
    counts: TermCounts


def analysed(documents: Iterable[Placed], code: str, cores: int | None = None) -> Iterator[Batch]:
    """Yield the documents analysed, in order; what is read ahead is bounded.

    A large collection is shared out to so many processes, by default as many as this one may use cores. They take no
    interrupts, since Ctrl-C is this process's to answer, and end when it ends, however it does.
    """
    rest = chunks(documents)
    head = list(islice(rest, LARGE))
    cores = cores or available_cores()
    if len(head) < LARGE or cores == 1:
        counter = TermCounter(analyzer(code))
        for chunk in chain(head, rest):
            yield Batch(chunk, *counter.count([document.searched for _, document in chunk]))
        return
    with _Workers(cores, code) as workers:
        pending: deque[tuple[list[Placed], Future[_Analysed]]] = deque()
        for chunk in chain(head, rest):
            pending.append((chunk, workers.submit([document.searched for _, document in chunk])))
            if len(pending) > 2 * cores:
                yield _batch(*pending.popleft())
        for done, result in pending:
            yield _batch(done, result)


def _batch(documents: list[Placed], result: Future[_Analysed]) -> Batch:
    bodies, counts = result.result()
    return Batch(documents, bodies.split("\n"), counts)


class _Workers:
    """Processes that analyse texts, each at the end of a pipe of its own, with a thread that talks to it.

    The pool of the standard library shares its queues, with their locks, among its processes: one that is killed can
    leave it waiting for ever, on Python 3.11 at least. Here a process that ends is an end of file to one thread.
    """

    def __init__(self, count: int, code: str) -> None:
        # imported here: who opens an index loads this module as well, and a small collection needs neither
        import multiprocessing
        from concurrent.futures import ThreadPoolExecutor
        from multiprocessing import resource_tracker

        # Spawned, because forking a process that has threads, as tantivy's writer does, is not safe.
        context = multiprocessing.get_context("spawn")
        self._processes = []
        self._untaken: SimpleQueue[Connection] = SimpleQueue()
        self._of_thread = threading.local()
        self._threads = ThreadPoolExecutor(count, initializer=self._take_one)
        resource_tracker.ensure_running()  # its start would unblock the interrupt
        with interrupted_later():
            for _ in range(count):
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs, code), daemon=True)
                self._processes.append(process)
                process.start()
                theirs.close()
                self._untaken.put(ours)

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()  # idle, unless there was an error: then what it is at may take seconds, and is for nothing
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.join()

    def submit(self, texts: list[str]) -> Future[_Analysed]:
        return self._threads.submit(self._ask, texts)

    def _take_one(self) -> None:
        """A thread keeps to one process, which so gets its texts in their order: its counter counts on that."""
        self._of_thread.connection = self._untaken.get()

    def _ask(self, texts: list[str]) -> _Analysed:
        try:
            self._of_thread.connection.send(texts)
            answer: _Analysed | Exception = self._of_thread.connection.recv()
        except (EOFError, OSError):
            raise XqeError(
                "a process that analyses the documents was killed", "most likely for want of memory; free some"
            ) from None
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def interrupted_later() -> Iterator[None]:
    """Keep an interrupt until the end: a process that was started by half would say so. Those started here take none.

    They inherit that it is blocked. In this process another thread may take it all the same, and Python then
    interrupts the main one; so it is only noted here.
    """
    came = False

    def note(*_: object) -> None:
        nonlocal came
        came = True

    is_main = threading.current_thread() is threading.main_thread()  # no other may set what a signal does
    before = signal.signal(signal.SIGINT, note) if is_main else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if is_main:
            signal.signal(signal.SIGINT, before)
    if came and callable(before):
        before(signal.SIGINT, None)


def _work(connection: Connection, code: str) -> None:
    """What a worker process does until the other end of its pipe is closed.

    Its answers come to be indexed in their order, so that a term that its counter told once is known ever after.
    """
    counter: TermCounter | None = None
    with suppress(EOFError, OSError):
        while True:
            texts = connection.recv()
            answer: _Analysed | Exception
            try:
                counter = counter or TermCounter(analyzer(code))
                bodies, counts = counter.count(texts)
                answer = "\n".join(bodies), counts  # one string, which is passed on in a tenth of the time
            except Exception as error:
                answer = error
            connection.send(answer)


def chunks(documents: Iterable[Placed]) -> Iterator[list[Placed]]:
    """The documents in lists of about as much text."""
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
