"""Whether a question finds its document: round-trip consistency.

Alberti et al. (ACL 2019) keep a generated question whose answer a model finds again, Promptagator (arXiv 2209.11755,
section 3.2) one whose passage a retriever ranks first, Doc2Query-- (arXiv 2301.03266) one that a re-ranker finds
relevant: what a generator made up harms the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xqe.errors import XqeError
from xqe.retrieval.retriever import QueryError, Retriever


class Consistency:
    """Asks a retriever of all documents. Several that are the same to it are all first. index: its name, for steps."""

    def __init__(self, retriever: Retriever[Any], index: str) -> None:
        self._retriever = retriever
        self.index = index

    def check(self, identifier: str) -> None:
        """Raise XqeError for a document that the retriever does not have."""
        self._number(identifier)

    def finds(self, identifier: str, questions: Sequence[str]) -> list[bool]:
        """Whether the document is the first for each of these questions. Raises XqeError where one cannot be asked."""
        number, retriever = self._number(identifier), self._retriever
        asked = retriever.queries([({"id": identifier, "query": one}, identifier) for one in questions])
        for query in asked:
            if isinstance(query, QueryError):
                raise query
        first = retriever.found(asked, 1, [None] * len(asked))
        return [
            len(best.scores) > 0 and retriever.explain(query, number).score >= float(best.scores[0])
            for query, best in zip(asked, first, strict=True)
        ]

    def _number(self, identifier: str) -> int:
        number = int(self._retriever.documents.numbers([identifier])[0])
        if number < 0:
            raise XqeError(f'document "{identifier}" is not in the index')
        return number
