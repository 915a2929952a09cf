"""xqe translate: queries, and their passages where there are any, into another language."""

from __future__ import annotations

from typing import Annotated

import typer

from xqe.commands import options
from xqe.commands.generating import run_stage, sampling_of
from xqe.commands.streams import Queries
from xqe.languages import LANGUAGES, language

_CODES = " ".join(LANGUAGES)


@options.takes(generation=options.Generation)
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
    *,
    generation: options.Generation,
) -> None:
    """Translate queries, and their passages where there are any (that is E+T).

    Reads query records, writes them with "query", "lang" and "passages" in the new language. A record that is in
    that language already passes unchanged.
    """
    from xqe.translate import Translate

    target = language(to, "--to")
    queries = Queries(query, files, "--from", source)
    run_stage(queries, generation, lambda engine: Translate(engine, target, sampling_of(generation), max_tokens))
