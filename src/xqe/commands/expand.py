"""xqe expand: passages that could answer each query, written by a language model."""

from __future__ import annotations

from typing import Annotated

import typer

from xqe.commands import options
from xqe.commands.generating import run_stage, sampling_of
from xqe.commands.streams import Queries
from xqe.expand import PASSAGE_TOKENS, Strategy


@options.takes(generation=options.Generation)
def expand(
    query: options.Query = None,
    strategy: Annotated[Strategy, typer.Option("--strategy", "-s", help="The paper's prompts.")] = Strategy.ZEROSHOT,
    lang: Annotated[
        str | None,
        typer.Option(
            "--lang",
            metavar="LANG",
            show_default=False,
            help='Language of the queries that have no "lang" of their own.',
        ),
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option(
            "--examples",
            metavar="FILE",
            show_default=False,
            help='Worked examples to choose from, JSONL {"query", "passage"}. [default: five built-in ones]',
        ),
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            "--shots",
            min=1,
            metavar="N",
            show_default=False,
            help="How many worked examples to show. [default: 5 for fewshot; 2 otherwise, for pretrained models]",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", "-n", min=1, metavar="N", help="Passages to write for each query.")
    ] = 1,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            metavar="FILE",
            show_default=False,
            help="A prompt file (TOML) of your own, instead of --strategy.",
        ),
    ] = None,
    files: options.Input = None,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, metavar="N", help="Most tokens to generate for one passage.")
    ] = PASSAGE_TOKENS,
    *,
    generation: options.Generation,
) -> None:
    """Write passages that could answer each query, in the query's language.

    Reads query records, writes them with "passages". A model without a chat template is shown worked examples
    whatever the strategy, because it continues texts and follows no instructions.
    """
    from xqe import prompts
    from xqe.examples import Chooser
    from xqe.expand import Expand

    template = prompts.load(prompt, "expand") if prompt is not None else strategy.template
    choose = None
    if examples is not None or shots is not None:
        choose = Chooser(examples, template.shots if shots is None else shots, generation.seed)
    queries = Queries(query, files, "--lang", lang)
    run_stage(
        queries,
        generation,
        lambda engine: Expand(engine, template, choose, samples, sampling_of(generation), max_tokens),
    )
