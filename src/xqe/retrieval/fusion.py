"""Fusion of the hits of several runs for one query: methods and normalisations, one row each, and the computation.

A run gives points to each of its hits, and a method combines the points that a document has from all runs. The
points of a method of ranks come from the rank; those of a method of scores from the scores, normalised.

The values are those of ranx 0.3.21 (Bassani and Romelli, CIKM 2022) but for these cases, in which its values would
lose hits or explode:

- Where all scores of a run for a query are equal, as for an only hit, `min-max` gives each 1, so that the best hit
  always has 1 (as OpenSearch does), and `sum` gives each 1 / their number. ranx gives 0, what a missing hit has.
- `max` refuses scores that are all 0 or below; ranx divides them by 1e-9.
- Ranges below 1e-9 are divided by as they are; ranx divides by 1e-9.
- Equal scores are ranked as trec_eval ranks them (`ranking`); ranx ranks them as they came.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from operator import gt
from typing import TYPE_CHECKING, Any, NamedTuple

from xqe.errors import InputError, XqeError
from xqe.lines import among

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

GREATEST_SCORE = 3.4028234663852886e38
"""Of a hit: the greatest 32-bit float."""

_SIGN = 1 << 31  # of a 32-bit float
_STEPS = 0x7F7FFFFF  # such floats above 0

GREATEST_WEIGHT = 1e6
"""Of a run, since fused scores are 32-bit floats."""

RRF_K = 60
"""The constant of Cormack, Clarke and Büttcher (2009)."""

Ranked = list[tuple[float, str]]  # the hits of a run for a query: score and document id, best first
Share = tuple[float, float]  # of a document: the points that a run gives it, and the weight of that run


class Points(NamedTuple):
    """What a run gives to its hits, best first, and what to a document that only other runs have (None: nothing)."""

    hits: Sequence[float]
    others: float | None = None


class Pool(NamedTuple):
    """What points depend on beside a run's own hits. candidates: how many documents the runs have together."""

    candidates: int
    rrf_k: int


Pointing = Callable[[Sequence[float], Pool], Points]  # of a run's scores for a query, best first, at least one
Combining = Callable[[Sequence[Share]], float]  # of what a document has from the runs, at least one


# ---- normalisations ----


def _as_they_are(scores: Sequence[float], pool: Pool) -> Points:
    return Points(scores)


def _min_max(scores: Sequence[float], pool: Pool) -> Points:
    above = _above_least(scores)
    span = max(above)
    return Points([part / span for part in above] if span else [1.0] * len(above))


def _by_max(scores: Sequence[float], pool: Pool) -> Points:
    greatest = max(scores)
    return Points([score / greatest for score in scores])


def _by_sum(scores: Sequence[float], pool: Pool) -> Points:
    above = _above_least(scores)
    total = fsum(above)
    return Points([part / total for part in above] if total else [1 / len(above)] * len(above))


def _zmuv(scores: Sequence[float], pool: Pool) -> Points:
    above = _above_least(scores)
    mean = fsum(above) / len(above)
    deviation = sqrt(fsum((part - mean) ** 2 for part in above) / len(above))
    return Points([(part - mean) / deviation for part in above] if deviation else [0.0] * len(above))


def _above_least(scores: Sequence[float]) -> list[float]:
    least = min(scores)  # not always the last: the order is that of 32-bit floats
    return [score - least for score in scores]


def _by_rank(scores: Sequence[float], pool: Pool) -> Points:
    return Points([1 - place / len(scores) for place in range(len(scores))])


def _by_borda(scores: Sequence[float], pool: Pool) -> Points:
    hits, others = _borda_count(scores, pool)
    assert others is not None
    return Points([points / pool.candidates for points in hits], others / pool.candidates)


@dataclass(frozen=True, slots=True)
class Norm:
    """How the scores of a run for a query are made comparable with those of other runs.

    at_face_value: whether it needs true scores, so that ranks in their stead (an MS MARCO run) have no meaning.
    positive: whether it divides by the greatest score, which must be above 0.
    """

    name: str
    points: Pointing
    about: str
    at_face_value: bool = False
    positive: bool = False


NORMS = (
    Norm("min-max", _min_max, "(score - least) / (greatest - least)"),
    Norm("max", _by_max, "score / greatest", at_face_value=True, positive=True),
    Norm("sum", _by_sum, "(score - least) / the sum of these"),
    Norm("zmuv", _zmuv, "(score - mean) / standard deviation"),
    Norm("rank", _by_rank, "1 - (rank - 1) / hits"),
    Norm("borda", _by_borda, "Borda points / candidates; documents that the run lacks have points too"),
    Norm("none", _as_they_are, "the scores as they are", at_face_value=True),
)


# ---- methods ----


def _reciprocal(scores: Sequence[float], pool: Pool) -> Points:
    return Points([1 / (pool.rrf_k + rank) for rank in range(1, len(scores) + 1)])


def _inverse_square(scores: Sequence[float], pool: Pool) -> Points:
    return Points([1 / rank**2 for rank in range(1, len(scores) + 1)])


def _borda_count(scores: Sequence[float], pool: Pool) -> Points:
    """As many points as there are candidates, one fewer with each rank; the others share what is left evenly."""
    points = [float(pool.candidates - place) for place in range(len(scores))]
    return Points(points, (pool.candidates - len(scores) + 1) / 2)


def _total(shares: Sequence[Share]) -> float:
    return fsum([points * weight for points, weight in shares])  # exact, so that the order of the runs has no effect


def _total_by_count(shares: Sequence[Share]) -> float:
    return _total(shares) * len(shares)


def _mean(shares: Sequence[Share]) -> float:
    return _total(shares) / fsum(weight for _, weight in shares)


def _greatest(shares: Sequence[Share]) -> float:
    return max(points for points, _ in shares)


def _least(shares: Sequence[Share]) -> float:
    return min(points for points, _ in shares)


def _median(shares: Sequence[Share]) -> float:
    ordered = sorted(points for points, _ in shares)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@dataclass(frozen=True, slots=True)
class Method:
    """A way to fuse.

    points: what a rank is worth; None for a method of scores, which are normalised. weighted: whether runs can have
    weights; a method that picks one of the scores has none. source: who proposed it. has_k: whether it has the
    constant k.
    """

    name: str
    points: Pointing | None
    combine: Combining
    weighted: bool
    about: str
    source: str
    has_k: bool = False


_FOX_SHAW = "Fox and Shaw, TREC-2, 1994"

METHODS = (
    Method(
        "rrf",
        _reciprocal,
        _total,
        True,
        "reciprocal rank fusion, the sum of 1 / (k + rank)",
        "Cormack, Clarke and Büttcher, SIGIR 2009",
        has_k=True,
    ),
    Method("combsum", None, _total, True, "the sum of the scores", _FOX_SHAW),
    Method(
        "combmnz", None, _total_by_count, True, "how many runs have the document x the sum of the scores", _FOX_SHAW
    ),
    Method("combanz", None, _mean, True, "the mean of the scores in the runs that have the document", _FOX_SHAW),
    Method("combmax", None, _greatest, False, "the greatest score", _FOX_SHAW),
    Method("combmin", None, _least, False, "the least score", _FOX_SHAW),
    Method("combmed", None, _median, False, "the median of the scores", _FOX_SHAW),
    Method(
        "borda",
        _borda_count,
        _total,
        True,
        "Borda count: c points for the first of c candidates, c - 1 for the second, and so on",
        "Aslam and Montague, SIGIR 2001",
    ),
    Method(
        "isr",
        _inverse_square,
        _total_by_count,
        True,
        "inverse square rank: how many runs have the document x the sum of 1 / rank²",
        "Mourão, Martins and Magalhães, Computerized Medical Imaging and Graphics 39, 2015",
    ),
)

DEFAULT_METHOD = "rrf"
DEFAULT_NORM = "min-max"
_METHOD = {method.name: method for method in METHODS}
_NORM = {norm.name: norm for norm in NORMS}


def method_named(name: str, option: str = "--method") -> Method:
    """Return the method of that name; raises XqeError with the nearest and those there are."""
    if name not in _METHOD:
        raise XqeError(f'{option}: unknown method "{name}"', among(name, _METHOD, "xqe knows"))
    return _METHOD[name]


def norm_named(name: str) -> Norm:
    """Return the normalisation of that name; raises XqeError with the nearest and those there are."""
    if name not in _NORM:
        raise XqeError(f'--norm: unknown normalisation "{name}"', among(name, _NORM, "xqe knows"))
    return _NORM[name]


# ---- fusing ----


@dataclass(frozen=True, slots=True)
class Fusion:
    """How hits are fused: the normalisation has an effect on methods of scores only, and rrf_k on rrf only."""

    method: Method = _METHOD[DEFAULT_METHOD]
    norm: Norm = _NORM[DEFAULT_NORM]
    rrf_k: int = RRF_K

    @property
    def points(self) -> Pointing:
        return self.method.points or self.norm.points

    @property
    def is_sum(self) -> bool:
        """Whether a document has the sum of its points, which are those that its runs give their own hits."""
        return self.method.combine is _total and self.points not in (_borda_count, _by_borda)

    @property
    def details(self) -> dict[str, Any]:
        """What a record says of it besides the method: "norm" and "rrf_k", each where it has an effect."""
        norm = {"norm": self.norm.name} if self.method.points is None else {}
        return {**norm, **({"rrf_k": self.rrf_k} if self.method.has_k else {})}


def in_32_bits(scores: Iterable[float]) -> list[float]:
    """Return scores rounded to 32-bit floats, those beyond to the greatest one."""
    given = list(scores)
    if given and not -GREATEST_SCORE <= min(given) <= max(given) <= GREATEST_SCORE:
        given = [min(max(score, -GREATEST_SCORE), GREATEST_SCORE) for score in given]
    return array("f", given).tolist()


def ranking(hits: Mapping[str, float]) -> Ranked:
    """Return (score, document) by score as a 32-bit float, then by document, both descending: trec_eval's order.

    Scores, document id -> score, are returned as they are given.
    """
    rounded = in_32_bits(hits.values())
    if all(map(gt, rounded, rounded[1:])):
        return list(zip(map(float, hits.values()), hits, strict=True))
    order = sorted(zip(rounded, hits, hits.values(), strict=True), reverse=True)
    return [(float(score), document) for _, document, score in order]


def falling(scores: Sequence[float]) -> list[float]:
    """Scores that are to fall, each made less than the one before it, by the least step of a 32-bit float, where it is
    not as such a float: so every program that sorts by them agrees on the order."""
    kept = zip(scores, in_32_bits(scores), fallen(scores).tolist(), strict=True)
    return [float(score) if before == after else after for score, before, after in kept]


def fallen(scores: Sequence[float]) -> NDArray[numpy.float32]:
    """The same as 32-bit floats."""
    import numpy

    given = numpy.array(scores, numpy.float64).clip(-GREATEST_SCORE, GREATEST_SCORE).astype(numpy.float32)
    steps, ranks = _steps(given), numpy.arange(len(given))
    made = numpy.maximum(numpy.minimum.accumulate(steps + ranks) - ranks, -_STEPS)
    changed = numpy.where(made < 0, -made | _SIGN, made).astype(numpy.uint32).view(numpy.float32)
    return numpy.where(made == steps, given, changed)


def _steps(scores: NDArray[numpy.float32]) -> NDArray[numpy.int64]:
    """How many 32-bit floats there are from 0 to each score, less than 0 for those below."""
    import numpy

    bits = scores.view(numpy.uint32).astype(numpy.int64)
    return numpy.where(bits & _SIGN, -(bits & ~_SIGN), bits)


def check_usable(hits: Ranked, fusion: Fusion, where: str, ranks_only: bool = False) -> None:
    """Raise InputError, which `where` begins, for hits that cannot be normalised; ranks_only: they have no scores."""
    if fusion.method.points is not None:
        return
    norm = fusion.norm
    if ranks_only and norm.at_face_value:
        raise InputError(
            f"{where}: a run with ranks and no scores, which --norm {norm.name} needs",
            "give --norm rank, or --method rrf",
        )
    if hits and norm.positive and (greatest := max(score for score, _ in hits)) <= 0:
        raise InputError(
            f"{where}: the greatest score is {greatest:g}, and --norm {norm.name} divides by it", "give --norm min-max"
        )


def fuse_hits(runs: Sequence[Ranked], fusion: Fusion, weights: Sequence[float] | None = None) -> dict[str, float]:
    """Return document id -> fused score, in no order.

    runs: the hits of each run for one query, best first. weights: one for each run, 1 unless given. A run without
    hits, or of weight 0, takes no part. Hits are usable (`check_usable`).

    >>> fuse_hits([[(9.5, "d1"), (7.0, "d2")], [(0.8, "d2")]], Fusion(rrf_k=0))
    {'d1': 1.0, 'd2': 1.5}
    """
    given = weights or [1.0] * len(runs)
    parts = [(hits, weight) for hits, weight in zip(runs, given, strict=True) if hits and weight]
    if fusion.is_sum and len(parts) <= _FEW:
        return _sums(parts, fusion)
    shares: defaultdict[str, list[Share]] = defaultdict(list)
    pool = Pool(len({document for hits, _ in parts for _, document in hits}), fusion.rrf_k)
    lacking: list[tuple[Share, set[str]]] = []
    for hits, weight in parts:
        points, others = fusion.points([score for score, _ in hits], pool)
        for (_, document), value in zip(hits, points, strict=True):
            shares[document].append((value, weight))
        if others is not None:
            lacking.append(((others, weight), {document for _, document in hits}))
    for share, documents in lacking:
        for document in shares.keys() - documents:
            shares[document].append(share)
    return {document: fusion.method.combine(held) for document, held in shares.items()}


_FEW = 2  # runs, of whose points there is no sum that is not exact but for its rounding


def _sums(parts: Sequence[tuple[Ranked, float]], fusion: Fusion) -> dict[str, float]:
    """The same for a sum of few runs, in a quarter of the time."""
    pool = Pool(0, fusion.rrf_k)
    sums: dict[str, float] = {}
    for hits, weight in parts:
        for (_, document), value in zip(hits, fusion.points([score for score, _ in hits], pool).hits, strict=True):
            sums[document] = sums.get(document, 0.0) + value * weight
    return sums
