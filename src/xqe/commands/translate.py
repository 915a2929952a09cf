"""xqe translate: queries, and their passages where there are any, into another language."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from xqe.commands import options
from xqe.commands.generating import run_stage, sampling_of
from xqe.commands.streams import Queries
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.models.engines.base import Engine
    from xqe.stages.translate import Translate


@options.takes(generation=options.Generation)
def translate(
    to: Annotated[str, options.TO],
    query: options.Query = None,
    source: Annotated[str | None, options.spoken("--from")] = None,
    files: options.Input = None,
    max_tokens: Annotated[
        int | None, options.most_tokens("64 for a query, 384 for a passage, less for short ones")
    ] = None,
    *,
    generation: options.Generation,
) -> None:
    """Translate queries, and their passages where there are any (that is E+T).

    Reads query records, writes them with "query", "lang" and "passages" in the new language. A record that is in
    that language already passes unchanged.
    """
    stage = stage_of(to, generation, max_tokens)
    run_stage(Queries(query, files, "--from", source), generation, stage)


def stage_of(to: str, generation: options.Generation, max_tokens: int | None) -> Callable[[Engine], Translate]:
    """What makes the stage for an engine. Raises XqeError for an unknown language."""
    from xqe.stages.translate import Translate

    target, sampling = language(to, "--to"), sampling_of(generation)
    return lambda engine: Translate(engine, target, sampling, max_tokens)
