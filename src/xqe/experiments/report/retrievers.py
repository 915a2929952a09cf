"""Words, vectors, both: the baselines and the best systems of a collection by each retriever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from xqe.experiments.report import labels, ranks
from xqe.experiments.report.averages import Difference, Frame, corrected
from xqe.experiments.report.beside import Beside, name
from xqe.experiments.report.blocks import Block, Paragraph, Row, Table, Value, marked, percent, points
from xqe.experiments.report.results import DOCUMENTS, GENERATED, HUMAN, ORIGINAL, TRANSLATION, Pair, System
from xqe.experiments.report.study import Study
from xqe.experiments.report.tables import FAMILY_NOTE, beside_changes, delta, told


def blocks(studies: Sequence[Study]) -> Iterator[Block]:
    """What there is to say of one collection by several retrievers, of which the others are compared with the first."""
    beside = Beside(studies)
    if not beside.frame.size:
        return
    settings = list(ranks.settings_of(beside))
    yield Paragraph(_said(beside, settings))
    yield _means(beside)
    yield _by_pair(beside)
    if settings:
        yield ranks.table(beside, settings)


# ---------------------------------------------------------------- on average


def _means(beside: Beside) -> Table:
    """The baselines and the best system by each retriever, over all pairs."""
    measures = list(beside.first.measures)
    rows: list[Row] = []
    changes: list[tuple[Difference | None, Difference | None]] = []
    for study, best in zip(beside.studies, beside.best, strict=True):
        baselines = [study.original(), study.human(), *study.of(TRANSLATION), *study.presets(), *study.of(DOCUMENTS)]
        for place, system in enumerate(one for one in (*baselines, best) if one is not None):
            values = tuple(percent(beside.average(system, measure)) for measure in measures)
            kind = "" if system.kind in GENERATED else "baseline"
            rows.append(Row((name(study), _called(system)), values, kind, ruled=place == 0 and bool(rows)))
            translation = study.translation(system.model) if system.kind in GENERATED else None
            to_translated = (
                study.difference(beside.frame, [system], [translation], beside.main) if translation else None
            )
            changes.append((beside.change(study, system), to_translated))
    columns = [corrected([pair[side] for pair in changes]) for side in (0, 1)]
    made = [
        Row(row.heads, (row.values[0], *map(delta, differences), *row.values[1:]), row.kind, row.ruled)
        for row, *differences in zip(rows, *columns, strict=True)
    ]
    return Table(
        f"{beside.first.collection}-retrievers",
        f"Baselines and the best strategy by each retriever, {beside.first.collection}",
        ("retriever", "system"),
        (measures[0], f"to {name(beside.first)}", "to translated", *measures[1:]),
        tuple(marked(made, beside_changes(measures), lambda _: True)),
        (),
        (
            f"{beside.frame.counted} in every row.",
            f"Changes are in {beside.main}, in points: to the same system searched by {name(beside.first)}, and to the "
            "query translated by the same model, searched in the same way. "
            + FAMILY_NOTE.format(family="the differences of a column"),
            (
                "The best strategy was picked as the best of all by that retriever on these queries, so its value is a "
                "little too high."
            ),
            "Marked are the best and the worst of all rows.",
        ),
    )


def _called(system: System) -> str:
    """A system in a row that says its retriever already."""
    said = [part for part in labels.setting(system) if part]
    return ", ".join([*([system.model] if system.model else []), *said])


# ---------------------------------------------------------------- pair by pair


_MOST_PAIRS = 200  # up to which each has a row
_ROLES = {
    ORIGINAL: "original query",
    TRANSLATION: "translated query",
    HUMAN: "as people wrote it",
    "best": "best strategy",
}


def _by_pair(beside: Beside) -> Table:
    """The same language pair by language pair, in the main measure; where there are very many, group by group."""
    parts = _parts(beside)
    roles = {role: systems for role in _ROLES if any(systems := [*_systems(beside, role)])}
    frames = [Frame(beside.first.results, beside.first.collection, pairs) for pairs in parts.values()]
    rows = [_pair_row(beside, roles, frame) for frame in frames]
    family = iter(corrected([change for row in rows for _, change in row]))
    stars = [[(value, next(family)) for value, _ in row] for row in rows]
    mean = _pair_row(beside, roles, beside.frame)
    means = [
        (value, change) for (value, _), change in zip(mean, corrected([change for _, change in mean]), strict=True)
    ]
    lines = [Row((called,), tuple(_starred(*one) for one in row)) for called, row in zip(parts, stars, strict=True)]
    return Table(
        f"{beside.first.collection}-retrievers-pairs",
        f"{beside.main} by language pair and retriever, {beside.first.collection}",
        ("pair",),
        tuple(beside.names) * len(roles),
        (*lines, Row(("mean",), tuple(_starred(*one) for one in means), "mean", ruled=True)),
        tuple((_ROLES[role], len(beside.studies)) for role in roles),
        (
            f"The best strategy of each retriever, over all pairs: {_bests(beside)}.",
            f"Stars: the difference to the same system searched by {name(beside.first)}. "
            + FAMILY_NOTE.format(family="the differences of all pairs; those of the means are a family of their own"),
        ),
        folded=True,
    )


def _parts(beside: Beside) -> dict[str, list[Pair]]:
    """The language pairs by name; where there are very many, those of two groups of languages together."""
    if len(beside.pairs) <= _MOST_PAIRS:
        return {"-".join(pair): [pair] for pair in beside.pairs}
    group_of = {code: group for group, codes in beside.first.groups for code in codes}
    names = [group for group, _ in beside.first.groups]
    found: dict[str, list[Pair]] = {f"{source} to {target}": [] for source in names for target in names}
    for source, target in beside.pairs:
        found[f"{group_of[source]} to {group_of[target]}"].append((source, target))
    return {called: pairs for called, pairs in found.items() if pairs}


def _systems(beside: Beside, role: str) -> Iterator[System | None]:
    """What plays a part by each retriever. Translated queries are those of the model of the first one's best system."""
    if role == "best":
        yield from beside.best
        return
    model = next((best.model for best in beside.best if best is not None), None)
    for study in beside.studies:
        yield study.baseline(role, model or next(iter(study.models), None))


def _pair_row(
    beside: Beside, roles: Mapping[str, Sequence[System | None]], frame: Frame
) -> list[tuple[float | None, Difference | None]]:
    return [
        (None, None)
        if system is None
        else (beside.average(system, beside.main, frame), beside.change(study, system, frame))
        for systems in roles.values()
        for study, system in zip(beside.studies, systems, strict=True)
    ]


def _starred(value: float | None, change: Difference | None) -> Value:
    if value is None or change is None:
        return percent(value)
    return Value(f"{100 * value:.2f}{change.stars}", value, "", f"{points(change.difference)} points; {told(change)}")


def _bests(beside: Beside) -> str:
    return "; ".join(
        f"{name(study)}: {_called(best)}"
        for study, best in zip(beside.studies, beside.best, strict=True)
        if best is not None
    )


# ---------------------------------------------------------------- in words


def _said(beside: Beside, settings: Sequence[ranks.Setting]) -> str:
    """What came out of a collection, in a few sentences."""
    said = [f"On {beside.first.collection}, the best strategies are {_bests(beside)}."]
    for place, study in enumerate(beside.others, 1):
        best = beside.best[place]
        change = beside.change(study, best) if best is not None else None
        if best is not None and change is not None:
            said.append(
                f"{name(study).capitalize()} has a mean {beside.main} of {100 * change.value:.2f} with its best, "
                f"{points(change.difference)} points against the same by {name(beside.first)}."
            )
        if settings:
            said.append(ranks.said(beside, settings, place))
    return " ".join(said)
