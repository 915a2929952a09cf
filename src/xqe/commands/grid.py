"""xqe grid: the paper's experiment from a file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.embedding import open_embedder
from xqe.commands.generating import keeping, open_engine
from xqe.commands.options.cluster import OPTIONS
from xqe.commands.options.embedding import Embedding
from xqe.commands.options.encoding import Encoding
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import part, takes
from xqe.commands.ranking import check_model, open_reranker
from xqe.commands.spreading import check_placed, on_cluster
from xqe.commands.streams import FAILED_STATUS
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.machine import available_cores
from xqe.messages import Progress, duration, plural, say
from xqe.models.engines import FAKE, SERVER
from xqe.stages.rerank.kinds import Kind

if TYPE_CHECKING:
    from xqe.experiments.grid.folder import Folder
    from xqe.experiments.grid.plan import Plan
    from xqe.experiments.grid.settings import EncoderRow, ModelRow, RerankRow
    from xqe.models.encoders.base import Encoder
    from xqe.models.engines.base import Engine
    from xqe.models.store.run import Store

_RUNNING = part(
    Generation,
    *("deterministic", "batch", "ctx", "threads", "gpu_layers", "split_mode", "tensor_split", "main_gpu"),
    *("flash_attention", "gpu_sampling", "cache_type", "api", "timeout", "retries", "store", "verbose"),
    *OPTIONS,
)

_UNPLACED: dict[str, Any] = dict.fromkeys(OPTIONS)
"""A model of a server is on no cluster of ours."""


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise typer.BadParameter(f"{text!r} is no part of several, such as 1/4")
    return int(match[1]) - 1, int(match[2])


@takes(generation=_RUNNING)
def grid(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", show_default=False, help="What to run.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", show_default=False, help="The folder for all that comes of it."),
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in a folder that holds a grid, whole or not; start if it does not.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Print the plan, which takes no model, and stop.")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="With --dry-run: say also how long it takes, from a few texts made now.")
    ] = False,
    shard: Annotated[
        Any,
        typer.Option(
            "--shard",
            metavar="I/N",
            parser=_shard,
            show_default=False,
            help="Do the I-th of N parts, in a folder of its own; xqe report takes the folders together.",
        ),
    ] = None,
    reindex: Annotated[
        bool,
        typer.Option("--reindex", help="Build the indexes again, as where a collection or the encoder has changed."),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Search and evaluate also what is done; only finished generations are still reused."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say nothing of progress, and no summary where all is well.")
    ] = False,
    *,
    generation: Generation,
) -> None:
    """Run the experiment that a file describes.

    It runs models, strategies, orders, uses, retrievers and re-rankers over language pairs and collections. A
    translation is made once for all strategies, and an expansion in the source language once for all languages of
    documents. What is done stays done: after a kill, or with more rows in the file, --resume does the rest. A cell that
    fails says why and the others go on.

    Exit status 1 if a record or a cell failed or a limit of [gate] was missed; the last line says so.
    """
    from xqe.experiments.grid.checking import check
    from xqe.experiments.grid.folder import Folder
    from xqe.experiments.grid.keys import is_read
    from xqe.experiments.grid.planner import make_plan
    from xqe.experiments.grid.settings import read_grid
    from xqe.experiments.grid.tables import told_at
    from xqe.models.registry import DEFAULT_ENCODER, default_model

    if measure and not dry_run:
        raise XqeError("--measure has no effect without --dry-run", "add it, or leave it out")
    usual = os.environ.get("XQE_MODEL") or default_model(), os.environ.get("XQE_ENCODER") or DEFAULT_ENCODER
    grid = read_grid(file, *usual)
    folder = Folder(out, resume or dry_run)
    reads_models = not dry_run or measure
    for row in grid.rerankers:
        if reads_models or is_read(row.model):
            with told_at(row.where):
                check_model(row.kind, _options_for(generation, row.model))
    plan = make_plan(grid, folder.manifest(), reads_models)
    if shard is not None:
        plan = plan.shard(*shard)
        if not plan.cells:
            say(f"grid {plan.grid.name}: nothing is left for part {plan.part}; the others have it all")
            return
    check_placed(generation)
    if dry_run:
        check(plan, folder, reindex)
        _show(plan, folder, reindex)
        if measure:
            with on_cluster(generation):
                _measure(plan, folder, generation)
        return
    from xqe.experiments.grid.conduct import conduct

    with folder.locked(), _store(generation, out) as store, on_cluster(generation):

        def kept(engine: Engine, model: ModelRow) -> Engine:
            # texts of the fake engine are kept only where a store is named, as in a pipe
            return keeping(engine, store if model.model != FAKE or generation.store is not None else None)

        @contextmanager
        def opened(model: ModelRow) -> Iterator[Engine]:
            with open_engine(_options_for(generation, model)) as engine:
                yield kept(engine, model)

        @contextmanager
        def reranker(row: RerankRow) -> Iterator[Engine]:
            with open_reranker(row.kind, _options_for(generation, row.model)) as engine:
                yield kept(engine, row.model)

        def embedder(row: EncoderRow) -> Encoder:
            return open_embedder(_encoding_for(generation, row, OPTIONS), Embedding())

        def encoder(row: EncoderRow) -> Encoder:  # of queries, in this process: it may be open beside a model
            return open_embedder(_encoding_for(generation, row), Embedding())

        threads = generation.threads or available_cores()
        try:
            with _telling(quiet) as tell:
                outcome = conduct(plan, folder, opened, reranker, embedder, encoder, threads, tell, reindex, again)
        except KeyboardInterrupt:
            say(f"grid: stopped; what is done stays done: xqe grid {file} --out {out} --resume goes on")
            raise
    if not quiet or not outcome.is_good:
        say(outcome.summary)
    if not outcome.is_good:
        raise typer.Exit(FAILED_STATUS)


@contextmanager
def _telling(quiet: bool) -> Iterator[Callable[[str], None]]:
    """What is told of progress: on a terminal it is one line, which the next takes the place of; elsewhere a line
    each."""
    with Progress("grid") as shown:
        shown.doing = "beginning"

        def tell(line: str) -> None:
            if not shown.is_open:
                say(line)
            shown.doing = line.removeprefix("grid: ")

        yield tell if not quiet else lambda _: None


def _options_for(generation: Generation, model: ModelRow) -> Generation:
    placed = replace(generation, **_UNPLACED) if model.model.startswith(SERVER) else generation
    return replace(placed, model=model.model, lora=list(model.lora) or None, base_url=model.base_url)


def _encoding_for(generation: Generation, row: EncoderRow, more: Sequence[str] = ()) -> Encoding:
    """more: names of other options that are passed on."""
    more = () if row.model.startswith(SERVER) else more
    shared = ("threads", "gpu_layers", "timeout", "retries", "verbose", *more)
    return Encoding(encoder=row.model, base_url=row.base_url, **{name: getattr(generation, name) for name in shared})


@contextmanager
def _store(generation: Generation, out: Path) -> Iterator[Store]:
    """The store of finished generations: a grid always has one, since a killed run goes on from it."""
    from xqe.models.store.place import file_of
    from xqe.models.store.run import Store

    try:
        store = Store(file_of(generation.store))
    except XqeError as error:
        if generation.store is not None:
            raise
        say(f"{error}; the grid keeps a store of its own")
        store = Store(out / "generations.sqlite")
    with store:
        yield store


def _show(plan: Plan, folder: Folder, reindex: bool) -> None:
    """Write the plan for a person: what is shared, what is done, and what is left."""
    from xqe.experiments.grid.indexing import check_indexes, unembedded

    for line in _plan_lines(plan, folder):
        jsonl.write(line)
    left = [texts for texts in plan.texts if not folder.has_texts(texts)]
    what = f"{plural(sum(texts.count for texts in left), 'text')} of {plural(len(left), 'stage')}"
    jsonl.write(f"generating: {what if left else 'nothing left to do'}")
    missing = check_indexes(plan, folder, reindex)
    jsonl.write(f"indexing: {len(missing) or 'nothing left to do'}")
    if plan.grid.rerankers:
        from xqe.experiments.grid.reranking import asked_of, undone

        left_over = undone(plan, folder)
        what = f"{sum(map(asked_of, left_over))} of {plural(len(left_over), 'ranking')}"
        jsonl.write(f"re-ranking: {what if left_over else 'nothing left to do'}")
    if plan.grid.encoder is not None:
        lacking = unembedded(plan, folder, missing)
        what = f"{plural(sum(lacking.values()), 'document')} of {len(lacking)} indexes"
        jsonl.write(f"embedding: {what if lacking else 'nothing left to do'}")


def _measure(plan: Plan, folder: Folder, generation: Generation) -> None:
    """Write how long the rest will take, from what is generated for that now."""
    from xqe.experiments.grid.generating import estimate, measured
    from xqe.experiments.grid.reranking import estimate_ranking, measured_ranking

    with _telling(quiet=False) as tell:
        tell("grid: measuring")
        rates = measured(plan, folder, lambda model: open_engine(_options_for(generation, model)))
        of_ranking = measured_ranking(
            plan, folder, lambda row: open_reranker(row.kind, _options_for(generation, row.model))
        )
    for (model, what), rate in rates.items():
        jsonl.write(f"{model}: {rate:.2f} s a {what}, measured now")
    if rates:
        seconds = estimate(plan, folder, rates)
        jsonl.write("generating takes " + ("a time unknown" if seconds is None else f"about {duration(seconds)}"))
    for name, rate in of_ranking.items():
        what = "pair" if Kind(plan.rerankers[name]["kind"]).gives_scores else "window"
        jsonl.write(f"{name}: {rate:.3g} s a {what}, measured now")
    if of_ranking:
        jsonl.write(f"re-ranking takes about {duration(estimate_ranking(plan, folder, of_ranking))}")


def _plan_lines(plan: Plan, folder: Folder) -> Iterator[str]:
    from xqe.commands.columns import Column, Fitting
    from xqe.commands.columns import Kind as Of
    from xqe.commands.screens import rendered

    pairs = {(cell.collection, cell.pair) for cell in plan.cells}
    systems = {cell.system for cell in plan.cells}
    done = sum(folder.has_cell(cell) for cell in plan.cells)
    counts = [plural(len(plan.cells), "cell"), f"{plural(len(systems), 'system')} on {plural(len(pairs), 'pair')}"]
    yield f"{plan.grid.name}: {', '.join(counts)}; {done} are done"
    for name, asked in plan.asked.items():
        sizes = {len(ids) for ids in asked.pairs.values()}
        shown = f"{min(sizes)}" if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"
        kind = "a pool" if asked.collection.is_pool else "a whole collection"
        if asked.told_pairs is not None:
            yield f"{name}: {asked.told_pairs}"
        yield f"{name} ({asked.row.split}, {kind}): {plural(len(asked.pairs), 'pair')} of {shown} queries each"
    if plan.grid.encoder is not None:
        yield f"retrievers: {', '.join(plan.grid.retrievers)}; vectors of {plan.grid.encoder.model}"
    if plan.grid.rerankers:
        firsts = {ranked.first.system for ranked in plan.ranked}
        yield f"re-ranked: {plural(len(firsts), 'system')}, by {', '.join(row.name for row in plan.grid.rerankers)}"
    yield from (f"not possible: {line}" for line in plan.impossible)
    groups: dict[tuple[str, str], list[Any]] = {}
    for texts in plan.texts:
        groups.setdefault((texts.model.name, _KINDS[texts.name.split(".")[0]]), []).append(texts)
    table = Fitting(
        [
            *(Column("model", Of.KEY), Column("texts", Of.PROSE)),
            *(Column(heading, Of.NUMBER) for heading in ("stages", "done", "texts")),
        ]
    )
    for (model, kind), stages in groups.items():
        count = sum(texts.count for texts in stages)
        over = sum(folder.has_texts(texts) for texts in stages)
        table.add_row(model, kind, *(f"{number:,}" for number in (len(stages), over, count)))
    yield rendered(table)
    for row in plan.grid.models:
        if plan.identities[row.name].get("known") is False:
            yield f"{row.name}: the model is not here yet, or on a server; nothing counts as made by it"
    asked_for = sum(_unshared(cell) for cell in plan.cells)
    yield f"{sum(texts.count for texts in plan.texts)} texts; without sharing it would be {asked_for}"


_KINDS = {
    "t": "translations of queries",
    "e": "passages in the query's language",
    "te": "T+E: passages for translated queries",
    "et": "E+T: translations of passages",
    "d": "passages straight in the documents' language",
    "docs": "documents in the queries' language",
}


def _unshared(cell: Any) -> int:
    """The texts that a cell would generate by itself."""
    count, texts = cell.stock.count if cell.stock is not None else 0, cell.texts
    while texts is not None:
        count += len(cell.ids) * texts.samples
        texts = texts.after
    return count
