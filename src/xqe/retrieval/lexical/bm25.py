"""BM25: exact scores, and how they follow from tantivy's ranking.

The score of document d for weighted terms is the sum over the terms t that it holds of

    weight(t) idf(t) (k1 + 1) tf / (tf + K(d))        K(d) = k1 (1 - b + b length(d) / average length)
                                                      idf(t) = ln(1 + (N - n + 0.5) / (n + 0.5))

(Robertson et al., TREC-3, with the idf of Lucene, which is never negative), computed in double precision from true
lengths and then rounded to float32.

tantivy computes the same with k1 = 1.2, b = 0.75 and lengths rounded down to one of 256 steps. Its K'(d) is then at
most K(d), so its score is at least the exact one: documents are taken in its order until its score falls below the
k-th exact one, and no document that was not looked at can belong to the k best. With other parameters K' may be
greater; its score times the greatest (1 + K') / (1 + K) of any document is then what cannot be exceeded.

None of this asks what tantivy's own statistics are: in a shard of an index each term is boosted by its idf in the whole
over that which tantivy has for it in the shard, and K' with the average of the shard stands against K with that of the
whole. What tantivy has for a term that all documents of a shard hold is reckoned as it does (`idf_of_tantivy`).

To keep that factor near 1, an index with other parameters is padded: each document gets `pad` terms that no query
has, and `fillers` are empty or long documents of such terms that set the average length, so that 0.3 + 0.9 x padded
length / average is K(d) as nearly as possible. Padding decides only how many candidates have to be looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

TANTIVY_K1, TANTIVY_B = 1.2, 0.75
_FREE = TANTIVY_K1 * (1 - TANTIVY_B)  # what K' is for a document of length 0
_SLOPE = TANTIVY_K1 * TANTIVY_B
# A b near 0 would have to be approached by padding without end.
_GREATEST_STRETCH = 12.0  # of the average length
_GREATEST_PAD = 4.0  # average lengths
FILLER_LENGTH = 100_000
_AT_A_TIME = 1 << 16  # lengths

Floats = NDArray[numpy.float64]


@dataclass(frozen=True, slots=True)
class Parameters:
    """k1: how slowly a term's score grows with its count, 0 to 1000. b: how far length counts, 0 to 1."""

    k1: float
    b: float

    def changed(self, k1: float | None, b: float | None) -> Parameters:
        """These with another k1 and b where they are given."""
        return Parameters(self.k1 if k1 is None else k1, self.b if b is None else b)

    def norms(self, lengths: Any, average: float) -> Floats:
        """K of documents with these lengths."""
        norms: Floats = self.k1 * (1 - self.b + self.b * numpy.asarray(lengths, numpy.float64) / (average or 1.0))
        return norms

    def of(self, words: float) -> Parameters:
        """These, whatever the length of documents."""
        return self


@dataclass(frozen=True, slots=True)
class ByLength:
    """Parameters that follow from how many words documents have, but for what is given.

    The longer they are, the more a repetition says, and the more their lengths differ for other reasons than that they
    say more. Between `SHORT` and `LONG` words both parameters grow with the logarithm of the length, beyond those they
    do not. Those for short texts were found on the passages of MS MARCO by Anserini's authors; docs/analysis.md has the
    measurements.
    """

    k1: float | None = None
    b: float | None = None

    def of(self, words: float) -> Parameters:
        """The parameters of documents with so many words on the mean, to two digits."""
        (short, at_short), (long, at_long) = SHORT, LONG
        place = min(max(math.log(max(words, 1) / short) / math.log(long / short), 0.0), 1.0)
        k1, b = (
            round(low + place * (high - low), 2) for low, high in ((at_short.k1, at_long.k1), (at_short.b, at_long.b))
        )
        return Parameters(k1, b).changed(self.k1, self.b)


SHORT, LONG = (50, Parameters(0.82, 0.68)), (200, Parameters(1.5, 0.8))
"""Words, and the parameters of documents that have so many."""
BY_LENGTH = ByLength()
NATIVE = Parameters(TANTIVY_K1, TANTIVY_B)
"""Tantivy's own, which need no padding."""


def idf(documents: int, frequencies: Any) -> Floats:
    """ln(1 + (N - n + 0.5) / (n + 0.5)) of terms that n of N documents hold."""
    n = numpy.asarray(frequencies, numpy.float64)
    result: Floats = numpy.log1p((documents - n + 0.5) / (n + 0.5))
    return result


def idf_of_tantivy(documents: int, frequencies: Any) -> Floats:
    """The same as tantivy has it, which computes 1 + odds in single precision: of terms that nearly all documents hold
    it has but the first digits, and nothing (0) where that is 1."""
    n = numpy.asarray(frequencies, numpy.int64)
    half = numpy.float32(0.5)
    odds = ((documents - n).astype(numpy.float32) + half) / (n.astype(numpy.float32) + half)
    result: Floats = numpy.log((numpy.float32(1) + odds).astype(numpy.float64))
    return result


class Field(NamedTuple):
    """A field of documents. terms: in all. average: of the documents that have it."""

    terms: int
    average: float


@dataclass(frozen=True, slots=True)
class Padding:
    """What is added to an index so that tantivy ranks as other parameters do.

    pad: terms that each document gets. fillers: the lengths of documents that are added.
    """

    pad: int = 0
    fillers: tuple[int, ...] = ()

    @classmethod
    def pad_for(cls, parameters: Parameters, average: float) -> int:
        """How many terms each document gets, where documents have `average` terms or about that many."""
        stretched = cls._stretched(parameters, average)
        return max(0, round((parameters.k1 * (1 - parameters.b) - _FREE) * stretched / _SLOPE))

    @staticmethod
    def _stretched(parameters: Parameters, average: float) -> float:
        """The average length at which tantivy's K rises with the length as fast as it should."""
        slope, free = parameters.k1 * parameters.b, parameters.k1 * (1 - parameters.b) - _FREE
        limits = [_GREATEST_STRETCH]
        if slope:
            limits.append(_SLOPE / slope)
        if free > 0:
            limits.append(_GREATEST_PAD * _SLOPE / free)
        return average * min(limits)

    @classmethod
    def fitted(cls, parameters: Parameters, documents: int, terms: int, pad: int) -> Padding:
        """The padding of documents that hold so many terms in all and got `pad` each."""
        if parameters == NATIVE or not terms:
            return cls(pad)
        wanted = cls._stretched(parameters, terms / documents)
        have = terms + pad * documents
        return cls(pad, cls._fillers(wanted, documents, have))

    @classmethod
    def fitted_together(cls, parameters: Parameters, documents: int, fields: Mapping[str, Field]) -> dict[str, Padding]:
        """The padding of several fields of the same documents; each gets as many fillers."""
        pads = {name: cls.pad_for(parameters, field.average) for name, field in fields.items()}
        wanted = {name: cls._stretched(parameters, field.average) for name, field in fields.items()}
        have = {name: field.terms + pads[name] * documents for name, field in fields.items()}
        number = max(len(cls._fillers(wanted[name], documents, have[name])) for name in fields)
        return {name: cls(pads[name], cls._filled(number, wanted[name], documents, have[name])) for name in fields}

    @classmethod
    def _fillers(cls, wanted: float, documents: int, have: int) -> tuple[int, ...]:
        """What brings the average length of documents that have so many terms in all to `wanted`."""
        lacking = math.ceil(wanted * documents - have)
        if lacking <= 0:
            return (0,) * (math.floor(have / wanted - documents) if wanted else 0)
        # fillers of a length below the average would need more terms the more of them there are
        length = max(FILLER_LENGTH, math.ceil(4 * wanted))
        return cls._filled(math.ceil(lacking / (length - wanted)), wanted, documents, have)

    @staticmethod
    def _filled(number: int, wanted: float, documents: int, have: int) -> tuple[int, ...]:
        """So many fillers that do."""
        lacking = math.ceil(wanted * documents - have) + number * wanted
        return (max(0, math.ceil(lacking / number)),) * number if number else ()


def rounded_down(lengths: Any) -> NDArray[numpy.int64]:
    """Lengths as tantivy and Lucene keep them: exact up to 39, then four significant bits of what is above 24."""
    values = numpy.asarray(lengths, numpy.int64)
    above = numpy.maximum(values - 24, 1)
    dropped = numpy.maximum(numpy.frexp(above.astype(numpy.float64))[1] - 4, 0)
    return numpy.where(values < 24, values, 24 + (above >> dropped << dropped) * (values > 24))


def excess(parameters: Parameters, lengths: Any, average: float, padding: Padding) -> float:
    """How many times its exact score any document's score by tantivy must be multiplied to be no less than it: >= 1."""
    lengths = numpy.asarray(lengths)
    documents = len(lengths) + len(padding.fillers)
    mean = (int(lengths.sum()) + padding.pad * len(lengths) + sum(padding.fillers)) / documents
    greatest = 1.0
    for start in range(0, len(lengths), _AT_A_TIME):
        some = lengths[start : start + _AT_A_TIME].astype(numpy.int64)
        theirs = _FREE + _SLOPE * rounded_down(some + padding.pad) / (mean or 1.0)
        greatest = max(greatest, float(((1 + theirs) / (1 + parameters.norms(some, average))).max()))
    return greatest
