"""How well an encoder puts a text and its translation in one place: numbers of vectors alone, without judgements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Matrix = NDArray[numpy.float32]

_AT_A_TIME = 1024  # texts


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the texts of one language find their translations among all texts of another.

    texts: how many. nearest: the share of them whose translation is nearer than every other text. margin: the mean of
    the cosine of the translation minus that of the nearest other text, which may be negative. cosine: the mean cosine
    of the translations.
    """

    source: str
    target: str
    texts: int
    nearest: float
    margin: float
    cosine: float


def alignments(vectors: Mapping[str, Matrix]) -> list[Alignment]:
    """Return the alignment of each ordered pair of languages.

    vectors: language -> vectors of length 1, of shape (texts, dimension), those of one text in the same row in every
    language; at least two texts.
    """
    return [_aligned(*pair, vectors[pair[0]], vectors[pair[1]]) for pair in permutations(vectors, 2)]


def _aligned(source: str, target: str, texts: Matrix, others: Matrix) -> Alignment:
    import numpy

    own = numpy.empty(len(texts))
    best = numpy.empty(len(texts))
    for start in range(0, len(texts), _AT_A_TIME):
        cosines = texts[start : start + _AT_A_TIME].astype(numpy.float64) @ others.T.astype(numpy.float64)
        rows = numpy.arange(len(cosines))
        own[start : start + len(rows)] = cosines[rows, start + rows]
        cosines[rows, start + rows] = -numpy.inf
        best[start : start + len(rows)] = cosines.max(axis=1)
    return Alignment(
        source,
        target,
        len(texts),
        float((own > best).mean()),
        float((own - best).mean()),
        float(own.mean()),
    )
