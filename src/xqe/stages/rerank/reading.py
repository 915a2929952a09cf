"""What a model reads of a record when it re-ranks: its query, and its best hits with their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from xqe.errors import XqeError
from xqe.files.records import Record
from xqe.models.engines.base import Engine
from xqe.models.prompts import Prompt
from xqe.retrieval.fusion import ranking
from xqe.stages.generation import one_line
from xqe.stages.rerank.kinds import Asked
from xqe.text.languages import name_of

if TYPE_CHECKING:
    from xqe.retrieval.documents import Numbered

BYTES_A_TOKEN = 4
"""Of text in UTF-8, for a token of a multilingual vocabulary: about as many in every script."""
MOST_A_TOKEN = 16
"""Characters of a token, as good as never exceeded: a text is not read further."""
NEAR = 0.8  # of a text's length: white space that is behind this is a good place to cut it


class Candidate(NamedTuple):
    """A hit that is re-ranked. hit: as the record has it. text: of the document on one line, its title first."""

    hit: dict[str, Any]
    text: str


@dataclass(frozen=True)
class Reader:
    """documents: of the index that was searched. n: how many hits are re-ranked. tokens: the most of a document that
    are read. asked: as the query first came, or as it was searched with."""

    documents: Numbered
    n: int
    tokens: int
    asked: Asked = Asked.SOURCE

    def query(self, record: Record) -> str:
        """The query on one line. Raises XqeError for an empty one."""
        query = one_line(str(self._of(record, "query")))
        if not query:
            raise XqeError("the query is empty")
        return query

    def language(self, record: Record) -> str:
        """The name of the query's language, as prompts have it."""
        code = self._of(record, "lang")
        return name_of(code) if code else "the language of the query"

    def _of(self, record: Record, field: str) -> Any:
        """A field of the query that is asked."""
        source = record.get("source", {}) if self.asked is Asked.SOURCE else {}
        return source[field] if isinstance(source.get(field), str) else record.get(field, "")

    def candidates(self, record: Record) -> list[Candidate]:
        """The best `n` hits, in their order. Raises XqeError for one that is no document of the index."""
        hits = ordered(record)[: self.n]
        numbers = self.documents.numbers([str(hit["id"]) for hit in hits]).tolist()
        for hit, number in zip(hits, numbers, strict=True):
            if number < 0:
                raise XqeError(f'document "{hit["id"]}" is not in the index')
        texts = [(self.documents.text(number) or "")[: self.tokens * MOST_A_TOKEN] for number in numbers]
        return [Candidate(hit, one_line(text)) for hit, text in zip(hits, texts, strict=True)]


def ordered(record: Record) -> list[dict[str, Any]]:
    """The hits of a record by score, equal scores by descending id, as everything that reads runs has them."""
    hits: dict[str, dict[str, Any]] = {str(hit["id"]): hit for hit in record.get("hits") or []}
    return [hits[name] for _, name in ranking({name: hit["score"] for name, hit in hits.items()})]


def room_for_texts(engine: Engine, around: Prompt, answer: int) -> int | None:
    """How many tokens there is room for in a prompt; None where the engine does not know. around: the prompt with empty
    texts in it. answer: tokens that follow. Raises XqeError where there is no room for any."""
    room = engine.room()
    if room is None:
        return None
    left = room - answer - _length(engine.rendered(around), engine)
    if left < 1:
        raise XqeError(f"there is no room for documents: the rest of the prompt fills the {room} tokens of context")
    return left


def fitted(texts: Sequence[str], tokens: int, engine: Engine, room: int | None) -> tuple[list[str], int]:
    """The beginnings of texts that stand in one prompt, and the most tokens that each of them has: so many, or as many
    fewer as bring them into the room together."""
    read = [beginning(text, tokens, engine) for text in texts]
    lengths = [_length(text, engine) for text in read]
    if room is None or sum(lengths) <= room:
        return read, tokens
    most = _level(lengths, room)
    return [beginning(text, most, engine) for text in read], most


def numbered(texts: Sequence[str]) -> str:
    """Texts as a model reads several, a line each, with a number from 1."""
    return "\n".join(f"[{number}] {text}" for number, text in enumerate(texts, 1))


def _level(lengths: Sequence[int], room: int) -> int:
    """The greatest length that all can be cut to so that they have room together."""
    left = room
    for place, length in enumerate(rising := sorted(lengths)):
        share = left // (len(rising) - place)
        if length > share:
            return share
        left -= length
    return rising[-1]


def beginning(text: str, tokens: int, engine: Engine) -> str:
    """The beginning of a text that has so many tokens at most, up to a white space where one is near."""
    cut = text[: tokens * MOST_A_TOKEN]
    while (length := _length(cut, engine)) > tokens:
        cut = cut[: min(len(cut) - 1, len(cut) * tokens // length)]
    if len(cut) == len(text):
        return text
    head, space, _ = cut.rpartition(" ")
    return head if space and len(head) >= NEAR * len(cut) else cut


def _length(text: str, engine: Engine) -> int:
    counted = engine.count(text)
    return -(-len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN) if counted is None else counted
