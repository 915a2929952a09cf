"""Which of the documents offered a sentence ranks first: what xqe eval --answers asks an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xqe.commands.options.encoding import Encoding
from xqe.commands.options.searching import Searching
from xqe.errors import InputError
from xqe.messages import say
from xqe.retrieval.choices import By

if TYPE_CHECKING:
    from xqe.evaluation.answers.measures import First
    from xqe.retrieval.retriever import Retriever


@contextmanager
def ranking_first(directories: Sequence[Path]) -> Iterator[First]:
    """Open the indexes in folders to be asked: by their vectors where they have some, else by words."""
    from xqe.commands.searching import have_vectors, open_retriever

    by = By.DENSE if have_vectors(directories) else By.BM25
    if by is By.BM25:
        say(
            f"support-proxy looks at words, since {directories[0]} has no vectors: of answers in another language than "
            "the documents it says little"
        )
    with open_retriever(Searching(by=by), Encoding(), directories) as retriever:

        def first(texts: Sequence[str], offered: Sequence[str]) -> list[str | None]:
            return _first(retriever, texts, offered)

        yield first


def _first(retriever: Retriever[Any], texts: Sequence[str], offered: Sequence[str]) -> list[str | None]:
    """The first of the documents offered for each text. Raises InputError for one that the index does not hold."""
    from xqe.stages.answering.after import After

    for name, number in zip(offered, retriever.documents.numbers(offered).tolist(), strict=True):
        if number < 0:
            raise InputError(
                f'--index: holds no document "{name}", which was offered', "give the index that was searched"
            )
    return After(retriever).first(texts, offered)
