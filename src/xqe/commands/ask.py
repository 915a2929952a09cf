"""xqe ask: the whole way of a question, from what somebody asks to an answer with its sources."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands import steps
from xqe.commands.answering import answer_section, answerer, say_remarks
from xqe.commands.generating import keeping, open_engine, open_store
from xqe.commands.guiding import open_judge, open_nearby
from xqe.commands.options.answering import Answering
from xqe.commands.options.common import AUTO, Input, Switch, spoken
from xqe.commands.options.encoding import Encoding, beside
from xqe.commands.options.forms import Screen, ScreenFormat, on_screen
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import part, takes, with_defaults
from xqe.commands.options.guiding import nearby as nearby_option
from xqe.commands.options.queries import OfQueries
from xqe.commands.options.reranking import Reranking, RerankModel
from xqe.commands.options.searching import Searching
from xqe.commands.options.steps import STRATEGY, Expansion
from xqe.commands.options.steps import translations as translations_option
from xqe.commands.ranking import how_of, of_model, open_reranker
from xqe.commands.searching import by_language, check_searching, given, open_retriever
from xqe.commands.spreading import refuse_placed
from xqe.commands.streams import FAILED_STATUS, Queries, first_of
from xqe.errors import InputError, XqeError
from xqe.files import jsonl
from xqe.files.records import as_asked, failed, has_failed
from xqe.machine import available_cores
from xqe.messages import say
from xqe.models.engines import FAKE, SERVER
from xqe.stages.answering.cite import CHAT
from xqe.stages.glossed import Glossed
from xqe.stages.presets import Preset
from xqe.stages.rerank.kinds import HITS
from xqe.stages.strategies import Strategy
from xqe.text.languages import language

if TYPE_CHECKING:
    from rich.text import Text

    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.stages.answering.answer import Answering as Stage
    from xqe.stages.asking import Asking
    from xqe.stages.generation import Generating, Tally
    from xqe.stages.librarian.guide import Guide

AT_A_TIME = 64  # questions that go from step to step together
RERANKED_TOKENS = 128  # of a document

_GENERATION = tuple(field.name for field in fields(Generation) if field.name != "show_prompt")


@takes(
    written=OfQueries,
    answering=Answering,
    searching=with_defaults(part(Searching, "preset", "by", "judge"), preset=Preset.QUICK),
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
    translations: Annotated[int | None, translations_option("that of --preset")] = None,
    rerank: Annotated[
        int | None,
        typer.Option(
            "--rerank",
            metavar="N",
            min=0,
            show_default=False,
            help=f"Re-rank the best N hits, as xqe rerank. [default: that of --preset; {HITS} with --rerank-model]",
        ),
    ] = None,
    rerank_model: RerankModel = None,
    nearby: Annotated[int | None, nearby_option("of each index", "none")] = None,
    gloss: Annotated[
        Glossed,
        typer.Option(
            "--gloss",
            help="Say in the language of the question what the sources say: of those that the answer cites, or of all, "
            "the sentence that tells most; or all snippets.",
        ),
    ] = Glossed.CITED,
    form: ScreenFormat = Screen.AUTO,
    files: Input = None,
    written: OfQueries,
    searching: Searching,
    generation: Generation,
    encoding: Encoding,
) -> None:
    """Ask a question of documents in other languages.

    Does what "xqe translate" (into the language of each index), "xqe search", perhaps "xqe rerank", and "xqe answer"
    do, one after the other. Shows the documents that were found, each with a snippet; the answer that was made from
    them; and what those that it cites say, in your language. Without --lang the language of a question is guessed, and
    said.
    """
    check_searching(searching)
    directories, question = given(arguments, "a question")
    if question is not None and not question.strip():
        raise InputError("the question is empty", "ask something, or leave it out and give records")
    encoding = beside(encoding, generation)
    if question is not None:
        generation = _alone(generation)
    sources, make_answer = answerer(answering, generation, encoding, directories)
    preset = searching.preset.choices
    strategy, translations = strategy or preset.strategy, translations or preset.translations
    expand = steps.expansion(strategy, Expansion(), generation, None) if strategy is not None else None
    ranking = of_model(generation, rerank_model)
    if rerank_model is not None:
        refuse_placed(generation, "two models: a worker holds one", "leave out --rerank-model, or run xqe rerank apart")
    if rerank == 0 and rerank_model is not None:
        raise XqeError("--rerank-model has no effect with --rerank 0", "leave one of them out")
    if rerank is None:
        rerank = preset.rerank or (HITS if rerank_model is not None else 0)
    how = how_of(Reranking(n=rerank, document_tokens=RERANKED_TOKENS), ranking, writes=True) if rerank else None
    told = AUTO if lang == AUTO else None
    queries = Queries(question, files, "--lang" if told else "", told, rows=written.rows())
    spoken_language = language(lang, "--lang").code if lang not in (None, AUTO) else None
    arrived = first_of(_in_a_language(queries, spoken_language, is_one=question is not None, quiet=generation.quiet))
    if arrived is None:
        return
    from xqe.stages.answering.after import After
    from xqe.stages.asking import Asking, Collection
    from xqe.stages.generation import Tally

    threads, shown = generation.threads or available_cores(), answering.n or CHAT.documents
    tally = Tally()
    with ExitStack() as stack:
        stack.enter_context(sources)
        groups = by_language(directories)
        retrievers = {
            code: stack.enter_context(open_retriever(searching, encoding, folders, threads))
            for code, folders in groups.items()
        }
        guides = {
            code: stack.enter_context(open_nearby(nearby, folders, False, encoding, language(code)))
            for code, folders in groups.items()
        }
        judges = {
            code: stack.enter_context(open_judge(searching.judge, encoding, retriever.encoder))
            for code, retriever in retrievers.items()
        }
        if len(retrievers) == 1:
            [sources.after] = map(After, retrievers.values())
        store = stack.enter_context(open_store(generation))
        engine = keeping(stack.enter_context(open_engine(generation)), store)
        reranker = None
        if how is not None:
            is_other = rerank_model is not None
            ranker = keeping(stack.enter_context(open_reranker(how.kind, ranking)), store) if is_other else engine
            reranker = how.reranker(ranker, sources.documents)
        answer = make_answer(engine)
        asking = Asking(
            engine,
            [
                Collection(
                    language(code),
                    retriever,
                    _before(code, engine, generation, translations, expand, guides[code]),
                    guides[code],
                    judges[code],
                )
                for code, retriever in retrievers.items()
            ],
            reranker,
            answer,
            shown,
            max(shown, how.n if how is not None else 0),
            gloss,
            threads,
            _say_nothing if generation.quiet else _tell,
            tally,
        )
        try:
            _run(asking, arrived, on_screen(form))
        except (KeyboardInterrupt, XqeError):  # not a closed pipe, which ends quietly
            _summarize(tally, answer, generation.quiet)
            raise
    _summarize(tally, answer, generation.quiet)
    if tally.failed:
        raise typer.Exit(FAILED_STATUS)


def _alone(generation: Generation) -> Generation:
    """How the texts of one question are generated where nothing else is asked for: one at a time, which takes a model
    in this process on a CPU half as long, since a batch is filled up to eight texts."""
    model = generation.model or ""
    is_here = model != FAKE and not model.startswith(SERVER)
    if not is_here or generation.batch is not None or generation.gpu_sampling is not Switch.AUTO:
        return generation
    from xqe.models.engines.llama.library import gpus

    on_gpu = generation.gpu_layers != 0 and bool(gpus())
    return generation if on_gpu else replace(generation, deterministic=True)


def _run(asking: Asking, records: Iterator[Record], is_shown: bool) -> None:
    """Write the records; for a person one after the other, and whatever is known of it as soon as it is."""
    from xqe.stages.asking import Known

    shown = {Known.SOURCES: _sources, Known.ANSWER: _answer, Known.GLOSSES: _glosses}
    asking.tally.begin()
    while some := list(islice(records, 1 if is_shown else AT_A_TIME)):
        done: list[Record] = []
        for known, done in asking.known(some):
            if is_shown and (text := shown[known](done[0])):
                jsonl.write(text)
        for record in done if not is_shown else ():
            jsonl.write(jsonl.dumps(record))


def _summarize(tally: Tally, answer: Stage, quiet: bool) -> None:
    if not quiet:
        say(f"ask: {tally.line()}")
        say_remarks(answer)


def _in_a_language(queries: Queries, spoken: str | None, is_one: bool, quiet: bool) -> Iterator[Record]:
    """The records, each with a language: its own, that of --lang, or the one that it is guessed to be in."""
    from xqe.text.detection import language_of

    for record in queries:
        if has_failed(record):
            yield record
            continue
        named = record.get("lang") or spoken
        if named is not None:
            yield {**record, "lang": language(named, queries.place).code}
            continue
        guessed = language_of(record["query"])
        if guessed is not None:
            if is_one and not quiet:
                say(f"the question is taken for {language(guessed).name}; --lang LANG says otherwise")
            yield {**record, "lang": guessed}
        elif is_one:
            raise InputError("the language of the question is not certain", "name it with --lang")
        else:
            yield failed(record, "ask", 'its language is not certain; add "lang", or give --lang')


def _before(
    code: str,
    engine: Engine,
    generation: Generation,
    translations: int,
    expand: steps.Make[Generating] | None,
    guide: Guide | None,
) -> Sequence[Generating]:
    translate = steps.translation(code, generation, None, translations)(engine, guide)
    return [translate, *([expand(engine, guide)] if expand else [])]


def _tell(what: str) -> None:
    """Say to somebody who waits what is being done."""
    if sys.stderr.isatty():
        say(f"{what} …")


def _say_nothing(what: str) -> None:
    """For somebody who does not want to hear it."""


def _sources(record: Record) -> str:
    """A question and what was found, for a person."""
    from rich.text import Text

    from xqe.commands.screens import rendered
    from xqe.commands.sections import MATCH, QUIET, Row, plain, section

    asked = as_asked(record)
    rows: list[Row] = []
    for rank, hit in enumerate(record["hits"], 1):
        said = Text.assemble(
            plain(hit["id"], "bold"),
            plain(f"  {hit['title']}" if hit.get("title") else ""),
            plain(f"  {hit['lang']}" if "lang" in hit else "", QUIET),
        )
        if "snippet" in hit:
            text, title = hit["snippet"]["text"], hit.get("title", "")
            snippet = plain(text)
            for start, end in hit["snippet"]["matches"]:
                snippet.stylize(MATCH, start, end)
            rest = (text[len(title) :] if text.startswith(title) else text).lstrip(" ·")
            said.append("\n").append_text(snippet[len(text) - len(rest) :])  # without the title, which stands above
        rows.append((f"[{rank}]", said))
    what = "what was found, best first" if rows else "nothing was found"
    question = section("question", plain(asked), _searched(record))
    return f"{rendered(question, '', section('sources', Text(what), rows))}\n"


def _answer(record: Record) -> str:
    """An answer with the numbers of its sources."""
    from xqe.commands.screens import rendered

    return f"{rendered(answer_section(record, _ranks(record)))}\n"


def _glosses(record: Record) -> str:
    """What sources say in the language of the question; nothing where no gloss was due."""
    from rich.text import Text

    from xqe.commands.screens import rendered
    from xqe.commands.sections import NOTE, Row, plain, section
    from xqe.stages.gloss import asker_of

    asker, ranks = asker_of(record), _ranks(record)
    rows: list[Row] = []
    for hit in record["hits"]:
        if "gloss" not in hit or asker is None:
            continue
        of, text = plain(hit["gloss"]["of"]), hit["gloss"]["text"]
        said = plain(f"→ {text}", "italic") if text else plain(f"the model does not say it in {asker.name}", NOTE)
        rows.append((f"[{ranks[hit['id']]}]", Text("\n").join([of, said])))
    if not rows or asker is None:
        return ""
    return f"{rendered(section('glosses', Text(f'what sources say, in {asker.name}'), rows))}\n"


def _ranks(record: Record) -> dict[str, int]:
    return {hit["id"]: rank for rank, hit in enumerate(record["hits"], 1)}


def _searched(record: Record) -> Iterator[tuple[str, Text]]:
    """What a question was searched with, where that is not itself."""
    from xqe.commands.sections import QUIET, plain

    asked = as_asked(record)
    searched = record.get("searched", {record.get("lang", ""): record["query"]})
    for code, query in searched.items():
        if query != asked:
            yield str(code), plain(query, QUIET)
