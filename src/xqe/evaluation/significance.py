"""Significance: whether the values of two runs differ by more than the choice of queries explains.

All of it is over values of single queries from 0 to 1, and two runs are paired by query. The randomization test
asks how often a difference as great would come about if each query's two values were swapped or not by the toss of
a coin (Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
evaluation", CIKM 2007). What has few outcomes is counted exactly, which are all differences of Hit@k and small sets
of queries; the rest is sampled, with p = (b + 1) / (m + 1) for b of m as extreme (Phipson and Smyth, 2010).

Only this module imports scipy, and of it only `scipy.special`, which loads five times as fast as `scipy.stats`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

Numbers = NDArray[Any]

LEVEL = 0.05  # below it, a p is called significant, and 1 less it is the confidence of intervals
PERMUTATIONS = 100_000  # so that a p can be significant among some thousands of comparisons
_AT_ONCE = 10_000
_ENOUGH = 200  # samples as extreme as the difference itself: p is then known to a fifteenth of itself
_OUTCOMES = 1 << 14  # most that are counted exactly
_TIE = 1e-10  # of the greatest sum: what rounding may add to one of two equal sums


class Comparison(NamedTuple):
    """How one run differs from a baseline over the same queries.

    difference: the mean of value less baseline. p: of the two-sided paired randomization test. t_p: of the
    two-sided paired t-test; it is p where all differences are equal, since their variance is then not known.
    low, high: the 95 % confidence interval of the difference (`interval_of_differences`). wins, ties, losses: queries
    with a greater, an equal and a smaller value than the baseline. queries: how many there are in all.
    """

    difference: float
    p: float
    t_p: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    queries: int


def compare(
    values: Sequence[float], baseline: Sequence[float], seed: int = 0, permutations: int = PERMUTATIONS
) -> Comparison:
    """Compare the values of a run with a baseline's, both 0..1, the same queries in the same order.

    permutations: the most that are sampled; sampling ends before where p is large enough to be known from fewer.
    The same values and `seed` give the same p. Without queries the difference is 0 and p is 1. Raises ValueError
    where the two are not of one length.

    >>> compare([1, 1, 1, 0, 1], [0, 0, 0, 0, 1])[:2]
    (0.6, 0.25)
    """
    if len(values) != len(baseline):
        raise ValueError(f"{len(values)} values and {len(baseline)} of the baseline")
    differences = numpy.asarray(values, float) - numpy.asarray(baseline, float)
    count = len(differences)
    if not count:
        return Comparison(0.0, 1.0, 1.0, -1.0, 1.0, 0, 0, 0, 0)
    p = randomization_p(differences, seed, permutations)
    low, high = interval_of_differences(differences)
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    return Comparison(
        _mean(differences), p, _t_p(differences, p), low, high, wins, count - wins - losses, losses, count
    )


def randomization_p(differences: Sequence[float] | Numbers, seed: int = 0, permutations: int = PERMUTATIONS) -> float:
    """Return the p of the two-sided test that flips the sign of each difference by the toss of a coin."""
    sizes = numpy.sort(numpy.abs(numpy.asarray(differences, float)))  # so that the order of queries changes nothing
    sizes = sizes[sizes > 0]
    observed = abs(float(numpy.sum(differences)))
    distinct, counts = numpy.unique(sizes, return_counts=True)
    least = observed - _TIE * float(sizes.sum())
    if least <= 0:
        return 1.0
    # the signs of `count` equal differences have count + 1 sums
    if prod(int(count) + 1 for count in counts) <= _OUTCOMES:
        return _counted(distinct, counts, least)
    return _sampled(sizes, least, numpy.random.default_rng(seed), permutations)


def interval(values: Sequence[float], level: float = 1 - LEVEL) -> tuple[float, float]:
    """Return the confidence interval of the mean of values 0..1.

    It is the t interval of the values and two more, a 0 and a 1, cut at 0 and 1 (for shares of queries this is the
    idea of Agresti and Coull, 1998). The two keep few queries, and queries that are all alike, from looking certain:
    5 hits of 5 give 0.51 to 1. With 50 queries and more it is the t interval to within a tenth of its width.

    >>> [round(end, 2) for end in interval([1, 1, 1, 1, 1])]
    [0.51, 1.0]
    """
    low, high = _t_interval(numpy.append(numpy.asarray(values, float), (0.0, 1.0)), level)
    return max(low, 0.0), min(high, 1.0)


def interval_of_differences(differences: Sequence[float] | Numbers, level: float = 1 - LEVEL) -> tuple[float, float]:
    """Return the confidence interval of the mean of paired differences, -1..1.

    The t interval of the differences and two more: one as far above 0 and one as far below as the furthest difference
    is, or 1 and -1 where no query differs.
    """
    found = numpy.asarray(differences, float)
    furthest = float(numpy.abs(found).max(initial=0.0)) or 1.0
    low, high = _t_interval(numpy.append(found, (furthest, -furthest)), level)
    return max(low, -1.0), min(high, 1.0)


def by_unit(
    values: Sequence[float] | Numbers, units: Sequence[int] | Numbers, weights: Sequence[float] | Numbers
) -> list[float]:
    """Return one value for each unit, such that their mean is the weighted mean of all values.

    Of values that go up and down together, as those of a query that is asked in several language pairs, a test that
    takes them for independent ones makes p too small: they are one unit. units: the number of each value's, from 0;
    weights: of each value, 1 in sum.

    >>> by_unit([1.0, 0.0, 0.5, 0.5], [0, 1, 0, 1], [0.25] * 4)
    [0.75, 0.25]
    """
    shares = numpy.bincount(numpy.asarray(units, int), numpy.asarray(weights, float) * numpy.asarray(values, float))
    return [float(share) for share in shares * len(shares)]


def holm(ps: Sequence[float]) -> list[float]:
    """Return the adjusted p of each of a family of tests, in the order given (Holm 1979).

    Where those below 0.05 are called significant, the chance of a false one among all of them is below 0.05.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(ps)
    greatest = 0.0
    for place, number in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        greatest = max(greatest, min((len(ps) - place) * ps[number], 1.0))
        adjusted[number] = greatest
    return adjusted


def _counted(distinct: Numbers, counts: Numbers, least: float) -> float:
    """The share of all outcomes whose sum is `least` or more away from 0."""
    sums, chances = numpy.zeros(1), numpy.ones(1)
    for size, count in zip(distinct.tolist(), counts.tolist(), strict=True):
        sums = numpy.add.outer(sums, size * (2 * numpy.arange(count + 1) - count)).ravel()
        chances = numpy.multiply.outer(chances, _heads(count)).ravel()
    return min(float(chances[numpy.abs(sums) >= least].sum()), 1.0)


def _heads(tosses: int) -> list[float]:
    """The chance of each number of heads, 0 to `tosses`; whole numbers, since few tosses have to be exact."""
    ways = [1]
    for number in range(tosses):
        ways.append(ways[-1] * (tosses - number) // (number + 1))
    return [count / (1 << tosses) for count in ways]


def _sampled(sizes: Numbers, least: float, chance: numpy.random.Generator, permutations: int) -> float:
    tables = _byte_tables(sizes)
    extreme = tried = 0
    while tried < permutations and extreme < _ENOUGH:
        number = min(_AT_ONCE, permutations - tried)
        sums = numpy.zeros(number)
        for table in tables:  # a byte is the signs of eight queries
            sums += table[chance.integers(0, 256, number, numpy.uint8)]
        extreme += int((numpy.abs(sums) >= least).sum())
        tried += number
    return (extreme + 1) / (tried + 1)


def _byte_tables(sizes: Numbers) -> Numbers:
    """For each eight of the sizes, the sum under each of the 256 ways to give them signs."""
    padded = numpy.append(sizes, numpy.zeros(-len(sizes) % 8)).reshape(-1, 8)
    signs = 2.0 * numpy.unpackbits(numpy.arange(256, dtype=numpy.uint8)[:, None], axis=1) - 1.0
    tables: Numbers = padded @ signs.T
    return tables


def _t_p(differences: Numbers, p: float) -> float:
    from scipy import special

    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if spread <= _TIE * float(numpy.abs(differences).max()):
        return p
    t = _mean(differences) / (spread / sqrt(len(differences)))
    return float(2 * special.stdtr(len(differences) - 1, -abs(t)))


def _t_interval(values: Numbers, level: float) -> tuple[float, float]:
    from scipy import special

    reach = float(special.stdtrit(len(values) - 1, (1 + level) / 2)) * float(values.std(ddof=1)) / sqrt(len(values))
    return _mean(values) - reach, _mean(values) + reach


def _mean(values: Numbers) -> float:
    return float(values.mean())
