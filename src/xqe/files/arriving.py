"""What arrives on a stream, several at a time: as many as are there, and never waiting for more than the first."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class _End(Generic[T]):
    """The end of a stream, and what ended it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def together(items: Iterable[T], most: int, ahead: int | None = None) -> Iterator[list[T]]:
    """Groups of what has arrived, in order, at most so many at a time. What reading raises is raised after all that
    came before it. ahead: how many items a thread reads before they are asked for; as many as of a group if None."""
    arrivals: queue.Queue[T | _End[T]] = queue.Queue(ahead or most)

    def read() -> None:
        try:
            for item in items:
                arrivals.put(item)
            arrivals.put(_End())
        except BaseException as error:
            arrivals.put(_End(error))

    threading.Thread(target=read, name="xqe-ahead", daemon=True).start()
    while True:
        arrived = arrivals.get()
        group: list[T] = []
        while not isinstance(arrived, _End):
            group.append(arrived)
            if len(group) == most:
                break
            try:
                arrived = arrivals.get_nowait()
            except queue.Empty:
                break
        if group:
            yield group
        if isinstance(arrived, _End):
            if arrived.error is not None:
                raise arrived.error
            return
