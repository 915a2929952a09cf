"""Worked examples chosen for each query: the nearest by the encoder, and diverse (`diverse`).

Two rules keep what is evaluated out of the prompt. An example whose query is a near copy of the record's, as it first
came or as it is now, is not shown; nor is one as close to it as its translation would be, which is the same query in
other words or in another language. The nearest stands last, beside the query: models heed most what they read last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xqe.errors import XqeError
from xqe.files.records import Record
from xqe.models.encoders.base import Side
from xqe.stages.judging.closeness import Closeness
from xqe.stages.librarian.copies import is_near_copy
from xqe.stages.librarian.diverse import diverse
from xqe.text.languages import Language, language

if TYPE_CHECKING:
    from xqe.models.encoders.base import Encoder, Matrix
    from xqe.models.examples import Example

_SAME = 1.0
"""The closeness of a translation."""


def asked_of(record: Record) -> tuple[str, Language]:
    """The query as it first came, and its language. Raises XqeError where they are not known."""
    first = record.get("source") or record
    asked = first.get("query")
    if not isinstance(asked, str) or not asked.strip():
        raise XqeError("the query is empty")
    return asked, language(str(first.get("lang") or ""))


class Choice:
    """Chooses among examples. encoder: one that remembers, so that queries that are encoded together (`prepare`) are
    not encoded again. field: of an example, what is held to the query."""

    def __init__(self, encoder: Encoder, field: str) -> None:
        self._encoder, self._field = encoder, field
        self._closeness = Closeness(encoder)
        self._pools: dict[tuple[Language, Language], Matrix] = {}

    @property
    def encoder(self) -> str:
        return self._encoder.name

    def prepare(self, records: Sequence[Record]) -> None:
        """Encode the queries of records together."""
        asked: list[str] = []
        for record in records:
            try:
                asked.append(asked_of(record)[0])
            except XqeError:
                continue  # told when its prompt is made
        self._encoder.encode(asked, Side.QUERY)

    def nearest(
        self, record: Record, pool: Sequence[Example], spoken: Language, target: Language, count: int
    ) -> list[Example]:
        """The examples of a pool to show for a record, the nearest last. The pool is all that there are of two
        languages, `spoken` that of their queries."""
        asked, of_asked = asked_of(record)
        if (spoken, target) not in self._pools:
            self._pools[spoken, target] = self._vectors([example[self._field] for example in pool])
        vectors, query = self._pools[spoken, target], self._vectors([asked])[0]
        scale = self._closeness.scale(of_asked, spoken, Side.QUERY)
        able = [place for place, cosine in enumerate((vectors @ query).tolist()) if scale.closeness(cosine) < _SAME]
        while True:
            chosen = [able[place] for place in diverse(query, vectors[able], count)]
            copies = {place for place in chosen if self._is_copy(pool[place], asked, record["query"])}
            if not copies:
                return [pool[place] for place in reversed(chosen)]
            able = [place for place in able if place not in copies]

    def _is_copy(self, example: Example, *queries: str) -> bool:
        return any(is_near_copy(example[self._field], query) for query in queries)

    def _vectors(self, texts: Sequence[str]) -> Matrix:
        encoded = self._encoder.encode(texts, Side.QUERY)
        for error in encoded.errors.values():
            raise XqeError(error)
        return encoded.vectors
