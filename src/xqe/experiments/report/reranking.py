"""Hits that a model put in a new order, beside those of the first stage: what it gained, and what it took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from xqe.experiments.report import labels
from xqe.experiments.report.averages import Difference, Frame, corrected
from xqe.experiments.report.blocks import NOTHING, Block, Paragraph, Row, Table, Value, count, marked, percent, points
from xqe.experiments.report.results import HUMAN, Cost, Pair, Result, Results, System
from xqe.experiments.report.study import main_first
from xqe.experiments.report.tables import FAMILY_NOTE, delta

RERANK = "rerank"


@dataclass(frozen=True, slots=True)
class Again:
    """A system whose hits are re-ranked. change: to the first stage, which is another system."""

    system: System
    first: System
    change: Difference | None


class Reranked:
    """The re-ranked systems of a collection, over the language pairs that they and their first stages all have."""

    def __init__(self, results: Results, collection: str, main: str) -> None:
        self.results = results
        self.collection = collection
        self.main = main
        self.groups = results.reranked(collection)
        self.firsts = list(self.groups)
        everything = [*self.firsts, *(system for group in self.groups.values() for system in group)]
        there = results.pairs(collection)
        pairs = [pair for pair in there if pair[0] != pair[1]] or there
        self.lost = [pair for pair in pairs if not all(results.cell(collection, pair, one) for one in everything)]
        self.frame = Frame(results, collection, [pair for pair in pairs if pair not in self.lost])
        self.again = self._again()

    def _again(self) -> list[Again]:
        both = [(system, first) for first, group in self.groups.items() for system in group]
        if not self.frame.size:
            return []
        changes = corrected([self._compare(*one) for one in both])
        return [Again(*one, change) for one, change in zip(both, changes, strict=True)]

    def _compare(self, system: System, first: System) -> Difference | None:
        column, before = self.frame.column(system, self.main), self.frame.column(first, self.main)
        return None if column is None or before is None else self.frame.compare(column, before)

    def average(self, system: System, measure: str) -> float | None:
        column = self.frame.column(system, measure)
        return None if column is None else self.frame.average(column)

    def human(self, retriever: str) -> System | None:
        """The query as people wrote it, where every pair has it and it is not re-ranked itself."""
        systems = self.results.systems(self.collection, retriever)
        known = (one for one in systems if one.kind == HUMAN and one not in self.groups)
        return next((one for one in known if self.frame.column(one, self.main) is not None), None)

    def took(self, system: System) -> tuple[float | None, float | None, float | None]:
        """Seconds a query of the first stage and of re-ranking, and tokens a query of re-ranking; the means over the
        pairs, None where they are not known of all."""
        cells = [self.results.cell(self.collection, pair, system) for pair in self.frame.pairs]
        each = [_took(cell) for cell in cells if cell is not None]
        return _mean(one[0] for one in each), _mean(one[1] for one in each), _mean(one[2] for one in each)


def took_before(results: Results, collection: str, pairs: Sequence[Pair], system: System) -> float | None:
    """Seconds a query of the first stage, the mean over pairs; None where they are not known of all."""
    cells = [results.cell(collection, pair, system) for pair in pairs]
    return _mean(_took(cell)[0] for cell in cells if cell is not None)


def _took(cell: Result) -> tuple[float | None, float | None, float | None]:
    before = [one for one in cell.costs if one.stage != RERANK]
    again = [one for one in cell.costs if one.stage == RERANK]
    return (
        _sum(one.of_each(one.seconds) for one in before),
        _sum(one.of_each(one.seconds) for one in again),
        _sum(one.of_each(one.tokens) for one in again),
    )


def _sum(amounts: Iterable[float | None]) -> float | None:
    some = list(amounts)
    there = [one for one in some if one is not None]
    return sum(there) if some and len(there) == len(some) else None


def _mean(amounts: Iterable[float | None]) -> float | None:
    some = list(amounts)
    total = _sum(some)
    return None if total is None else total / len(some)


def blocks(results: Results, main: str) -> Iterator[Block]:
    """What there is to say of each collection whose hits were re-ranked."""
    for collection in results.collections:
        reranked = Reranked(results, collection, main)
        if reranked.again:
            yield Paragraph(_said(reranked))
            yield _table(reranked)


def _said(reranked: Reranked) -> str:
    """What came out of it, in a few sentences."""
    there = [one for one in reranked.again if one.change is not None]
    said = []
    if there:
        best = max(there, key=lambda one: one.change.value if one.change else 0.0)
        assert best.change is not None
        sure = "significant" if best.change.holm < 0.05 else "not significant"
        said.append(
            f"On {reranked.collection}, the best re-ranked system is {labels.full(best.system)}, with a mean "
            f"{reranked.main} of {100 * best.change.value:.2f}, {points(best.change.difference)} points against the "
            f"hits as they were found ({sure})."
        )
        below = [one for one in there if one.change is not None and one.change.difference < 0]
        if len(there) > 1:
            said.append(f"Of {len(there)} re-ranked systems, {len(below) or 'none'} fell below the first stage.")
    return " ".join(said)


def _table(reranked: Reranked) -> Table:
    """Each system as it was found, and as it is re-ranked; beside them the query as people wrote it."""
    measures = main_first(reranked.results.measures, reranked.main)
    changes = {one.system: one.change for one in reranked.again}
    rows: list[Row] = []
    for retriever in reranked.results.retrievers(reranked.collection):
        firsts = [first for first in reranked.groups if first.retriever == retriever]
        human = reranked.human(retriever) if firsts else None
        if human is not None:
            rows.append(_row(reranked, human, measures, None, ruled=bool(rows)))
        for first in firsts:
            rows.append(_row(reranked, first, measures, None, ruled=bool(rows)))
            rows += [_row(reranked, system, measures, changes[system]) for system in reranked.groups[first]]
    return Table(
        f"{reranked.collection}-reranking",
        f"Re-ranking, {reranked.collection}",
        ("found by", "re-ranked by"),
        (measures[0], "change", *measures[1:], "found in, s", "re-ranked in, s", "tokens"),
        tuple(marked(rows, [0, *range(2, 1 + len(measures))])),
        (("measured", 1 + len(measures)), ("a query", 3)),
        tuple(_notes(reranked)),
    )


def _row(
    reranked: Reranked, system: System, measures: Sequence[str], change: Difference | None, ruled: bool = False
) -> Row:
    found, again, tokens = reranked.took(system)
    asked = "" if system.questions is None else f"questions {labels.questions(system.questions)}"
    said = [part for part in (system.model, *labels.setting(system), asked) if part]
    heads = (
        f"{labels.retriever(system.retriever)}: {', '.join(said)}",
        NOTHING if system.reranker is None else labels.reranker(system.reranker),
    )
    main, *others = (percent(reranked.average(system, measure)) for measure in measures)
    values = (
        *(main, delta(change), *others),
        *(seconds(one) for one in (found, again)),
        Value(NOTHING) if tokens is None else Value(f"{tokens:,.0f}", tokens),
    )
    return Row(heads, values, "baseline" if system.reranker is None else "", ruled)


def _notes(reranked: Reranked) -> Iterator[str]:
    yield f"{reranked.frame.counted} in every row."
    if reranked.lost:
        lost = labels.listed("-".join(pair) for pair in reranked.lost)
        yield f"Without {lost}, which not every system of the table has."
    weighted = [one.system.reranker for one in reranked.again if one.system.reranker is not None]
    weights = dict.fromkeys(one.first_weight for one in weighted if not one.varies and one.first_weight is not None)
    for weight in weights:
        yield f"Scores of the first stage count {weight:g} and the model's {1 - weight:g}, unless a row says otherwise."
    yield f"Change: in {reranked.main}, in points, to the hits as they were found. " + FAMILY_NOTE.format(
        family="the changes of this table"
    )
    yield (
        "Seconds and tokens are those of what was made and not reused, on the machine named below; what stands in a "
        f"row with {NOTHING} came from the store. Found in: translation, expansion and search."
    )
    yield "Marked are the best and the worst of the re-ranked systems."


# ---------------------------------------------------------------- what every stage took


def seconds(number: float | None) -> Value:
    return Value(NOTHING) if number is None else Value(f"{number:.3g}", number)


def costs(results: Results) -> Table | None:
    """What each stage of the grid took, for a record and in all."""
    found = results.costs()
    whole = sum(one.seconds for one in found)
    if not whole:
        return None
    rows = [
        Row(
            (one.stage, one.by),
            (
                count(one.count),
                seconds(one.of_each(one.seconds)),
                _tokens(one),
                Value(f"{one.seconds:,.1f}", one.seconds),
                Value(f"{100 * one.seconds / whole:.1f} %", one.seconds / whole),
            ),
        )
        for one in found
    ]
    return Table(
        "costs",
        "What each stage took",
        ("stage", "by"),
        ("records", "seconds each", "tokens each", "seconds", "share"),
        tuple(rows),
        notes=(
            (
                "Records: documents where an index is built or embedded, else queries, in each cell, text or ranking "
                "that was made. Each: what was made now is the measure for what was reused. Tokens: generated, or "
                "looked at by a model that re-ranks. Loading models is no part of it."
            ),
        ),
    )


def _tokens(one: Cost) -> Value:
    each = one.of_each(one.tokens) if one.tokens else None
    return Value(NOTHING) if each is None else Value(f"{each:,.0f}", each)
