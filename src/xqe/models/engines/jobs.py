"""Jobs: items of a stream with what each needs from a model, from their arrival to their leaving in order.

A job is one item of the caller's (a record, say) with the requests that it needs: none, one, or several. The input
is read by a thread of its own, so that a slow producer never holds up what has already arrived, and generation
starts with the first job there is.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from xqe.models.engines.requests import Completion, Request

T = TypeVar("T")


@dataclass(slots=True)
class Job(Generic[T]):
    """An item and the requests it needs; the engine fills `completions`, one for each request, in their order.

    An engine leaves alone what is filled already, and the positions that are `claimed`: somebody else answers them.
    id: what the requests are for, for engines that name them to somebody else. on_completion: called as (position,
    completion) whenever one is filled, in whatever thread fills it.
    """

    item: T
    requests: list[Request]
    id: str = ""
    completions: list[Completion | None] = field(default_factory=list)
    claimed: set[int] = field(default_factory=set)
    on_completion: Callable[[int, Completion], None] | None = None

    def __post_init__(self) -> None:
        self.completions = [None] * len(self.requests)

    @property
    def is_done(self) -> bool:
        return all(completion is not None for completion in self.completions)

    def open(self) -> list[int]:
        """The positions that an engine has to answer."""
        return [i for i, done in enumerate(self.completions) if done is None and i not in self.claimed]

    def fill(self, position: int, completion: Completion) -> None:
        self.completions[position] = completion
        if self.on_completion is not None:
            self.on_completion(position, completion)

    def results(self) -> list[Completion]:
        """The completions of a job that is done."""
        return [completion for completion in self.completions if completion is not None]


@dataclass(slots=True)
class Ticket:
    """One request of a job that is under way, and where its completion belongs."""

    job: Job[Any]
    position: int

    @property
    def request(self) -> Request:
        return self.job.requests[self.position]

    def done(self, completion: Completion) -> None:
        self.job.fill(self.position, completion)

    def failed(self, error: str, tokens: int = 0) -> None:
        self.done(Completion("", "error", tokens, error))


class Feed(Generic[T]):
    """Reads jobs in a thread and keeps those under way in order.

    `depth` is how many jobs may have been read and not yet been yielded, which bounds memory: a producer that is
    faster than the model (`yes`) waits.
    """

    def __init__(self, jobs: Iterable[Job[T]], depth: int) -> None:
        self._incoming: queue.SimpleQueue[Job[T] | BaseException | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(depth)
        self._order: deque[Job[T]] = deque()
        self._failure: BaseException | None = None
        self._closed = False
        self.ended = False
        threading.Thread(target=self._read, args=(jobs,), name="xqe-input", daemon=True).start()

    def _read(self, jobs: Iterable[Job[T]]) -> None:
        try:
            for job in jobs:
                self._incoming.put(job)
                self._room.acquire()
                if self._closed:
                    return
            self._incoming.put(None)
        except BaseException as error:  # raised again where the jobs are consumed
            self._incoming.put(error)

    def arrivals(self, wait: float) -> list[Ticket]:
        """Return the requests of the jobs that have arrived, waiting at most `wait` seconds for a first one."""
        tickets: list[Ticket] = []
        while not self.ended:
            try:
                job = self._incoming.get(timeout=wait) if wait > 0 else self._incoming.get_nowait()
            except queue.Empty:
                break
            wait = 0
            if job is None or isinstance(job, BaseException):
                self.ended, self._failure = True, job
                break
            self._order.append(job)
            tickets.extend(Ticket(job, position) for position in job.open())
        return tickets

    def finished(self) -> Iterator[Job[T]]:
        """Yield the jobs that are done and have no unfinished one before them."""
        while self._order and self._order[0].is_done:
            self._room.release()
            yield self._order.popleft()

    def finished_out_of_order(self) -> Iterator[Job[T]]:
        """Yield every job that is done, for the end that comes early."""
        done = [job for job in self._order if job.is_done]
        self._order.clear()
        yield from done

    @property
    def is_empty(self) -> bool:
        """True when the input has ended and every job has been yielded."""
        return self.ended and not self._order

    def check(self) -> None:
        """Raise what the reading of the input raised, if anything."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Let the reading thread end at its next job."""
        self._closed = True
        self._room.release()
