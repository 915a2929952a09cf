"""Averages over language pairs, and differences with their significance.

An average is the mean of the pairs' means, as in the paper: each pair counts the same, however many queries it has. A
difference is tested by query: a query that is asked in several language pairs (of a parallel collection) is one unit of
the randomization, since its values in them go up and down together. Its value is its share of the average, so that the
mean of the units is the average itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy
from numpy.typing import NDArray

from xqe.evaluation.significance import by_unit, compare, holm, interval
from xqe.experiments.report.results import WORDS, Pair, Results, System
from xqe.messages import plural

Column = NDArray[numpy.float64]
Keep = Callable[[Pair, str], bool]


@dataclass(frozen=True, slots=True)
class Difference:
    """How an average differs from a baseline's, 0..1. p: of the paired randomization test; holm: of its family.

    low, high: the 95 % confidence interval. wins, ties, losses: of all values, one for a query in a pair. units: how
    many queries the test has.
    """

    value: float
    baseline: float
    difference: float
    p: float
    holm: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    units: int

    @property
    def stars(self) -> str:
        return stars(self.holm)

    @property
    def all_tie(self) -> bool:
        return not (self.wins or self.losses)


def stars(p: float) -> str:
    """Return "*" for a p below 0.05, "**" below 0.01, "***" below 0.001."""
    return "".join("*" for limit in (0.05, 0.01, 0.001) if p < limit)


class Frame:
    """What averages are over: queries of language pairs of a collection, each with a value, the same for all systems.

    keep: which of them; a pair with none left is left out.
    """

    def __init__(self, results: Results, collection: str, pairs: Iterable[Pair], keep: Keep | None = None) -> None:
        self._results = results
        self.collection = collection
        self._kept: dict[Pair, list[int]] = {}
        self.queries: list[tuple[Pair, str]] = []
        for pair in pairs:
            ids = results.queries(collection, pair)
            places = [place for place, one in enumerate(ids) if keep is None or keep(pair, one)]
            if places:
                self._kept[pair] = places
                self.queries += [(pair, ids[place]) for place in places]
        self._columns: dict[tuple[str, str], Column | None] = {}

    @property
    def pairs(self) -> list[Pair]:
        return list(self._kept)

    @property
    def size(self) -> int:
        """How many values a system has: one for a query in a pair."""
        return len(self.queries)

    @property
    def counted(self) -> str:
        """What averages are over, in words."""
        return (
            f"{plural(len(self._kept), 'language pair')}, {plural(self.size, 'value')} of {plural(self.units, 'query')}"
        )

    @cached_property
    def _weights(self) -> Column:
        return numpy.concatenate(
            [numpy.full(len(places), 1 / (len(places) * len(self._kept))) for places in self._kept.values()]
        )

    @cached_property
    def _units(self) -> NDArray[numpy.int64]:
        return numpy.unique([query for _, query in self.queries], return_inverse=True)[1].astype(numpy.int64)

    @property
    def units(self) -> int:
        return int(self._units.max(initial=-1)) + 1

    def column(self, system: System, measure: str) -> Column | None:
        """The values of a system, as `queries`; None where it lacks one of the pairs."""
        key = (system.name, measure)
        if key not in self._columns:
            self._columns[key] = self._read(system, measure)
        return self._columns[key]

    def _read(self, system: System, measure: str) -> Column | None:
        parts = []
        for pair, places in self._kept.items():
            cell = self._results.cell(self.collection, pair, system)
            if cell is None:
                return None
            parts.append(numpy.asarray(cell.values[measure], float)[places])
        return numpy.concatenate(parts) if parts else None

    def mean_column(self, systems: Sequence[System], measure: str) -> Column | None:
        """The means of some systems, query by query; None without systems, or where one lacks a pair."""
        columns = [self.column(system, measure) for system in systems]
        there = [column for column in columns if column is not None]
        return None if not there or len(there) < len(columns) else numpy.mean(there, axis=0)

    def average(self, column: Column) -> float:
        return float(self._weights @ column)

    def interval(self, column: Column) -> tuple[float, float]:
        """The 95 % confidence interval of an average."""
        return interval(self._by_unit(column))

    def compare(self, column: Column, baseline: Column) -> Difference:
        """Compare two columns. The p of the family is the p itself until `corrected`."""
        found = compare(self._by_unit(column), self._by_unit(baseline))
        changes = column - baseline
        wins, losses = int((changes > 0).sum()), int((changes < 0).sum())
        value, before = self.average(column), self.average(baseline)
        return Difference(
            value,
            before,
            value - before,
            found.p,
            found.p,
            found.low,
            found.high,
            wins,
            len(changes) - wins - losses,
            losses,
            found.queries,
        )

    def _by_unit(self, column: Column) -> list[float]:
        return by_unit(column, self._units, self._weights)


def corrected(family: Sequence[Difference | None]) -> list[Difference | None]:
    """The differences of a family with Holm's correction over all of it."""
    there = [one for one in family if one is not None]
    adjusted = iter(holm([one.p for one in there]))
    return [None if one is None else replace(one, holm=next(adjusted)) for one in family]


@dataclass(frozen=True, slots=True)
class Common:
    """The systems and pairs of a collection that can be averaged together. left_out: systems that lack too many pairs.
    lost: pairs that some of the systems lack. monolingual: pairs of one language with itself, beside others."""

    pairs: tuple[Pair, ...]
    systems: tuple[System, ...]
    left_out: tuple[System, ...]
    lost: tuple[Pair, ...]
    monolingual: tuple[Pair, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of it."""
        said = []
        if not self.pairs:
            said.append("No language pair has all systems, so nothing can be averaged.")
        elif self.lost:
            named = ", ".join("-".join(pair) for pair in self.lost)
            said.append(
                f"Averages are over the {len(self.pairs)} language pairs that every system has; {named} lacks a "
                "system or more."
            )
        if self.monolingual:
            named = ", ".join("-".join(pair) for pair in self.monolingual)
            said.append(f"Averages are of cross-lingual retrieval, without {named}.")
        if self.left_out:
            named = ", ".join(system.name for system in self.left_out)
            said.append(f"Left out, since more than half of the language pairs are missing: {named}.")
        return tuple(said)


def common(results: Results, collection: str, retriever: str = WORDS) -> Common:
    """What can be averaged: the pairs that all systems have, without systems that lack half of them or more.

    Pairs of one language with itself are no part of averages, which are of cross-lingual retrieval, unless there are
    no others. retriever: of the systems.
    """
    everything = results.pairs(collection)
    pairs = [pair for pair in everything if pair[0] != pair[1]] or everything
    systems = results.systems(collection, retriever)
    has = {system: {pair for pair in pairs if results.cell(collection, pair, system) is not None} for system in systems}
    kept = [system for system in systems if 2 * len(has[system]) > len(pairs)]
    shared = [pair for pair in pairs if all(pair in has[system] for system in kept)]
    return Common(
        tuple(shared),
        tuple(kept),
        tuple(system for system in systems if system not in kept),
        tuple(pair for pair in pairs if pair not in shared),
        tuple(pair for pair in everything if pair not in pairs),
    )
