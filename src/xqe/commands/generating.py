"""What the generating commands share: opening an engine, and showing prompts instead of generating."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xqe import jsonl
from xqe.commands.streams import emit, first_of
from xqe.messages import say
from xqe.records import Record

if TYPE_CHECKING:
    from xqe.engines.base import Engine
    from xqe.generation import Stage

FAKE = "fake"


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The options --model, --gpu-layers, --threads, --batch and --ctx."""

    model: str | None
    gpu_layers: int
    threads: int | None
    batch: int
    context: int | None

    def open(self, vocabulary_only: bool = False) -> Engine:
        """Open the engine; `vocabulary_only` loads no weights, for showing prompts."""
        if self.model == FAKE:
            from xqe.engines.fake import FakeEngine

            return FakeEngine()
        from xqe import models

        name = self.model
        if name is None:
            name = models.default_model()
            models.announce_default()
        resolved = models.resolve(name)
        from xqe.engines.llama.engine import LlamaEngine

        return LlamaEngine(
            resolved.name,
            str(resolved.path),
            models.sha256_of(resolved.path),
            self.gpu_layers,
            self.threads,
            self.batch,
            self.context,
            vocabulary_only,
        )


def run_stage(
    records: Iterable[Record],
    total: int | None,
    options: EngineOptions,
    make: Callable[[Engine], Stage],
    show_prompt: bool,
) -> None:
    """Run the stage that `make` builds for the engine, or show its prompts; no model is loaded for no records."""
    from xqe.generation import prompts_of, run

    arrived = first_of(records)
    if arrived is None:
        return
    with options.open(vocabulary_only=show_prompt) as engine:
        stage = make(engine)
        if show_prompt:
            _show(prompts_of(stage, engine, arrived))
        else:
            emit(run(stage, engine, arrived), stage.name, total)


def _show(prompts: Iterator[tuple[str, str]]) -> None:
    """Write each prompt as it is to stdout, and to stderr whose it is."""
    for identifier, text in prompts:
        say(f"prompt of {identifier}:")
        jsonl.write(text)
