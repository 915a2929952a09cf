"""Tests of significance against scipy's, statsmodels' and R's values, and against definitions of a few lines."""

from __future__ import annotations

import math
import random
from itertools import product

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from xqe.evaluation.significance import by_unit, compare, holm, interval, interval_of_differences, randomization_p

values = st.lists(st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0]), max_size=40)
pairs = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 1 / 3, 0.5, 1.0]), st.sampled_from([0.0, 0.2, 1 / 3, 0.5, 1.0])), max_size=40
)
# hours of sleep gained by ten patients with two drugs (Student 1908), over ten
FIRST_DRUG = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND_DRUG = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def reciprocal_ranks(count: int, seed: int) -> list[float]:
    draw = random.Random(seed)
    return [draw.choice([0.0, 1 / draw.randint(1, 60), 1.0]) for _ in range(count)]


# ---- the randomization test ----


@settings(max_examples=60)
@given(pairs.filter(lambda found: 0 < len(found) <= 9))
def test_p_of_few_queries_is_the_share_of_all_ways_to_swap(found: list[tuple[float, float]]) -> None:
    differences = [one - other for one, other in found]
    sums = [
        math.fsum(sign * one for sign, one in zip(signs, differences, strict=True))
        for signs in product([1, -1], repeat=len(differences))
    ]
    expected = sum(abs(one) >= abs(math.fsum(differences)) - 1e-9 for one in sums) / len(sums)
    assert randomization_p(differences) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_p_of_some_queries_is_exactly_scipys(seed: int) -> None:
    one, other = reciprocal_ranks(13, seed), reciprocal_ranks(13, seed + 50)
    differences = numpy.subtract(one, other)
    exact = stats.permutation_test((differences,), numpy.mean, permutation_type="samples", n_resamples=math.inf)
    assert compare(one, other).p == pytest.approx(exact.pvalue, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.05])
def test_sampled_p_is_near_scipys(shift: float) -> None:
    one = reciprocal_ranks(150, 1)
    noise = random.Random(2)
    other = [min(max(value + noise.gauss(shift, 0.25), 0.0), 1.0) for value in one]
    reference = stats.permutation_test(
        (numpy.subtract(other, one),),
        numpy.mean,
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=7,
    ).pvalue
    p = compare(other, one).p
    # both are sampled, each with this spread; five of the two together
    spread = math.sqrt(reference * (1 - reference) * (1 / 20_000 + 1 / 10_000))
    assert p == pytest.approx(reference, abs=5 * spread + 1e-4)
    assert compare(other, one).p == p
    assert compare(other, one, seed=1).p != p


@pytest.mark.parametrize(("wins", "losses"), [(9, 1), (30, 14), (349, 300), (5000, 4800)])
def test_of_hits_it_is_the_sign_test_and_exact_for_any_number(wins: int, losses: int) -> None:
    one = [1.0] * wins + [0.0] * losses + [1.0] * 100
    other = [0.0] * wins + [1.0] * losses + [1.0] * 100
    found = compare(one, other)
    assert found.p == pytest.approx(stats.binomtest(wins, wins + losses).pvalue, rel=1e-9)
    assert (found.wins, found.ties, found.losses, found.queries) == (wins, 100, losses, wins + losses + 100)


def test_p_is_never_0_and_as_small_as_the_samples_allow() -> None:
    draw = random.Random(5)
    one = [draw.random() for _ in range(300)]
    assert compare([value / 2 for value in one], one).p == pytest.approx(1 / 100_001)
    assert compare([value / 2 for value in one], one, permutations=15_000).p == pytest.approx(1 / 15_001)


def test_false_alarms_are_as_many_as_promised() -> None:
    """400 comparisons of runs that do not differ: 5 % of them, give or take four standard errors, have p < 0.05."""
    draw = numpy.random.default_rng(11)
    alarms = sum(randomization_p(draw.normal(0, 0.3, 40)) < 0.05 for _ in range(400))
    assert abs(alarms / 400 - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 400)


# ---- the t-test, intervals ----


def test_t_p_is_the_published_value() -> None:
    """R's t.test(extra ~ group, data = sleep, paired = TRUE) prints p-value = 0.002833."""
    found = compare([value / 10 for value in SECOND_DRUG], [value / 10 for value in FIRST_DRUG])
    assert found.t_p == pytest.approx(0.002833, abs=5e-7)
    assert found.difference == pytest.approx(0.158)
    assert found.p == pytest.approx(0.00390625)  # all of nine signs alike, or only the least one not: 4 of 1,024


@settings(max_examples=60)
@given(values.filter(bool), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_is_scipys_t_interval_of_two_values_more(found: list[float], level: float) -> None:
    low, high = interval(found, level)
    assert 0.0 <= low <= numpy.mean(found) + 1e-12
    assert numpy.mean(found) - 1e-12 <= high <= 1.0
    expected = stats.ttest_1samp([*found, 0.0, 1.0], 0.5).confidence_interval(level)
    assert (low, high) == pytest.approx((max(expected.low, 0.0), min(expected.high, 1.0)))


@pytest.mark.parametrize("truth", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("queries", [5, 30, 200])
def test_the_interval_holds_the_true_mean_as_often_as_it_says(truth: float, queries: int) -> None:
    """The t interval alone holds a share of 0.02 in 9 % of samples of five."""
    draw = numpy.random.default_rng(3)
    inside = 0
    for _ in range(400):
        low, high = interval((draw.random(queries) < truth).astype(float).tolist())
        inside += low <= truth <= high
    assert inside / 400 > 0.92


def test_intervals_of_nothing_and_of_what_is_all_alike() -> None:
    assert interval([]) == (0.0, 1.0)
    assert interval([1.0]) == (0.0, 1.0)
    low, high = interval([0.0] * 100)
    assert (low, round(high, 4)) == (0.0, 0.0293)  # the rule of three says 3 / 100
    assert interval_of_differences([]) == (-1.0, 1.0)
    low, high = interval_of_differences([0.0] * 600)
    assert low == -high
    assert 0.003 < high < 0.006


# ---- Holm ----


@pytest.mark.parametrize(
    ("ps", "adjusted"),
    [  # by statsmodels 0.14, multipletests(ps, method="holm")
        ([0.0005, 0.031, 0.012, 0.2, 0.049, 0.012, 0.9], [0.0035, 0.124, 0.072, 0.4, 0.147, 0.072, 0.9]),
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.6, 0.7], [1.0, 1.0]),
        ([0.04], [0.04]),
        ([], []),
    ],
)
def test_holm(ps: list[float], adjusted: list[float]) -> None:
    assert holm(ps) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1)))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(ps: list[float]) -> None:
    adjusted = holm(ps)
    assert [adjusted[number] for number in sorted(range(len(ps)), key=ps.__getitem__)] == sorted(adjusted)
    assert all(p <= one <= min(1.0, p * len(ps)) for p, one in zip(ps, adjusted, strict=True))


# ---- the degenerate, and what holds always ----


def test_no_query_one_query_and_no_difference() -> None:
    assert compare([], []) == (0.0, 1.0, 1.0, -1.0, 1.0, 0, 0, 0, 0)
    assert compare([1.0], [0.5]) == (0.5, 1.0, 1.0, -1.0, 1.0, 1, 0, 0, 1)
    assert compare([0.3, 0.4], [0.3, 0.4])[:3] == (0.0, 1.0, 1.0)
    assert compare([0.5] * 3, [0.25] * 3)[:3] == (0.25, 0.25, 0.25)  # the t-test has no variance to go by
    with pytest.raises(ValueError, match="2 values and 1 of the baseline"):
        compare([1.0, 0.0], [1.0])


@settings(max_examples=60)
@given(pairs, st.randoms(use_true_random=False))
def test_sides_and_order_do_not_matter(found: list[tuple[float, float]], chance: random.Random) -> None:
    one, other = [pair[0] for pair in found], [pair[1] for pair in found]
    there, back = compare(one, other), compare(other, one)
    assert (there.p, there.t_p, there.wins, there.ties) == (back.p, back.t_p, back.losses, back.ties)
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))
    assert there.low <= there.difference + 1e-12
    assert there.difference - 1e-12 <= there.high
    assert 0 < there.p <= 1
    assert 0 < there.t_p <= 1
    chance.shuffle(found)
    again = compare([pair[0] for pair in found], [pair[1] for pair in found])
    assert again.p == there.p
    assert again.t_p == pytest.approx(there.t_p)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), st.integers(1, 5)), min_size=1, max_size=30))
def test_units_have_the_weighted_mean_of_all_values(rows: list[tuple[float, int, int]]) -> None:
    numbers: dict[int, int] = {}
    units = [numbers.setdefault(unit, len(numbers)) for _, unit, _ in rows]
    weights = [weight / sum(w for _, _, w in rows) for _, _, weight in rows]
    values = [value for value, _, _ in rows]
    found = by_unit(values, units, weights)
    assert len(found) == len(numbers)
    assert sum(found) / len(found) == pytest.approx(sum(w * v for w, v in zip(weights, values, strict=True)))
    if len(numbers) == len(rows) and len(set(weights)) == 1:
        assert found == pytest.approx(values)
