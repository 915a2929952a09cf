"""A report as CSV: tidy files, a row for each cell, value, difference and failure, for a reader's own analysis.

A spreadsheet takes a text that begins with = + - @ for a formula, even between quotes, and ids and texts are not always
the reader's own: such a text has an apostrophe before it, as OWASP has it ("CSV Injection"), and numbers have none.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from xqe.experiments.report.maps import heat_maps
from xqe.experiments.report.reranking import Reranked
from xqe.experiments.report.results import Cost, Result, Results
from xqe.experiments.report.study import BASELINES, Study

LARGE = 1 << 22  # bytes from which on a file is packed
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

_OF_THE_GRID = ("",) * 4  # in place of a collection, a pair and a system

Line = Sequence[Any]


def files(results: Results, studies: Sequence[Study]) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file; a large one is packed, and its name ends in .gz."""
    for name, (columns, lines) in _tables(results, studies).items():
        content = as_csv(columns, lines())
        if len(content) > LARGE:
            yield f"{name}.csv.gz", gzip.compress(content, 6, mtime=0)
        else:
            yield f"{name}.csv", content


def _tables(results: Results, studies: Sequence[Study]) -> dict[str, tuple[Line, Callable[[], Iterable[Line]]]]:
    identity = ("collection", "source", "target", "system")
    return {
        "cells": (
            (
                *identity,
                *(
                    "kind",
                    "model",
                    "strategy",
                    "order",
                    "use",
                    "retriever",
                    "query_weight",
                    "samples",
                    "question_weight",
                    "question_share",
                    "guide",
                    "judge",
                    "first_stage",
                    "reranker",
                    "reranker_model",
                    "reranked",
                    "first_weight",
                    "documents",
                    "pool",
                    "queries",
                ),
                *("missing", "failed", "seconds", *results.measures, "error"),
            ),
            lambda: (_cell(one, results.measures) for one in (*results.results, *results.broken)),
        ),
        "queries": (
            (*identity, "query", *results.measures, "rank", "first", "failure"),
            lambda: (line for one in results.results for line in _queries(one, results.measures)),
        ),
        "differences": (
            (
                *(
                    "collection",
                    "system",
                    "baseline",
                    "measure",
                    "value",
                    "baseline_value",
                    "difference",
                    "low",
                    "high",
                ),
                *("p", "p_holm", "wins", "ties", "losses", "units", "pairs", "values"),
            ),
            lambda: (*(line for study in studies for line in _differences(study)), *_of_reranking(results, studies)),
        ),
        "maps": (
            ("map", "title", "source", "target", "source_group", "target_group", "value", "stars"),
            lambda: (line for study in _first(studies) for line in _maps(study)),
        ),
        "costs": (
            (*identity, "stage", "by", "records", "made", "reused", "tokens", "seconds", "part"),
            lambda: (
                *((*_identity(one), *_cost(its)) for one in results.results for its in one.costs),
                *((*_OF_THE_GRID, *_cost(its)) for its in results.costs()),
            ),
        ),
        "failures": (
            (*identity, "query", "failure"),
            lambda: (
                (*_identity(one), query, reason) for one in results.results for query, reason in one.failures.items()
            ),
        ),
    }


def _identity(one: Result) -> tuple[str, ...]:
    return one.collection, *one.pair, one.system.name


def _cost(one: Cost) -> Line:
    return one.stage, one.by, one.count, one.made, one.reused, one.tokens, one.seconds, one.part


def _cell(one: Result, measures: Sequence[str]) -> Line:
    system, again, asked, guide = one.system, one.system.reranker, one.system.questions, one.system.guided
    means = (sum(one.values[name]) / len(one.queries) if one.queries else None for name in measures)
    return (
        *_identity(one),
        *(system.kind, system.model, system.strategy, system.order, system.use),
        *(system.retriever, system.query_weight, system.samples),
        *((asked.weight, asked.share) if asked else (None, None)),
        *((guide.guide or None, guide.judge or None) if guide else (None, None)),
        *((again.first, again.name, again.model, again.n, again.first_weight) if again else (None,) * 5),
        *(one.documents, int(one.pool), len(one.queries), one.missing, len(one.failures), one.seconds),
        *means,
        one.error,
    )


def _queries(one: Result, measures: Sequence[str]) -> Iterator[Line]:
    for place, query in enumerate(one.queries):
        yield (
            *_identity(one),
            query,
            *(one.values[name][place] for name in measures),
            one.ranks[place],
            one.first[place],
            one.failures.get(query),
        )


def _differences(study: Study) -> Iterator[Line]:
    for baseline in BASELINES:
        for measure in study.measures:
            for system, one in study.against(baseline, measure).items():
                yield (
                    *(study.collection, system, baseline, measure, one.value, one.baseline, one.difference),
                    *(one.low, one.high, one.p, one.holm, one.wins, one.ties, one.losses, one.units),
                    *(len(study.frame.pairs), study.frame.size),
                )


def _first(studies: Sequence[Study]) -> Iterable[Study]:
    """Of each collection the one that maps are drawn of."""
    return {study.collection: study for study in reversed(studies)}.values()


def _maps(study: Study) -> Iterator[Line]:
    """The cells of the maps of a study, in the unit they are shown in."""
    group_of = {code: name for name, codes in study.groups for code in codes}
    for one in (one for model in study.models for one in heat_maps(study, model)):
        for row, source in enumerate(one.rows):
            for column, target in enumerate(one.columns):
                value = one.values[row][column]
                stars = one.stars[row][column] if one.stars else ""
                if value is not None:
                    yield one.key, one.title, source, target, group_of[source], group_of[target], value, stars


def _of_reranking(results: Results, studies: Sequence[Study]) -> Iterator[Line]:
    """The re-ranked systems against their first stages, by the main measure."""
    for collection in results.collections:
        reranked = Reranked(results, collection, studies[0].main)
        for again in reranked.again:
            if (one := again.change) is not None:
                yield (
                    *(collection, again.system.name, again.first.name, reranked.main),
                    *(one.value, one.baseline, one.difference),
                    *(one.low, one.high, one.p, one.holm, one.wins, one.ties, one.losses, one.units),
                    *(len(reranked.frame.pairs), reranked.frame.size),
                )


def as_csv(columns: Line, lines: Iterable[Line]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for line in (columns, *lines):
        writer.writerow([_as_text(value) if isinstance(value, str) else value for value in line])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _as_text(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value
