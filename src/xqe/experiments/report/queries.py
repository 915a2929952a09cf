"""Single queries: which a system won and lost most by against the translated query alone, with all of their texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xqe.experiments.report import labels
from xqe.experiments.report.blocks import NOTHING, Case, Cases, points
from xqe.experiments.report.results import DIRECT, GENERATED, Pair, Result, System
from xqe.experiments.report.study import Study
from xqe.messages import plural

LONGEST = 500
"""Characters of a text that are shown."""


@dataclass(frozen=True, slots=True)
class _Found:
    pair: Pair
    place: int
    change: float


def cases(study: Study, number: int) -> list[Cases]:
    """For each system with passages, its `number` most won and most lost queries."""
    made = []
    for system in study.systems:
        baseline = study.translation(system.model)
        if system.kind in GENERATED and baseline is not None and (one := _cases(study, system, baseline, number)):
            made.append(one)
    return made


def _cases(study: Study, system: System, baseline: System, number: int) -> Cases | None:
    found = [
        _Found(pair, place, after - before)
        for pair, mine, theirs in _cells(study, system, baseline)
        for place, (after, before) in enumerate(zip(mine.values[study.main], theirs.values[study.main], strict=True))
    ]
    if not found:
        return None
    won = sorted((one for one in found if one.change > 0), key=lambda one: -one.change)
    lost = sorted((one for one in found if one.change < 0), key=lambda one: one.change)
    said = (
        f"{len(won)} won, {len(found) - len(won) - len(lost)} tied, {len(lost)} lost of "
        f"{plural(len(found), 'judgement')} by {study.main}"
    )
    return Cases(
        f"{study.collection}-{system.name}",
        labels.full(system),
        said,
        tuple(_case(study, system, baseline, one) for one in _spread(won, number)),
        tuple(_case(study, system, baseline, one) for one in _spread(lost, number)),
        system == study.best(one for one in study.systems if one.kind in GENERATED),
    )


def _cells(study: Study, system: System, baseline: System) -> Iterable[tuple[Pair, Result, Result]]:
    for pair in study.results.pairs(study.collection):
        mine = study.results.cell(study.collection, pair, system)
        theirs = study.results.cell(study.collection, pair, baseline)
        if mine is not None and theirs is not None:
            yield pair, mine, theirs


def _spread(found: Sequence[_Found], number: int) -> list[_Found]:
    """The first of them, from as many language pairs as there are before a pair comes again."""
    chosen: list[_Found] = []
    rest = list(found)
    while rest and len(chosen) < number:
        seen: set[Pair] = set()
        later: list[_Found] = []
        for one in rest:
            (later if one.pair in seen else chosen).append(one)
            seen.add(one.pair)
        rest = later
    return chosen[:number]


def _case(study: Study, system: System, baseline: System, found: _Found) -> Case:
    mine = study.results.cell(study.collection, found.pair, system)
    theirs = study.results.cell(study.collection, found.pair, baseline)
    assert mine is not None and theirs is not None  # they were compared
    source, target = found.pair
    query = mine.queries[found.place]
    asked = study.results.question(study.collection, source).get(query, "")
    translated = study.results.text(theirs, query)
    used = study.results.text(mine, query)
    texts = [(f"query ({labels.language(source)})", asked, source)]
    if translated.get("query"):
        texts.append(("translated", str(translated["query"]), target))
    if used.get("query") and used["query"] not in (asked, translated.get("query")):
        texts.append(("query, as searched", str(used["query"]), str(used.get("lang") or target)))
    passage_language = target if system.kind == DIRECT else str(used.get("lang") or target)
    for passage in used.get("passages") or ():
        texts.append(("passage", str(passage), passage_language))
    failure = mine.failures.get(query) or theirs.failures.get(query)
    if failure:
        texts.append(("failed", failure, "en"))
    values = [
        (name, f"{100 * theirs.values[name][found.place]:.2f}", f"{100 * mine.values[name][found.place]:.2f}")
        for name in study.measures
        if theirs.values[name][found.place] != mine.values[name][found.place]
    ]
    ranks = ("rank of the first relevant document", _rank(theirs, found.place), _rank(mine, found.place))
    first = ("best hit", theirs.first[found.place] or NOTHING, mine.first[found.place] or NOTHING)
    return Case(
        f"{source}-{target} {query}: {study.main} {points(found.change)}",
        tuple((label, _short(text), code) for label, text, code in texts if text),
        (ranks, first, *values),
    )


def _rank(result: Result, place: int) -> str:
    rank = result.ranks[place]
    return "not found" if rank is None else str(rank)


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]} … ({len(plain):,} characters)"
