"""Models that stay open after whoever uses them has closed them, where a process keeps them (`xqe.kept`)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from xqe.kept import is_keeping, kept
from xqe.models.encoders.base import Encoder
from xqe.models.encoders.wrapper import Wrapper as EncoderWrapper
from xqe.models.engines.base import Engine
from xqe.models.engines.jobs import Job
from xqe.models.engines.wrapper import Wrapper

T = TypeVar("T")


def lent_engine(kind: str, key: Hashable, make: Callable[[], Engine]) -> Engine:
    """An engine, kept by its kind ("generator", "reranker") and by all that it depends on."""
    return _Engine(kept(kind, key, make)) if is_keeping() else make()


def lent_encoder(key: Hashable, make: Callable[[], Encoder]) -> Encoder:
    """An encoder, kept by all that it depends on."""
    return _Encoder(kept("encoder", key, make)) if is_keeping() else make()


class _Engine(Wrapper):
    """An engine that closing does not close."""

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        return self._engine.generate(jobs)

    def close(self) -> None:
        pass


class _Encoder(EncoderWrapper):
    """An encoder that closing does not close."""

    def close(self) -> None:
        pass
