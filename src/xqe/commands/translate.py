"""xqe translate: queries, and their passages where there are any, or documents, into another language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands import steps
from xqe.commands.generating import Over, Write, run_stage
from xqe.commands.guiding import Guided, check_guiding, open_guide
from xqe.commands.options.common import Input, Query, spoken
from xqe.commands.options.documents import OfDocuments
from xqe.commands.options.encoding import Encoding, beside
from xqe.commands.options.forms import QueryForm, QueryFormat
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import on_command_line, part, takes
from xqe.commands.options.guiding import Guiding
from xqe.commands.options.steps import DOCUMENTS, TO, TRANSLATIONS, Worked, most_tokens
from xqe.commands.streams import DocumentRecords, Queries, writing
from xqe.errors import XqeError
from xqe.messages import say
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.stages.generation import Tally
    from xqe.stages.translate_documents import TranslateDocuments


@takes(
    written=OfDocuments,
    worked=Worked,
    guiding=Guiding,
    generation=Generation,
    encoding=part(Encoding, "encoder", "runtime"),
)
def translate(
    context: typer.Context,
    to: Annotated[str, TO],
    query: Query = None,
    source: Annotated[str | None, spoken("--from", of="records")] = None,
    files: Input = None,
    documents: Annotated[bool, DOCUMENTS] = False,
    form: QueryForm = QueryFormat.AUTO,
    max_tokens: Annotated[int | None, most_tokens("64 for a query, 384 for other texts, less for short ones")] = None,
    samples: Annotated[int, TRANSLATIONS] = 1,
    *,
    written: OfDocuments,
    worked: Worked,
    guiding: Guiding,
    generation: Generation,
    encoding: Encoding,
) -> None:
    """Translate queries, their passages (E+T), or documents.

    Reads query records, writes them with "query", "lang" and "passages" in the new language. A record that is in
    that language already passes unchanged.

    With --samples, "translations" has all that differ, the best first, which is "query": {"text", "logprob", "tokens",
    "count", "share"}. The share is that of the mean probability of its tokens, exp(logprob / tokens); where the model
    is on a server that tells no log-probabilities, of how many of those that were drawn say the same. xqe search
    searches with all of them, a term counting the shares of those that have it.

    With --documents, reads documents as xqe index does, and writes them with "title", "text" and "lang" in the new
    language, for xqe index. "source" keeps what they were. A long text is translated in pieces, which end with a
    sentence where they can; its paragraphs stay. A document of which a piece fails has "error", and stays as it was.
    """
    if documents:
        if query is not None:
            raise XqeError("a QUERY is no document", "leave it out, or leave out --documents")
        _check_of_queries(context)
        if form is QueryFormat.TOPICS:
            raise XqeError("--format topics has no effect on documents", "leave it out, or leave out --documents")
        documents_step = steps.document_translation(to, generation, max_tokens)
        records = DocumentRecords(files, written.rows(), "--from", source)
        _documents(documents_step, records, generation, writing(form))
        return
    rows = written.queries().rows()
    encoding = beside(encoding, generation)
    check_guiding(guiding, encoding, worked.examples is not None)
    make = steps.translation(to, generation, max_tokens, samples, worked)
    queries = Queries(query, files, "--from", source, rows=rows)
    with open_guide(guiding, encoding, "source", language(to), generation.threads) as guided:
        over = _over(guided, generation)
        run_stage("translate", queries, generation, lambda engine: make(engine, guided.guide), over, writing(form))


def _over(guided: Guided, generation: Generation) -> Over:
    """How queries are translated: it is said at the end where their translations have no log-probabilities."""

    def over(stage: Any, engine: Engine, arrived: Iterable[Record], tally: Tally) -> Iterator[Record]:
        yield from guided.over(stage, engine, arrived, tally)
        if stage.unweighed and not generation.quiet:
            say(f"{engine.name} tells no log-probabilities: the share of a translation is how many say the same")

    return over


def _check_of_queries(context: typer.Context) -> None:
    """Raise XqeError for an option that is for queries; environment variables are for all commands."""
    names = {field.name for group in (Worked, Guiding) for field in fields(group)} | {"samples", "encoder", "runtime"}
    for name, option in on_command_line(context).items():
        if name in names:
            raise XqeError(f"{option} has no effect on documents", "leave it out, or leave out --documents")


def _documents(
    make: Callable[[Engine], TranslateDocuments], records: DocumentRecords, generation: Generation, write: Write
) -> None:
    def over(stage: Any, engine: Engine, arrived: Iterable[Record], tally: Tally) -> Iterator[Record]:
        cut_off = 0
        for record in stage.run(engine, arrived, tally):
            cut_off += _was_cut_off(record)
            yield record
        if cut_off and not generation.quiet:
            say(f"{cut_off} of {tally.records} documents have a text that was cut off; see --max-tokens")

    run_stage("translate", records, generation, make, over, write)


def _was_cut_off(record: Record) -> bool:
    step = (record.get("steps") or [{}])[-1]
    return isinstance(step, dict) and step.get("finish") == "length"
