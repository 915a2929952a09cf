"""Tasks for many workers: done in blocks, by whichever worker has room, and done again where a worker is lost.

A thread of its own talks to the workers, one event after the other, so that nothing here needs a lock but what is
waiting. What a worker was at when it ended is done again. Once or twice that is chance; a block that was lost `LOSSES`
times is taken apart, and a task that was lost as often again, alone with its worker, is what ends workers: it fails.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from xqe import __version__
from xqe.cluster.worker import Opened, Ran, Refused
from xqe.errors import XqeError
from xqe.messages import plural, say

LOSSES = 3
OPENINGS = 3
"""How often each worker may end before it is ready, one time after the other, where none ever was; then it is no
chance, and the run ends. Where some were, `LENIENCE` times as often, as on machines that come and go."""

LENIENCE = 10
LONGEST_WAIT = 60.0
"""Seconds, the most until another worker is asked for in a place where several have ended before they were ready."""

PATIENCE = 30.0
"""Seconds without any worker until it is said what they wait for."""


class LostError(XqeError):
    """A task that ended each worker that was at it."""


class WorkerLostError(Exception):
    """A worker has ended, or cannot be reached."""


class Handle(Protocol):
    """A worker that was asked for, and begins when there is room for it."""

    def call(self, method: str, arguments: tuple[Any, ...], then: Callable[[Any], None]) -> None:
        """Have the worker do something; `then` gets what comes of it, or the exception, in some thread."""

    def dismiss(self) -> None:
        """End it, if it has not ended."""


@dataclass(slots=True)
class _Task:
    given: Any
    future: Future[Any]


@dataclass(slots=True, eq=False)
class _Block:
    """Tasks that go to a worker together. losses: workers that ended with it. single: what is left of one that was
    taken apart."""

    tasks: list[_Task]
    losses: int = 0
    single: bool = False

    @property
    def is_suspect(self) -> bool:
        """Whether it gets a worker for itself, so that others are not taken for what it may do."""
        return self.single or self.losses >= LOSSES - 1


@dataclass(slots=True, eq=False)
class _Slot:
    """A worker's place. opened: None until it is ready. losses: workers that ended before they were ready. at: its
    blocks; load: the tasks of these."""

    handle: Handle
    opened: Opened | None = None
    losses: int = 0
    at: set[_Block] = field(default_factory=set)
    load: int = 0
    so_far: int = 0

    @property
    def is_taken(self) -> bool:
        """Whether one block has it for itself."""
        return any(block.is_suspect for block in self.at)


_LOAD = attrgetter("load")


class Pool:
    """Workers that do tasks. Use as a context manager.

    hire: asks for a worker. workers: how many. check: raises XqeError for one that may not take part beside the first,
    by what both told. lacking: says what workers wait for, where none begins.
    """

    def __init__(
        self,
        hire: Callable[[], Handle],
        workers: int,
        check: Callable[[Mapping[str, Any], Mapping[str, Any]], None] = lambda first, other: None,
        lacking: Callable[[], str] = lambda: "",
    ) -> None:
        self.workers = workers
        self._hire, self._check, self._lacking = hire, check, lacking
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._waiting: deque[_Task] = deque()
        self._again: deque[_Block] = deque()
        self._slots: list[_Slot] = []
        self._first: Future[Opened] = Future()
        self._failure: BaseException | None = None
        self._ended_so_far = 0
        self._in_vain = 0  # workers that have ended before they were ready, since one was
        self._is_closed = False
        self._thread = threading.Thread(target=self._loop, name="xqe-pool", daemon=True)
        self._thread.start()

    def first(self) -> Mapping[str, Any]:
        """What the first worker told that was ready, which is waited for. Raises XqeError where none will be."""
        return self._first.result().told

    @property
    def so_far(self) -> int:
        """What all workers have done by now, in the number of `Held.so_far`."""
        return self._ended_so_far + sum(slot.so_far for slot in self._slots)

    def submit(self, given: Any) -> Future[Any]:
        """Have a task done. The future has its result, else LostError, or what ended the run."""
        task = _Task(given, Future())
        self._events.put(partial(self._arrived, task))
        return task.future

    def map(self, some: Iterable[Any], ahead: int | None = None) -> Iterator[Any]:
        """Yield the results of tasks, in their order. ahead: tasks that may be under way or done before the one that is
        yielded next; by itself two a worker. Raises what the first of them raises that fails."""
        ahead = ahead or 2 * self.workers
        under_way: deque[Future[Any]] = deque()
        try:
            for given in some:
                under_way.append(self.submit(given))
                if len(under_way) >= ahead:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()

    def close(self) -> None:
        """End all workers; what they are at is lost."""
        self._events.put(self._close)
        self._thread.join()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---------------------------------------------------------------- in the thread

    def _loop(self) -> None:
        try:
            self._begin()
        except BaseException as error:
            self._fail(error)
        patience: float | None = PATIENCE
        while not self._is_closed:
            try:
                event = self._events.get(timeout=None if self._first.done() else patience)
            except Empty:
                patience = None
                say(f"no worker has begun yet: {self._lacking()}")
                continue
            try:
                event()
                with suppress(Empty):
                    while not self._is_closed:
                        self._events.get_nowait()()
                self._dispatch()
            except BaseException as error:  # raised again where results are waited for
                self._fail(error)

    def _begin(self) -> None:
        for _ in range(self.workers):
            slot = _Slot(self._hire())
            self._slots.append(slot)
            self._open(slot)

    def _arrived(self, task: _Task) -> None:
        if self._failure is None:
            self._waiting.append(task)
        elif task.future.set_running_or_notify_cancel():
            task.future.set_exception(self._failure)

    def _open(self, slot: _Slot) -> None:
        handle = slot.handle
        handle.call("open", (), lambda came: self._events.put(partial(self._opened, slot, came)))

    def _opened(self, slot: _Slot, came: Any) -> None:
        if isinstance(came, WorkerLostError):
            slot.losses += 1
            self._in_vain += 1
            self._replace(slot, came, "before it was ready")
            return
        opened = _checked(came)
        if opened.xqe != __version__:
            raise XqeError(
                f"a worker on {opened.host} has xqe {opened.xqe}, and this is {__version__}",
                "install the same on all machines",
            )
        if self._first.done():
            self._check(self._first.result().told, opened.told)
        else:
            self._first.set_result(opened)
        slot.opened, slot.losses, self._in_vain = opened, 0, 0

    def _replace(self, slot: _Slot, why: WorkerLostError, when: str) -> None:
        """Ask for another worker in a place. Raises XqeError where workers do nothing but end."""
        slot.handle.dismiss()
        self._ended_so_far += slot.so_far
        slot.opened, slot.so_far = None, 0
        if self._in_vain >= OPENINGS * self.workers * (LENIENCE if self._first.done() else 1):
            raise XqeError(
                f"workers end before they are ready ({why})",
                "most likely for want of memory: give fewer --workers, or a smaller model",
            )
        wait = 0.0 if slot.losses < OPENINGS else min(LONGEST_WAIT, 2.0 ** (slot.losses - OPENINGS))
        say(f"a worker has ended {when} ({why}); another takes its place{f' in {wait:.0f} s' if wait else ''}")
        if wait:
            later = threading.Timer(wait, lambda: self._events.put(partial(self._hire_in, slot)))
            later.daemon = True
            later.start()
        else:
            self._hire_in(slot)

    def _hire_in(self, slot: _Slot) -> None:
        slot.handle = self._hire()
        self._open(slot)

    def _dispatch(self) -> None:
        """Give what waits to workers that have room, to those first that have least to do."""
        if self._failure is not None:
            return
        ready = [slot for slot in self._slots if slot.opened is not None and not slot.is_taken]
        for block in [block for block in self._again if block.is_suspect]:
            if not ready:
                return
            slot = min(ready, key=_LOAD)
            ready.remove(slot)  # at least kept free, until it has nothing to do
            if slot.at:
                break
            self._again.remove(block)
            self._give(slot, block)
        while ready:
            slot = min(ready, key=_LOAD)
            found = self._next(slot)
            if found is None:
                ready.remove(slot)
            else:
                self._give(slot, found)

    def _next(self, slot: _Slot) -> _Block | None:
        """A block for a worker, None where it has enough or nothing waits. No worker takes more than its part of all
        that there is, so that one that begins a little later still finds some."""
        assert slot.opened is not None
        if len(slot.at) >= slot.opened.ahead:
            return None
        lost = next((block for block in self._again if not block.is_suspect), None)
        if lost is not None:
            self._again.remove(lost)
            return lost
        there = len(self._waiting) + sum(one.load for one in self._slots)
        most = min(slot.opened.together, max(slot.opened.together, -(-there // len(self._slots))) - slot.load)
        tasks: list[_Task] = []
        while self._waiting and len(tasks) < most:
            task = self._waiting.popleft()
            if task.future.set_running_or_notify_cancel():
                tasks.append(task)
        return _Block(tasks) if tasks else None

    def _give(self, slot: _Slot, block: _Block) -> None:
        slot.at.add(block)
        slot.load += len(block.tasks)
        given = [task.given for task in block.tasks]
        handle = slot.handle
        handle.call("run", (given,), lambda came: self._events.put(partial(self._ran, slot, handle, block, came)))

    def _ran(self, slot: _Slot, handle: Handle, block: _Block, came: Any) -> None:
        if block not in slot.at or slot.handle is not handle:
            return  # the worker was found lost by another block, and this one is done again already
        if isinstance(came, WorkerLostError):
            lost, slot.at = slot.at, set()
            load, slot.load = slot.load, 0
            for one in lost:
                self._lost(one, came)
            self._replace(slot, came, f"with {plural(load, 'task')}, to be done again")
            return
        ran = _checked(came)
        assert isinstance(ran, Ran)
        slot.at.remove(block)
        slot.load -= len(block.tasks)
        slot.so_far = ran.so_far
        for task, result in zip(block.tasks, ran.results, strict=True):
            task.future.set_result(result)

    def _lost(self, block: _Block, why: WorkerLostError) -> None:
        block.losses += 1
        if block.losses < LOSSES:
            self._again.append(block)
        elif len(block.tasks) > 1:
            self._again += [_Block([task], single=True) for task in block.tasks]
        else:
            for task in block.tasks:
                task.future.set_exception(LostError(f"each worker that was at it has ended ({why})"))

    def _fail(self, error: BaseException) -> None:
        """Let nobody wait any more: the run has failed."""
        self._failure = error
        if not self._first.done():
            self._first.set_exception(error)
        blocks = [*self._again, *(block for slot in self._slots for block in slot.at)]
        tasks = [*self._waiting, *(task for block in blocks for task in block.tasks)]
        self._waiting.clear()
        self._again.clear()
        for slot in self._slots:
            slot.at, slot.load = set(), 0
        for task in tasks:
            with suppress(InvalidStateError):  # nobody waits for it
                task.future.set_exception(error)

    def _close(self) -> None:
        self._is_closed = True
        for slot in self._slots:
            slot.handle.dismiss()
        self._fail(XqeError("the workers were dismissed"))


def _checked(came: Any) -> Any:
    """What came of a call. Raises what it says has failed."""
    if isinstance(came, Refused):
        raise came.error()
    if isinstance(came, BaseException):
        raise came
    return came
