"""What runs in a worker: something that is opened there, and then takes tasks in blocks, several blocks at a time."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from xqe import __version__
from xqe.errors import XqeError


class Held(Protocol):
    """What a worker holds. Everything that goes in and out is pickled.

    told: what whoever uses it wants to know of it, once. together: tasks that go to it in one block. ahead: blocks that
    it may have at a time, so that it never waits for the next; at most MOST_AHEAD, each in a thread of its own. so_far:
    a number that grows with its work, for people.
    """

    @property
    def told(self) -> Mapping[str, Any]: ...
    @property
    def together(self) -> int: ...
    @property
    def ahead(self) -> int: ...
    @property
    def so_far(self) -> int: ...

    def run(self, tasks: Sequence[Any], /) -> Sequence[Any]:
        """A result for each task, in their order. XqeError ends the whole run."""


MOST_AHEAD = 8


class Each:
    """Holds a function that does one task, such as building a piece of an index: any that can be pickled. ahead: 1
    where it takes all of a worker's memory."""

    told: Mapping[str, Any] = {}
    together = 1
    so_far = 0

    def __init__(self, do: Callable[[Any], Any], ahead: int = 1) -> None:
        self._do, self.ahead = do, ahead

    def run(self, tasks: Sequence[Any]) -> list[Any]:
        return [self._do(task) for task in tasks]


@dataclass(frozen=True, slots=True)
class Refused:
    """An XqeError, which would lose its hint on its way."""

    message: str
    hint: str

    def error(self) -> XqeError:
        return XqeError(self.message, self.hint)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a worker says of itself when it is ready. host: its machine. xqe, python: versions."""

    together: int
    ahead: int
    told: Mapping[str, Any]
    host: str = field(default_factory=platform.node)
    xqe: str = __version__
    python: str = field(default_factory=platform.python_version)


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a block. so_far: of `Held`."""

    results: Sequence[Any]
    so_far: int


class Worker:
    """The process of a worker, as it is called from afar. make: opens what it holds, there."""

    def __init__(self, make: Callable[[], Held]) -> None:
        self._make = make
        self._held: Held | None = None

    def open(self) -> Opened | Refused:
        try:
            self._held = held = self._make()
        except XqeError as error:
            return Refused(f"a worker on {platform.node()}: {error.message}", error.hint)
        return Opened(held.together, min(held.ahead, MOST_AHEAD), held.told)

    def run(self, tasks: Sequence[Any]) -> Ran | Refused:
        assert self._held is not None
        try:
            results = self._held.run(tasks)
        except XqeError as error:
            return Refused(error.message, error.hint)
        return Ran(results, self._held.so_far)
