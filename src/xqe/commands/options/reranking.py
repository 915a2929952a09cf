"""How hits are re-ranked: by the command that does it, and by those that do more than that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from xqe.commands.options.panels import RERANKING
from xqe.stages.rerank.kinds import DOCUMENT_TOKENS, FIRST_WEIGHT, HITS, Asked, Kind

_FirstWeight = Annotated[
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
_DocumentTokens = Annotated[
    int, typer.Option("--document-tokens", metavar="N", min=1, help="Read a document up to so many tokens.")
]
RerankModel = Annotated[
    str | None,
    typer.Option(
        "--rerank-model",
        metavar="NAME|PATH",
        show_default=False,
        help="Re-rank by another model than --model, such as a cross-encoder.",
        rich_help_panel=RERANKING,
    ),
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
            "by a cross-encoder. [default: cross for the file of a re-ranker, yes-no for a server, else likelihood]",
        ),
    ] = None
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Re-rank the best N hits of each record.")] = HITS
    first_weight: _FirstWeight = None
    query: Annotated[
        Asked,
        typer.Option(
            "--query", help="Hold documents against the query as it first came (source), or as it was searched with."
        ),
    ] = Asked.SOURCE
    document_tokens: _DocumentTokens = DOCUMENT_TOKENS
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


@dataclass(frozen=True, slots=True)
class Reordering:
    """The same where a command has other options by these names."""

    rerank: Annotated[
        Kind | None,
        typer.Option("--rerank", show_default=False, help="Re-rank what is found, as xqe rerank --kind does."),
    ] = None
    rerank_model: RerankModel = None
    rerank_n: Annotated[
        int, typer.Option("--rerank-n", metavar="N", min=1, help="Re-rank the best N hits.", rich_help_panel=RERANKING)
    ] = HITS
    first_weight: _FirstWeight = None
    rerank_query: Annotated[
        Asked,
        typer.Option(
            "--rerank-query",
            help="Hold documents against the query as asked, or as it is searched with.",
            rich_help_panel=RERANKING,
        ),
    ] = Asked.SOURCE
    document_tokens: _DocumentTokens = DOCUMENT_TOKENS

    @property
    def reranks(self) -> bool:
        """Whether anything is re-ranked: the kind is named, or the model, whose kind it is then."""
        return self.rerank is not None or self.rerank_model is not None

    def reranking(self) -> Reranking:
        return Reranking(self.rerank, self.rerank_n, self.first_weight, self.rerank_query, self.document_tokens)
