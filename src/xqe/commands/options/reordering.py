"""How hits are re-ranked by a command that does more than that, where the options of xqe rerank need longer names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from xqe.commands.options.reranking import DEPTH, DOCUMENT_TOKENS, DocumentTokens, FirstWeight
from xqe.errors import XqeError
from xqe.stages.rerank.kinds import Asked, Kind


@dataclass(frozen=True, slots=True)
class Reordering:
    """The options of what re-ranks, by the names of their fields. rerank: the kind, None for none."""

    rerank: Annotated[
        Kind | None,
        typer.Option("--rerank", show_default=False, help="Re-rank what is found, as xqe rerank --kind does."),
    ] = None
    rerank_n: Annotated[int, typer.Option("--rerank-n", metavar="N", min=1, help="Re-rank the best N hits.")] = DEPTH
    first_weight: FirstWeight = None
    rerank_query: Annotated[
        Asked,
        typer.Option("--rerank-query", help="Hold documents against the query as asked, or as it is searched with."),
    ] = Asked.SOURCE
    document_tokens: DocumentTokens = DOCUMENT_TOKENS

    def check(self) -> None:
        """Raise XqeError for an option that has no effect on the kind."""
        if self.rerank is Kind.LISTWISE and self.first_weight is not None:
            raise XqeError("--first-weight has no effect on --rerank listwise, which gives no scores", "leave it out")
