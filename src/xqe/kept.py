"""What stays open from one command to the next, in a process that runs several of them (`xqe serve`).

What is expensive to open asks here for what is open already: models, encoders, indexes, vectors. Where a process runs
one command, nothing is kept and everything is opened anew.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

MOST = {"generator": 2, "encoder": 2, "reranker": 1, "index": 16, "vectors": 16}
"""How many of a kind stay open; the one that was used longest ago is closed for another."""


class Keeper:
    """Things that are open, by their kind and by all that they depend on."""

    def __init__(self) -> None:
        self._kinds: dict[str, OrderedDict[Hashable, Any]] = {kind: OrderedDict() for kind in MOST}
        self._lock = threading.RLock()

    def get(self, kind: str, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            there = self._kinds[kind]
            while key not in there and len(there) >= MOST[kind]:
                _close(there.popitem(last=False)[1])
            if key not in there:
                there[key] = make()
            there.move_to_end(key)
            found: T = there[key]
            return found

    def names(self) -> dict[str, list[str]]:
        """What is open, by kind: what each key begins with."""
        with self._lock:
            return {
                kind: [str(key[0] if isinstance(key, tuple) else key) for key in there]
                for kind, there in self._kinds.items()
                if there
            }

    def close(self) -> None:
        with self._lock:
            for there in self._kinds.values():
                while there:
                    _close(there.popitem()[1])


_keeper: Keeper | None = None


@contextmanager
def keeping() -> Iterator[Keeper]:
    """Keep things open within the block."""
    global _keeper
    _keeper = keeper = Keeper()
    try:
        yield keeper
    finally:
        _keeper = None
        keeper.close()


def is_keeping() -> bool:
    return _keeper is not None


def kept(kind: str, key: Hashable, make: Callable[[], T]) -> T:
    """The thing of this kind and key that is open, else what `make` opens. Whoever asks must not close it where
    things are kept."""
    return make() if _keeper is None else _keeper.get(kind, key, make)


def _close(thing: Any) -> None:
    close = getattr(thing, "close", None)
    if close is not None:
        close()
