"""xqe translate: queries, and their passages where there are any, or documents, into another language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands import steps
from xqe.commands.generating import Over, run_stage
from xqe.commands.options.common import Input, Query, spoken
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import takes
from xqe.commands.options.steps import DOCUMENTS, TO, TRANSLATIONS, most_tokens
from xqe.commands.streams import DocumentRecords, Queries
from xqe.errors import XqeError
from xqe.files.documents import Format
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.stages.generation import Tally
    from xqe.stages.translate_documents import TranslateDocuments


@takes(generation=Generation)
def translate(
    to: Annotated[str, TO],
    query: Query = None,
    source: Annotated[str | None, spoken("--from", of="records")] = None,
    files: Input = None,
    documents: Annotated[bool, DOCUMENTS] = False,
    form: Annotated[
        Format | None,
        typer.Option("--format", show_default=False, help="Of documents, as of xqe index. [default: auto]"),
    ] = None,
    max_tokens: Annotated[int | None, most_tokens("64 for a query, 384 for other texts, less for short ones")] = None,
    samples: Annotated[int, TRANSLATIONS] = 1,
    *,
    generation: Generation,
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
        if samples > 1:
            raise XqeError("--samples has no effect on documents", "leave it out, or leave out --documents")
        make = steps.document_translation(to, generation, max_tokens)
        _documents(make, DocumentRecords(files, form or Format.AUTO, "--from", source), generation)
        return
    if form is not None:
        raise XqeError("--format has no effect on queries", "leave it out, or add --documents")
    stage = steps.translation(to, generation, max_tokens, samples)
    run_stage(Queries(query, files, "--from", source), generation, stage, _over(generation))


def _over(generation: Generation) -> Over:
    """How queries are translated: it is said at the end where their translations have no log-probabilities."""

    def over(stage: Any, engine: Engine, arrived: Iterable[Record], tally: Tally) -> Iterator[Record]:
        from xqe.stages.generation import run

        yield from run(stage, engine, arrived, tally)
        if stage.unweighed and not generation.quiet:
            say(f"{engine.name} tells no log-probabilities: the share of a translation is how many say the same")

    return over


def _documents(make: Callable[[Engine], TranslateDocuments], records: DocumentRecords, generation: Generation) -> None:
    def over(stage: Any, engine: Engine, arrived: Iterable[Record], tally: Tally) -> Iterator[Record]:
        cut_off = 0
        for record in stage.run(engine, arrived, tally):
            cut_off += _was_cut_off(record)
            yield record
        if cut_off and not generation.quiet:
            say(f"{cut_off} of {tally.records} documents have a text that was cut off; see --max-tokens")

    run_stage(records, generation, make, over)


def _was_cut_off(record: Record) -> bool:
    step = (record.get("steps") or [{}])[-1]
    return isinstance(step, dict) and step.get("finish") == "length"
