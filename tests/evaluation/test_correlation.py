"""Rank correlations against scipy's."""

from __future__ import annotations

import math

import pytest

from xqe.evaluation.correlation import FEWEST, kendall, spearman

SCIPY = [  # 1.17.1: spearmanr, kendalltau
    ([0, 1], [1, 0], -1.0, -1.0),
    ([0, 1, 1, 0, 1], [1, 0, 1, 1, 1], -0.40824829, -0.40824829),
    ([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8], [2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5], 0.141579686, 0.171096478),
    ([0.1, 0.5, 0.3, 0.9, 0.7, 0.2, 0.8], [0.2, 0.4, 0.35, 0.8, 0.9, 0.1, 0.95], 0.857142857, 0.714285714),
]


@pytest.mark.parametrize(("one", "other", "rho", "tau"), SCIPY)
def test_values_are_those_of_scipy(one: list[float], other: list[float], rho: float, tau: float) -> None:
    for found, expected in ((spearman(one, other), rho), (kendall(one, other), tau)):
        assert found is not None
        assert found.value == pytest.approx(expected, abs=1e-8)


def test_intervals_are_those_of_the_formulas() -> None:
    one = [float(at) for at in range(20)]
    other = [one[at ^ 3] for at in range(20)]
    rho = spearman(one, other)
    tau = kendall(one, other)
    assert rho is not None
    assert tau is not None
    for rank, variance in ((rho, (1 + rho.value**2 / 2) / 17), (tau, 0.437 / 16)):
        ends = [math.tanh(math.atanh(rank.value) + side * 1.959964 * math.sqrt(variance)) for side in (-1, 1)]
        assert [rank.low, rank.high] == pytest.approx(ends, abs=1e-6)


def test_what_is_the_same_for_all_has_no_correlation_and_few_have_no_interval() -> None:
    assert spearman([1, 1, 1], [1, 2, 3]) is kendall([1, 2, 3], [2, 2, 2]) is None
    few = spearman([1, 2, 3, 4], [1, 3, 2, 4])
    assert few is not None
    assert (few.value, few.low, few.high) == (0.8, None, None)
    assert FEWEST > 4
