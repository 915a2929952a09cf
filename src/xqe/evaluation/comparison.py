"""Runs side by side: averages, differences to the first run and how sure they are, in groups and query by query."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import fsum

from xqe.errors import InputError
from xqe.evaluation.decisions import Test
from xqe.evaluation.evaluated import Evaluation, Key, Part, Values
from xqe.evaluation.groups import NO_VALUE, Cell, Group, cell_fields, is_of_language
from xqe.evaluation.spread import Spread, spread

Columns = dict[str, list[float]]  # measure -> values, one for each query that it has a meaning for


@dataclass(frozen=True, slots=True)
class Difference:
    """How sure the difference of one measure to the baseline's is.

    test: what p is of. p: how often chance alone makes a difference as great; p_holm: the same, adjusted for all
    differences among the rows it stands in. interval: the 95 % confidence interval of the difference. wins, ties,
    losses: queries with a greater, an equal and a smaller value than the baseline.
    """

    test: Test
    p: float
    p_holm: float
    interval: tuple[float, float]
    wins: int
    ties: int
    losses: int

    @property
    def is_significant(self) -> bool:
        from xqe.evaluation.significance import LEVEL

        return self.p_holm < LEVEL


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the result: a run, in a group of it or as a whole, on average.

    group: field -> value, empty for the whole run. queries: how many are averaged, those `missing` from the
    run among them. measures: in 0..1. difference: to the same row of the first run, None where there is none
    or where it was averaged over other queries or language pairs; comparison: how sure it is, by measure, None
    where that was not asked for. interval: the 95 % confidence interval of each measure, where it was asked for.
    counts: of each measure that has no meaning for some of the queries, how many it is averaged over; a difference is
    over those that both runs have it for. macro: whether each group counts the same in it.
    """

    run: str
    group: dict[str, str]
    queries: int
    missing: int
    measures: Values
    difference: Values | None
    comparison: dict[str, Difference] | None = None
    interval: dict[str, tuple[float, float]] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    macro: bool = False
    spreads: dict[str, dict[str, Spread]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What rows shall hold beside averages and differences.

    test: of each difference, None for no test. intervals: of each average. margins: with two fields to group by, rows
    for each value of one of them as well. seed: of the randomization test.
    """

    test: Test | None = None
    intervals: bool = False
    margins: bool = False
    seed: int = 0


def compare(evaluations: Sequence[Evaluation], asked: Asked | None = None) -> list[Row]:
    """Return the rows of some runs, group by group and run by run in each; the whole runs come last.

    Each run is compared with the first. A group that a run does not have gives no row for that run.
    """
    asked = asked or Asked()
    first = evaluations[0]
    rows = []
    for group in _parts(evaluations, asked.margins):
        for evaluation in evaluations:
            if values := evaluation.of(group):
                rows.append(_row(evaluation, group, values, None if evaluation is first else first, asked))
    return _adjusted(rows)


def _parts(evaluations: Sequence[Evaluation], margins: bool) -> list[Part | None]:
    """What to average over: the groups, then the margins of rows and of columns, then all."""
    groups = sorted({group for one in evaluations for group in one.groups})
    parts: list[Part | None] = [*groups]
    if margins:
        parts += [(value, None) for value in sorted({group[0] for group in groups})]
        parts += [(None, value) for value in sorted({group[1] for group in groups})]
    return [*parts, None] if evaluations[0].fields else parts


def _row(
    evaluation: Evaluation, group: Part | None, values: dict[Key, Values], first: Evaluation | None, asked: Asked
) -> Row:
    own = columns(evaluation, group)
    difference = comparison = None
    if first is not None and _over_the_same(evaluation, first, group):
        both = paired(evaluation, first, group)
        difference = {measure: _mean(column) - _mean(both[1][measure]) for measure, column in both[0].items()}
        if asked.test:
            comparison = _comparison(*both, asked.test, asked.seed)
    return Row(
        evaluation.run,
        named(evaluation, group),
        len(values),
        len(values.keys() & evaluation.missing),
        {measure: _mean(column) for measure, column in own.items()},
        difference,
        comparison,
        _intervals(own) if asked.intervals else None,
        {measure: len(column) for measure, column in own.items() if len(column) < len(values)},
        _is_macro(evaluation, group),
        _spreads(evaluation) if group is None else {},
    )


def _spreads(evaluation: Evaluation) -> dict[str, dict[str, Spread]]:
    """Field -> measure -> spread of a run's languages; the value of one is its mean over its queries."""
    found: dict[str, dict[str, Spread]] = {}
    for place, name in enumerate(evaluation.fields):
        codes = {group[place] for group in evaluation.groups} - {NO_VALUE} if is_of_language(name) else set()
        values: dict[str, dict[str, float]] = defaultdict(dict)
        for code in sorted(codes):
            part = tuple(code if other == place else None for other in range(len(evaluation.fields)))
            for measure, column in columns(evaluation, part).items():
                values[measure][code] = _mean(column)
        if spreads := {measure: one for measure in values if (one := spread(values[measure])) is not None}:
            found[name] = spreads
    return found


def named(evaluation: Evaluation, group: Part | None) -> dict[str, str]:
    """Return field -> value of a group, without the fields in which it takes any value."""
    pairs = zip(evaluation.fields, group or (), strict=False)
    return {field: value for field, value in pairs if value is not None}


def paired(evaluation: Evaluation, baseline: Evaluation, group: Part | None = None) -> tuple[Columns, Columns]:
    """Return measure -> values of both runs, in one order of cells and queries; both are over the same queries. A query
    that one of them has no value of a measure for is left out of this measure."""
    mine, theirs = evaluation.of(group), baseline.of(group)
    shared = [key for key in mine if key in theirs]
    # a query that only one of the runs has a cell for
    apart = [sorted(one.keys() - shared, key=lambda key: (key[1], key[0] or ())) for one in (mine, theirs)]
    pairs = [(key, mine[key], theirs[key]) for key in shared]
    pairs += [(key, mine[key], theirs[other]) for key, other in zip(*apart, strict=True)]
    return (
        _columns(evaluation, group, ((key, _common(one, other)) for key, one, other in pairs)),
        _columns(evaluation, group, ((key, _common(other, one)) for key, one, other in pairs)),
    )


def _common(values: Values, others: Values) -> Values:
    return {measure: value for measure, value in values.items() if measure in others}


def columns(evaluation: Evaluation, group: Part | None = None) -> Columns:
    """Return measure -> the values of a group whose mean is its average, in the order of its cells and queries: those
    of its queries, or of the whole run with `macro`, these scaled so that their mean is that of the groups' means."""
    return _columns(evaluation, group, evaluation.of(group).items())


def _columns(evaluation: Evaluation, group: Part | None, values: Iterable[tuple[Key, Values]]) -> Columns:
    is_macro = _is_macro(evaluation, group)
    found: Columns = defaultdict(list)
    groups: dict[str, list[Group]] = defaultdict(list)
    for (cell, _), one in values:
        if is_macro and cell is None:
            continue  # of no known group
        for measure, value in one.items():
            found[measure].append(value)
            groups[measure].append((cell or ())[: len(evaluation.fields)])
    return {measure: _scaled(found[measure], groups[measure]) for measure in found} if is_macro else dict(found)


def _is_macro(evaluation: Evaluation, group: Part | None) -> bool:
    return evaluation.macro and group is None


def _scaled(column: Sequence[float], groups: Sequence[Group]) -> list[float]:
    """Values whose mean is the mean of the means of their groups."""
    sizes = Counter(groups)
    return [value * len(column) / (len(sizes) * sizes[group]) for value, group in zip(column, groups, strict=True)]


def _mean(column: Sequence[float]) -> float:
    return fsum(column) / len(column)


def _comparison(values: Columns, baseline: Columns, test: Test, seed: int) -> dict[str, Difference]:
    from xqe.evaluation import significance

    found = {}
    for measure, column in values.items():
        one = significance.compare(column, baseline[measure], seed)
        p = one.t_p if test == "t" else one.p
        found[measure] = Difference(test, p, p, (one.low, one.high), one.wins, one.ties, one.losses)
    return found


def _intervals(values: Columns) -> dict[str, tuple[float, float]]:
    from xqe.evaluation.significance import interval

    return {measure: interval(column) for measure, column in values.items()}


def _adjusted(rows: list[Row]) -> list[Row]:
    """The rows with each p adjusted for all of them."""
    tested = [(number, measure) for number, row in enumerate(rows) for measure in row.comparison or ()]
    if not tested:
        return rows
    from xqe.evaluation.significance import holm

    comparisons = [dict(row.comparison or {}) for row in rows]
    adjusted = holm([comparisons[number][measure].p for number, measure in tested])
    for (number, measure), p in zip(tested, adjusted, strict=True):
        comparisons[number][measure] = replace(comparisons[number][measure], p_holm=p)
    return [
        replace(row, comparison=comparison) if comparison else row
        for row, comparison in zip(rows, comparisons, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One query of a run. group: field -> value, of the language pair too; empty where none is known.

    missing: whether the run lacks it, so that its measures are 0. difference: to the first run's values of the
    query, None where that one does not have it. asked: the query as it first came, "" where no run has it.
    """

    run: str
    group: dict[str, str]
    id: str
    missing: bool
    measures: Values
    difference: Values | None
    asked: str = ""


def query_by_query(evaluations: Sequence[Evaluation]) -> Iterator[QueryRow]:
    """Yield the queries of each run in turn, each beside the same one of the first run."""
    first = evaluations[0]
    before = first.of()
    asked = {query: text for evaluation in reversed(evaluations) for query, text in evaluation.asked.items()}
    for evaluation in evaluations:
        for (cell, query), values in evaluation.of().items():
            other = None if evaluation is first else before.get((cell, query))
            yield QueryRow(
                evaluation.run,
                _cell_named(evaluation.fields, cell),
                query,
                (cell, query) in evaluation.missing,
                values,
                None
                if other is None
                else {measure: values[measure] - other[measure] for measure in values if measure in other},
                asked.get(query, ""),
            )


def _cell_named(fields: tuple[str, ...], cell: Cell | None) -> dict[str, str]:
    if not cell:
        return {}
    pairs = zip(cell_fields(fields), cell, strict=True)
    return {field: value for field, value in pairs if field in fields or value != NO_VALUE}


def check_comparable(evaluation: Evaluation, baseline: Evaluation, each_group: bool = False) -> None:
    """Raise InputError where a run and a baseline do not answer the same questions.

    They do not where their averages are over other language pairs or other queries (in each group too, with
    `each_group`), or where they answer fewer than half of the same queries: what one lacks counts as 0, so that the
    difference would be one of the queries that were asked.
    """
    what = f"{evaluation.run}, {baseline.run}"
    parts = [None, *(_parts([evaluation, baseline], False) if each_group else ())]
    if not all(_over_the_same(evaluation, baseline, part) for part in parts):
        raise InputError(
            f"{what}: they cover other queries or language pairs, and are not compared", "give two runs over the same"
        )
    mine, theirs = evaluation.answered, baseline.answered
    if 2 * len(mine & theirs) < min(len(mine), len(theirs)):
        raise InputError(
            f"{what}: they answer {len(mine)} and {len(theirs)} queries and share {len(mine & theirs)}, "
            "and are not compared",
            "give two runs over the same queries",
        )


def _over_the_same(one: Evaluation, other: Evaluation, group: Part | None) -> bool:
    """Whether two averages can be compared: they are over the same cells and the same queries."""
    mine, theirs = one.of(group), other.of(group)
    same_cells = {cell for cell, _ in mine if cell is not None} == {cell for cell, _ in theirs if cell is not None}
    return same_cells and sorted(query for _, query in mine) == sorted(query for _, query in theirs)
