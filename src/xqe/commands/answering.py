"""From options to what answers from documents, the same for every command that answers; and how an answer is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from xqe.commands.options.encoding import Encoding, Runtime
from xqe.commands.options.searching import Searching
from xqe.commands.searching import names_encoder, open_documents, open_retriever
from xqe.errors import XqeError
from xqe.files.records import has_failed
from xqe.messages import plural, say
from xqe.stages.answering.cite import CHAT, PRETRAINED, Cite
from xqe.text.languages import language

if TYPE_CHECKING:
    from rich.table import Table

    from xqe.commands.options.answering import Answering
    from xqe.commands.options.generation import Generation
    from xqe.commands.sections import Row
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.stages.answering.after import After
    from xqe.stages.answering.answer import Answering as Stage


class Sources:
    """The documents of indexes that were searched, and what finds those that a sentence rests on, opened when it is
    first asked for. Use as a context manager. after: may be given, where something searches all of them already."""

    def __init__(self, encoding: Encoding, directories: Sequence[Path]) -> None:
        self.documents = open_documents(directories)
        self._encoding = encoding
        self._directories = directories
        self._opened = ExitStack()

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *raised: object) -> None:
        self._opened.close()

    @cached_property
    def after(self) -> After:
        from xqe.stages.answering.after import After

        return After(self._opened.enter_context(open_retriever(Searching(), self._encoding, self._directories)))


def answerer(
    options: Answering, generation: Generation, encoding: Encoding, directories: Sequence[Path]
) -> tuple[Sources, Callable[[Engine], Stage]]:
    """The sources of answers, and what makes the stage. Raises XqeError for an unknown language, and for a prompt or an
    index that cannot be used."""
    from xqe.commands.steps import sampling_of
    from xqe.models import prompts
    from xqe.stages.answering.answer import Answering as Stage
    from xqe.stages.answering.answer import How

    template = prompts.load(options.prompt, "answer") if options.prompt is not None else None
    target = language(options.to, "--to") if options.to is not None else None
    sources = Sources(encoding, directories)

    def make(engine: Engine) -> Stage:
        cite = cites(options, engine)
        amounts = CHAT if engine.is_chat else PRETRAINED
        how = How(
            cite,
            options.n or amounts.documents,
            options.document_tokens or amounts.document_tokens,
            options.max_tokens or amounts.max_tokens,
            target,
            sampling_of(generation),
        )
        after = sources.after if cite is not Cite.MODEL else None
        return Stage(engine, sources.documents, how, template, after)

    return sources, make


def cites(options: Answering, engine: Engine) -> Cite:
    """How answers of an engine come by their documents."""
    return options.cite or (Cite.MODEL if engine.is_chat else Cite.AFTER)


def check_encoding(cite: Cite | None, encoding: Encoding) -> None:
    """Raise XqeError for an encoder that nothing is looked for with. cite: None where it is not known yet."""
    for spelling, given in (
        ("--encoder", names_encoder(encoding)),
        ("--runtime", encoding.runtime is not Runtime.AUTO),
    ):
        if given and cite is Cite.MODEL:
            raise XqeError(f"{spelling} has no effect on --cite model", "leave it out, or give --cite after or both")


def say_remarks(stage: Stage) -> None:
    """Say what a person who answers many questions would want to know of the answers."""
    said = [
        f"{plural(stage.refused, 'answer')} that the documents do not tell" if stage.refused else "",
        f"{plural(stage.invalid, 'citation')} of documents that were not offered, left out" if stage.invalid else "",
        f"{plural(stage.shortened, 'record')} with shorter documents, to fit the context" if stage.shortened else "",
    ]
    if any(said):
        say(f"{stage.name}: {'; '.join(filter(None, said))}")


# ---------------------------------------------------------------- for a person


def footnotes(record: Record) -> dict[str, int]:
    """The documents that an answer cites, by the number of their note, in the order in which they are cited."""
    cited = [name for sentence in record["answer"]["sentences"] for name in sentence["sources"]]
    return {name: number for number, name in enumerate(dict.fromkeys(cited), 1)}


def answer_section(record: Record, notes: Mapping[str, int], rows: Iterable[Row] = ()) -> Table:
    """The answer of a record, behind each sentence the numbers of the documents that it cites, and rows below it."""
    from rich.text import Text

    from xqe.commands.sections import ERROR, NOTE, QUIET, plain, section

    if has_failed(record):
        return section("answer", plain(f"none: {record['error']['message']}", ERROR))
    answer = record["answer"]
    said = Text(" ").join(
        Text.assemble(plain(one["text"]), *((f" [{notes[name]}]", QUIET) for name in one["sources"]))
        for one in answer["sentences"]
    )
    remark = ""
    if answer.get("refused"):
        remark = "the model says that the documents do not tell"
    elif not any(one["sources"] for one in answer["sentences"]):
        remark = "no sentence names a document that it rests on"
    return section("answer", said, [*rows, *([("note", plain(remark, NOTE))] if remark else [])])
