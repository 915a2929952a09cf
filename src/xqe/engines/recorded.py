"""An engine that keeps what was asked of it and what came of it, to be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from xqe.engines.base import Completion, Engine, Job, Request, Sampling
from xqe.prompts import Prompt

T = TypeVar("T")


class RecordingEngine(Engine):
    """Wraps an engine. Closing it closes the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._recorded: list[tuple[Request, Completion]] = []
        self.name = engine.name
        self.is_chat = engine.is_chat

    def taken(self) -> list[tuple[Request, Completion]]:
        """Each request and its completion since the last call, in order."""
        recorded, self._recorded = self._recorded, []
        return recorded

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        for job in self._engine.generate(jobs):
            self._recorded += zip(job.requests, job.results(), strict=True)
            yield job

    def rendered(self, prompt: Prompt) -> str:
        return self._engine.rendered(prompt)

    def show(self, prompt: Prompt) -> str:
        return self._engine.show(prompt)

    def identity(self) -> dict[str, Any]:
        return self._engine.identity()

    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        return self._engine.parameters(sampling)

    def making(self) -> dict[str, Any]:
        return self._engine.making()

    def provenance(self) -> dict[str, Any]:
        return self._engine.provenance()

    def close(self) -> None:
        self._engine.close()
