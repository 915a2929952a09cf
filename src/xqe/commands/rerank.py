"""xqe rerank: the best hits of each record in a new order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.generating import open_engine, run_stage
from xqe.commands.options.common import Input
from xqe.commands.options.generation import Api, Generation
from xqe.commands.options.groups import part, takes
from xqe.commands.options.reranking import FIRST_WEIGHT, Reranking, check_reranking
from xqe.commands.ranking import open_ranker, ranks
from xqe.commands.runs import RunForm, RunFormat, open_run, write_run
from xqe.commands.searching import given, open_documents
from xqe.commands.streams import FAILED_STATUS
from xqe.errors import XqeError
from xqe.messages import progress, say
from xqe.models.engines import SERVER
from xqe.stages.rerank.kinds import Kind

if TYPE_CHECKING:
    from xqe.commands.generating import Arriving, Write
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.models.prompts import Template
    from xqe.stages.generation import Tally
    from xqe.stages.rerank.listwise import Listwise
    from xqe.stages.rerank.reading import Reader

_NOTHING_IS_DRAWN = ("temperature", "top_p", "top_k", "repeat_penalty", "seed")
_GENERATION = tuple(name for name in Generation.__dataclass_fields__ if name not in _NOTHING_IS_DRAWN)


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
    form: RunForm = RunFormat.JSONL,
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
    kind = reranking.kind or (Kind.CROSS if ranks(generation) else Kind.LIKELIHOOD)
    check_reranking(reranking, kind)
    _check_server(kind, generation)
    if tag is not None and (form is not RunFormat.TREC or tag.split() != [tag]):
        raise XqeError(
            f'--tag "{tag}" is empty, contains white space, or is given without --format trec',
            "it is the last column of a TREC run",
        )
    from xqe.models import prompts
    from xqe.stages.rerank.reading import Reader

    template = prompts.PAIR if kind is Kind.CROSS else prompts.chosen(reranking.prompt, kind.prompt)
    directories, run = given(arguments, "a run", "xqe fuse makes one of several")
    arriving = open_run(run, files, queries, "rerank")
    reader = Reader(open_documents(directories), reranking.n, reranking.document_tokens, reranking.query)
    writing = _writing(form, tag or "xqe")
    if kind is Kind.LISTWISE:
        _listwise(arriving, reranking, generation, template, reader, writing)
        return
    from xqe.stages.rerank.pointwise import Pointwise

    weight = FIRST_WEIGHT if reranking.first_weight is None else reranking.first_weight
    make = partial(Pointwise, kind=kind, template=template, reader=reader, first_weight=weight)
    opening = open_ranker if kind is Kind.CROSS else partial(open_engine, measures=True)
    run_stage(arriving, generation, make, write=writing, scores=True, opening=opening)


def _check_server(kind: Kind, generation: Generation) -> None:
    is_chat = (generation.model or "").startswith(SERVER) and generation.api is Api.CHAT
    if kind is Kind.LIKELIHOOD and is_chat:
        raise XqeError(
            "--kind likelihood needs the log-probabilities of a prompt, which no server tells of a chat",
            "give --api completions, or --kind yes-no or listwise",
        )


def _writing(form: RunFormat, tag: str) -> Write:
    from xqe.commands.streams import emit

    if form is RunFormat.JSONL:
        return emit
    return lambda records, label, total: write_run(progress(records, total, label), tag)


def _listwise(
    arriving: Arriving, options: Reranking, generation: Generation, template: Template, reader: Reader, write: Write
) -> None:
    from xqe.stages.rerank.listwise import Listwise

    made: list[Listwise] = []

    def make(engine: Engine) -> Listwise:
        made.append(Listwise(engine, template, reader, options.max_tokens))
        return made[0]

    def over(stage: Any, engine: Engine, records: Iterable[Record], tally: Tally) -> Iterator[Record]:
        return made[0].run(records, tally)

    try:
        run_stage(arriving, generation, make, over, write)
    finally:
        fell_back = made[0].fell_back if made else 0
        if fell_back:
            say(f'windows that stayed as they were: {fell_back}; the answer names no document (see "raw" of the step)')
    if fell_back:
        raise typer.Exit(FAILED_STATUS)
