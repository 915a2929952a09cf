"""What a model reads of a record when it re-ranks: its query, and its best hits with their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from xqe.errors import XqeError
from xqe.files.records import Record
from xqe.stages.generation import one_line
from xqe.stages.rerank.kinds import Asked

if TYPE_CHECKING:
    from xqe.retrieval.documents import Numbered

BYTES_A_TOKEN = 4
"""Of text in UTF-8, for a token of a multilingual vocabulary: about as many in every script."""
NEAR = 0.8  # of a text's length: white space that is behind this is a good place to cut it


class Candidate(NamedTuple):
    """A hit that is re-ranked. hit: as the record has it. text: of the document, its title first, cut."""

    hit: dict[str, Any]
    text: str


@dataclass(frozen=True)
class Reader:
    """documents: of the index that was searched. n: how many hits are re-ranked. tokens: about the most of a document
    that are read. asked: as the query first came, or as it was searched with."""

    documents: Numbered
    n: int
    tokens: int
    asked: Asked = Asked.SOURCE

    def query(self, record: Record) -> str:
        """The query on one line. Raises XqeError for an empty one."""
        source = record.get("source", {}).get("query") if self.asked is Asked.SOURCE else None
        query = one_line(source if isinstance(source, str) else record["query"])
        if not query:
            raise XqeError("the query is empty")
        return query

    def candidates(self, record: Record) -> list[Candidate]:
        """The best `n` hits, in the order of their scores and then ids. Raises XqeError for hits that are none of the
        index."""
        hits = ordered(record)[: self.n]
        numbers = self.documents.numbers([hit["id"] for hit in hits]).tolist()
        for hit, number in zip(hits, numbers, strict=True):
            if number < 0:
                raise XqeError(f'document "{hit["id"]}" is not in the index')
        texts = (self.documents.text(number) or "" for number in numbers)
        return [Candidate(hit, beginning(one_line(text), self.tokens)) for hit, text in zip(hits, texts, strict=True)]


def ordered(record: Record) -> list[dict[str, Any]]:
    """The hits of a record by score, equal scores by descending id, as everything that reads runs has them."""
    hits: Sequence[dict[str, Any]] = record.get("hits") or []
    return sorted(hits, key=lambda hit: (hit["score"], hit["id"]), reverse=True)


def beginning(text: str, tokens: int) -> str:
    """The beginning of a text that has about so many tokens, up to a white space where one is near."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= (most := tokens * BYTES_A_TOKEN):
        return text
    cut = raw[:most].decode("utf-8", "ignore")
    head, space, _ = cut.rpartition(" ")
    return head if space and len(head) >= NEAR * len(cut) else cut
