"""xqe expand: passages that could answer each query, written by a language model."""

from __future__ import annotations

from typing import Annotated

from xqe.commands import steps
from xqe.commands.generating import run_stage
from xqe.commands.guiding import check_guiding, open_guide
from xqe.commands.options.common import Input, Query, spoken
from xqe.commands.options.encoding import Encoding, beside
from xqe.commands.options.forms import QueryForm, QueryFormat
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import part, takes
from xqe.commands.options.guiding import Guiding
from xqe.commands.options.queries import OfQueries
from xqe.commands.options.steps import STRATEGY, WRITTEN_IN, Expansion, most_tokens
from xqe.commands.streams import Queries, writing
from xqe.stages.strategies import PASSAGE_TOKENS, Strategy
from xqe.text.languages import language


@takes(
    arriving=OfQueries,
    expansion=Expansion,
    guiding=Guiding,
    generation=Generation,
    encoding=part(Encoding, "encoder", "runtime"),
)
def expand(
    query: Query = None,
    strategy: Annotated[Strategy | None, STRATEGY] = None,
    lang: Annotated[str | None, spoken("--lang")] = None,
    to: Annotated[str | None, WRITTEN_IN] = None,
    *,
    expansion: Expansion,
    form: QueryForm = QueryFormat.AUTO,
    files: Input = None,
    arriving: OfQueries,
    max_tokens: Annotated[int | None, most_tokens(f"the strategy's; {PASSAGE_TOKENS} for the paper's")] = None,
    guiding: Guiding,
    generation: Generation,
    encoding: Encoding,
) -> None:
    """Write passages that could answer each query.

    They are in the query's language, or with --to directly in another one. Reads query records, writes them with
    "passages", and with "combine" where a strategy has xqe search put them together with the query in its own way. The
    paper's zeroshot is the default. A model without a chat template is shown worked examples whatever the strategy,
    because it continues texts and follows no instructions.
    """
    encoding = beside(encoding, generation)
    check_guiding(guiding, encoding, expansion.examples is not None)
    if guiding.index is not None:
        steps.check_nearby(strategy, expansion)
    make = steps.expansion(strategy, expansion, generation, max_tokens, to)
    queries = Queries(query, files, "--lang", lang, steps.hits_check(strategy, expansion), arriving.rows())
    written = language(to) if to is not None else None
    with open_guide(guiding, encoding, "query", written, generation.threads) as guided:
        run_stage("expand", queries, generation, lambda engine: make(engine, guided.guide), guided.over, writing(form))
