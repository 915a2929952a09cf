"""The whole report of a grid: which sections there are, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from xqe.experiments.report import (
    fairness,
    guided,
    maps,
    quality,
    queries,
    questions,
    reranking,
    retrievers,
    story,
    tables,
)
from xqe.experiments.report.blocks import Bars, Block, HeatMap, Paragraph, Report, Section, Table, Versus
from xqe.experiments.report.opening import Opening
from xqe.experiments.report.places import Places, files
from xqe.experiments.report.results import Results
from xqe.experiments.report.study import Study

_AS_ABOVE = "Otherwise as above."


def compose(
    results: Results,
    studies: list[Study],
    examples: int,
    places: Places | None = None,
    tables_beside: Sequence[str] = (),
) -> Report:
    """Return the report. studies: of one collection one after the other, by each of its retrievers; the first, words
    where they were searched, is what the paper's tables are made of. examples: how many won and how many lost queries
    are shown of each system. places: where files lie, None for no links. tables_beside: the names of CSV files that are
    written with it."""
    places = places or Places(None)
    everything = studies
    by_collection = [list(some) for _, some in groupby(studies, key=lambda study: study.collection)]
    studies = [some[0] for some in by_collection]
    openings = [Opening(study) for study in studies]
    sections = [
        _section("words", "In words", map(Paragraph, story.told(results, studies))),
        _section("versus", "Query by query", _by_query(openings)),
        _section("findings", "Models and strategies", (tables.models_by_strategies(study) for study in studies)),
        _section("settings", "Strategy, order and use", _each(everything, tables.settings)),
        _section("retrievers", "Words, vectors, both", _retrievers(by_collection)),
        _section("reranking", "Re-ranking", reranking.blocks(results, everything[0].main)),
        _section("questions", "Questions of documents", questions.blocks(results, everything[0].main)),
        _section("guided", "Guided by an encoder", guided.blocks(results, everything[0].main)),
        _section("finetuned", "Fine-tuned models", map(tables.finetuned, studies)),
        _section("languages", "Languages", _languages(studies, tables_beside)),
        _section("fairness", "Language fairness", map(fairness.systems, studies)),
        _section("queries", "Length of queries, and scripts", _groups(studies)),
        _section("quality", "Quality of expansions", _each(studies, quality.correlations)),
        _section("cases", "Queries won and lost", _cases(studies, examples, places)),
        _section("all", "All differences", map(tables.all_differences, everything)),
        _section("facts", "What was run", _run(results)),
        _section("files", "Files", files(results, places, tables_beside)),
        _section(
            "reading", "How to read this", [*map(Paragraph, story.reading_notes(studies)), story.provenance(results)]
        ),
    ]
    return Report(
        f"Cross-lingual query expansion: {results.name}",
        tuple(story.lead(results)),
        tuple(section for section in sections if section is not None),
        tuple(tiles for one in openings if (tiles := one.tiles()) is not None),
        tables.LEGEND,
    )


def _by_query(openings: Iterable[Opening]) -> Iterable[Block | None]:
    for opening in openings:
        yield opening.versus()
        yield queries.asked(opening.study, opening.systems)


def _run(results: Results) -> Iterable[Block | None]:
    yield story.collections(results)
    yield story.cost(results)
    yield reranking.costs(results)
    yield story.failures(results)


def _section(key: str, title: str, blocks: Iterable[Block | None]) -> Section | None:
    there = _told_once(block for block in blocks if block is not None)
    return Section(key, title, there) if there else None


def _told_once(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """The blocks of a section, where a note is told that was told before only as far as that it holds again."""
    told: set[str] = set()
    made: list[Block] = []
    for block in blocks:
        if isinstance(block, Table | HeatMap | Bars | Versus) and block.notes:
            new = tuple(note for note in block.notes if note not in told)
            told.update(block.notes)
            block = replace(block, notes=new if len(new) == len(block.notes) else (*new, _AS_ABOVE))
        made.append(block)
    return tuple(made)


def _each(studies: Iterable[Study], make: tables.Maker) -> Iterable[Block | None]:
    return (make(study, model) for study in studies for model in study.models)


def _retrievers(by_collection: Iterable[list[Study]]) -> Iterable[Block | None]:
    for studies in by_collection:
        if len(studies) > 1:
            yield from retrievers.blocks(studies)


def _languages(studies: Iterable[Study], tables_beside: Iterable[str]) -> Iterable[Block | None]:
    file = next((name for name in tables_beside if name.startswith("maps.")), "")
    for place, study in enumerate(studies):
        if place == 0 and study.expansions():
            yield Paragraph(maps.about(study))
        for model in study.models:
            yield tables.by_language(study, model)
            yield from (replace(one, file=file) for one in maps.heat_maps(study, model))
            yield maps.change_by_language(study, model)


def _groups(studies: Iterable[Study]) -> Iterable[Block | None]:
    for study in studies:
        yield maps.by_length(study)
        yield maps.by_script(study)


def _cases(studies: Iterable[Study], examples: int, places: Places) -> Iterable[Block | None]:
    said = False
    for study in studies:
        found = queries.cases(study, examples, places) if examples else []
        if found and not said:
            said = True
            yield Paragraph(
                f"Each system against the query translated by the same model alone: the {examples} queries that it won "
                f"most by and the {examples} that it lost most by, from different language pairs first. Commands are "
                "typed where the report was written."
            )
        if found:
            yield Paragraph(f"{study.collection}, by {study.main}:")
        yield from found
