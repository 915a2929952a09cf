"""xqe rerank: the best hits of each record in a new order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.generating import open_engine, run_stage
from xqe.commands.options.common import Input
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import takes
from xqe.commands.options.reranking import FIRST_WEIGHT, Reranking
from xqe.commands.ranking import open_ranker, ranks
from xqe.commands.searching import open_documents
from xqe.commands.streams import FAILED_STATUS, Queries
from xqe.errors import XqeError
from xqe.messages import plural, say
from xqe.stages.rerank.kinds import Kind

if TYPE_CHECKING:
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.models.prompts import Template
    from xqe.stages.generation import Tally
    from xqe.stages.rerank.listwise import Listwise
    from xqe.stages.rerank.reading import Reader


@takes(reranking=Reranking, generation=Generation)
def rerank(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", show_default=False, help="The folders of the indexes searched.")
    ],
    reranking: Reranking,
    files: Input = None,
    *,
    generation: Generation,
) -> None:
    """Put the best hits in a new order, by a model that reads them.

    Reads records that xqe search wrote, writes them with the best -n of their hits in a new order and the others behind
    them. Each hit that was re-ranked says in "reranked" its rank and score before, and the model's score. A document is
    read with the title, up to about --document-tokens. The query is the one that first came, in its own language, so
    that no translation is between the two.
    """
    from xqe.models import prompts
    from xqe.stages.rerank.reading import Reader

    kind = reranking.kind or (Kind.CROSS if ranks(generation) else Kind.LIKELIHOOD)
    _check(reranking, kind)
    template: Template = prompts.PAIR
    if kind is not Kind.CROSS:
        template = prompts.load(reranking.prompt, kind.prompt) if reranking.prompt else prompts.builtin(kind.prompt)
    queries = Queries(None, files)
    reader = Reader(open_documents(directories), reranking.n, reranking.document_tokens, reranking.query)
    if kind is Kind.LISTWISE:
        _listwise(queries, generation, template, reader)
        return
    from xqe.stages.rerank.pointwise import QUESTIONS, Pointwise

    weight = FIRST_WEIGHT if reranking.first_weight is None else reranking.first_weight
    run_stage(
        queries,
        generation,
        lambda engine: Pointwise(engine, kind.value, QUESTIONS[kind], template, reader, weight),
        opening=open_ranker if kind is Kind.CROSS else partial(open_engine, measures=True),
    )


def _check(options: Reranking, kind: Kind) -> None:
    if kind is Kind.CROSS and options.prompt is not None:
        raise XqeError("--prompt has no effect on --kind cross, which has none", "leave it out, or give another --kind")
    if kind is Kind.LISTWISE and options.first_weight is not None:
        raise XqeError(
            "--first-weight has no effect on --kind listwise, which gives no scores", "leave it out, or fuse the runs"
        )


def _listwise(queries: Queries, generation: Generation, template: Template, reader: Reader) -> None:
    from xqe.stages.rerank.listwise import Listwise

    made: list[Listwise] = []

    def make(engine: Engine) -> Listwise:
        made.append(Listwise(engine, template, reader))
        return made[0]

    def over(stage: Any, engine: Engine, records: Iterable[Record], tally: Tally) -> Iterator[Record]:
        return made[0].run(records, tally)

    run_stage(queries, generation, make, over)
    if made and made[0].fell_back:
        windows = plural(made[0].fell_back, "window")
        say(f'{windows} stayed as they were: the answer names no document; see "answers" of the step')
        raise typer.Exit(FAILED_STATUS)
