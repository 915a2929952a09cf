"""How hits are re-ranked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

import typer

from xqe.errors import XqeError
from xqe.stages.rerank.kinds import Asked, Kind

DEPTH = 20
FIRST_WEIGHT = 0.5
DOCUMENT_TOKENS = 192

FirstWeight = Annotated[
    float | None,
    typer.Option(
        "--first-weight",
        metavar="W",
        min=0.0,
        max=1.0,
        show_default=False,
        help="The score is W x the first stage's + (1 - W) x the model's, each brought to 0 to 1. "
        f"[default: {FIRST_WEIGHT}]",
    ),
]
DocumentTokens = Annotated[
    int, typer.Option("--document-tokens", metavar="N", min=1, help="Read a document up to so many tokens.")
]


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
    first_weight: FirstWeight = None
    query: Annotated[
        Asked,
        typer.Option(
            "--query", help="Hold documents against the query as it first came (source), or as it was searched with."
        ),
    ] = Asked.SOURCE
    document_tokens: DocumentTokens = DOCUMENT_TOKENS
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            metavar="N",
            min=1,
            show_default=False,
            help="Most tokens of an answer that gives an order. [default: what its numbers need]",
        ),
    ] = None
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            metavar="NAME|FILE",
            show_default=False,
            help="A prompt file (TOML) of your own, or relevance-qwen3, for Qwen3-Reranker.",
        ),
    ] = None


_SCORING = frozenset(Kind) - {Kind.LISTWISE}
_EFFECTIVE = {
    "first_weight": _SCORING,
    "max_tokens": frozenset({Kind.LISTWISE}),
    "prompt": frozenset(Kind) - {Kind.CROSS},
}
"""Options that not every kind heeds, and those that do."""


def check_reranking(options: Reranking, kind: Kind) -> None:
    """Raise XqeError for an option that has no effect on the kind."""
    for field in fields(options):
        able = _EFFECTIVE.get(field.name, frozenset(Kind))
        if kind not in able and getattr(options, field.name) != field.default:
            kinds = " or ".join(one for one in Kind if one in able)
            raise XqeError(
                f"--{field.name.replace('_', '-')} has no effect on --kind {kind}",
                f"leave it out, or give --kind {kinds}",
            )
