"""How hits are re-ranked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from xqe.stages.rerank.kinds import Asked, Kind

DEPTH = 20
FIRST_WEIGHT = 0.5
DOCUMENT_TOKENS = 192


@dataclass(frozen=True, slots=True)
class Reranking:
    """The options of what re-ranks."""

    kind: Annotated[
        Kind | None,
        typer.Option(
            "--kind",
            show_default=False,
            help="By the likelihood of the query after each document, by a yes or no to each, by an order of all, or "
            "by a cross-encoder. [default: cross for the file of a re-ranker, else likelihood]",
        ),
    ] = None
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Re-rank the best N hits of each record.")] = DEPTH
    first_weight: Annotated[
        float | None,
        typer.Option(
            "--first-weight",
            metavar="W",
            min=0.0,
            max=1.0,
            show_default=False,
            help="The score is W x the first stage's + (1 - W) x the model's, each from 0 to 1. [default: 0.5]",
        ),
    ] = None
    query: Annotated[
        Asked,
        typer.Option("--query", help="Hold documents against the query as it first came, or as it was searched with."),
    ] = Asked.SOURCE
    document_tokens: Annotated[
        int, typer.Option("--document-tokens", metavar="N", min=8, help="Read about so many tokens of a document.")
    ] = DOCUMENT_TOKENS
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", metavar="FILE", show_default=False, help="A prompt file (TOML) of your own."),
    ] = None
