"""Rank correlation: whether what has more of one thing has more of another.

Spearman's rho is Pearson's correlation of ranks, of which equal values share the mean one. Kendall's tau is tau-b,
which takes ties out of both sides. Their 95 % intervals are symmetric around Fisher's z = artanh(r), with a variance of
(1 + rho^2 / 2) / (n - 3) for rho (Bonett and Wright, "Sample size requirements for estimating Pearson, Kendall and
Spearman correlations", Psychometrika 2000) and 0.437 / (n - 4) for tau (Fieller, Hartley and Pearson, Biometrika 1957).
They are for values without many ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import atanh, sqrt, tanh
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

FEWEST = 5
"""Of values, for an interval."""
_QUANTILE = 1.959963984540054  # of the normal distribution, 0.975


class Rank(NamedTuple):
    """A correlation from -1 to 1, and its 95 % interval, None for both ends where it has none."""

    value: float
    low: float | None
    high: float | None


def spearman(one: Sequence[float], other: Sequence[float]) -> Rank | None:
    """Return Spearman's rho of pairs of values; None where all values of a side are equal.

    >>> spearman([1, 2, 3, 4], [1, 3, 2, 4]).value
    0.8
    """
    ranks, others = (_ranks(values) - (len(values) + 1) / 2 for values in (one, other))
    size = sqrt(float(ranks @ ranks) * float(others @ others))
    if not size:
        return None
    rho = float(ranks @ others) / size
    return _with_interval(round(rho, 12), (1 + rho**2 / 2) / max(1, len(one) - 3), len(one))


def kendall(one: Sequence[float], other: Sequence[float]) -> Rank | None:
    """Return Kendall's tau-b of pairs of values; None where all values of a side are equal.

    >>> round(kendall([1, 2, 3, 4], [1, 3, 2, 4]).value, 4)
    0.6667
    """
    values, others = numpy.asarray(one, float), numpy.asarray(other, float)
    concordant = untied = others_untied = 0.0
    for place in range(len(values) - 1):
        signs = numpy.sign(values[place + 1 :] - values[place])
        other_signs = numpy.sign(others[place + 1 :] - others[place])
        concordant += float(signs @ other_signs)
        untied += float(signs @ signs)
        others_untied += float(other_signs @ other_signs)
    if not untied or not others_untied:
        return None
    tau = concordant / sqrt(untied * others_untied)
    return _with_interval(round(tau, 12), 0.437 / max(1, len(values) - 4), len(values))


def _with_interval(value: float, variance: float, count: int) -> Rank:
    if count < FEWEST or abs(value) >= 1:
        return Rank(value, None, None)
    middle, reach = atanh(value), _QUANTILE * sqrt(variance)
    return Rank(value, tanh(middle - reach), tanh(middle + reach))


def _ranks(values: Sequence[float]) -> NDArray[Any]:
    """The rank of each value from 1, the mean one where several are equal."""
    _, places, counts = numpy.unique(numpy.asarray(values, float), return_inverse=True, return_counts=True)
    last = numpy.cumsum(counts)
    means: NDArray[Any] = (last - (counts - 1) / 2)[places]
    return means
