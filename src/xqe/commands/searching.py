"""From options to what searches an index, the same for every command that searches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xqe.commands.options.searching import Searching
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.retrieval.choices import Method

if TYPE_CHECKING:
    from xqe.retrieval.bm25 import BM25
    from xqe.retrieval.documents import Documents
    from xqe.retrieval.pools import Pools


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


def open_retriever(options: Searching, directory: Path) -> BM25:
    """Open the index in a folder, to be searched as the options say."""
    from xqe.retrieval.bm25 import BM25
    from xqe.retrieval.feedback import Feedback
    from xqe.retrieval.lexical import open_index
    from xqe.retrieval.weighting import Weighting

    index = open_index(directory)
    feedback = None
    if options.feedback is not None:
        feedback = Feedback(options.feedback, options.feedback_docs, options.feedback_terms, options.feedback_weight)
    return BM25(
        index,
        Weighting(options.use, options.query_weight, options.source_weight, options.passage_terms),
        index.manifest.parameters.changed(options.k1, options.b),
        feedback,
    )


def pools_of(options: Searching, documents: Documents) -> Pools | None:
    """The pools of --pool, None for none."""
    from xqe.retrieval.pools import read_pools

    return read_pools(options.pool, documents) if options.pool is not None else None


def numbers_of(ids: Sequence[str], documents: Documents, directory: Path) -> list[int]:
    """The numbers of documents that a command was given. Raises XqeError for one that the index does not hold."""
    numbers: list[int] = documents.numbers(ids).tolist()
    for name, number in zip(ids, numbers, strict=True):
        if number < 0:
            raise XqeError(f'{directory}: holds no document "{name}"', "an id is written as in the documents")
    return numbers
