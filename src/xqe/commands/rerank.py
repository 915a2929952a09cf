"""xqe rerank: the best hits of each record in a new order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands.generating import run_stage
from xqe.commands.options.common import Input
from xqe.commands.options.forms import RunForm, RunFormat, on_screen
from xqe.commands.options.generation import DRAWN, Generation
from xqe.commands.options.groups import part, takes
from xqe.commands.options.reranking import Reranking
from xqe.commands.ranking import how_of, open_reranker
from xqe.commands.runs import open_run, writing_run
from xqe.commands.searching import given, open_documents
from xqe.commands.streams import FAILED_STATUS
from xqe.errors import XqeError
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.stages.generation import Generating, Tally
    from xqe.stages.rerank.reranker import Reranker

_GENERATION = tuple(name for name in Generation.__dataclass_fields__ if name not in DRAWN)


@takes(reranking=Reranking, generation=part(Generation, *_GENERATION))
def rerank(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR... [RUN]",
            show_default=False,
            help="The folders of the indexes that were searched; then perhaps a run, instead of records, or - for "
            "standard input.",
        ),
    ],
    reranking: Reranking,
    queries: Annotated[
        str | None,
        typer.Option(
            "--queries",
            metavar="FILE",
            show_default=False,
            help="The queries of a run that has none, such as one of TREC or MS MARCO, as records with the same ids.",
        ),
    ] = None,
    form: RunForm = RunFormat.AUTO,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="NAME", show_default=False, help="Name of a TREC run. [default: xqe]")
    ] = None,
    files: Input = None,
    *,
    generation: Generation,
) -> None:
    """Put the best hits in a new order, by a model that reads them.

    Reads records that xqe search wrote, or a run, and writes them with the best -n of their hits in a new order, and
    the others behind them. Each hit that was re-ranked says in "reranked" its rank and score before, and the model's
    score. A document is read with its title. The query is the one that first came, in its own language, so that no
    translation stands between the two.
    """
    how = how_of(reranking, generation)
    if tag is not None and (form is not RunFormat.TREC or tag.split() != [tag]):
        raise XqeError(
            f'--tag "{tag}" is empty, contains white space, or is given without --format trec',
            "it is the last column of a TREC run",
        )
    directories, run = given(arguments, "a run", "xqe fuse makes one of several")
    arriving = open_run(run, files, queries, "rerank")
    documents = open_documents(directories)
    from xqe.stages.excerpts import by_words

    made: list[Reranker] = []

    def make(engine: Engine) -> Reranker:
        made.append(how.reranker(engine, documents))
        return made[0]

    def over(_: Generating, engine: Engine, records: Iterable[Record], tally: Tally) -> Iterator[Record]:
        done = made[0].run(records, tally)
        return (by_words(record, documents) for record in done) if on_screen(form) else done

    scores, opening = how.kind.gives_scores, partial(open_reranker, how.kind)
    try:
        run_stage("rerank", arriving, generation, make, over, writing_run(form, tag or "xqe"), scores, opening)
    finally:
        fell_back = made[0].fell_back if made else 0
        if fell_back:
            say(f'windows that stayed as they were: {fell_back}; the answer names no document (see "raw" of the step)')
    if fell_back:
        raise typer.Exit(FAILED_STATUS)
