"""An index with vectors, made by an encoder whose vectors a test can write down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy
from numpy.typing import NDArray

from xqe.files.records import Document
from xqe.models.encoders.base import Contract, Encoded, Encoder, Side
from xqe.models.examples import builtin
from xqe.retrieval.dense.building import embed
from xqe.retrieval.dense.description import Storing
from xqe.retrieval.lexical import Index, build, open_index
from xqe.text.languages import LANGUAGES

Floats = NDArray[numpy.float64]


def unit(vectors: Floats) -> Floats:
    """Vectors at length 1."""
    units: Floats = vectors / numpy.linalg.norm(vectors, axis=-1, keepdims=True)
    return units


def of_examples(texts: Sequence[str], dimension: int) -> Encoded | None:
    """Where texts are the worked examples that the contrast of an encoder is measured by, vectors that have none."""
    shown = [one for code in ("en", "de", "fr") for one in builtin(code)]
    if all(list(texts) != [one[field] for one in shown] for field in ("query", "passage")):
        return None
    return Encoded(unit(numpy.ones((len(texts), dimension))).astype(numpy.float32))


class Written(Encoder):
    """Texts have the vectors that a table gives them, by what they are encoded as; asked: every call's texts."""

    name = "written"

    def __init__(self, vectors: Mapping[tuple[Side, str], Sequence[float]], failing: Sequence[str] = ()) -> None:
        self._vectors, self._failing = vectors, failing
        self.asked: list[tuple[Side, list[str]]] = []

    @property
    def contract(self) -> Contract:
        return Contract({"model": self.name}, "mean", "", "", len(next(iter(self._vectors.values()))), None)

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        if (found := of_examples(texts, self.contract.dimension)) is not None:
            return found
        self.asked.append((side, list(texts)))
        rows = [numpy.array(self._vectors[side, text], numpy.float32) for text in texts]
        errors = {place: "the server says no" for place, text in enumerate(texts) if text in self._failing}
        return Encoded(numpy.stack([row / numpy.linalg.norm(row) for row in rows]), 0, errors)

    def close(self) -> None:
        pass


def indexed(directory: Path, documents: Mapping[str, str], encoder: Encoder) -> Index:
    """An index of documents, id -> text, with the vectors of an encoder."""
    placed = [(f"t:{n}", Document(name, text)) for n, (name, text) in enumerate(documents.items(), 1)]
    build(directory, "en", placed)
    index = open_index(directory)
    for _ in embed(directory, index.documents, encoder, Storing()):
        pass
    return index


class Topics(Encoder):
    """The built-in examples of one id have one vector, in all languages and forms, and those of different ids the
    cosine UNRELATED; other texts have the vectors that a test names. asked: every call's texts."""

    UNRELATED = 0.8
    name = "topics"

    def __init__(self, named: Mapping[str, Sequence[float]] | None = None, failing: Sequence[str] = ()) -> None:
        self._named, self._failing = dict(named or {}), failing
        self.asked: list[list[str]] = []
        for code in LANGUAGES:
            for example in builtin(code):
                for field in ("query", "rephrasing", "passage"):
                    self._named[example[field]] = topic(int(example["id"]) - 1)

    @property
    def contract(self) -> Contract:
        return Contract({"model": self.name}, "mean", "", "", TOPIC_DIMENSION, None)

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        self.asked.append(list(texts))
        errors = {place: "the server says no" for place, text in enumerate(texts) if text in self._failing}
        rows = [numpy.array(self._named.get(text, topic(5)), numpy.float32) for text in texts]
        return Encoded(numpy.stack([row / numpy.linalg.norm(row) for row in rows]), 0, errors)

    def close(self) -> None:
        pass


TOPIC_DIMENSION = 9


def topic(number: int, strength: float = 1.0, towards: int = 6) -> list[float]:
    """A vector of one of seven topics, whose cosine with those of others is UNRELATED; with less strength it has turned
    to another one."""
    common, own = Topics.UNRELATED**0.5, (1 - Topics.UNRELATED) ** 0.5
    vector = [0.0] * TOPIC_DIMENSION
    vector[number], vector[towards] = own * strength, own * (1 - strength**2) ** 0.5
    vector[TOPIC_DIMENSION - 1] = common
    return vector
