"""xqe expand: passages that could answer each query, written by a language model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands.generating import run_stage, sampling_of
from xqe.commands.options.common import Input, Query, spoken
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import takes
from xqe.commands.options.steps import STRATEGY, WRITTEN_IN, Expansion
from xqe.commands.streams import Queries
from xqe.stages.expand import PASSAGE_TOKENS, Strategy
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.models.engines.base import Engine
    from xqe.stages.expand import Expand


@takes(expansion=Expansion, generation=Generation)
def expand(
    query: Query = None,
    strategy: Annotated[Strategy, STRATEGY] = Strategy.ZEROSHOT,
    lang: Annotated[str | None, spoken("--lang")] = None,
    to: Annotated[str | None, WRITTEN_IN] = None,
    *,
    expansion: Expansion,
    files: Input = None,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, metavar="N", help="Most tokens to generate for one passage.")
    ] = PASSAGE_TOKENS,
    generation: Generation,
) -> None:
    """Write passages that could answer each query.

    They are in the query's language, or with --to directly in another one. Reads query records, writes them with
    "passages". A model without a chat template is shown worked examples whatever the strategy, because it continues
    texts and follows no instructions.
    """
    stage = stage_of(strategy, expansion, generation, max_tokens, to)
    run_stage(Queries(query, files, "--lang", lang), generation, stage)


def stage_of(
    strategy: Strategy,
    expansion: Expansion,
    generation: Generation,
    max_tokens: int,
    to: str | None = None,
) -> Callable[[Engine], Expand]:
    """What makes the stage for an engine; the files that the options name are read and checked now."""
    from xqe.models import prompts
    from xqe.models.examples import Chooser
    from xqe.stages.expand import Expand

    target = language(to, "--to") if to is not None else None
    template = prompts.load(expansion.prompt, "expand") if expansion.prompt is not None else strategy.template
    choose = None
    if expansion.examples is not None or expansion.shots is not None:
        shots = template.shots if expansion.shots is None else expansion.shots
        choose = Chooser(expansion.examples, shots, generation.seed)
    if target is not None:
        template.across()
        if choose is not None:
            choose.require_passages_in(target)
    sampling = sampling_of(generation)
    return lambda engine: Expand(engine, template, choose, expansion.samples, sampling, max_tokens, target)
