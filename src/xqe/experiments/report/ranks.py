"""Whether the ranks of the strategies hold by another retriever: Kendall's tau, and which pairs of them swap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

from xqe.experiments.report import labels
from xqe.experiments.report.beside import Beside, counterpart, name
from xqe.experiments.report.blocks import NOTHING, Row, Table, Value, words
from xqe.experiments.report.results import GENERATED, System
from xqe.messages import plural

Averages = Mapping[str, float]
"""By strategy."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Strategies that differ in nothing else. system: one of them. averages: by each retriever, of the same ones."""

    system: System
    averages: tuple[Averages, ...]

    def tau(self, place: int) -> float | None:
        return tau(*self._columns(place))

    def swapped(self, place: int) -> int:
        return swapped(*self._columns(place))

    @property
    def couples(self) -> int:
        """How many pairs of strategies there are."""
        return len(self.averages[0]) * (len(self.averages[0]) - 1) // 2

    def _columns(self, place: int) -> tuple[list[float], list[float]]:
        return [*self.averages[0].values()], [*self.averages[place].values()]


def tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of two columns of averages; None where one of them does not vary.

    >>> tau([1, 2, 3], [1, 3, 2])
    0.33333333333333337
    """
    signs = _signs(first, second)
    varying = sqrt(sum(x * x for x, _ in signs)) * sqrt(sum(y * y for _, y in signs))
    return sum(x * y for x, y in signs) / varying if varying else None


def swapped(first: Sequence[float], second: Sequence[float]) -> int:
    """How many pairs of places the two columns put in opposite orders."""
    return sum(x * y < 0 for x, y in _signs(first, second))


def _signs(first: Sequence[float], second: Sequence[float]) -> list[tuple[int, int]]:
    """For each pair of places, how its two values stand to each other in each column: -1, 0 or 1."""
    both = list(zip(first, second, strict=True))
    return [
        ((x > other_x) - (x < other_x), (y > other_y) - (y < other_y))
        for (x, y), (other_x, other_y) in combinations(both, 2)
    ]


def settings_of(beside: Beside) -> Iterator[Setting]:
    """The settings of kind, model, order, use, weight and samples that have several strategies by all retrievers."""
    groups: dict[tuple[object, ...], list[System]] = {}
    for system in beside.first.systems:
        if system.kind in GENERATED and system.strategy is not None:
            groups.setdefault((system.kind, system.model, *system.variant), []).append(system)
    for systems in groups.values():
        found: list[dict[str, float]] = [{} for _ in beside.studies]
        for system in systems:
            same = [system, *(counterpart(study, system) for study in beside.others)]
            values = [None if one is None else beside.average(one, beside.main) for one in same]
            for column, value in zip(found, values, strict=True):
                if value is not None and None not in values:
                    column[labels.strategy(system)] = round(value, 9)
        if len(found[0]) > 1:
            yield Setting(systems[0], tuple(found))


def table(beside: Beside, settings: Sequence[Setting]) -> Table:
    """Kendall's tau between the orders of the strategies by the first retriever and by each other one."""
    rows = []
    for setting in settings:
        values = [words(_ranked(setting.averages[0]))]
        for place, _ in enumerate(beside.others, 1):
            values += [
                words(_ranked(setting.averages[place])),
                _tau(setting.tau(place)),
                _swapped(setting.swapped(place), setting.couples),
            ]
        _, order, use = labels.setting(setting.system)
        rows.append(Row((setting.system.model or NOTHING, order, use), tuple(values)))
    last = [Value("")]
    for place, _ in enumerate(beside.others, 1):
        swaps, couples = total_swapped(settings, place)
        last += [Value(""), _tau(mean_tau(settings, place)), _swapped(swaps, couples)]
    return Table(
        f"{beside.first.collection}-retrievers-ranks",
        f"Do the ranks of the strategies hold? {beside.first.collection}",
        ("model", "order", "used"),
        ("best first", *("best first", "tau", "swapped") * len(beside.others)),
        (*rows, Row(("all", "", ""), tuple(last), "mean", ruled=True)),
        ((name(beside.first), 1), *((name(study), 3) for study in beside.others)),
        (
            (
                f"The strategies by their mean {beside.main}, of one order and use. tau: Kendall's tau-b between their "
                f"order by {name(beside.first)} and by the other retriever, 1 for the same and -1 for the opposite; "
                "the last row has its mean. Swapped: of all pairs of strategies, those of which the other one is "
                "better now."
            ),
            "Strategies whose means are close swap by chance, so a few swaps are no proof of another order.",
            f"{NOTHING}: by one of the two all strategies are equal.",
        ),
    )


def _ranked(averages: Averages) -> str:
    return ", ".join(sorted(averages, key=lambda one: -averages[one]))


def _tau(value: float | None) -> Value:
    return Value(NOTHING) if value is None else Value(f"{value + 0.0:+.2f}", value)


def _swapped(count: int, couples: int) -> Value:
    return Value(f"{count} of {couples}", float(count))


def mean_tau(settings: Sequence[Setting], place: int) -> float | None:
    taus = [value for setting in settings if (value := setting.tau(place)) is not None]
    return sum(taus) / len(taus) if taus else None


def total_swapped(settings: Sequence[Setting], place: int) -> tuple[int, int]:
    return sum(one.swapped(place) for one in settings), sum(one.couples for one in settings)


def said(beside: Beside, settings: Sequence[Setting], place: int) -> str:
    """How the ranks by the first retriever and by another one go together."""
    swaps, couples = total_swapped(settings, place)
    mean = mean_tau(settings, place)
    agreement = "" if mean is None else f" (mean tau {mean + 0.0:+.2f} over {plural(len(settings), 'setting')})"
    names = f"{name(beside.first)} and {name(beside.studies[place])}"
    return f"Between {names}, {swaps} of {couples} pairs of strategies swap{agreement}."
