"""Language fairness: how far apart a system's languages lie, and which of them it serves worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, pstdev


@dataclass(frozen=True, slots=True)
class Spread:
    """Of the values of some languages, 0..1. best, worst: of equal ones the first by code, and the last. gap: what lies
    between them. deviation: the standard deviation, of the languages that there are and no sample of others."""

    languages: int
    mean: float
    best: str
    best_value: float
    worst: str
    worst_value: float
    gap: float
    deviation: float


def spread(values: Mapping[str, float]) -> Spread | None:
    """Return how far values by language lie apart; None for fewer than two."""
    if len(values) < 2:
        return None
    codes = sorted(values)
    best, worst = max(codes, key=values.__getitem__), min(reversed(codes), key=values.__getitem__)
    numbers = list(values.values())
    return Spread(
        len(values),
        fmean(numbers),
        *(best, values[best], worst, values[worst]),
        values[best] - values[worst],
        pstdev(numbers),
    )
