"""Limits on measures: how they are written, what they decide, and the line that says it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqe.errors import XqeError
from xqe.evaluation.decisions import drops, parse_limits, shortfalls

HINT = "for example MRR=0.30 or MRR=30%"


def limits(*texts: str) -> list[tuple[str, float]]:
    return [(str(limit.measure), limit.amount) for limit in parse_limits(texts, "--max-drop")]


def test_limits_are_parts_or_percent_one_or_several() -> None:
    assert limits("MRR=0.30", " recall@5 = 5% , Hit@10=.5") == [("MRR", 0.3), ("Recall@5", 0.05), ("Hit@10", 0.5)]
    assert limits("MRR=0") == [("MRR", 0.0)]
    assert limits("MRR=100%", "MAP=1.") == [("MRR", 1.0), ("MAP", 1.0)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("MRR", f'--max-drop: "MRR" is not MEASURE=NUMBER; {HINT}'),
        ("", f'--max-drop: "" is not MEASURE=NUMBER; {HINT}'),
        ("MRR=0.1,", f'--max-drop: "" is not MEASURE=NUMBER; {HINT}'),
        ("=0.1", f'--max-drop: "=0.1" is not MEASURE=NUMBER; {HINT}'),
        ("MRR=30", f'--max-drop: "MRR=30" is not from 0 to 1; {HINT}'),
        ("MRR=-0.1", f'--max-drop: "MRR=-0.1" is not from 0 to 1; {HINT}'),
        ("MRR=０.1", f'--max-drop: "MRR=０.1" is not from 0 to 1; {HINT}'),
        ("MRR=nan", f'--max-drop: "MRR=nan" is not from 0 to 1; {HINT}'),
        ("MRR=101%", f'--max-drop: "MRR=101%" is not from 0 to 1; {HINT}'),
        ("MRR=1e-2", f'--max-drop: "MRR=1e-2" is not from 0 to 1; {HINT}'),
        ("Hit=0.1", '--max-drop: "Hit" needs a cutoff; for example Hit@10'),
        ("MRR=0.1,RR=0.2", "--max-drop: two limits for MRR; give one of them"),
    ],
)
def test_a_limit_that_says_nothing_is_one_line(text: str, line: str) -> None:
    with pytest.raises(XqeError) as caught:
        parse_limits([text], "--max-drop")
    assert str(caught.value) == line


# 600 queries: each of the first `count` falls from rank 1 to rank 2
def fallen(count: int) -> dict[str, list[float]]:
    return {"MRR": [0.5] * count + [1.0] * (300 - count) + [0.0] * 300}


def test_a_drop_beyond_its_limit_fails_and_says_by_how_much() -> None:
    (verdict,) = drops(fallen(30), fallen(0), parse_limits(["MRR=0.01"], "--max-drop"))
    assert (verdict.measure, verdict.before, verdict.after, verdict.allowed) == ("MRR", 0.5, 0.475, 0.01)
    assert verdict.difference == pytest.approx(-0.025)
    assert verdict.is_failure
    assert not verdict.is_noise
    assert verdict.p == pytest.approx(2 / 2**30)
    assert verdict.line() == (
        "MRR fell by 2.50 points, from 50.00 to 47.50 (p < 0.001, 600 queries); --max-drop allows 1.00"
    )


def test_a_drop_within_its_limit_is_kept_however_sure() -> None:
    (verdict,) = drops(fallen(30), fallen(0), parse_limits(["MRR=0.025"], "--max-drop"))  # 0.5 - 0.475 > 0.025
    assert not verdict.is_failure
    assert not verdict.is_noise


@pytest.mark.parametrize("strict", [False, True])
def test_a_drop_that_may_be_chance_fails_if_strict_and_is_said(strict: bool) -> None:
    """Five queries all fall: 2 of 32 ways to swap them are as extreme."""
    now, before = {"MRR": [0.5] * 5}, {"MRR": [1.0] * 5}
    (verdict,) = drops(now, before, parse_limits(["MRR=1%"], "--max-drop"), strict=strict)
    assert (verdict.is_failure, verdict.is_noise, verdict.p) == (strict, True, 0.0625)
    assert verdict.line() == (
        "MRR fell by 50.00 points, from 100.00 to 50.00 (p 0.062, 5 queries), which may be chance; "
        "--max-drop allows 1.00"
    )
    (verdict,) = drops(before, now, parse_limits(["MRR=0"], "--max-drop"), strict=strict)
    assert not verdict.is_failure
    assert verdict.line().startswith("MRR rose by 50.00 points, from 50.00 to 100.00")


def test_the_t_test_decides_where_it_is_asked_to() -> None:
    now, before = {"MRR": [0.4, 0.5, 0.6, 0.5, 0.5]}, {"MRR": [1.0] * 5}
    (sure,) = drops(now, before, parse_limits(["MRR=1%"], "--max-drop"), test="t")
    (unsure,) = drops(now, before, parse_limits(["MRR=1%"], "--max-drop"))
    assert (sure.is_failure, unsure.is_failure) == (True, False)
    assert sure.p < 0.001 < unsure.p


def test_shortfalls() -> None:
    values = {"MRR": [0.1, 0.2], "Hit@10": [1.0, 0.0]}
    asked = parse_limits(["MRR=0.30", "Hit@10=50%"], "--fail-under")
    assert shortfalls(values, asked) == ["MRR is 15.00 (2 queries); --fail-under asks for 30.00"]
    # 0.1 + 0.2 is not 0.3 in floats, and a limit of the value itself is kept
    assert shortfalls({"MRR": [0.1, 0.2, 0.3]}, parse_limits(["MRR=0.2"], "--fail-under")) == []
    assert shortfalls({"MRR": [0.5]}, parse_limits(["MRR=0.6"], "x")) == ["MRR is 50.00 (1 query); x asks for 60.00"]


def test_a_measure_without_values_is_an_error() -> None:
    asked = parse_limits(["MAP=0.1"], "--max-drop")
    for now, before in (({"MRR": [1.0]}, {"MAP": [1.0]}), ({"MAP": [1.0]}, {"MRR": [1.0]})):
        with pytest.raises(XqeError, match=r"--max-drop: there are no values of MAP; there are those of MRR"):
            drops(now, before, asked)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=30), st.floats(0, 1))
def test_a_run_never_fails_beside_itself_and_a_rise_never_fails(found: list[float], amount: float) -> None:
    asked = parse_limits([f"MRR={amount:.6f}"], "--max-drop")
    better = [min(value + 0.25, 1.0) for value in found]
    for now in (found, better):
        assert not drops({"MRR": now}, {"MRR": found}, asked, strict=True)[0].is_failure


def test_a_gate_without_a_drop_rarely_fails() -> None:
    """Runs that differ by chance alone: without a margin at all, at most one in 40 is called a drop, give or take."""
    draw = random.Random(4)
    asked = parse_limits(["MRR=0"], "--max-drop")
    alarms = 0
    for _ in range(300):
        pairs = [draw.choice([(1.0, 0.5), (0.5, 1.0), (0.5, 0.5), (0.2, 1.0), (1.0, 0.2)]) for _ in range(40)]
        now, before = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        alarms += drops({"MRR": now}, {"MRR": before}, asked)[0].is_failure
    assert alarms / 300 < 0.025 + 4 * (0.025 * 0.975 / 300) ** 0.5
