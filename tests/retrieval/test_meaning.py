"""The vectors of texts that were encoded before."""

from __future__ import annotations

import numpy
import pytest

from xqe.models.encoders.base import Encoded, Side
from xqe.models.encoders.fake import FakeEncoder
from xqe.retrieval.meaning import PASSAGES, Known, Piece
from xqe.retrieval.retriever import QUERY


class Counting(FakeEncoder):
    def __init__(self) -> None:
        self.texts: list[tuple[str, Side]] = []

    def encode(self, texts: list[str], side: Side) -> Encoded:  # type: ignore[override]
        self.texts += [(text, side) for text in texts]
        return super().encode(texts, side)


def pieces(*texts: str, part: str = QUERY) -> list[Piece]:
    return [Piece(part, text, 1.0) for text in texts]


def test_a_text_is_encoded_once_on_each_side() -> None:
    known, encoder = Known(), Counting()
    known.add(encoder, pieces("a", "b", "a"))
    known.add(encoder, [*pieces("b"), *pieces("b", part=PASSAGES)])
    assert encoder.texts == [("a", Side.QUERY), ("b", Side.QUERY), ("b", Side.PASSAGE)]


def test_what_is_asked_for_is_never_what_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Known, "MOST", 3)
    known, encoder = Known(), Counting()
    known.add(encoder, pieces("old", "b", "c"))
    asked = pieces("old", "d", "e")  # "old" came first, and is asked for again
    known.add(encoder, asked)
    found = known.meaning(asked)
    assert numpy.allclose(found.parts, FakeEncoder().encode(["old", "d", "e"], Side.QUERY).vectors)  # type: ignore[union-attr]
    many = pieces(*"fghij")  # more than are kept
    known.add(encoder, many)
    known.meaning(many)
    assert [text for text, _ in encoder.texts].count("old") == 1
