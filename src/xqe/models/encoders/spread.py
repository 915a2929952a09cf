"""An encoder on many workers: each holds one, and batches of texts go to them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from xqe.cluster.pool import Pool
from xqe.errors import XqeError
from xqe.models.encoders.base import Contract, Encoded, Encoder, Side

_ENCODE, _WINDOWS = "encode", "windows"


class Encoding:
    """An encoder in a worker: the `Held` of a pool. A task is the name of a method and what it is called with."""

    together = 1
    ahead = 2  # the next is there when one is done
    so_far = 0

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        self.told = {"name": encoder.name, "contract": encoder.contract, "making": encoder.making()}

    def run(self, tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
        with self._lock:
            return [getattr(self._encoder, method)(*arguments) for method, *arguments in tasks]


class SpreadEncoder(Encoder):
    """Encodes on workers. Closing it ends them."""

    def __init__(self, workers: AbstractContextManager[Pool]) -> None:
        self._opened = ExitStack()
        self._pool = self._opened.enter_context(workers)
        try:
            told = self._pool.first()
        except BaseException:
            self.close()
            raise
        self.name = told["name"]
        self._contract: Contract = told["contract"]
        self._making: dict[str, Any] = told["making"]

    @property
    def contract(self) -> Contract:
        return self._contract

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        [encoded] = self.encode_each([texts], side)
        return encoded

    def encode_each(self, batches: Iterable[Sequence[str]], side: Side) -> Iterator[Encoded]:
        return self._pool.map((_ENCODE, texts, side) for texts in batches)

    def windows(self, texts: Sequence[str], tokens: int, overlap: int) -> list[list[str]]:
        [windows] = self.windows_each([texts], tokens, overlap)
        return windows

    def windows_each(self, batches: Iterable[Sequence[str]], tokens: int, overlap: int) -> Iterator[list[list[str]]]:
        return self._pool.map((_WINDOWS, texts, tokens, overlap) for texts in batches)

    def making(self) -> dict[str, Any]:
        return self._making

    def close(self) -> None:
        self._opened.close()


def check_alike(first: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raise XqeError for an encoder in a worker that makes other vectors than that of the first one."""
    if first["contract"] != other["contract"]:
        raise XqeError(
            f"two workers make vectors of {first['name']} that cannot be compared "
            f"({first['contract'].as_json()}, and {other['contract'].as_json()})",
            "have the same files on all machines",
        )
