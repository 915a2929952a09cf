"""xqe expand: passages that could answer each query, written by a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands import steps
from xqe.commands.generating import run_stage
from xqe.commands.options.common import Input, Query, spoken
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import takes
from xqe.commands.options.steps import STRATEGY, WRITTEN_IN, Expansion
from xqe.commands.streams import Queries
from xqe.stages.strategies import PASSAGE_TOKENS, Strategy

if TYPE_CHECKING:
    pass


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
    stage = steps.expansion(strategy, expansion, generation, max_tokens, to)
    run_stage(Queries(query, files, "--lang", lang), generation, stage)
