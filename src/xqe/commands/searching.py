"""From options to how an index is searched, the same for every command that searches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xqe.commands.options.searching import Searching
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.retrieval.choices import Method

if TYPE_CHECKING:
    from xqe.retrieval.lexical import Index, Numbers
    from xqe.stages.search import Settings


def check_searching(options: Searching) -> None:
    """Raise XqeError for options that mean nothing together, before anything is opened."""
    if options.pool == jsonl.STDIN:
        raise XqeError("--pool cannot be standard input, which is for the queries", "give a file")
    if options.feedback is None and options.feedback_weight is not None:
        raise XqeError("--feedback-weight without --feedback", "name a method: --feedback rm3")
    if options.feedback is Method.RM3 and (options.feedback_weight or 0) > 1:
        raise XqeError(
            f"--feedback-weight {options.feedback_weight:g} leaves rm3 less than nothing of the query",
            "give a number from 0 to 1",
        )


def numbers_of(ids: Sequence[str], index: Index, directory: Path) -> Numbers:
    """The numbers of documents that a command was given. Raises XqeError for one that the index does not hold."""
    numbers = index.numbers(ids)
    for name, number in zip(ids, numbers.tolist(), strict=True):
        if number < 0:
            raise XqeError(f'{directory}: holds no document "{name}"', "an id is written as in the documents")
    return numbers


def settings_for(options: Searching, index: Index) -> Settings:
    """How `index` is searched; reads the pool."""
    from xqe.retrieval.feedback import Feedback
    from xqe.retrieval.pools import read_pools
    from xqe.retrieval.weighting import Weighting
    from xqe.stages.search import Settings

    return Settings(
        weighting=Weighting(options.use, options.query_weight, options.source_weight, options.passage_terms),
        k=options.k,
        parameters=index.manifest.parameters.changed(options.k1, options.b),
        feedback=Feedback(options.feedback, options.feedback_docs, options.feedback_terms, options.feedback_weight)
        if options.feedback is not None
        else None,
        pools=read_pools(options.pool, index) if options.pool is not None else None,
    )
