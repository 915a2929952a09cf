"""xqe answer: from each record's best hits an answer, each sentence with the documents that it rests on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands.answering import answer_section, answerer, check_encoding, cites, footnotes, say_remarks
from xqe.commands.generating import run_stage
from xqe.commands.options.answering import Answering
from xqe.commands.options.common import Input
from xqe.commands.options.encoding import Encoding, beside
from xqe.commands.options.forms import Screen, ScreenFormat, on_screen
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import part, takes
from xqe.commands.runs import check_hits
from xqe.commands.streams import Queries, emit
from xqe.files import jsonl
from xqe.files.forms import RECORDS
from xqe.files.records import as_asked, has_failed
from xqe.files.rows import Rows
from xqe.stages.answering.cite import Cite

if TYPE_CHECKING:
    from rich.text import Text

    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.retrieval.documents import Numbered
    from xqe.stages.answering.answer import Answering as Stage


@takes(answering=Answering, generation=Generation, encoding=part(Encoding, "encoder", "runtime"))
def answer(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", show_default=False, help="The folders of the indexes searched.")
    ],
    answering: Answering,
    form: ScreenFormat = Screen.AUTO,
    files: Input = None,
    *,
    generation: Generation,
    encoding: Encoding,
) -> None:
    """Answer questions from the documents that were found.

    Reads records that xqe search, fuse or rerank wrote, adds "answer" to them: its language, its text, and its
    sentences, each with the ids of the documents that it rests on. The answer is in the language of the query as it
    first came, and so is what the model is told. Where the model says that the documents do not tell, the answer is
    "refused". Numbers of documents that were not offered are dropped, and counted in the step.
    """
    check_encoding(answering.cite, encoding)
    encoding = beside(encoding, generation)
    queries = Queries(None, files, check=check_hits, rows=Rows(RECORDS))
    sources, make = answerer(answering, generation, encoding, directories)
    made: list[Stage] = []

    def stage(engine: Engine) -> Stage:
        check_encoding(cites(answering, engine), encoding)
        made.append(make(engine))
        return made[0]

    with sources:
        if answering.cite not in (None, Cite.MODEL):
            sources.after  # noqa: B018  # what is wrong with it is found before a model is loaded
        try:
            shown = _Screen(sources.documents) if on_screen(form) else jsonl.dumps
            run_stage("answer", queries, generation, stage, write=partial(emit, shown=shown))
        finally:
            if made and not generation.quiet:
                say_remarks(made[0])


class _Screen:
    """Writes a record for a person: its question, its answer, and the documents that this cites."""

    def __init__(self, documents: Numbered) -> None:
        self._documents = documents

    def __call__(self, record: Record) -> str:
        from xqe.commands.screens import rendered
        from xqe.commands.sections import plain, section

        asked = as_asked(record)
        notes = footnotes(record) if not has_failed(record) else {}
        rows = ((f"[{number}]", self._named(name)) for name, number in notes.items())
        return f"{rendered(section('question', plain(asked)), answer_section(record, notes, rows))}\n"

    def _named(self, name: str) -> Text:
        from rich.text import Text

        from xqe.commands.sections import QUIET, plain
        from xqe.stages.answering.offered import title_of

        title = title_of(name, self._documents)
        return Text.assemble(plain(title), "  " if title else "", plain(name, QUIET))
