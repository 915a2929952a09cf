"""How hits are re-ranked, and the stage that does it, whatever the kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from xqe.files.records import Record
from xqe.models.engines.base import Engine
from xqe.models.prompts import Template
from xqe.stages.generation import Stage, Tally
from xqe.stages.rerank.kinds import DOCUMENT_TOKENS, FIRST_WEIGHT, HITS, Asked, Kind
from xqe.stages.rerank.listwise import Listwise
from xqe.stages.rerank.pointwise import Pointwise
from xqe.stages.rerank.reading import Reader

if TYPE_CHECKING:
    from xqe.retrieval.documents import Numbered


class Reranker(Stage, Protocol):
    """A stage that re-ranks. fell_back: windows of all records that stay as they were, since the answer named no
    document."""

    fell_back: int

    def run(self, records: Iterable[Record], tally: Tally) -> Iterator[Record]:
        """One record out for one in, in order; `tally` counts what leaves."""


@dataclass(frozen=True, slots=True)
class How:
    """template: of the kind (`Kind.template`). n: how many hits are re-ranked. first_weight: of the first stage's
    score, where the kind gives scores. document_tokens: the most of a document that are read. max_tokens: of an answer
    that gives an order, None for as many as its numbers need."""

    kind: Kind
    template: Template
    n: int = HITS
    first_weight: float = FIRST_WEIGHT
    document_tokens: int = DOCUMENT_TOKENS
    asked: Asked = Asked.SOURCE
    max_tokens: int | None = None

    def reranker(self, engine: Engine, documents: Numbered) -> Reranker:
        """documents: of the index that was searched."""
        reader = Reader(documents, self.n, self.document_tokens, self.asked)
        if self.kind is Kind.LISTWISE:
            return Listwise(engine, self.template, reader, self.max_tokens)
        return Pointwise(engine, self.kind, self.template, reader, self.first_weight)
