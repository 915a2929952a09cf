"""Single queries: which a system won and lost most by against the translated query alone, with all of their texts, and
all that were asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xqe.experiments.report import labels
from xqe.experiments.report.blocks import NOTHING, Block, Case, Cases, Paragraph, Row, Table, percent, points, words
from xqe.experiments.report.places import Places
from xqe.experiments.report.results import DIRECT, GENERATED, Pair, Result, System
from xqe.experiments.report.study import Study
from xqe.experiments.report.tracing import MOST_RELEVANT, commands
from xqe.messages import plural

LONGEST = 500
"""Characters of a text that are shown."""
_SNIPPET = 240
"""Characters of a document that are shown."""
_MOST_ROWS = 2_000
"""Of the table of all queries."""


@dataclass(frozen=True, slots=True)
class _Found:
    pair: Pair
    place: int
    change: float


def cases(study: Study, number: int, places: Places) -> list[Block]:
    """For each system with passages, its `number` most won and most lost queries; those without any are only named."""
    made: list[Block] = []
    even = []
    for system in study.systems:
        baseline = study.translation(system.model)
        if system.kind in GENERATED and baseline is not None:
            one = _cases(study, system, baseline, number, places)
            if one is not None and (one.won or one.lost):
                made.append(one)
            elif one is not None:
                even.append(one.title)
    if even:
        made.append(Paragraph(f"No query changed for better or worse with {'; '.join(even)}."))
    return made


def _cases(study: Study, system: System, baseline: System, number: int, places: Places) -> Cases | None:
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
        f"{plural(len(found), 'value')} by {study.main}"
    )
    return Cases(
        f"{study.collection}-{system.name}",
        labels.full(system),
        said,
        tuple(_case(study, system, baseline, one, places) for one in _spread(won, number)),
        tuple(_case(study, system, baseline, one, places) for one in _spread(lost, number)),
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


def _case(study: Study, system: System, baseline: System, found: _Found, places: Places) -> Case:
    mine = study.results.cell(study.collection, found.pair, system)
    theirs = study.results.cell(study.collection, found.pair, baseline)
    assert mine is not None and theirs is not None  # they were compared
    source, target = found.pair
    query = mine.queries[found.place]
    asked = study.results.question(study.collection, source).get(query, "")
    translated = study.results.text(theirs, query)
    used = study.results.text(mine, query)
    texts = [(f"query ({labels.language(source)})", asked, source)]
    by_people = study.results.human(study.collection, target).get(query)
    if by_people:
        texts.append((f"as people wrote it ({labels.language(target)})", by_people, target))
    if translated.get("query"):
        texts.append(("translated", str(translated["query"]), target))
    if used.get("query") and used["query"] not in (asked, translated.get("query")):
        texts.append(("query, as searched", str(used["query"]), str(used.get("lang") or target)))
    passage_language = target if system.kind == DIRECT else str(used.get("lang") or target)
    for passage in used.get("passages") or ():
        texts.append(("passage", str(passage), passage_language))
    texts += [(label, text, target) for label, text in _documents(study, found, theirs, mine)]
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
        tuple(commands(study.results, mine, query)),
        tuple(
            link
            for name, one in (("run, translated alone", theirs), ("run, expanded", mine))
            if one.run is not None
            for link in places.link(name, one.folder / one.run)
        ),
    )


def _documents(study: Study, found: _Found, theirs: Result, mine: Result) -> Iterable[tuple[str, str]]:
    """(label, text) of what is relevant, and of best hits that are not."""
    query, target = mine.queries[found.place], found.pair[1]
    relevant = study.results.relevant(study.collection, found.pair, query)
    for name in relevant[:MOST_RELEVANT]:
        yield f"relevant document {name}", _beginning(study, target, name)
    if left := relevant[MOST_RELEVANT:]:
        yield "relevant, too", plural(len(left), "other document")
    hits: dict[str, list[str]] = {}
    for what, one in (("translated alone", theirs), ("expanded", mine)):
        first = one.first[found.place]
        if first is not None and first not in relevant[:MOST_RELEVANT]:
            hits.setdefault(first, []).append(what)
    for name, by in hits.items():
        yield f"best hit {' and '.join(by)}, {name}", _beginning(study, target, name)


def _beginning(study: Study, lang: str, name: str) -> str:
    one = study.results.document(study.collection, lang, name)
    if one is None:
        return ""
    text = " ".join(one.text.split())
    return f"{one.title}: {_cut(text)}" if one.title else _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= _SNIPPET else f"{text[:_SNIPPET].rsplit(' ', 1)[0]} …"


# ---------------------------------------------------------------- all of them


def asked(study: Study, systems: Mapping[str, System | None]) -> Table | None:
    """Every query of every language pair: its text, and the values of some systems, by what a column calls them."""
    columns = {
        name: column
        for name, one in systems.items()
        if one is not None and study.frame.size and (column := study.frame.column(one, study.main)) is not None
    }
    if not columns:
        return None
    rows = []
    for place, ((source, target), query) in enumerate(study.frame.queries):
        values = [percent(float(column[place])) for column in columns.values()]
        by_people = study.results.human(study.collection, target).get(query, "")
        text = study.results.question(study.collection, source).get(query, "")
        rows.append(Row((query, f"{source}-{target}"), (*values, words(text), words(by_people))))
    left = len(rows) - _MOST_ROWS
    return Table(
        f"{study.key}-asked",
        f"Every query by {study.main}, {study.title}",
        ("query", "pair"),
        (*columns, "asked", "as people wrote it"),
        tuple(rows[:_MOST_ROWS]),
        notes=(
            *(f"{name}: {labels.full(one)}." for name, one in systems.items() if one is not None),
            *([f"{left:,} more are in queries.csv alone."] if left > 0 else []),
        ),
        folded=True,
        on_page=True,
    )


def _rank(result: Result, place: int) -> str:
    rank = result.ranks[place]
    return "not found" if rank is None else str(rank)


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]} … ({len(plain):,} characters)"
