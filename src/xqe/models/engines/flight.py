"""Jobs whose requests a server answers, many at a time."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from xqe.models.engines.interrupts import deferred_interrupt
from xqe.models.engines.jobs import Feed, Job, Ticket

T = TypeVar("T")

POLL_SECONDS = 0.02
IDLE_SECONDS = 0.1


def in_flight(
    jobs: Iterable[Job[T]], depth: int, ask: Callable[[list[Ticket]], Iterable[Future[None]]]
) -> Iterator[Job[T]]:
    """Yield the jobs as `Engine.generate` does.

    depth: how many may have been read and not yet been yielded. ask: begins the work on all requests of some jobs that
    have arrived; what is done fills their tickets.
    """
    feed = Feed(jobs, depth)
    under_way: set[Future[None]] = set()
    ended: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
    try:
        with deferred_interrupt() as interrupt:
            while not feed.is_empty:
                for future in ask(feed.arrivals(0 if under_way else IDLE_SECONDS)):
                    under_way.add(future)
                    future.add_done_callback(ended.put)
                for future in _drained(ended, POLL_SECONDS if under_way else 0):
                    under_way.remove(future)
                    future.result()
                if interrupt.requested:
                    yield from feed.finished_out_of_order()
                    raise KeyboardInterrupt
                yield from feed.finished()
        feed.check()
    finally:
        feed.close()
        for future in under_way:
            future.cancel()


def _drained(source: queue.SimpleQueue[T], wait: float) -> Iterator[T]:
    """All that is in a queue, after waiting at most `wait` seconds for a first one."""
    with suppress(queue.Empty):
        yield source.get(timeout=wait) if wait > 0 else source.get_nowait()
        while True:
            yield source.get_nowait()
