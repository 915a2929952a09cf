"""Limits on what a run is worth: whether a value is too low, or has fallen too far below a baseline's.

A drop fails where it is greater than its limit allows and is no chance of which queries were asked (p < 0.05 of the
paired randomization test, or of the t-test). Each limit is a question of its own, so p is not adjusted for their
number: adjusted, many limits that all fall a little could hide each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, Literal

from xqe.errors import XqeError
from xqe.evaluation import measures

Test = Literal["randomization", "t"]
Columns = Mapping[str, Sequence[float]]  # measure -> the value of each query, 0..1

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(%?)")
_ROUNDING = 1e-12  # of a mean: 0.30 and an average that is 0.30 but for its last digit are the same


@dataclass(frozen=True, slots=True)
class Limit:
    """A number, 0..1, for a measure, which is known by its text. option: where it was given ("--max-drop"), which lines
    about it name."""

    measure: Any
    amount: float
    option: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What a limit says of a run alone. value: the mean, 0..1. least: what it has to be; is_failure: it is less."""

    measure: str
    value: float
    queries: int
    least: float
    option: str
    is_failure: bool

    def line(self) -> str:
        """One line in percent: what the measure is, and what it is to be."""
        return (
            f"{self.measure} is {_percent(self.value)} ({_queries(self.queries)}); "
            f"{self.option} asks for {_percent(self.least)}"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a limit says of a run beside its baseline.

    before, after: the means of the baseline and of the run, 0..1; difference: after less before. p: how often chance
    alone makes a difference as great. allowed: the drop that the limit allows. is_failure: whether it is not kept.
    is_noise: whether the run fell by more than is allowed, and that may be chance.
    """

    measure: str
    before: float
    after: float
    difference: float
    p: float
    queries: int
    allowed: float
    option: str
    is_failure: bool
    is_noise: bool

    def line(self) -> str:
        """One line in percent and points: what became of the measure, and what was allowed."""
        moved = "fell" if self.difference < 0 else "rose"
        how = f"{moved} by {_percent(abs(self.difference))} points, from {_percent(self.before)} to"
        tested = f"({_p(self.p)}, {_queries(self.queries)})"
        doubt = ", which may be chance" if self.is_noise else ""
        return (
            f"{self.measure} {how} {_percent(self.after)} {tested}{doubt}; "
            f"{self.option} allows {_percent(self.allowed)}"
        )


def parse_limits(
    texts: Iterable[str], option: str, parse: Callable[[str, str], Hashable] = measures.parse
) -> tuple[Limit, ...]:
    """Return the limits of some texts, each "MRR=0.30", "MRR=30%", or several of them separated by commas.

    parse: the measure that a text names, to which `option` is said, too. Raises XqeError, which names `option`, for an
    unknown measure, a number that is not from 0 to 1, and a measure that has two limits.

    >>> [limit.amount for limit in parse_limits(["MRR=0.3,Hit@10=50%"], "--fail-under")]
    [0.3, 0.5]
    """
    limits: dict[Hashable, Limit] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not (name and equals and number):
            raise XqeError(f'{option}: "{part}" is not MEASURE=NUMBER', "for example MRR=0.30 or MRR=30%")
        measure = parse(name, option)
        if measure in limits:
            raise XqeError(f"{option}: two limits for {measure}", "give one of them")
        limits[measure] = Limit(measure, _amount(number, part, option), option)
    return tuple(limits.values())


def drops(
    values: Columns,
    baseline_values: Columns,
    limits: Sequence[Limit],
    strict: bool = False,
    seed: int = 0,
    test: Test = "randomization",
) -> list[Verdict]:
    """Hold the values of a run against a baseline's, of the same queries in the same order; a verdict for each limit.

    strict: a drop beyond its limit fails, be it chance or not. Raises XqeError for a limit on a measure that one of
    the two does not have, and ValueError where they are not of one length.
    """
    return [_drop(values, baseline_values, limit, strict, seed, test) for limit in limits]


def standings(values: Columns, limits: Sequence[Limit]) -> list[Standing]:
    """Hold the means of a run against the least they may be, without regard to chance; one for each limit.

    Raises XqeError for a limit on a measure that the run does not have.
    """
    return [_standing(_column(values, limit), limit) for limit in limits]


def shortfalls(values: Columns, limits: Sequence[Limit]) -> list[str]:
    """Return the line of each limit that the mean of its measure lies below; otherwise as `standings`."""
    return [standing.line() for standing in standings(values, limits) if standing.is_failure]


def _standing(column: Sequence[float], limit: Limit) -> Standing:
    value = _mean(column)
    is_failure = value < limit.amount - _ROUNDING
    return Standing(str(limit.measure), value, len(column), limit.amount, limit.option, is_failure)


def _drop(values: Columns, baseline: Columns, limit: Limit, strict: bool, seed: int, test: Test) -> Verdict:
    from xqe.evaluation.significance import LEVEL, compare

    now, then = _column(values, limit), _column(baseline, limit)
    compared = compare(now, then, seed)
    p = compared.t_p if test == "t" else compared.p
    before, after = _mean(then), _mean(now)
    is_beyond = before - after > limit.amount + _ROUNDING
    is_failure = is_beyond and (strict or p < LEVEL)
    return Verdict(
        str(limit.measure),
        before,
        after,
        after - before,
        p,
        compared.queries,
        limit.amount,
        limit.option,
        is_failure,
        is_beyond and p >= LEVEL,
    )


def _column(values: Columns, limit: Limit) -> Sequence[float]:
    name = str(limit.measure)
    if name not in values:
        raise XqeError(f"{limit.option}: there are no values of {name}", f"there are those of {', '.join(values)}")
    return values[name]


def _amount(number: str, part: str, option: str) -> float:
    match = _NUMBER.fullmatch(number)
    amount = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= amount <= 1:
        raise XqeError(f'{option}: "{part}" is not from 0 to 1', "for example MRR=0.30 or MRR=30%")
    return amount


def _mean(column: Sequence[float]) -> float:
    return fsum(column) / len(column) if column else 0.0


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p {p:.2g}"


def _queries(count: int) -> str:
    return "1 query" if count == 1 else f"{count} queries"
