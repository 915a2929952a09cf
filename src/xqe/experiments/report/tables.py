"""The paper's tables (4 to 14) as this grid fills them, with the published numbers beside the measured ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from xqe.experiments.report import grouping, labels, published
from xqe.experiments.report.averages import Difference, Frame, corrected
from xqe.experiments.report.blocks import Row, Table, Value, count, marked, percent, points, words
from xqe.experiments.report.results import (
    DIRECT,
    DOCUMENTS,
    EXPANSION,
    GENERATED,
    ORIGINAL,
    SOURCE_EXPANSION,
    TRANSLATION,
    WORDS,
    System,
)
from xqe.experiments.report.study import Study
from xqe.messages import plural

LEGEND = (
    "Measures are in percent, and changes in points of a percentage.",
    "A value is that of one query in one language pair: 20 queries asked in 6 pairs are 120, whatever qrels judge.",
    "▲ bold: best of a column, ▼ underlined: worst, where one alone is; of what a model made, unless told otherwise.",
    "* p < 0.05, ** p < 0.01, *** p < 0.001, of the paired randomization test, by Holm's correction.",
)
"""What holds for all tables, said once."""
FAMILY_NOTE = "p is corrected over {family}."
_PAPER_TABLES = {"Aya Expanse 8B": 5, "Gemma 3 4B": 9, "Gemma 3 12B": 12}
_LANGUAGE_TABLES = {
    ("Aya Expanse 8B", published.CLIRMATRIX): 7,
    ("Aya Expanse 8B", published.MMARCO): 8,
    ("Gemma 3 4B", published.CLIRMATRIX): 10,
    ("Gemma 3 4B", published.MMARCO): 11,
    ("Gemma 3 12B", published.CLIRMATRIX): 13,
    ("Gemma 3 12B", published.MMARCO): 14,
}


def delta(difference: Difference | None) -> Value:
    """A difference as it stands in a table: points, stars, and the rest for a reader who asks."""
    if difference is None:
        return Value("")
    return Value(points(difference.difference) + difference.stars, difference.difference, "", told(difference))


def told(difference: Difference) -> str:
    if difference.all_tie:
        return f"all {difference.ties} tie; {_unseen(difference)}"
    return (
        f"p {_p(difference.p)}, corrected {_p(difference.holm)}; 95 % interval {_span(difference)}; "
        f"{difference.wins} won, {difference.ties} tied, {difference.losses} lost"
    )


def _span(difference: Difference) -> str:
    return f"{points(difference.low)} to {points(difference.high)}"


def _unseen(difference: Difference) -> str:
    """What the interval of a difference means where no query shows one: it says how few queries there are."""
    units = plural(difference.units, "query")
    return f"of {units}, a difference of up to {100 * difference.high:.2f} points may have been missed"


def _interval(difference: Difference) -> Value:
    return Value("all tie", None, "", _unseen(difference)) if difference.all_tie else words(_span(difference))


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _published(number: float | None) -> Value:
    return Value("") if number is None else Value(f"{number:.2f}", number / 100)


def _averages(study: Study, system: System, measures: Iterable[str]) -> tuple[Value, ...]:
    return tuple(percent(study.average(system, measure)) for measure in measures)


def paper_label(study: Study) -> str:
    return f"paper, {study.paper}" if study.is_paper else f"paper, on {study.paper}"


def provenance(study: Study) -> str:
    """What the published numbers beside measured ones are of."""
    own = "the same collection" if study.is_paper else f"another collection than {study.collection}"
    return (
        f"Published numbers are the paper's for {study.paper} ({own}), in its own pool of documents, with its own BM25 "
        "and unquantised models; they show the shape, and are no target."
    )


# ---------------------------------------------------------------- table 4


Cells = dict[tuple[str, str | None], list[System]]  # of a model and strategy: all its orders and uses
Changes = tuple[Difference | None, Difference | None]  # to the original query, to the translated one


def models_by_strategies(study: Study) -> Table | None:
    """Table 4: each model and strategy, over all pairs, orders and uses that every row has."""
    cells: Cells = {
        (model, name): [one for one in study.expansions(model) if one.strategy == name]
        for model in study.models
        for name in dict.fromkeys(one.strategy for one in study.expansions(model))
    }
    if not cells or not study.frame.size:
        return None
    shared = set.intersection(*({one.variant for one in systems} for systems in cells.values()))
    chosen = {key: [one for one in systems if one.variant in shared] or systems for key, systems in cells.items()}
    measures = study.some("Hit@10", "Recall@5", "Recall@50", "MRR", "nDCG@10")
    paper = _measures_of_paper(study, measures)
    lines = [*_original_line(study, measures, paper)]
    for model in study.models:
        lines += _lines_of_model(study, model, chosen, measures, paper)
    rows = _with_deltas([row for row, _ in lines], [changes for _, changes in lines])
    return Table(
        f"{study.key}-models",
        f"Models by strategies, {study.title} (the paper's Table 4)",
        ("model", "expansion"),
        (measures[0], "to original", "to translated", *measures[1:], *paper),
        tuple(marked(rows, beside_changes(measures))),
        _groups(2 + len(measures), paper_label(study), len(paper)),
        tuple(_notes_of_models(study, cells, len(shared), measures)),
    )


def _measures_of_paper(study: Study, measures: Iterable[str]) -> list[str]:
    """Those of the measures that the paper gives for one of the models and its strategies."""
    known = [study.reference(model) for model in study.models if study.paper_model(model)]
    return [
        one
        for one in measures
        if any(
            published.strategy(model, name, study.paper, one) is not None
            for model in known
            for name in labels.STRATEGIES
        )
    ]


def _original_line(study: Study, measures: Sequence[str], paper: Sequence[str]) -> Iterator[tuple[Row, Changes]]:
    baseline = study.original()
    if baseline is not None:
        values = _averages(study, baseline, measures)
        there = tuple(_published(published.original(study.paper, one)) for one in paper)
        yield Row(("Original query", ""), (*values, *there), "baseline"), (None, None)


def _lines_of_model(
    study: Study, model: str, cells: Cells, measures: Sequence[str], paper: Sequence[str]
) -> Iterator[tuple[Row, Changes]]:
    """The translated query alone, if it is the model's own, and a line for each strategy."""
    baseline, translation = study.original(), study.translation(model)
    if translation is not None and translation in study.of(TRANSLATION, model):
        values = _averages(study, translation, measures)
        row = Row((model, "Translated query alone"), (*values, *(Value("") for _ in paper)), "baseline", ruled=True)
        yield row, (_vs(study, [translation], baseline), None)
    names = [name for one, name in cells if one == model]
    for name in names:
        systems = cells[model, name]
        columns = [study.frame.mean_column(systems, measure) for measure in measures]
        values = tuple(percent(None if one is None else study.frame.average(one)) for one in columns)
        there = tuple(
            _published(published.strategy(study.reference(model), name or "", study.paper, one))
            if study.paper_model(model)
            else Value("")
            for one in paper
        )
        heads = (model, labels.STRATEGIES.get(name or "", name or ""))
        row = Row(heads, (*values, *there), ruled=translation is None and name == names[0])
        yield row, (_vs(study, systems, baseline), _vs(study, systems, translation))


def _notes_of_models(study: Study, cells: Cells, shared: int, measures: Sequence[str]) -> Iterator[str]:
    """What must be known to read table 4. shared: how many settings every row has."""
    yield (
        f"Each row averages {plural(len(study.frame.pairs), 'language pair')}"
        f" and {plural(shared, 'setting')} of order and use; "
        f"{plural(study.frame.size, 'value')} of {plural(study.frame.units, 'query')}."
    )
    if not shared:
        yield "The rows have no setting in common: each averages its own."
    elif any(len({one.variant for one in systems}) > shared for systems in cells.values()):
        yield "Settings that not every row has are left out."
    yield f"Differences are in {study.main}. " + FAMILY_NOTE.format(family="the differences of a column")
    yield from study.common.notes
    yield provenance(study) if any(map(study.paper_model, study.models)) else context(study, measures)


def beside_changes(measures: Sequence[str]) -> list[int]:
    """The columns of measures where two changes stand after the first of them."""
    return [0, *range(3, 2 + len(measures))]


def _groups(measured: int, paper: str, published: int) -> tuple[tuple[str, int], ...]:
    return (("measured", measured), (paper, published)) if published else ()


def _vs(study: Study, systems: Sequence[System], baseline: System | None) -> Difference | None:
    return None if baseline is None else study.difference(study.frame, systems, [baseline], study.main)


def _with_deltas(rows: Sequence[Row], families: Sequence[Changes]) -> list[Row]:
    """The rows with their differences in two columns after the first, each column a family."""
    columns = [corrected([family[side] for family in families]) for side in (0, 1)]
    return [
        replace(row, values=(row.values[0], *map(delta, differences), *row.values[1:]))
        for row, *differences in zip(rows, *columns, strict=True)
    ]


def context(study: Study, measures: Sequence[str]) -> str:
    """What the paper's models span, for models that are none of them."""
    spans = ((one, published.spread(study.paper, one)) for one in measures)
    named = [f"{one} {span[0]:.2f} to {span[1]:.2f}" for one, span in spans if span is not None]
    other = "" if study.is_paper else " and another collection"
    by = "" if study.retriever == WORDS else ", searched by BM25"
    return (
        f"For context only, other models{other}{by}: the settings of the paper's {labels.listed(published.MODELS)} on "
        f"{study.paper} span {', '.join(named)}."
    )


# ---------------------------------------------------------------- tables 5, 9, 12


def settings(study: Study, model: str) -> Table | None:
    """Tables 5, 9 and 12: strategy by order by use for one model, with all baselines."""
    systems = [
        *filter(None, (study.original(), study.human(), study.translation(model))),
        *study.presets(model),
        *study.of(DOCUMENTS, model),
        *study.of(SOURCE_EXPANSION, model),
        *study.of(DIRECT, model),
        *study.expansions(model),
    ]
    if not any(one.kind in GENERATED for one in systems) or not study.frame.size:
        return None
    known = study.paper_model(model)
    measures = list(study.measures)
    paper = [one for one in measures if known and any(_of_paper(study, system, one) is not None for system in systems)]
    rows = []
    before = ""
    for system in systems:
        group = f"{system.kind} {system.strategy}" if system.kind == EXPANSION else system.kind
        ruled = bool(before) and group != before and system.kind in GENERATED
        before = group
        rows.append(replace(_setting_row(study, system, measures, paper), ruled=ruled))
    number = _PAPER_TABLES.get(known or "", 5)
    own = f"the paper's Table {number}" if known else "in the shape of the paper's Tables 5, 9 and 12"
    return Table(
        f"{study.key}-{model}-settings",
        f"{model}: strategy, order and use, {study.title} ({own})",
        ("method", "order", "used"),
        (measures[0], "to original", "to translated", *measures[1:], *paper),
        tuple(marked(rows, beside_changes(measures))),
        _groups(2 + len(measures), paper_label(study), len(paper)),
        tuple(_notes_of_settings(study, systems, known is not None)),
    )


def _of_paper(study: Study, system: System, measure: str) -> float | None:
    """The published percentage of a system of one setting."""
    return published.setting(system_as(study, system), study.paper, measure)


def _setting_row(study: Study, system: System, measures: Sequence[str], paper: Sequence[str]) -> Row:
    changes = [delta(study.against(kind, study.main).get(system.name)) for kind in (ORIGINAL, TRANSLATION)]
    there = [
        _published(published.original(study.paper, one) if system.kind == ORIGINAL else _of_paper(study, system, one))
        for one in paper
    ]
    kind = "" if system.kind in GENERATED else "baseline"
    main, *others = _averages(study, system, measures)
    return Row(labels.setting(system), (main, *changes, *others, *there), kind)


def _notes_of_settings(study: Study, systems: Sequence[System], is_known: bool) -> Iterator[str]:
    """What must be known to read tables 5, 9 and 12. is_known: whether the model is the paper's."""
    yield f"{study.frame.counted} in every row."
    yield from study.common.notes
    yield from _weight_note(systems)
    yield (
        f"Differences are in {study.main}: to the original query, and to the query translated by the same model. "
        + FAMILY_NOTE.format(family="all systems of the collection")
    )
    yield provenance(study) if is_known else context(study, study.measures)


def _weight_note(systems: Iterable[System]) -> list[str]:
    weights = {one.query_weight for one in systems if one.query_weight is not None and not one.varies}
    return [f"With Q + doc the query weighs {weight}, as by --query-weight of xqe search." for weight in weights]


def system_as(study: Study, system: System) -> System:
    """The system under the name that its model has outside this grid."""
    return replace(system, model=study.reference(system.model or ""))


# ---------------------------------------------------------------- table 6


def finetuned(study: Study) -> Table | None:
    """Table 6: each fine-tuned model as differences to its base model, by strategy."""
    tuned = [(model, base) for model in study.models if (base := study.base(model)) is not None]
    if not tuned:
        return None
    measures = list(study.measures)
    rows: list[Row] = []
    found: list[list[Difference | None]] = []
    for model, base in tuned:
        own = {(one.strategy, one.variant): one for one in study.expansions(model)}
        theirs = {(one.strategy, one.variant): one for one in study.expansions(base)}
        for name in dict.fromkeys(strategy for strategy, _ in own if strategy is not None):
            keys = [key for key in own if key[0] == name and key in theirs]
            if not keys:
                continue
            mine, others = [own[key] for key in keys], [theirs[key] for key in keys]
            found.append([study.difference(study.frame, mine, others, measure) for measure in measures])
            rows.append(Row((model, base, labels.STRATEGIES.get(name, name), str(len(keys))), ()))
    if not rows or not study.frame.size:
        return None
    for column, _ in enumerate(measures):
        for line, one in zip(found, corrected([line[column] for line in found]), strict=True):
            line[column] = one
    rows = [replace(row, values=tuple(map(delta, line))) for row, line in zip(rows, found, strict=True)]
    notes = [
        "Differences to the base model in points, over the settings of order and use that both have.",
        FAMILY_NOTE.format(family="the differences of a column"),
        *study.common.notes,
    ]
    if study.is_paper:
        notes.append(
            "The paper's Table 6 for Aya Expanse 8B: "
            + "; ".join(
                f"{variant}, {labels.STRATEGIES[name]}: {number:+.2f} {study.main}"
                for variant in published.FINETUNED
                for name in labels.STRATEGIES
                if (number := published.finetuned(name, variant, study.paper, study.main)) is not None
            )
            + "."
        )
    return Table(
        f"{study.key}-finetuned",
        f"Fine-tuned models against their base, {study.title} (the paper's Table 6)",
        ("model", "base", "expansion", "settings"),
        tuple(measures),
        tuple(marked(rows, range(len(measures)))),
        notes=tuple(notes),
    )


# ---------------------------------------------------------------- tables 7, 8, 10, 11, 13, 14


def by_language(study: Study, model: str) -> Table | None:
    """Tables 7, 8, 10, 11, 13 and 14: a model's expansions by language of queries and of documents."""
    systems = study.expansions(model)
    baseline = study.original()
    if not systems or not study.frame.size:
        return None
    measures = study.some(
        *(("Hit@10", "Recall@5", "MRR", "nDCG@10") if not study.single else ("Hit@10", "Recall@5", "MRR"))
    )
    known = study.paper_model(model)
    paper = [study.main] if known and published.spread(study.paper, study.main) is not None else []
    sides = ("query", "document")
    found: dict[tuple[str, str], tuple[Frame, Difference | None]] = {}
    for code in study.languages():
        for side in sides:
            frame = Frame(study.results, study.collection, study.pairs_with(code, side))
            change = study.difference(frame, systems, [baseline], study.main) if baseline and frame.size else None
            found[code, side] = (frame, change)
    adjusted = dict(zip(found, corrected([change for _, change in found.values()]), strict=True))
    rows: list[Row] = []
    group_of = {code: name for name, codes in study.groups for code in codes}
    codes = study.languages()
    first = {code for before, code in pairwise(codes) if group_of[before] != group_of[code]}
    for code in study.languages():
        values: list[Value] = []
        for side in sides:
            frame, _ = found[code, side]
            columns = [frame.mean_column(systems, one) if frame.size else None for one in measures]
            main, *others = (percent(None if one is None else frame.average(one)) for one in columns)
            values += [main, delta(adjusted[code, side]), *others]
            values += [
                _published(published.by_language(study.reference(model), study.paper, code, side, one)) for one in paper
            ]
            values.append(count(frame.size))
        rows.append(Row((labels.language(code), code, group_of[code]), tuple(values), ruled=code in first))
    width = len(measures) + 2 + len(paper)
    places = [0, *range(2, 1 + len(measures))]
    rows = marked(rows, [*places, *(width + place for place in places)])
    number = _LANGUAGE_TABLES.get((known or "", study.paper))
    own = f"the paper's Table {number}" if number else "in the shape of the paper's Tables 7 to 14"
    names = (measures[0], "change", *measures[1:], *(f"paper {one}" for one in paper), "n")
    return Table(
        f"{study.key}-{model}-languages",
        f"{model} by language, {study.title} ({own})",
        ("language", "code", grouping.heading(study.by)),
        (*names, *names),
        tuple(rows),
        (("by query language", width), ("by document language", width)),
        (
            (f"Averages over all {plural(len(systems), 'setting')} of the model and the pairs that have the language."),
            f"Change: in {study.main}, to the original query. "
            + FAMILY_NOTE.format(family="all changes of this table"),
            "Marked are the best and the worst language. n: how many values are averaged.",
            *study.common.notes,
            *([provenance(study)] if paper else []),
        ),
    )


# ---------------------------------------------------------------- all differences


def all_differences(study: Study) -> Table | None:
    """Every system against both baselines by the main measure, with all that the test says."""
    rows = []
    for system in study.systems:
        for kind in (ORIGINAL, TRANSLATION):
            one = study.against(kind, study.main).get(system.name)
            if one is not None:
                rows.append(
                    Row(
                        (labels.full(system), {ORIGINAL: "original", TRANSLATION: "translated"}[kind]),
                        (
                            percent(one.value),
                            percent(one.baseline),
                            delta(one),
                            _interval(one),
                            Value(_p(one.p), one.p),
                            Value(_p(one.holm), one.holm),
                            count(one.wins),
                            count(one.ties),
                            count(one.losses),
                        ),
                    )
                )
    if not rows:
        return None
    return Table(
        f"{study.key}-differences",
        f"Every system against its baselines by {study.main}, {study.title}",
        ("system", "baseline"),
        (study.main, "baseline's", "change", "95 % interval", "p", "p, Holm", "won", "tied", "lost"),
        tuple(rows),
        notes=(
            (
                f"Paired randomization test over {plural(study.frame.units, 'query')}; a query that is asked "
                "in several "
                "language pairs is one unit of the test, with its share of the average as its value."
            ),
            f"Won, tied and lost are of {plural(study.frame.size, 'value')}.",
            FAMILY_NOTE.format(family="all systems compared with the same kind of baseline"),
        ),
        folded=True,
    )


Maker = Callable[[Study, str], Table | None]
