"""xqe translate: queries, and their passages where there are any, into another language."""

from __future__ import annotations

from typing import Annotated

import typer

from xqe.commands import options
from xqe.commands.generating import EngineOptions, run_stage
from xqe.commands.streams import Queries
from xqe.languages import LANGUAGES, language

_CODES = " ".join(LANGUAGES)


def translate(
    to: Annotated[str, typer.Option("--to", metavar="LANG", help=f"Language to translate into: {_CODES}.")],
    query: options.Query = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="LANG",
            show_default=False,
            help='Language of the queries that have no "lang" of their own.',
        ),
    ] = None,
    files: options.Input = None,
    model: options.Model = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            min=1,
            metavar="N",
            show_default=False,
            help="Most tokens for one text. [default: 64 for a query, 384 for a passage, less for short ones]",
        ),
    ] = None,
    temperature: options.Temperature = 0.0,
    seed: options.Seed = 0,
    batch: options.Batch = options.DEFAULT_BATCH,
    gpu_layers: options.GpuLayers = -1,
    threads: options.Threads = None,
    ctx: options.Context = None,
    show_prompt: options.ShowPrompt = False,
) -> None:
    """Translate queries, and their passages where there are any (that is E+T).

    Reads query records, writes them with "query", "lang" and "passages" in the new language. A record that is in
    that language already passes unchanged.
    """
    from xqe.generation import Sampling
    from xqe.translate import Translate

    target = language(to, "--to")
    queries = Queries(query, files, "--from", source)
    run_stage(
        queries,
        queries.total,
        EngineOptions(model, gpu_layers, threads, batch, ctx),
        lambda engine: Translate(engine, target, Sampling(temperature, seed), max_tokens),
        show_prompt,
    )
