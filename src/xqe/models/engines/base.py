"""The interface of every engine: jobs in, the same jobs with their completions out, in the order of input.

A job is one item of the caller's (a record, say) with the requests that it needs: none, one, or several. The input
is read by a thread of its own, so that a slow producer never holds up what has already arrived, and generation
starts with the first job there is.
"""

from __future__ import annotations

import queue
import signal
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, Generic, Self, TypeVar

from xqe.models.prompts import Prompt

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How texts are drawn; None leaves a parameter to the engine, which knows its model.

    temperature: 0 is greedy. top_p, top_k: what is left to draw from, unused when greedy. repeat_penalty: what the
    score of a token that the text has already is divided by, 1 for nothing. seed: of the whole run.
    """

    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    repeat_penalty: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One text to generate.

    subject: the query or passage that the prompt is about (the fake engine answers with it). max_tokens: the most
    tokens to generate. seed: of this text, unused when greedy.
    """

    prompt: Prompt
    subject: str
    max_tokens: int
    sampling: Sampling = Sampling()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What came of a request.

    text: without the stop string. finish: "stop", "length" (max_tokens were reached) or "error". tokens: how many
    were generated. error: why there is no text, in one line, when finish is "error". reused: it was not generated now.
    made_by: where it was reused, what the provenance of the engine that generated it says of its making.
    """

    text: str
    finish: str
    tokens: int
    error: str = ""
    reused: bool = False
    made_by: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        return self.finish == "error"


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


class Engine(ABC):
    """A model that generates. Use as a context manager; `close` frees the model.

    name: as provenance names it. is_chat: the model has a chat template, so prompts are chat turns.
    """

    name: str
    is_chat: bool

    @abstractmethod
    def rendered(self, prompt: Prompt) -> str:
        """Return the text of a prompt as it goes to the model: what a generation depends on."""

    def show(self, prompt: Prompt) -> str:
        """Return the text that the model sees for a prompt, special tokens included, for a person to read."""
        return self.rendered(prompt)

    @abstractmethod
    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        """Yield each job when it and all before it are done. Reads ahead of what it yields, by a bounded number.

        If reading `jobs` raises, everything read before is generated and yielded first. On Ctrl-C the jobs that are
        done are yielded, and then KeyboardInterrupt is raised.
        """

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What a text depends on besides its prompt and the parameters: the model, its adapters. JSON values."""

    @abstractmethod
    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        """The parameters of sampling that are in force, by their names, without those that have no effect."""

    def making(self) -> dict[str, Any]:
        """The fields that a step says about how the model is run, which are not of its identity."""
        return {}

    def provenance(self) -> dict[str, Any]:
        """The fields that a step says about the model and how it is run."""
        return {**self.identity(), **self.making()}

    @abstractmethod
    def close(self) -> None:
        """Free what the engine holds. Closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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


class Interrupt:
    """A Ctrl-C that has been noticed but not yet acted on; a second one is raised at once."""

    def __init__(self) -> None:
        self.requested = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Turn Ctrl-C into a flag for as long as the block runs, so that finished work can be handed over first."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
