"""An engine around another: it answers for the other in everything but how texts are generated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Sampling
from xqe.models.prompts import Prompt


class Wrapper(Engine):
    """Wraps an engine; a subclass says what `generate` does. Closing it closes the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.is_chat = engine.is_chat

    def rendered(self, prompt: Prompt) -> str:
        return self._engine.rendered(prompt)

    def show(self, prompt: Prompt) -> str:
        return self._engine.show(prompt)

    def count(self, text: str) -> int | None:
        return self._engine.count(text)

    def room(self) -> int | None:
        return self._engine.room()

    def prompt_end(self, prompt: Prompt) -> str:
        return self._engine.prompt_end(prompt)

    @property
    def tokens_so_far(self) -> int:
        return self._engine.tokens_so_far

    def identity(self) -> dict[str, Any]:
        return self._engine.identity()

    def identities(self) -> list[dict[str, Any]]:
        return self._engine.identities()

    def vouches(self, made_by: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
        return self._engine.vouches(made_by, identity)

    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        return self._engine.parameters(sampling)

    def making(self) -> dict[str, Any]:
        return self._engine.making()

    def provenance(self) -> dict[str, Any]:
        return self._engine.provenance()

    def close(self) -> None:
        self._engine.close()
