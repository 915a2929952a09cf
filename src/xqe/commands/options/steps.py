"""What a generating step is told, besides how its texts are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from xqe.commands.options.common import examples_file
from xqe.commands.options.panels import GUIDING
from xqe.stages.strategies import Strategy

MOST_TRANSLATIONS = 1000

# What commands say of an option that each has in a type or with a default of its own.
STRATEGY = typer.Option(
    "--strategy",
    "-s",
    metavar="NAME",
    show_default=False,
    help=f"How to expand: one of {' '.join(Strategy)}; see xqe strategies.",
)
TO = typer.Option("--to", metavar="LANG", help="Language to translate into, as xqe languages lists them.")
DOCUMENTS = typer.Option("--documents", help="Translate documents, in place of queries.")
WRITTEN_IN = typer.Option(
    "--to",
    metavar="LANG",
    show_default=False,
    help="Language to write the passages in, with no translation. [default: the query's]",
)

TRANSLATIONS = typer.Option(
    "--samples",
    "-n",
    min=1,
    max=MOST_TRANSLATIONS,
    metavar="N",
    help="Translations of each query: the likeliest tokens' and N - 1 that are drawn, at --temperature, or 0.7 where "
    "that is 0.",
)


def translations(default: str) -> Any:
    """--translations, of commands that translate and search; `default` says how many there are without it."""
    return typer.Option(
        "--translations",
        metavar="N",
        min=1,
        max=MOST_TRANSLATIONS,
        show_default=False,
        help="Translate a query so often, as xqe translate --samples does, and search with all of them. "
        f"[default: {default}]",
    )


OF_THE_STEP = "that of xqe expand or xqe translate"


def most_tokens(default: str) -> Any:
    """--max-tokens, of a text; `default` says what it is where it is not given."""
    return typer.Option(
        "--max-tokens", min=1, metavar="N", show_default=False, help=f"Most tokens for one text. [default: {default}]"
    )


@dataclass(frozen=True, slots=True)
class Worked:
    """The worked examples of translation that a model is shown."""

    examples: Annotated[
        str | None,
        examples_file(
            'Worked examples of translated queries to choose from, JSONL {"source", "target"}, for chat models, '
            "too. [default: five built-in ones, for pretrained models]"
        ),
    ] = None
    shots: Annotated[
        int | None,
        typer.Option(
            "--shots",
            min=1,
            metavar="N",
            show_default=False,
            help="Worked examples of --examples to show. [default: 10]",
            rich_help_panel=GUIDING,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Expansion:
    """The options of what an expansion shows a model and asks of it, besides its strategy."""

    examples: Annotated[
        str | None,
        examples_file('Worked examples to choose from, JSONL {"query", "passage"}. [default: five built-in ones]'),
    ] = None
    shots: Annotated[
        int | None,
        typer.Option(
            "--shots",
            min=0,
            metavar="N",
            show_default=False,
            help="Worked examples to show; 0 for none. [default: the strategy's: 5 for fewshot, 4 for query2doc; for "
            "pretrained models 2 or 4 otherwise]",
            rich_help_panel=GUIDING,
        ),
    ] = None
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples",
            "-n",
            min=1,
            metavar="N",
            show_default=False,
            help="Passages to write for each query, of each kind that a strategy asks for. [default: the strategy's; 1 "
            "for the paper's]",
        ),
    ] = None
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            metavar="FILE",
            show_default=False,
            help="A prompt file (TOML) of your own, in place of the strategy's.",
        ),
    ] = None
