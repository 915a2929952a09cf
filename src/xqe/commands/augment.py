"""xqe augment: questions that documents answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands import steps
from xqe.commands.generating import run_stage
from xqe.commands.options.augmenting import TEMPERATURE, Augmenting
from xqe.commands.options.common import Input, spoken
from xqe.commands.options.documents import OfDocuments
from xqe.commands.options.encoding import Encoding, beside
from xqe.commands.options.forms import Screen, ScreenFormat
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import part, takes, with_defaults
from xqe.commands.options.searching import Searching
from xqe.commands.searching import names_encoder, open_retriever
from xqe.commands.streams import DocumentRecords, writing
from xqe.errors import XqeError
from xqe.messages import say
from xqe.retrieval.choices import By

if TYPE_CHECKING:
    from xqe.models.engines.base import Engine
    from xqe.stages.augment.augment import Augment
    from xqe.stages.augment.consistency import Consistency


@takes(
    augmenting=Augmenting,
    written=OfDocuments,
    generation=with_defaults(Generation, temperature=TEMPERATURE),
    encoding=part(Encoding, "encoder", "runtime"),
)
def augment(
    *,
    augmenting: Augmenting,
    source: Annotated[
        str | None,
        spoken("--from", "--lang", of="documents"),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            metavar="DIR",
            show_default=False,
            help="Drop questions that are nearer to another document of this index, by the vectors of xqe embed.",
        ),
    ] = None,
    files: Input = None,
    written: OfDocuments,
    form: ScreenFormat = Screen.AUTO,
    generation: Generation,
    encoding: Encoding,
) -> None:
    """Add questions that each document answers.

    Reads documents as xqe index does, writes them as JSONL with "questions": {language: [texts]}, for xqe index to
    search them too. What is no question of the document is dropped: texts in another language, cut off, copied from the
    document or from the prompt's examples, said twice, and with --index those that find another document first.
    """
    _check_effect(index, encoding)
    make = steps.augmentation(augmenting, generation)
    documents = DocumentRecords(files, written.rows(), "--from", source)
    made: list[Augment] = []
    with _consistency(None if generation.show_prompt else index, generation, encoding) as consistency:

        def stage(engine: Engine) -> Augment:
            made.append(make(engine, consistency))
            return made[0]

        try:
            run_stage("augment", documents, generation, stage, write=writing(form))
        finally:
            if made and not generation.quiet and not generation.show_prompt:
                say(f"augment: {made[0].summary()}")


def _check_effect(index: Path | None, encoding: Encoding) -> None:
    """Raise XqeError for options of an encoder where there is nothing that it is compared with."""
    if index is not None:
        return
    named = {"--encoder": names_encoder(encoding), "--runtime": encoding.runtime != Encoding().runtime}
    for option, is_given in named.items():
        if is_given:
            raise XqeError(
                f"{option} has no effect without --index", "add --index DIR, an index that xqe embed embedded"
            )


@contextmanager
def _consistency(index: Path | None, generation: Generation, encoding: Encoding) -> Iterator[Consistency | None]:
    """What asks an index for the document of a question, None for no index."""
    if index is None:
        yield None
        return
    from xqe.stages.augment.consistency import Consistency

    with open_retriever(Searching(by=By.DENSE), beside(encoding, generation), [index], generation.threads) as retriever:
        yield Consistency(retriever, index.resolve().name)
