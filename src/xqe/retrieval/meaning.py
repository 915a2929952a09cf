"""What a record is searched with by its meaning: one vector, made of those of its texts.

    query_weight x the query + the mean of the passages, each as a vector of length 1; the sum is brought to length 1

Several passages count as their mean, as with words, and where they were judged each so much less as it strayed
(`closeness`). They are encoded as what is found, not as what is searched with, and each for itself: the mean of their
vectors is HyDE's (Gao et al., ACL 2023, equation 8), which has the query among them at the weight of one passage. The
query is the one that first arrived, the one it is now, or both, the first at SOURCE_SHARE: an encoder reads what the
user wrote better than a small model translates it. A query that has several translations is the mean of their vectors,
each with its share (see `nbest`).

A record whose passages were written by a published method may say in "combine" that its query and they are one text, or
that they count alike (`combining`); that goes before the weight above, and a weight that is asked for goes before it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy

from xqe.errors import InputError
from xqe.files.records import Record, has_failed, untranslated
from xqe.models.encoders.base import Side
from xqe.retrieval.choices import MASS, Encode, Use
from xqe.retrieval.closeness import passage_weights
from xqe.retrieval.combining import JOINED, MEAN, SEP, USUAL, Combination, combination_of
from xqe.retrieval.nbest import alternatives
from xqe.retrieval.retriever import FEEDBACK, QUERY, SOURCE, QueryError

if TYPE_CHECKING:
    from xqe.models.encoders.base import Encoder, Matrix

PASSAGES = "passages"
QUERY_WEIGHT = 5.0
"""Of the query, where it has passages: those of small models lead away from it (docs/dense.md)."""
SOURCE_SHARE = 2 / 3
"""Of the query as it first arrived, where both are encoded."""


@dataclass(frozen=True, slots=True)
class Meant:
    """Which texts of a record are encoded. query_weight: of the query against the mean of its passages, None for
    QUERY_WEIGHT. nbest_mass: see `nbest`. heeds_record: whether what a record says of how it is combined goes before
    the weight."""

    use: Use = Use.QUERY_DOC
    encode: Encode = Encode.BOTH
    query_weight: float | None = None
    nbest_mass: float = MASS
    heeds_record: bool = True

    @property
    def usual_weight(self) -> float:
        return QUERY_WEIGHT if self.query_weight is None else self.query_weight


@dataclass(frozen=True, slots=True)
class Piece:
    """A text that is part of what is searched with. part: "source", "query" or "passages"; None in `text` is a vector
    that no text has, that of feedback."""

    part: str
    text: str | None
    weight: float


@dataclass(frozen=True, slots=True)
class Meaning:
    """A vector to search with. vector: float32 of length 1, shape (dimension,). parts: the vectors that it is made of,
    shape (pieces, dimension), each of length 1. vectors: how a published method has the query and its passages together
    (`combining`), None for the usual weight."""

    vector: Matrix
    pieces: tuple[Piece, ...]
    parts: Matrix
    vectors: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no text of the record says anything: it has no hits, as it has none by words."""
        return not self.pieces

    def mixed_with(self, vectors: Matrix, own_weight: float, weight: float) -> Meaning:
        """This x own_weight + the mean of some vectors x weight."""
        added = weight / (len(vectors) or 1)
        pieces = [Piece(piece.part, piece.text, own_weight * piece.weight) for piece in self.pieces]
        pieces += [Piece(FEEDBACK, None, added)] * len(vectors)
        return replace(combined(pieces, numpy.concatenate([self.parts, vectors])), vectors=self.vectors)


def combined(pieces: Sequence[Piece], parts: Matrix) -> Meaning:
    """The weighted sum of vectors, at length 1. Weights are brought to those whose sum that is."""
    weights = numpy.array([piece.weight for piece in pieces])
    total = weights @ parts.astype(numpy.float64)
    size = float(numpy.linalg.norm(total)) or 1.0
    scaled = tuple(Piece(piece.part, piece.text, piece.weight / size) for piece in pieces)
    return Meaning((total / size).astype(numpy.float32), scaled, parts)


def meanings(
    records: Sequence[tuple[Record, str]], encoder: Encoder, meant: Meant, known: Known
) -> list[Meaning | QueryError]:
    """Return what each record, with where it came from, is searched with; all their texts are encoded together.

    Raises InputError as words do (`weighting`): where only passages are to be used and there are none.
    """
    pieces = [[piece for piece in _pieces(record, meant, where) if _says_something(piece)] for record, where in records]
    known.add(encoder, [piece for some in pieces for piece in some])
    nothing = combined([], numpy.zeros((0, encoder.contract.dimension), numpy.float32))
    made = [known.meaning(some) if some else nothing for some in pieces]
    ways = (_combination(record, meant, where).vectors for record, where in records)
    return [
        one if isinstance(one, QueryError) or way is None else replace(one, vectors=way)
        for one, way in zip(made, ways, strict=True)
    ]


class Known:
    """The vectors of texts that were encoded before, of the latest `MOST` of them: a run asks for many twice."""

    MOST = 20_000

    def __init__(self) -> None:
        self._vectors: dict[tuple[Side, str], Matrix | str] = {}

    def add(self, encoder: Encoder, pieces: Sequence[Piece]) -> None:
        """Encode what is not known yet. What is asked for now is forgotten last."""
        asked = dict.fromkeys((_side(piece), str(piece.text)) for piece in pieces)
        for key in asked:
            if key in self._vectors:
                self._vectors[key] = self._vectors.pop(key)
        new = [key for key in asked if key not in self._vectors]
        excess = len(self._vectors) + len(new) - max(self.MOST, len(asked))
        for key in [*islice(self._vectors, max(0, excess))]:
            del self._vectors[key]
        for side in Side:
            texts = [text for its, text in new if its is side]
            if not texts:
                continue
            encoded = encoder.encode(texts, side)
            for place, (text, vector) in enumerate(zip(texts, encoded.vectors, strict=True)):
                self._vectors[side, text] = encoded.errors.get(place, vector)

    def meaning(self, pieces: Sequence[Piece]) -> Meaning | QueryError:
        """What these pieces, which have been added, make together; why there is none, if one of them has no vector."""
        vectors = [self._vectors[_side(piece), str(piece.text)] for piece in pieces]
        for vector in vectors:
            if isinstance(vector, str):
                return QueryError(vector)
        return combined(pieces, numpy.stack([vector for vector in vectors if not isinstance(vector, str)]))


def _says_something(piece: Piece) -> bool:
    """Whether a text has a character that is seen; the vector of any other is that of what stands before it."""
    return any(unicodedata.category(character)[0] not in "CZ" for character in piece.text or "")


def _side(piece: Piece) -> Side:
    return Side.PASSAGE if piece.part == PASSAGES else Side.QUERY


def _pieces(record: Record, meant: Meant, where: str) -> Iterator[Piece]:
    passages = record.get("passages", []) if meant.use is not Use.QUERY else []
    if meant.use is Use.DOC and not passages and not has_failed(record):
        raise InputError(f'{where}: no "passages" to search with', "write them with xqe expand, or give --use query")
    combination = _combination(record, meant, where)
    weights, _ = passage_weights(record, passages, where, are_alone=meant.use is Use.DOC)
    if combination.vectors in (SEP, JOINED) and any(weights):
        kept = [passage for passage, weight in zip(passages, weights, strict=True) if weight]
        for part, text, share in _asked(record, meant, where):
            yield Piece(part, combination.text(text, kept, meant.query_weight), share)
        return
    if meant.use is not Use.DOC or not passages:
        weight = meant.usual_weight if passages else 1.0
        if combination.vectors == MEAN and meant.query_weight is None:
            weight = 1 / len(passages)
        for part, text, share in _asked(record, meant, where):
            yield Piece(part, text, weight * share)
    for passage, weight in zip(passages, weights, strict=True):
        if weight:
            yield Piece(PASSAGES, passage, weight)


def _combination(record: Record, meant: Meant, where: str) -> Combination:
    """How the query of a record and its passages, where it has any, are put together."""
    return combination_of(record, where) if meant.heeds_record and meant.use is Use.QUERY_DOC else USUAL


def _asked(record: Record, meant: Meant, where: str) -> list[tuple[str, str, float]]:
    """The texts of the query: the state that each is of, the text, its share."""
    source = untranslated(record, where)
    if source and meant.encode is Encode.SOURCE:
        return [(SOURCE, source, 1.0)]
    own = SOURCE_SHARE if source and meant.encode is Encode.BOTH else 0.0
    now = [(QUERY, text, (1 - own) * share) for text, share in alternatives(record, meant.nbest_mass, where)]
    return [(SOURCE, source, own), *now] if own else now
