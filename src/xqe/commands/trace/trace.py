"""xqe trace: the whole way of a query, from what a user wrote to why documents were found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from xqe.commands import steps
from xqe.commands.generating import keeping, open_engine, open_store
from xqe.commands.guiding import open_judge, open_nearby
from xqe.commands.options.cluster import OPTIONS
from xqe.commands.options.common import Input, Query, spoken
from xqe.commands.options.encoding import Encoding, beside
from xqe.commands.options.forms import Screen, ScreenFormat, on_screen
from xqe.commands.options.generation import DRAWN, Generation
from xqe.commands.options.groups import on_command_line, part, takes
from xqe.commands.options.guiding import nearby as nearby_option
from xqe.commands.options.queries import OfQueries
from xqe.commands.options.reranking import Reordering
from xqe.commands.options.searching import SCORING, Searching
from xqe.commands.options.steps import OF_THE_STEP, STRATEGY, TO, Expansion, most_tokens
from xqe.commands.options.steps import translations as translations_option
from xqe.commands.ranking import how_of, of_model, open_reranker
from xqe.commands.searching import check_searching, numbers_of, open_documents, open_retriever, pools_of
from xqe.commands.streams import Queries, first_of, report_failures
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.files.records import has_failed
from xqe.helping import ARGUMENTS_GIVEN
from xqe.stages.rerank.kinds import Kind
from xqe.stages.strategies import Strategy
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.models.engines.recorded import RecordingEngine
    from xqe.retrieval.documents import Numbered
    from xqe.stages.generation import Generating
    from xqe.stages.rerank.reranker import How
    from xqe.stages.tracing import Cost, Piece, Reranking

_COLLECTED = "xqe.trace.collected"
"""Where a context keeps the traces that are not to be shown."""
_OF_RUNS = ("show_prompt", "quiet", *OPTIONS)  # prompts are shown anyway, there is no summary, and one query
_GENERATION = tuple(field.name for field in fields(Generation) if field.name not in _OF_RUNS)
_EXPANSION = tuple(field.name for field in fields(Expansion))
_REORDERING = tuple(field.name for field in fields(Reordering) if field.name != "rerank")


class Order(StrEnum):
    """Which of two generating steps comes first, or that the passages are written in the other language at once."""

    TE = "te"
    ET = "et"
    DIRECT = "direct"


@takes(
    arriving=OfQueries,
    expansion=Expansion,
    reordering=Reordering,
    searching=part(Searching, *SCORING, "pool", "drop_self", "judge"),
    generation=part(Generation, *_GENERATION),
    encoding=part(Encoding, "encoder", "runtime"),
)
def trace(
    context: typer.Context,
    directories: Annotated[
        list[Path],
        typer.Option("--index", metavar="DIR", show_default=False, help="The folder of an index. Repeatable."),
    ],
    query: Query = None,
    lang: Annotated[str | None, spoken("--lang", "--from")] = None,
    to: Annotated[str | None, TO] = None,
    translations: Annotated[int, translations_option("1")] = 1,
    strategy: Annotated[Strategy | None, STRATEGY] = None,
    order: Annotated[
        Order,
        typer.Option(
            "--order",
            help="Translate, then expand (te); expand, then translate (et); or write the passages in the language of "
            "--to, and translate nothing (direct).",
        ),
    ] = Order.TE,
    relevant: Annotated[
        list[str] | None,
        typer.Option(
            "--relevant",
            "-r",
            metavar="ID",
            show_default=False,
            help="A document that should be found: show its rank at each stage, and why. Repeatable.",
        ),
    ] = None,
    qrels: Annotated[
        str | None,
        typer.Option(
            "--qrels",
            metavar="FILE",
            show_default=False,
            help="Judgements: documents that are relevant to a query are shown as those of --relevant, as far as the "
            "indexes hold them.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="OPTIONS",
            show_default=False,
            help="Trace the query once more with these options added, in quotes, and show which documents move: "
            '--against "--order et".',
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, help="How many hits are shown.")] = 10,
    nearby: Annotated[int | None, nearby_option("of --index", "none")] = None,
    gloss: Annotated[
        bool,
        typer.Option("--gloss", help="Show what each snippet says in the language of the query as it first came."),
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="On the screen, show prompts and terms whole; JSON always has all.")
    ] = False,
    form: ScreenFormat = Screen.AUTO,
    files: Input = None,
    *,
    arriving: OfQueries,
    expansion: Expansion,
    max_tokens: Annotated[int | None, most_tokens(OF_THE_STEP)] = None,
    reordering: Reordering,
    searching: Searching,
    generation: Generation,
    encoding: Encoding,
) -> None:
    """Show the whole way of a query, from prompts to hits.

    That is prompts, texts, the terms that are searched, hits, and why they are hits. Does what "xqe translate" (with
    --to), "xqe expand" (with --strategy), "xqe search" and "xqe rerank" (with --rerank) do, and shows all of it, with
    what each took. Without --to and --strategy nothing is generated, and a record is searched with the passages that it
    has.
    """
    collected: list[list[Piece]] | None = context.meta.get(_COLLECTED)
    if against is not None and collected is None:
        other = _other(context, against, query, files)
    expands = strategy is not None or expansion.prompt is not None
    writes = expands or to is not None or gloss
    _check_effect(context, expands, to is not None, writes, reordering)
    check_searching(searching)
    makes: list[steps.Make[Generating]] = []
    is_direct = order is Order.DIRECT
    if is_direct and translations > 1:
        raise XqeError("--translations has no effect with --order direct: nothing is translated", "leave one out")
    if to is not None and not is_direct:
        makes.append(steps.translation(to, generation, max_tokens, translations))
    if expands:
        expansion_step = steps.expansion(strategy, expansion, generation, max_tokens, to if is_direct else None)
        makes.insert(len(makes) if order is Order.TE else 0, expansion_step)
    needs_language = bool(makes) or gloss or lang is not None
    queries = Queries(query, files, "--lang" if needs_language else "", lang, rows=arriving.rows())
    ranking = of_model(generation, reordering.rerank_model)
    how = how_of(reordering.reranking(), ranking, writes) if reordering.reranks else None
    from xqe.stages.tracing import Found, Reranked, as_record, costs, glossed, traced

    arrived = first_of(queries)
    if arrived is None:
        return
    shown = on_screen(form) and collected is None
    judged = _judgements(qrels)
    every: list[list[Piece]] = []
    documents = open_documents(directories) if how is not None else None
    encoding = beside(encoding, generation)
    written = language(to) if to is not None else None
    with (
        open_retriever(searching, encoding, directories, generation.threads, offers_questions=True) as retriever,
        open_judge(searching.judge, encoding, retriever.encoder) as judge,
        open_nearby(nearby, directories, searching.drop_self, encoding, written) as guide,
        _models(generation if writes else None, ranking, how, documents) as (engine, reranking),
    ):
        named = numbers_of(relevant or [], retriever.documents, directories)
        pools = pools_of(searching, retriever.documents)
        stages = [make(engine, guide) for make in makes if engine is not None]
        for record in arrived:
            pieces: list[Piece] = []
            own = searching.drop_self
            known = [*dict.fromkeys([*named, *_relevant(judged, record, retriever.documents)])]
            for piece in traced(
                record, stages, engine, retriever, known, queries.place, k, pools, own, reranking, judge
            ):
                if gloss and engine is not None and isinstance(piece, Found | Reranked):
                    is_last = reranking is None or isinstance(piece, Reranked) or has_failed(piece.record)
                    piece = glossed(piece, engine) if is_last else piece
                pieces.append(piece)
                if shown:
                    _show(piece, full, k)
            if shown and (engine is not None or reranking is not None):
                _show_costs(costs(pieces))
            if collected is None and against is None and not shown:
                jsonl.write(jsonl.dumps(as_record(pieces)))
            every.append(pieces)
    if collected is not None:
        collected += every
        return
    if against is not None:
        _compare(against, every, _run(context, other), k, shown)
    report_failures(len(every), sum(has_failed(pieces[-1].record) for pieces in every))


def _judgements(qrels: str | None) -> Mapping[str, Mapping[str, int]]:
    if qrels is None:
        return {}
    from xqe.files.trec import read_qrels

    return read_qrels(qrels)


def _relevant(judged: Mapping[str, Mapping[str, int]], record: Record, documents: Numbered) -> list[int]:
    """The documents that are relevant to a query, of those that there are."""
    ids = [name for name, grade in judged.get(record["id"], {}).items() if grade > 0]
    return [number for number in documents.numbers(ids).tolist() if number >= 0]


# ---------------------------------------------------------------- with other settings


def _other(context: typer.Context, against: str, query: str | None, files: Sequence[str] | None) -> typer.Context:
    """The same command with options added. Raises XqeError for options that it does not take, and where the queries
    cannot be read twice."""
    import shlex

    if (query is None or query == jsonl.STDIN) and not files:
        raise XqeError("--against reads the queries twice", "give a QUERY or --input FILE")
    given = context.meta[ARGUMENTS_GIVEN]
    own = [word for at, word in enumerate(given) if not _is_of_against(given, at)]
    try:
        added = shlex.split(against)
    except ValueError as error:
        raise XqeError(f"--against {against}: {str(error).lower()}", "put what belongs together into quotes") from None
    made: Any = context.command.make_context(context.info_name, [*own, *added], parent=context.parent)
    return cast("typer.Context", made)


def _is_of_against(words: Sequence[str], at: int) -> bool:
    return words[at].startswith("--against") or (at > 0 and words[at - 1] == "--against")


def _run(context: typer.Context, other: typer.Context) -> list[list[Piece]]:
    """The traces that the command makes with other settings, which it does not show."""
    collected: list[list[Piece]] = []
    context.meta[_COLLECTED] = collected
    try:
        with other:
            other.command.invoke(other)
    finally:
        del context.meta[_COLLECTED]
    return collected


def _compare(against: str, every: Sequence[list[Piece]], others: Sequence[list[Piece]], k: int, shown: bool) -> None:
    from dataclasses import asdict

    from xqe.stages.against import compared
    from xqe.stages.tracing import as_record

    for own, other in zip(every, others, strict=True):
        difference = compared(against, own, other, k)
        if shown:
            from xqe.commands.trace.screen import against_shown

            jsonl.write(f"{against_shown(difference)}\n")
        else:
            record = as_record(own)
            said = {**asdict(difference), "record": as_record(other)}
            jsonl.write(jsonl.dumps({**record, "trace": {**record["trace"], "against": said}}))


def _show(piece: Piece, full: bool, k: int) -> None:
    from xqe.commands.trace.screen import shown

    jsonl.write(f"{shown(piece, full, k)}\n")


def _show_costs(costs: Sequence[Cost]) -> None:
    from xqe.commands.trace.screen import costs_shown

    jsonl.write(f"{costs_shown(costs)}\n")


def _check_effect(
    context: typer.Context, expands: bool, translates: bool, writes: bool, reordering: Reordering
) -> None:
    """Raise XqeError for an option of a step that is not made; environment variables are for all commands."""
    idle: dict[str, tuple[str, str]] = {}
    if not reordering.reranks:
        idle |= dict.fromkeys(_REORDERING, ("re-ranked", "--rerank KIND"))
    if not expands:
        idle |= dict.fromkeys(_EXPANSION, ("expanded", "--strategy NAME"))
    if not (expands and translates):
        idle["order"] = ("put in order", "both --to LANG and --strategy NAME")
    if not translates:
        idle["translations"] = ("translated", "--to LANG")
    generated = ("generated", "--to LANG or --strategy NAME")
    if not (expands or translates):
        idle |= dict.fromkeys(("max_tokens", "nearby"), generated)
    if not writes:
        of_texts = DRAWN if reordering.rerank_model is None else (*DRAWN, "model", "lora")
        idle |= dict.fromkeys(of_texts if reordering.reranks else _GENERATION, generated)
    for name, option in on_command_line(context).items():
        if name in idle:
            what, hint = idle[name]
            raise XqeError(f"{option} has no effect, since nothing is {what}", f"add {hint}")


@contextmanager
def _models(
    writing: Generation | None, ranking: Generation, how: How | None, documents: Numbered | None
) -> Iterator[tuple[RecordingEngine | None, Reranking | None]]:
    """What writes, by these options, and what re-ranks documents, by those; None for what is not done. Both keep what
    is asked of them, and are one model where it does both."""
    if writing is None and how is None:
        yield None, None
        return
    from xqe.models.engines.recorded import RecordingEngine
    from xqe.stages.tracing import Reranking

    with ExitStack() as stack:
        store = stack.enter_context(open_store(writing or ranking))

        def recording(engine: Engine) -> RecordingEngine:
            return RecordingEngine(keeping(stack.enter_context(engine), store))

        writer = recording(open_engine(writing)) if writing is not None else None
        if how is None or documents is None:
            yield writer, None
            return
        if writer is not None and ranking is writing and how.kind is not Kind.CROSS:
            ranker = writer
        else:
            ranker = recording(open_reranker(how.kind, ranking))
        yield writer, Reranking(how, how.reranker(ranker, documents), ranker)
