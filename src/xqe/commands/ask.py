"""xqe ask: the whole way of a question, from what somebody asks to an answer with its sources."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands import steps
from xqe.commands.answering import answer_section, answerer, footnotes, say_remarks
from xqe.commands.generating import keeping, open_engine, open_store
from xqe.commands.options.answering import Answering
from xqe.commands.options.common import Input, ScreenFormat, spoken
from xqe.commands.options.encoding import Encoding, beside
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import part, takes
from xqe.commands.options.searching import Searching
from xqe.commands.options.steps import STRATEGY, Expansion
from xqe.commands.screens import on_screen
from xqe.commands.searching import by_language, check_searching, given, open_retriever
from xqe.commands.streams import FAILED_STATUS, Queries, first_of
from xqe.errors import InputError
from xqe.files import jsonl
from xqe.files.records import failed
from xqe.machine import available_cores
from xqe.messages import say
from xqe.stages.strategies import Strategy
from xqe.text.languages import LANGUAGES, language

if TYPE_CHECKING:
    from rich.text import Text

    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.retrieval.documents import Numbered
    from xqe.stages.asking import Asking
    from xqe.stages.generation import Generating

AT_A_TIME = 64  # questions that go from step to step together
LIKELIHOOD_TOKENS = 128  # of a document that is re-ranked

_GENERATION = tuple(field.name for field in fields(Generation) if field.name != "show_prompt")


@takes(
    answering=Answering,
    searching=part(Searching, "by"),
    generation=part(Generation, *_GENERATION),
    encoding=part(Encoding, "encoder", "runtime"),
)
def ask(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR... [QUESTION]",
            show_default=False,
            help="The folder of an index, or of several; then a question, or records from standard input.",
        ),
    ],
    lang: Annotated[str | None, spoken("--lang")] = None,
    *,
    answering: Answering,
    strategy: Annotated[Strategy | None, STRATEGY] = None,
    rerank: Annotated[
        int,
        typer.Option("--rerank", metavar="N", min=0, help="Re-rank the best N hits by likelihood, as xqe rerank does."),
    ] = 0,
    gloss: Annotated[
        bool, typer.Option("--gloss/--no-gloss", help="Translate snippets into the language of the question.")
    ] = True,
    form: ScreenFormat = None,
    files: Input = None,
    searching: Searching,
    generation: Generation,
    encoding: Encoding,
) -> None:
    """Ask a question of documents in other languages.

    Does what "xqe translate" (into the language of each index), "xqe search", perhaps "xqe rerank", and "xqe answer"
    do, one after the other, and shows the answer, and below it the documents that it was made from, each with a snippet
    and what that says in your language. Without --lang the language of a question is guessed, and said.
    """
    check_searching(searching)
    directories, question = given(arguments)
    encoding = beside(encoding, generation)
    sources, make_answer = answerer(answering, generation, encoding, directories)
    expand = steps.expansion(strategy, Expansion(), generation, None) if strategy is not None else None
    queries = Queries(question, files)
    spoken_language = language(lang, "--lang").code if lang is not None else None
    arrived = first_of(_in_a_language(queries, spoken_language, is_one=question is not None, quiet=generation.quiet))
    if arrived is None:
        return
    from xqe.stages.answering.after import After
    from xqe.stages.asking import Asking, Collection
    from xqe.stages.generation import Tally

    threads = generation.threads or available_cores()
    tally = Tally()
    with ExitStack() as stack:
        stack.enter_context(sources)
        groups = by_language(directories)
        retrievers = {
            code: stack.enter_context(open_retriever(searching, encoding, folders, threads))
            for code, folders in groups.items()
        }
        if len(retrievers) == 1:
            [sources.after] = map(After, retrievers.values())
        store = stack.enter_context(open_store(generation))
        engine = keeping(stack.enter_context(open_engine(generation)), store)
        answer = make_answer(engine)
        asking = Asking(
            engine,
            [
                Collection(LANGUAGES[code], retriever, _before(code, engine, generation, expand))
                for code, retriever in retrievers.items()
            ],
            _reranker(engine, sources.documents, rerank) if rerank else None,
            answer,
            answering.n,
            max(answering.n, rerank),
            gloss,
            threads,
            _say_nothing if generation.quiet else _tell,
            tally,
        )
        shown = _text if on_screen(form) else jsonl.dumps
        _run(asking, arrived, shown)
    if not generation.quiet:
        say(f"ask: {tally.line()}")
        say_remarks(answer)
    if tally.failed:
        raise typer.Exit(FAILED_STATUS)


def _run(asking: Asking, records: Iterator[Record], shown: Callable[[Record], str]) -> None:
    asking.tally.begin()
    while some := list(islice(records, AT_A_TIME)):
        for record in asking.answered(some):
            jsonl.write(shown(record))


def _in_a_language(queries: Queries, spoken: str | None, is_one: bool, quiet: bool) -> Iterator[Record]:
    """The records, each with a language: its own, that of --lang, or the one that it is guessed to be in."""
    from xqe.text.detection import language_of

    for record in queries:
        named = record.get("lang") or spoken
        if named is not None:
            yield {**record, "lang": language(named, queries.place).code}
            continue
        guessed = language_of(record["query"])
        if guessed in LANGUAGES:
            if is_one and not quiet:
                say(f"the question is taken for {LANGUAGES[guessed].name}; --lang LANG says otherwise")
            yield {**record, "lang": guessed}
        elif is_one:
            raise InputError("the language of the question is not certain", "name it with --lang")
        else:
            yield failed(record, "ask", 'its language is not certain; add "lang", or give --lang')


def _before(
    code: str, engine: Engine, generation: Generation, expand: Callable[[Engine], Generating] | None
) -> Sequence[Generating]:
    return [steps.translation(code, generation, None)(engine), *([expand(engine)] if expand else [])]


def _reranker(engine: Engine, documents: Numbered, n: int) -> Generating:
    from xqe.commands.options.reranking import FIRST_WEIGHT
    from xqe.models import prompts
    from xqe.stages.rerank.kinds import Kind
    from xqe.stages.rerank.pointwise import Pointwise
    from xqe.stages.rerank.reading import Reader

    kind = Kind.LIKELIHOOD
    reader = Reader(documents, n, LIKELIHOOD_TOKENS)
    return Pointwise(engine, kind, prompts.builtin(kind.prompt), reader, FIRST_WEIGHT)


def _tell(what: str) -> None:
    """Say to somebody who waits what is being done."""
    if sys.stderr.isatty():
        say(f"{what} …")


def _say_nothing(what: str) -> None:
    """For somebody who does not want to hear it."""


def _text(record: Record) -> str:
    """A question, its answer and its sources, for a person."""
    from rich.text import Text

    from xqe.commands.screens import rendered
    from xqe.commands.sections import GOOD, MATCH, QUIET, Row, plain, section

    asked = record.get("source", {}).get("query", record["query"])
    titles = {hit["id"]: hit.get("title", "") for hit in record.get("hits", ())}
    parts = [section("question", plain(asked), _searched(record)), ""]
    parts += [answer_section(record, lambda name: titles.get(name, "")), ""]
    notes = footnotes(record) if "answer" in record else {}
    rows: list[Row] = []
    for rank, hit in enumerate(record.get("hits", ()), 1):
        said = Text.assemble(
            plain(hit["id"], f"bold {GOOD}" if hit["id"] in notes else "bold"),
            plain(f"  {hit['title']}" if hit.get("title") else ""),
            plain(f"  {hit['lang']}" if "lang" in hit else "", QUIET),
            (f"  [{notes[hit['id']]}]" if hit["id"] in notes else "", GOOD),
        )
        if "snippet" in hit:
            snippet = plain(hit["snippet"]["text"])
            for start, end in hit["snippet"]["matches"]:
                snippet.stylize(MATCH, start, end)
            said.append("\n").append_text(snippet)
        if "gloss" in hit:
            said.append("\n").append_text(plain(f"→ {hit['gloss']}", "italic"))
        rows.append((str(rank), said))
    parts.append(section("sources", Text("what was found, best first" if rows else "nothing was found"), rows))
    return f"{rendered(*parts)}\n"


def _searched(record: Record) -> Iterator[tuple[str, Text]]:
    """What a question was searched with, where that is not itself."""
    from xqe.commands.sections import QUIET, plain

    asked = record.get("source", {}).get("query", record["query"])
    searched = record.get("searched", {record.get("lang", ""): record["query"]})
    for code, query in searched.items():
        if query != asked:
            yield str(code), plain(query, QUIET)
