"""An index with vectors, made by an encoder whose vectors a test can write down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy
from numpy.typing import NDArray

from xqe.files.records import Document
from xqe.models.encoders.base import Contract, Encoded, Encoder, Side
from xqe.retrieval.dense.building import embed
from xqe.retrieval.dense.description import Storing
from xqe.retrieval.lexical import Index, build, open_index

Floats = NDArray[numpy.float64]


def unit(vectors: Floats) -> Floats:
    """Vectors at length 1."""
    units: Floats = vectors / numpy.linalg.norm(vectors, axis=-1, keepdims=True)
    return units


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
