"""xqe translate: queries, and their passages where there are any, into another language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from xqe.commands import steps
from xqe.commands.generating import run_stage
from xqe.commands.options.common import Input, Query, spoken
from xqe.commands.options.generation import Generation
from xqe.commands.options.groups import takes
from xqe.commands.options.steps import TO, most_tokens
from xqe.commands.streams import Queries

if TYPE_CHECKING:
    pass


@takes(generation=Generation)
def translate(
    to: Annotated[str, TO],
    query: Query = None,
    source: Annotated[str | None, spoken("--from")] = None,
    files: Input = None,
    max_tokens: Annotated[int | None, most_tokens("64 for a query, 384 for a passage, less for short ones")] = None,
    *,
    generation: Generation,
) -> None:
    """Translate queries, and the passages that they have (E+T).

    Reads query records, writes them with "query", "lang" and "passages" in the new language. A record that is in
    that language already passes unchanged.
    """
    stage = steps.translation(to, generation, max_tokens)
    run_stage(Queries(query, files, "--from", source), generation, stage)
