"""Whether intrinsic checks of expansions tell how well they retrieve: rank correlations with the gain in retrieval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import atanh, erfc, sqrt

import numpy
from numpy.typing import NDArray

from xqe.evaluation.significance import holm
from xqe.experiments.report import labels
from xqe.experiments.report.averages import stars
from xqe.experiments.report.blocks import NOTHING, Row, Table, Value, count
from xqe.experiments.report.results import DIRECT, EXPANSION, Pair
from xqe.experiments.report.study import Study
from xqe.stages.inspection.inspector import inspected
from xqe.stages.inspection.measures import MEASURES

LEAST = 20
"""Expansions that a correlation needs."""

Numbers = NDArray[numpy.float64]
Point = tuple[str, float, float]  # stratum, intrinsic value, gain


def correlations(study: Study, model: str) -> Table | None:
    """By strategy, how each intrinsic measure of a model's passages goes with the gain over the translated query."""
    points = _points(study, model)
    if not points:
        return None
    strategies = list(dict.fromkeys(strategy for strategy, _ in points))
    named = [measure.name for measure in MEASURES if any((one, measure.name) in points for one in strategies)]
    found = {key: correlation(points.get(key, [])) for key in ((s, name) for s in strategies for name in named)}
    telling = [name for name in named if any(x for one in strategies for _, x, _ in points.get((one, name), []))]
    never = [name.replace("_", " ") for name in named if name not in telling]
    adjusted = dict(
        zip(
            [key for key, one in found.items() if one is not None],
            holm([one[1] for one in found.values() if one is not None]),
            strict=True,
        )
    )
    rows = [
        Row(
            (name.replace("_", " "),),
            tuple(
                value
                for one in strategies
                for value in _values(points.get((one, name), []), found[one, name], adjusted.get((one, name), 1.0))
            ),
        )
        for name in telling
    ]
    if not rows:
        return None
    return Table(
        f"{study.key}-{model}-quality",
        f"Intrinsic checks against retrieval: {model}, {study.title}",
        ("check",),
        ("mean", "rho", "p", "texts") * len(strategies),
        tuple(rows),
        tuple((labels.STRATEGIES.get(one, one), 4) for one in strategies),
        (
            (
                f"rho: Spearman's correlation of each check with the gain in {study.main} over the translated query "
                "alone: one point "
                "an expansion of a query, from either order or generated directly; its gain is the mean over the "
                "uses of the "
                "text. Ranks are taken within a language pair and order, so that differences between languages do "
                "not count."
            ),
            (
                "p is corrected over this table. Texts of one query in several pairs count as independent here, which "
                "makes p somewhat too small."
            ),
            f"{NOTHING}: the check says the same of all texts of a pair, or there are fewer than {LEAST}.",
            *([f"Never found: {', '.join(never)}."] if never else []),
            "; ".join(f"{one.name.replace('_', ' ')}: {one.about}" for one in MEASURES if one.name in telling) + ".",
        ),
    )


def _values(cloud: list[Point], found: tuple[float, float] | None, holm_p: float) -> tuple[Value, ...]:
    mean = Value(f"{numpy.mean([x for _, x, _ in cloud]):.3g}") if cloud else Value(NOTHING)
    if found is None:
        return mean, Value(NOTHING), Value(NOTHING), count(len(cloud))
    rho, p = found
    return (
        mean,
        Value(f"{rho:+.3f}{stars(holm_p)}", rho, "", f"p {p:.4f}, corrected {holm_p:.4f}"),
        Value(f"{holm_p:.3f}", holm_p),
        count(len(cloud)),
    )


def _points(study: Study, model: str) -> Mapping[tuple[str, str], list[Point]]:
    """(strategy, check) -> points."""
    baseline = study.translation(model)
    points: dict[tuple[str, str], list[Point]] = defaultdict(list)
    if baseline is None:
        return points
    gains: dict[tuple[str, Pair, str], list[dict[str, float]]] = defaultdict(list)
    sources = {}
    for system in study.systems:
        if system.model != model or system.kind not in (EXPANSION, DIRECT) or system.strategy is None:
            continue
        for pair in study.frame.pairs:
            mine = study.results.cell(study.collection, pair, system)
            theirs = study.results.cell(study.collection, pair, baseline)
            if mine is None or theirs is None or mine.texts is None:
                continue
            key = (mine.texts, pair, system.strategy)
            sources[key] = mine
            gains[key].append(
                {
                    query: after - before
                    for query, after, before in zip(
                        mine.queries, mine.values[study.main], theirs.values[study.main], strict=True
                    )
                }
            )
    for (texts, pair, strategy), columns in gains.items():
        for record in inspected(study.results.records(sources[texts, pair, strategy])):
            said = record.get("inspection") or {}
            if record["id"] not in columns[0] or record.get("error") is not None:
                continue
            gain = sum(column[record["id"]] for column in columns) / len(columns)
            for measure in MEASURES:
                value = said.get(measure.name)
                if isinstance(value, bool | int | float):
                    points[strategy, measure.name].append((texts, float(value), gain))
    return points


def correlation(points: Iterable[Point]) -> tuple[float, float] | None:
    """(Spearman's rho within strata, its two-sided p), None for too few points or a side that does not vary.

    p is that of Fisher's z with the variance 1.06 / (n - s - 2) for n points in s strata (Fieller, Hartley and Pearson,
    1957).
    """
    strata: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for stratum, x, y in points:
        strata[stratum].append((x, y))
    both = [_centred(numpy.asarray(part, float)) for part in strata.values()]
    number = sum(map(len, both))
    if number < LEAST:
        return None
    x, y = numpy.concatenate(both).T
    spread = sqrt(float(x @ x) * float(y @ y))
    if spread == 0:
        return None
    rho = float(x @ y) / spread
    freedom = number - len(strata) - 2
    if freedom <= 0:
        return None
    z = atanh(max(-0.999999, min(rho, 0.999999))) * sqrt(freedom / 1.06)
    return rho, erfc(abs(z) / sqrt(2))


def _centred(part: Numbers) -> Numbers:
    """The ranks of two columns, equal values sharing their mean, around 0 and in parts of their number."""
    ranks = numpy.column_stack([_ranks(column) for column in part.T])
    centred: Numbers = (ranks - ranks.mean(axis=0)) / len(part)
    return centred


def _ranks(column: Numbers) -> Numbers:
    _, inverse, counts = numpy.unique(column, return_inverse=True, return_counts=True)
    last = numpy.cumsum(counts)
    shared: Numbers = (last - (counts - 1) / 2)[inverse]
    return shared
