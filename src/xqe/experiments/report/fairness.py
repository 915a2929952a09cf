"""Language fairness: of each system the best and the worst language, and how far all of them lie apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from numpy import mean

from xqe.evaluation.spread import Spread, spread
from xqe.experiments.report import labels
from xqe.experiments.report.blocks import Row, Table, Value, percent
from xqe.experiments.report.results import GENERATED, Pair, System
from xqe.experiments.report.study import Study

_SIDES = ("query", "document")
_FOLDED = 24  # systems from which on the table is shown when asked for


def systems(study: Study) -> Table | None:
    """All systems of a collection that have the pairs of its study, whatever they search by and whoever re-ranks their
    hits."""
    pairs = study.frame.pairs
    rows = []
    sides: list[int] = []
    for system in study.results.everything(study.collection):
        values = _values(study, pairs, system)
        if values is None:
            continue
        found = [spread(_by_language(values, side)) for side in range(len(_SIDES))]
        sides = [side for side, one in enumerate(found) if one is not None]
        cells = [cell for one in found if one is not None for cell in _cells(one)]
        kind = "" if system.kind in GENERATED else "baseline"
        rows.append(Row((labels.full(system),), (percent(float(mean(list(values.values())))), *cells), kind))
    if not sides:
        return None
    columns = ("best", "worst", "gap", "SD")
    return Table(
        f"{study.key}-fairness",
        f"Language fairness by {study.main}, {study.collection}",
        ("system",),
        (study.main, *columns * len(sides)),
        tuple(rows),
        (("all pairs", 1), *((f"{_SIDES[side]} languages", len(columns)) for side in sides)),
        (
            f"A language's value is the mean {study.main} over the pairs that have it.",
            "Gap: between the best and the worst language, in points. SD: standard deviation over the languages, too.",
            "A system that finds nothing in any language has no gap: compare gaps of systems with like means.",
            *_notes(pairs),
            *study.common.notes,
        ),
        folded=len(rows) > _FOLDED,
    )


def _values(study: Study, pairs: Sequence[Pair], system: System) -> dict[Pair, float] | None:
    """The mean of each pair; None where the system lacks one of them."""
    values = {}
    for pair in pairs:
        cell = study.results.cell(study.collection, pair, system)
        if cell is None:
            return None
        values[pair] = float(mean(cell.values[study.main]))
    return values


def _by_language(values: dict[Pair, float], side: int) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for pair, value in values.items():
        found[pair[side]].append(value)
    return {code: float(mean(some)) for code, some in found.items()}


def _cells(one: Spread) -> tuple[Value, ...]:
    return (
        Value(f"{100 * one.best_value:.2f} {labels.language(one.best)}", one.best_value),
        Value(f"{100 * one.worst_value:.2f} {labels.language(one.worst)}", one.worst_value),
        *(Value(f"{100 * number:.2f}", number) for number in (one.gap, one.deviation)),
    )


def _notes(pairs: Sequence[Pair]) -> list[str]:
    """That languages meet others than each other, where they do: part of the gap is of those."""
    there = set(pairs)
    sources, targets = ({pair[side] for pair in pairs} for side in (0, 1))
    if all((source, target) in there for source in sources for target in targets if source != target):
        return []
    return ["Not every language meets the same others here, so that a part of the gap is these others'."]
