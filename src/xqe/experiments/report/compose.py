"""The whole report of a grid: which sections there are, in which order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from xqe.experiments.report import guided, maps, quality, queries, questions, reranking, retrievers, story, tables
from xqe.experiments.report.blocks import Block, Paragraph, Report, Section
from xqe.experiments.report.results import Results
from xqe.experiments.report.study import Study


def compose(results: Results, studies: list[Study], examples: int) -> Report:
    """Return the report. studies: of one collection one after the other, by each of its retrievers; the first, words
    where they were searched, is what the paper's tables are made of. examples: how many won and how many lost queries
    are shown of each system."""
    everything = studies
    by_collection = [list(some) for _, some in groupby(studies, key=lambda study: study.collection)]
    studies = [some[0] for some in by_collection]
    sections = [
        _section("findings", "Models and strategies", (tables.models_by_strategies(study) for study in studies)),
        _section("settings", "Strategy, order and use", _each(everything, tables.settings)),
        _section("retrievers", "Words, vectors, both", _retrievers(by_collection)),
        _section("reranking", "Re-ranking", reranking.blocks(results, everything[0].main)),
        _section("questions", "Questions of documents", questions.blocks(results, everything[0].main)),
        _section("guided", "Guided by an encoder", guided.blocks(results, everything[0].main)),
        _section("finetuned", "Fine-tuned models", map(tables.finetuned, studies)),
        _section("languages", "Languages", _languages(studies)),
        _section("queries", "Length of queries, and scripts", _groups(studies)),
        _section("quality", "Quality of expansions", _each(studies, quality.correlations)),
        _section("cases", "Queries won and lost", _cases(studies, examples)),
        _section("all", "All differences", map(tables.all_differences, everything)),
        _section("facts", "What was run", _run(results)),
        _section(
            "reading", "How to read this", [*map(Paragraph, story.reading_notes(studies)), story.provenance(results)]
        ),
    ]
    return Report(
        f"Cross-lingual query expansion: {results.name}",
        tuple(story.lead(results, studies)),
        tuple(section for section in sections if section is not None),
    )


def _run(results: Results) -> Iterable[Block | None]:
    yield story.collections(results)
    yield story.cost(results)
    yield reranking.costs(results)
    yield story.failures(results)


def _section(key: str, title: str, blocks: Iterable[Block | None]) -> Section | None:
    there = tuple(block for block in blocks if block is not None)
    return Section(key, title, there) if there else None


def _each(studies: Iterable[Study], make: tables.Maker) -> Iterable[Block | None]:
    return (make(study, model) for study in studies for model in study.models)


def _retrievers(by_collection: Iterable[list[Study]]) -> Iterable[Block | None]:
    for studies in by_collection:
        if len(studies) > 1:
            yield from retrievers.blocks(studies)


def _languages(studies: Iterable[Study]) -> Iterable[Block | None]:
    if any(study.expansions() for study in studies):
        yield Paragraph(maps.ABOUT)
    for study in studies:
        for model in study.models:
            yield tables.by_language(study, model)
            yield from maps.heat_maps(study, model)
            yield maps.change_by_language(study, model)


def _groups(studies: Iterable[Study]) -> Iterable[Block | None]:
    for study in studies:
        yield maps.by_length(study)
        yield maps.by_script(study)


def _cases(studies: Iterable[Study], examples: int) -> Iterable[Block | None]:
    said = False
    for study in studies:
        found = queries.cases(study, examples) if examples else []
        if found and not said:
            said = True
            yield Paragraph(
                f"Each system against the query translated by the same model alone: the {examples} queries that it won "
                f"most by and the {examples} that it lost most by, from different language pairs first. The page in "
                "HTML has all "
                "systems, the other forms the best one."
            )
        if found:
            yield Paragraph(f"{study.collection}, by {study.main}:")
        yield from found
