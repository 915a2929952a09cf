"""Language by language: the paper's figures 3 to 5 and 7 to 9, and results by length of query and by script."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from functools import cache

from xqe.experiments.report import grouping, labels
from xqe.experiments.report.averages import Difference, Frame, corrected
from xqe.experiments.report.blocks import LEGIBLE, Bars, HeatMap, Panel, Row, Table, Value, count, marked, percent
from xqe.experiments.report.grouping import Groups
from xqe.experiments.report.results import Pair, System
from xqe.experiments.report.study import Study
from xqe.experiments.report.tables import FAMILY_NOTE, delta
from xqe.messages import plural
from xqe.stages.strategies import SHORT
from xqe.text.analysis import word_count

_FIGURE = "Hit@10"  # what the paper's maps show


def about(study: Study) -> str:
    """What maps show, in words."""
    large = " A map of many languages has whole numbers, those of significant changes in bold."
    return (
        "In the maps, as in the paper's Figures 3, 4 and 7 to 9, rows are languages of queries and columns those of "
        f"documents. Lines part {grouping.about(study.by)}. A cell averages the settings of a model, each of them done "
        f"for all pairs.{large * (len(study.languages()) > LEGIBLE)}"
    )


@cache
def heat_maps(study: Study, model: str) -> tuple[HeatMap, ...]:
    """Query language by document language: the model's expansions on average, and their change from the translated
    query alone."""
    systems, left_out = _complete(study, study.expansions(model))
    if not systems:
        return ()
    notes = [f"{plural(len(systems), 'setting')} on average."]
    if left_out:
        notes.append(f"Left out, since they lack a pair: {', '.join(labels.full(one) for one in left_out)}.")
    made = []
    for measure in dict.fromkeys(one for one in (_FIGURE, study.main) if one in study.measures):
        values = {pair: _mean(study, pair, systems, measure) for pair in _pairs(study)}
        made.append(
            _map(
                study,
                f"{study.key}-{model}-{_plain(measure)}",
                f"{measure} by language pair: {model}, {study.title}",
                {pair: 100 * value for pair, value in values.items() if value is not None},
                notes,
            )
        )
    changes = _changes(study, model, systems)
    if changes:
        made.append(
            _map(
                study,
                f"{study.key}-{model}-change",
                f"Change in {study.main} from the translated query: {model}, {study.title}",
                {pair: 100 * one.difference for pair, one in changes.items()},
                ["In points. " + FAMILY_NOTE.format(family="the language pairs of this map")],
                {pair: one.stars for pair, one in changes.items()},
            )
        )
    return tuple(made)


def _plain(measure: str) -> str:
    return measure.lower().replace("@", "")


def _pairs(study: Study) -> list[Pair]:
    return study.results.pairs(study.collection)


def _complete(study: Study, systems: Sequence[System]) -> tuple[list[System], list[System]]:
    """The systems that have every language pair of the collection, and those that lack one."""
    has = [
        system
        for system in systems
        if all(study.results.cell(study.collection, pair, system) is not None for pair in _pairs(study))
    ]
    if not has and study.common.pairs:
        return list(systems), []
    return has, [one for one in systems if one not in has]


def _mean(study: Study, pair: Pair, systems: Sequence[System], measure: str) -> float | None:
    frame = Frame(study.results, study.collection, [pair])
    column = frame.mean_column(systems, measure)
    return None if column is None else frame.average(column)


def _changes(study: Study, model: str, systems: Sequence[System]) -> dict[Pair, Difference]:
    baseline = study.translation(model)
    if baseline is None:
        return {}
    pairs = [pair for pair in _pairs(study) if pair[0] != pair[1]]
    found = corrected(
        [
            study.difference(Frame(study.results, study.collection, [pair]), systems, [baseline], study.main)
            for pair in pairs
        ]
    )
    return {pair: one for pair, one in zip(pairs, found, strict=True) if one is not None}


def _map(
    study: Study,
    key: str,
    title: str,
    values: dict[Pair, float],
    notes: Iterable[str],
    stars: dict[Pair, str] | None = None,
) -> HeatMap:
    rows, columns = (_on_side(study, {pair[side] for pair in values}) for side in (0, 1))
    sources, targets = ([code for _, codes in groups for code in codes] for groups in (rows, columns))
    return HeatMap(
        key,
        title,
        tuple(sources),
        tuple(targets),
        tuple(tuple(values.get((source, target)) for target in targets) for source in sources),
        tuple((name, len(codes)) for name, codes in rows),
        tuple((name, len(codes)) for name, codes in columns),
        tuple(tuple(_mean_of(values, sources, targets) for _, targets in columns) for _, sources in rows),
        stars is not None,
        tuple(tuple(stars.get((source, target), "") for target in targets) for source in sources) if stars else (),
        tuple(notes),
    )


def _on_side(study: Study, there: Container[str]) -> Groups:
    """The groups of a study, with the languages that are there."""
    found = ((name, tuple(code for code in codes if code in there)) for name, codes in study.groups)
    return tuple((name, codes) for name, codes in found if codes)


def _mean_of(values: Mapping[Pair, float], sources: Iterable[str], targets: Collection[str]) -> float | None:
    """The mean over the pairs of two languages of a part of a map; None where it has none."""
    pairs = ((source, target) for source in sources for target in targets if source != target)
    part = [values[pair] for pair in pairs if pair in values]
    return sum(part) / len(part) if part else None


def change_by_language(study: Study, model: str) -> Bars | None:
    """Figure 5: what expansion changes from the original query, by language of queries and of documents."""
    systems, baseline = study.expansions(model), study.original()
    if not systems or baseline is None or not study.frame.size:
        return None
    measures = study.some("Hit@10", "Recall@5", "MRR", "nDCG@10")
    panels = []
    for side in ("query", "document"):
        codes = [code for code in study.languages() if study.pairs_with(code, side)]
        values = []
        for code in codes:
            frame = Frame(study.results, study.collection, study.pairs_with(code, side))
            changes = [_change(frame, systems, baseline, measure) for measure in measures]
            values.append(tuple(None if one is None else 100 * one for one in changes))
        panels.append(Panel(f"by {side} language", tuple(map(labels.language, codes)), tuple(values)))
    return Bars(
        f"{study.key}-{model}-change-by-language",
        f"Change from the original query by language: {model}, {study.title} (as the paper's Figure 5)",
        tuple(panels),
        tuple(measures),
        "points",
        (
            (
                f"All {plural(len(systems), 'setting')} of the model on average; the table of languages says which "
                f"changes in {study.main} are significant."
            ),
        ),
    )


def _change(frame: Frame, systems: Sequence[System], baseline: System, measure: str) -> float | None:
    column, before = frame.mean_column(systems, measure), frame.column(baseline, measure)
    return None if column is None or before is None else frame.average(column) - frame.average(before)


# ---------------------------------------------------------------- groups of queries


def by_length(study: Study) -> Table | None:
    """Strategies for short and for long queries: what the paper's section 4.2 compares across its collections."""
    lengths: dict[tuple[str, str], int] = {}
    for code in {pair[0] for pair in study.frame.pairs}:
        for query, text in study.results.question(study.collection, code).items():
            lengths[code, query] = word_count(text, code)
    if not lengths:
        return None
    groups: dict[str, Callable[[Pair, str], bool]] = {
        f"under {SHORT} words": lambda pair, query: lengths.get((pair[0], query), SHORT) < SHORT,
        f"{SHORT} words and more": lambda pair, query: lengths.get((pair[0], query), 0) >= SHORT,
    }
    return _grouped(
        study,
        {name: Frame(study.results, study.collection, study.frame.pairs, keep) for name, keep in groups.items()},
        f"{study.key}-length",
        f"Short and long queries, {study.title}",
        "Words of a query in its own language, between white space; in Japanese and Chinese those of the segmenter "
        "that "
        "indexes them.",
    )


def by_script(study: Study) -> Table | None:
    """Strategies by the scripts of the language pair: the grouping of the paper's section 5."""
    names = {True: "Latin", False: "other"}
    groups: dict[str, list[Pair]] = {
        f"{names[source]} to {names[target]}": [
            pair
            for pair in study.frame.pairs
            if (labels.is_latin(pair[0]), labels.is_latin(pair[1])) == (source, target)
        ]
        for source in (True, False)
        for target in (True, False)
    }
    return _grouped(
        study,
        {name: Frame(study.results, study.collection, pairs) for name, pairs in groups.items()},
        f"{study.key}-script",
        f"Scripts of queries and documents, {study.title}",
        "Latin script or another, of the queries' language to the documents'.",
    )


def _grouped(study: Study, frames: dict[str, Frame], key: str, title: str, about: str) -> Table | None:
    """The average and the change of each model and strategy in some groups of values."""
    frames = {name: frame for name, frame in frames.items() if frame.size}
    if len(frames) < 2:
        return None
    asked: list[tuple[tuple[str, str], list[System], str]] = []
    if (original := study.original()) is not None:
        asked.append((("Original query", ""), [original], "baseline"))
    for model in study.models:
        if (translation := study.translation(model)) is not None and translation.model == model:
            asked.append(((model, "Translated query alone"), [translation], "baseline"))
        for name in dict.fromkeys(one.strategy for one in study.expansions(model)):
            systems = [one for one in study.expansions(model) if one.strategy == name]
            asked.append(((model, labels.STRATEGIES.get(name or "", name or "")), systems, ""))
    columns: list[list[tuple[float | None, Difference | None]]] = [
        [_in_group(study, frame, systems, kind) for _, systems, kind in asked] for frame in frames.values()
    ]
    adjusted = iter(corrected([difference for column in columns for _, difference in column]))
    shown = [[(value, next(adjusted)) for value, _ in column] for column in columns]
    rows = []
    for place, (heads, _, kind) in enumerate(asked):
        values: list[Value] = []
        for column in shown:
            value, difference = column[place]
            values += [percent(value), delta(difference) if not kind else Value("")]
        rows.append(Row(heads, tuple(values), kind, ruled=heads[1] == "Translated query alone"))
    rows = marked(rows, range(0, 2 * len(frames), 2))
    judged = Row(
        ("values", ""),
        tuple(value for frame in frames.values() for value in (count(frame.size), Value(""))),
        "mean",
        ruled=True,
    )
    return Table(
        key,
        title,
        ("model", "expansion"),
        (study.main, "change") * len(frames),
        (*rows, judged),
        tuple((name, 2) for name in frames),
        (
            about,
            f"Each row averages all orders and uses. Change: in {study.main}, in points, to the query translated by "
            "the "
            "same model. " + FAMILY_NOTE.format(family="all changes of this table"),
            "; ".join(
                f"{name}: {plural(frame.size, 'value')} in {plural(len(frame.pairs), 'pair')}"
                for name, frame in frames.items()
            )
            + ".",
        ),
    )


def _in_group(
    study: Study, frame: Frame, systems: Sequence[System], kind: str
) -> tuple[float | None, Difference | None]:
    column = frame.mean_column(systems, study.main)
    baseline = study.translation(systems[0].model)
    change = None if kind or baseline is None else study.difference(frame, systems, [baseline], study.main)
    return (None if column is None else frame.average(column)), change
