"""xqe batch: generation through the batch files that servers take, and answer some time later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands import steps
from xqe.commands.options.common import Input, Query, spoken
from xqe.commands.options.documents import OfDocuments
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import part, takes
from xqe.commands.options.steps import DOCUMENTS, OF_THE_STEP, STRATEGY, Expansion, most_tokens
from xqe.commands.streams import FAILED_STATUS, DocumentRecords, Queries, emit, first_of
from xqe.errors import XqeError
from xqe.messages import progress, say
from xqe.models.engines import SERVER
from xqe.stages.strategies import Strategy

if TYPE_CHECKING:
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.stages.generation import Generating, Tally


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done, and by which model."""

    strategy: Annotated[Strategy | None, STRATEGY] = None
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="LANG",
            show_default=False,
            help="Language to translate into; of an expansion, to write the passages in.",
        ),
    ] = None
    documents: Annotated[bool, DOCUMENTS] = False
    lang: Annotated[str | None, spoken("--lang", "--from", of="records")] = None
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="openai:NAME",
            envvar="XQE_MODEL",
            show_default=False,
            help="The model, as the server that will answer calls it.",
        ),
    ] = None
    max_tokens: Annotated[int | None, most_tokens(OF_THE_STEP)] = None


_takes = takes(
    work=Work,
    written=OfDocuments,
    expansion=Expansion,
    generation=part(Generation, "temperature", "top_p", "top_k", "repeat_penalty", "seed", "api", "quiet"),
)


@_takes
def export(
    query: Query = None,
    *,
    work: Work,
    expansion: Expansion,
    files: Input = None,
    written: OfDocuments,
    generation: Generation,
) -> None:
    """Write the requests of an expansion or a translation.

    Reads query records, writes a batch file: what "xqe expand" (with --strategy) or "xqe translate" (with --to alone,
    and perhaps --documents) would send to a server. The server need not run, and no key is needed.
    """
    from xqe.models.engines.batchfile import RequestWriter
    from xqe.stages.generation import Tally

    make, name = _stage(work, expansion, generation), _model(work)
    queries = _records(work, expansion, query, files, written)
    arrived = first_of(queries)
    if arrived is None:
        return
    tally = Tally()
    engine = RequestWriter(name, generation.api.value)
    for _ in progress(_run(make(engine), engine, arrived, tally), queries.total, "batch export"):
        pass  # the engine writes
    if not generation.quiet:
        say(f"batch export: {tally.records} records, {engine.written} requests, {tally.failed} failed")
    if tally.failed:
        raise typer.Exit(FAILED_STATUS)


@_takes
def import_(
    results: Annotated[
        list[str],
        typer.Option("--results", "-r", metavar="FILE", help="What the server made of the batch file. Repeatable."),
    ],
    query: Query = None,
    *,
    work: Work,
    expansion: Expansion,
    files: Input = None,
    written: OfDocuments,
    generation: Generation,
) -> None:
    """Join results to the records that they answer.

    Reads the records that were exported, with the same options, and writes them as "xqe expand" or
    "xqe translate" would have. A request that has no result, or one that failed, is the error of its record.
    """
    from xqe.models.engines.batchfile import ResultReader
    from xqe.stages.generation import Tally

    make, name = _stage(work, expansion, generation), _model(work)
    queries = _records(work, expansion, query, files, written)
    engine = ResultReader(name, results, generation.api.value)
    stage = make(engine)
    tally = Tally()
    emit(progress(_run(stage, engine, queries, tally), queries.total, "batch import"))
    if engine.unused:
        say(f"results that belong to no request of these records with these options: {engine.unused}")
    if not generation.quiet:
        say(f"batch import: {tally.line()}")
    if tally.failed:
        raise typer.Exit(FAILED_STATUS)


def _stage(work: Work, expansion: Expansion, generation: Generation) -> Callable[[Engine], Generating]:
    """What makes the stage that is asked for. Raises XqeError if none is."""
    if work.strategy is not None or expansion.prompt is not None:
        if work.documents:
            raise XqeError("--documents has no effect on an expansion", "leave it out, or give --to alone")
        if work.strategy not in (None, Strategy.AUTO) and work.strategy.recipe.in_rounds:
            raise XqeError(
                f"--strategy {work.strategy} asks again, by what was answered, and a batch file asks once",
                "give it to xqe expand, or take another strategy",
            )
        return steps.expansion(work.strategy, expansion, generation, work.max_tokens, work.to)
    if work.to is None:
        raise XqeError("neither --strategy nor --to is given", "--strategy NAME expands, and --to LANG translates")
    for option in fields(expansion):
        is_of_both = option.name == "samples" and not work.documents
        if getattr(expansion, option.name) != option.default and not is_of_both:
            raise XqeError(f"--{option.name} has no effect on a translation", "leave it out")
    if work.documents:
        return steps.document_translation(work.to, generation, work.max_tokens)
    return steps.translation(work.to, generation, work.max_tokens, expansion.samples or 1)


def _records(
    work: Work, expansion: Expansion, query: str | None, files: list[str] | None, written: OfDocuments
) -> Queries | DocumentRecords:
    """The records that the work is done on."""
    if not work.documents:
        rows = written.queries().rows()
        if work.strategy is None and expansion.prompt is None:
            return Queries(query, files, "--lang", work.lang, rows=rows)
        check = steps.hits_check(work.strategy, expansion)
        return Queries(query, files, "--lang", work.lang, check, rows)
    if query is not None:
        raise XqeError("a QUERY is no document", "leave it out, or leave out --documents")
    return DocumentRecords(files, written.rows(), "--lang", work.lang)


def _run(stage: Generating, engine: Engine, records: Iterable[Record], tally: Tally) -> Iterator[Record]:
    """Run a stage over records, in its own way where it has one."""
    from xqe.stages.generation import run
    from xqe.stages.translate_documents import TranslateDocuments

    if isinstance(stage, TranslateDocuments):
        return stage.run(engine, records, tally)
    return run(stage, engine, records, tally)


def _model(work: Work) -> str:
    """The name in --model openai:NAME. Raises XqeError for a model of another kind."""
    name = (work.model or "").removeprefix(SERVER)
    if not name or name == work.model:
        given = f"--model {work.model} is not on a server" if work.model else "no model is named"
        raise XqeError(given, f"give --model {SERVER}NAME, as the server that will answer calls it")
    return name
