"""The ways to re-rank, a row each, and which query is asked."""

from __future__ import annotations

from enum import StrEnum


class Asked(StrEnum):
    """Which query a document is held against."""

    SOURCE = "source"
    QUERY = "query"


class Kind(StrEnum):
    """How a model re-ranks. What each is asked is in `pointwise` and `listwise`; a cross-encoder has no prompt."""

    LIKELIHOOD = "likelihood"
    YES_NO = "yes-no"
    LISTWISE = "listwise"
    CROSS = "cross"

    @property
    def prompt(self) -> str:
        """The name of its prompt, and of the task that a prompt file is checked against."""
        return {Kind.LIKELIHOOD: "likelihood", Kind.YES_NO: "relevance", Kind.LISTWISE: "ranking"}[self]
