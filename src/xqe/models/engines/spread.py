"""An engine on many workers: each holds one, and requests go to them in blocks.

`SpreadEngine` stands where the engine of one machine would, below the store: finished texts are kept by the process
that reads and writes records. A model that is opened without its weights there answers what is asked about prompts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from xqe.cluster.pool import LostError, Pool
from xqe.cluster.worker import MOST_AHEAD
from xqe.models.engines.base import Engine
from xqe.models.engines.flight import in_flight
from xqe.models.engines.jobs import Job, Ticket
from xqe.models.engines.requests import Completion, Request
from xqe.models.engines.wrapper import Wrapper

T = TypeVar("T")

DEPTH = 64
"""Jobs that may have been read and not yet been yielded, for each worker."""

TOGETHER = 16
"""Requests in a block, where an engine does not say how many it works at together."""


class Answering:
    """An engine in a worker: the `Held` of a pool. Blocks that come while others are at work join these, so that its
    batch stays full. made: what its texts say of their making."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._made = engine.making()
        batch = self._made.get("batch")
        self.together = TOGETHER if batch is None else max(1, batch * 2 // MOST_AHEAD)
        self.ahead = MOST_AHEAD
        self.told = {"room": engine.room(), "making": self._made, "provenance": engine.provenance()}
        self._arriving: SimpleQueue[Job[None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[None]] = {}
        threading.Thread(target=self._work, name="xqe-engine", daemon=True).start()

    @property
    def so_far(self) -> int:
        return self._engine.tokens_so_far

    def run(self, tasks: Sequence[Request]) -> list[Completion]:
        done: Future[None] = Future()
        job = Job(None, list(tasks))
        job.on_completion = partial(self._filled, job, done)
        with self._lock:
            self._waiting[id(job)] = done
        self._arriving.put(job)
        done.result()
        with self._lock:
            del self._waiting[id(job)]
        return [replace(completion, made_by=completion.made_by or self._made) for completion in job.results()]

    @staticmethod
    def _filled(job: Job[None], done: Future[None], _position: int, _completion: Completion) -> None:
        if job.is_done:
            done.set_result(None)

    def _work(self) -> None:
        try:
            for _ in self._engine.generate(iter(self._arriving.get, None)):
                pass
        except BaseException as error:  # raised where blocks wait
            with self._lock:
                for done in self._waiting.values():
                    if not done.done():
                        done.set_exception(error)


class SpreadEngine(Wrapper):
    """Generates on workers, which hold the model that `face` has without its weights; opened when the first of them is.
    Closing it closes both."""

    def __init__(self, face: Engine, workers: AbstractContextManager[Pool]) -> None:
        super().__init__(face)
        self._opened = ExitStack()
        self._opened.enter_context(face)
        self._before = 0
        try:
            self._pool = self._opened.enter_context(workers)
            self._told = self._pool.first()
        except BaseException:
            self.close()
            raise

    def room(self) -> int | None:
        room: int | None = self._told["room"]
        return room

    def making(self) -> dict[str, Any]:
        return dict(self._told["making"])

    def provenance(self) -> dict[str, Any]:
        return dict(self._told["provenance"])

    @property
    def tokens_so_far(self) -> int:
        return self._pool.so_far - self._before

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        self._before = self._pool.so_far
        return in_flight(jobs, DEPTH * self._pool.workers, self._ask)

    def close(self) -> None:
        self._opened.close()

    def _ask(self, tickets: Sequence[Ticket]) -> Iterator[Future[None]]:
        for ticket in tickets:
            over: Future[None] = Future()
            asked = self._pool.submit(replace(ticket.request, noted=None))
            asked.add_done_callback(partial(_answered, ticket, over))
            over.add_done_callback(partial(_given_up, asked))
            yield over


def _given_up(asked: Future[Completion], over: Future[None]) -> None:
    """Take back a request that nobody waits for."""
    if over.cancelled():
        asked.cancel()


def _answered(ticket: Ticket, over: Future[None], asked: Future[Completion]) -> None:
    """Pass on what came of a request. What ended every worker that was at it is its error; anything else ends the
    run."""
    if asked.cancelled() or not over.set_running_or_notify_cancel():
        return
    error = asked.exception()
    if error is None:
        ticket.done(asked.result())
    elif isinstance(error, LostError):
        ticket.failed(str(error))
    else:
        over.set_exception(error)
        return
    over.set_result(None)
