"""How the sentences of an answer come by their documents, by name. Commands offer it before anything is loaded."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Cite(StrEnum):
    """The model cites; or each sentence gets the document that ranks first for it afterwards, which the model is not
    asked for; or the model cites, and sentences that lack a citation get one afterwards."""

    MODEL = "model"
    AFTER = "after"
    BOTH = "both"


class Amounts(NamedTuple):
    """Of an answer, where nobody says otherwise: from how many documents it is made, the most tokens that are read of
    each, and the most that it has itself."""

    documents: int
    document_tokens: int
    max_tokens: int


CHAT = Amounts(documents=5, document_tokens=200, max_tokens=256)
PRETRAINED = Amounts(documents=3, document_tokens=100, max_tokens=96)
"""A pretrained model is small and loses itself; one that does not stop after a sentence or two repeats itself."""
