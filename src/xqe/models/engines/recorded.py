"""An engine that keeps what was asked of it and what came of it, to be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from xqe.models.engines.base import Engine
from xqe.models.engines.jobs import Job
from xqe.models.engines.requests import Completion, Request
from xqe.models.engines.wrapper import Wrapper

T = TypeVar("T")


class RecordingEngine(Wrapper):
    """Remembers each request and its completion until they are taken."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._recorded: list[tuple[Request, Completion]] = []

    def taken(self) -> list[tuple[Request, Completion]]:
        """Each request and its completion since the last call, in order."""
        recorded, self._recorded = self._recorded, []
        return recorded

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        for job in self._engine.generate(jobs):
            self._recorded += zip(job.requests, job.results(), strict=True)
            yield job
