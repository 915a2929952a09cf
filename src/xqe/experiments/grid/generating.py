"""Generating the texts of a plan: each model is loaded once for all that it can do next, its stages in one stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import islice

from xqe.errors import XqeError
from xqe.experiments.grid.asked import examples_file
from xqe.experiments.grid.folder import Folder, FolderError
from xqe.experiments.grid.guidance import Guides, ahead
from xqe.experiments.grid.plan import DIRECT, TRANSLATE, Plan, Texts
from xqe.experiments.grid.settings import BUILTIN, DOCUMENTS, ModelRow
from xqe.files.documents import documents
from xqe.files.records import Document, Record, has_failed
from xqe.messages import Progress, duration, say
from xqe.models.engines.base import Engine
from xqe.models.examples import Chooser
from xqe.models.examples.pairs import Pairs
from xqe.stages.choosing import RULES, Chosen
from xqe.stages.expand import READ, Expand, Way
from xqe.stages.generation import Generating, Tally, run_all
from xqe.stages.librarian.guide import Guide
from xqe.stages.qa_expand import Prompts, QAExpand
from xqe.stages.strategies import RECIPES, Strategy
from xqe.stages.translate import Translate
from xqe.stages.translate_documents import TranslateDocuments
from xqe.text.languages import language

Opener = Callable[[ModelRow], AbstractContextManager[Engine]]

_A_QUERY, _A_PASSAGE, _A_DOCUMENT = 16.0, 0.6, 200.0
"""About how many tokens a query takes, what part of its limit a passage does, and how many tokens a document takes: for
the time that is left, until enough is measured."""


@dataclass(slots=True)
class Clock:
    """How long what is left will take, from what was generated so far; a text counts the tokens expected of it."""

    left: float
    done: float = 0.0
    seconds: float = 0.0

    def count(self, work: float, generated_part: float, seconds: float) -> None:
        """Work that is over; only the part of it that was generated, not reused, tells how long work takes."""
        self.left -= work
        self.done += work * generated_part
        self.seconds += seconds

    def __str__(self) -> str:
        if self.left <= 0 or self.done <= 0:
            return "done" if self.left <= 0 else "time left unknown"
        return f"{duration(self.left * self.seconds / self.done)} left"


def expected_tokens(texts: Texts, plan: Plan) -> float:
    """About how many tokens a stage will generate."""
    if (what := _made(texts)) != PASSAGE:
        return (_A_QUERY if what == QUERY else _A_DOCUMENT) * texts.count
    assert texts.strategy is not None
    return _A_PASSAGE * plan.grid.tokens_of(texts.strategy) * texts.count


@dataclass(slots=True)
class Generated:
    """What became of the stages of a plan. unable: place -> why a stage could not be run."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    unable: dict[str, str] = field(default_factory=dict)


def generate(
    plan: Plan,
    folder: Folder,
    open_engine: Opener,
    guides: Guides,
    tell: Callable[[str], None] = say,
    again: bool = False,
) -> Generated:
    """Run the stages that are not done, or with `again` all of them; `tell` gets a line for each.

    One that cannot be run leaves those that need it, and no others, undone.
    """
    result = Generated()
    pending = [texts for texts in plan.texts if again or not folder.has_texts(texts)]
    clock = Clock(sum(expected_tokens(texts, plan) for texts in pending))
    total, number = len(pending), 0
    while pending:
        model = _ready(pending)[0].engine
        mine = [texts for texts in pending if texts.engine == model]
        try:
            with open_engine(model) as engine:
                while ready := [texts for texts in _ready(pending) if texts.engine == model]:
                    stages = _stages(ready, plan, engine, guides, result.unable)
                    for texts, tally, seconds in _run(stages, plan, folder, engine):
                        pending.remove(texts)
                        number += 1
                        result.tallies[texts.place] = tally
                        made = tally.generated + tally.reused
                        clock.count(expected_tokens(texts, plan), tally.generated / made if made else 0.0, seconds)
                        tell(_line(texts, tally, seconds, number, total, clock))
                    pending = _possible(pending, result.unable)
        except FolderError:
            raise
        except XqeError as error:
            left = [texts for texts in mine if texts in pending]
            say(f"grid: {model.name}: {error}; {len(left)} stages are left out")
            result.unable |= {texts.place: str(error) for texts in left}
            pending = _possible(pending, result.unable)
    return result


def _ready(pending: Sequence[Texts]) -> list[Texts]:
    """The stages that wait for no other one."""
    waiting = {texts.place for texts in pending}
    return [texts for texts in pending if texts.after is None or texts.after.place not in waiting]


def _possible(pending: Sequence[Texts], unable: dict[str, str]) -> list[Texts]:
    """The stages that can still be run; those that need one that could not be are added to `unable`."""
    left = []
    for texts in pending:  # those that are needed stand before those that need them
        if texts.after is not None and texts.after.place in unable:
            unable[texts.place] = unable[texts.after.place]
        elif texts.place not in unable:
            left.append(texts)
    return left


def _stages(
    ready: Sequence[Texts], plan: Plan, engine: Engine, guides: Guides, unable: dict[str, str]
) -> list[tuple[Texts, Generating, Guide | None]]:
    """What makes each of these texts, and guides it; those that nothing can make are added to `unable`."""
    stages = []
    for texts in ready:
        try:
            guide = guides.of(texts)
            stages.append((texts, stage_of(texts, plan, engine, guide, guides.pairs(texts)), guide))
        except XqeError as error:
            say(f"grid: {texts.place}: {error}")
            unable[texts.place] = str(error)
    return stages


def _line(texts: Texts, tally: Tally, seconds: float, number: int, total: int, clock: Clock) -> str:
    failed = f", {tally.failed} failed" if tally.failed else ""
    return (
        f"grid: {number}/{total} {texts.collection} {texts.model.name} {texts.name}: {tally.records} records, "
        f"{tally.generated} generated, {tally.reused} reused{failed}, {duration(seconds)}; {clock}"
    )


def _run(
    stages: Sequence[tuple[Texts, Generating, Guide | None]], plan: Plan, folder: Folder, engine: Engine
) -> Iterator[tuple[Texts, Tally, float]]:
    """Run stages as one stream; each is written, and yielded with its seconds, when its last record is done."""
    work = ((stage, record) for texts, stage, guide in stages for record in ahead(guide, inputs(texts, plan, folder)))
    stream = run_all(work, engine)
    started = time.monotonic()
    for texts, stage, _ in stages:
        tally = Tally()
        done: list[Record] = []
        with Progress(texts.name, texts.records, speed=tally.speed) as shown:
            while len(done) < texts.records:
                made_by, record, answers = next(stream)
                if made_by is stage:  # not so after Ctrl-C, when what is finished comes out of its order
                    tally.count(record, [answer.completion for answer in answers])
                    done.append(record)
                    shown.count(1)
        seconds, started = time.monotonic() - started, time.monotonic()
        here = sum(has_failed(record) and record["error"]["step"] == stage.name for record in done)
        folder.put_texts(texts, done, {**_said(texts, tally, seconds), "failed_here": here})
        yield texts, tally, seconds
    for _ in stream:  # it ends here, and so lets go of the engine
        raise AssertionError("more records than were given")


def stage_of(
    texts: Texts, plan: Plan, engine: Engine, guide: Guide | None = None, pairs: Pairs | None = None
) -> Generating:
    """The stage that makes the texts on an engine. guide, pairs: what its prompts show besides."""
    grid = plan.grid
    target = language(texts.target) if texts.target is not None else None
    if texts.kind == DOCUMENTS and target is not None:
        return TranslateDocuments(engine, target, grid.sampling)
    if texts.kind == TRANSLATE and target is not None:
        translations = texts.samples if texts.after is None else grid.translations
        return Translate(engine, target, grid.sampling, samples=translations, pairs=pairs, guide=guide)
    assert texts.strategy is not None
    if texts.strategy not in RECIPES:
        stages = {rule.strategy: _expansion(rule.strategy, texts, plan, engine, guide) for rule in RULES}
        return Chosen(engine, {name: stage for name, stage in stages.items() if isinstance(stage, Expand)})
    return _expansion(texts.strategy, texts, plan, engine, guide)


def _expansion(strategy: Strategy, texts: Texts, plan: Plan, engine: Engine, guide: Guide | None) -> Expand | QAExpand:
    """What expands queries by one strategy."""
    grid, recipe = plan.grid, strategy.recipe
    sampling, most = grid.sampling_of(strategy), grid.tokens_of(strategy)
    spoken = texts.target if texts.order == "te" and texts.target else texts.source
    choose = None
    parts = [part for template in recipe.templates for part in template.each()]
    of_train = (grid.examples != BUILTIN or texts.guide.has_examples) and texts.kind != DIRECT
    is_given = grid.shots is not None or of_train
    if is_given and any(part.shows_examples(engine.is_chat) for part in parts):
        path = str(examples_file(plan.asked[texts.collection], spoken)) if of_train else None
        choose = Chooser(path, parts[0].shots if grid.shots is None else grid.shots, grid.sampling.seed)
    direct = language(texts.target) if texts.kind == DIRECT and texts.target is not None else None
    if recipe.in_rounds:
        asked = Prompts(*recipe.templates)
        name, combination = strategy.value, recipe.combination
        return QAExpand(engine, asked, choose, texts.samples, sampling, most, direct, name, combination, guide)
    way = Way(strategy.value, recipe.combination, recipe.documents or READ)
    return Expand(engine, recipe.templates, choose, texts.samples, sampling, most, direct, way, guide)


def inputs(texts: Texts, plan: Plan, folder: Folder) -> Iterable[Record]:
    """The records that a stage works on."""
    if texts.kind == DOCUMENTS:
        path = plan.asked[texts.collection].collection.documents(texts.source)
        return (_as_record(document, texts.source) for _, document in documents([str(path)]))
    if texts.after is not None:
        done = folder.read_texts(texts.after)
        records = [done[one] for one in texts.ids]
        return _with_documents(records, texts, plan, folder) if texts.reads else records
    queries = plan.asked[texts.collection].queries[texts.source]
    return [{"id": one, "query": queries[one], "lang": texts.source} for one in texts.ids]


def _with_documents(records: list[Record], texts: Texts, plan: Plan, folder: Folder) -> list[Record]:
    """Records with the documents that their words find first, for a strategy that reads them."""
    from xqe.retrieval.bm25 import BM25
    from xqe.retrieval.lexical import open_index
    from xqe.stages.search import looked_up

    assert texts.target is not None
    index = open_index(folder.index(texts.collection, texts.target))
    return looked_up(records, BM25(index), texts.reads, drop_own=plan.asked[texts.collection].drop_self)


def _as_record(document: Document, lang: str) -> Record:
    title = {"title": document.title} if document.title else {}
    return {"id": document.id, **title, "text": document.text, "lang": lang}


def _said(texts: Texts, tally: Tally, seconds: float) -> dict[str, object]:
    return {
        "stage": texts.name,
        "kind": texts.kind,
        "model": texts.model.name,
        "source": texts.source,
        "target": texts.target,
        "strategy": texts.strategy,
        "order": texts.order,
        "records": tally.records,
        "failed": tally.failed,
        "generated": tally.generated,
        "reused": tally.reused,
        "tokens": tally.tokens,
        "seconds": round(seconds, 3),
    }


# ---------------------------------------------------------------- an estimate


_SAMPLE = 16
_DOCUMENTS = 4  # of a sample, since they are long
QUERY, PASSAGE, DOCUMENT = "query", "passage", "document"

Rates = dict[tuple[str, str], float]
"""Seconds a text, by the model, whatever its adapters, and what is made: a query, a passage or a document."""


def measured(plan: Plan, folder: Folder, open_engine: Opener) -> Rates:
    """Return how long texts take, from a few that are generated now, of each model that has something to do.

    They are thrown away, and do not come from the store: then they would tell nothing.
    """
    found: Rates = {}
    pending = [texts for texts in plan.texts if not folder.has_texts(texts)]
    for model in dict.fromkeys(texts.engine for texts in pending):
        mine = [texts for texts in plan.texts if texts.engine == model]
        samples = {_made(texts): texts for texts in mine if texts.kind != TRANSLATE or texts.after is None}
        with open_engine(model) as engine:
            for what, texts in samples.items():
                stage = stage_of(texts, plan, engine)
                most = _DOCUMENTS if what == DOCUMENT else _SAMPLE
                queries = list(islice(inputs(replace(texts, after=None), plan, folder), most))
                list(run_all(((stage, record) for record in queries[:1]), engine))  # what is done once, it does now
                started = time.monotonic()
                count = sum(len(answers) for _, _, answers in run_all(((stage, one) for one in queries), engine))
                made = len(queries) if what == DOCUMENT else count
                found[model.name, what] = (time.monotonic() - started) / max(made, 1)
    return found


def _made(texts: Texts) -> str:
    if texts.kind == DOCUMENTS:
        return DOCUMENT
    return QUERY if texts.kind == TRANSLATE and texts.after is None else PASSAGE


def estimate(plan: Plan, folder: Folder, rates: Rates) -> float | None:
    """Seconds that the undone texts of a plan will take; None where it is not known of some."""
    pending = [texts for texts in plan.texts if not folder.has_texts(texts)]
    each = [(texts.count, rates.get((texts.engine.name, _made(texts)))) for texts in pending]
    return None if any(rate is None for _, rate in each) else sum(count * (rate or 0.0) for count, rate in each)
