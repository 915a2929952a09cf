"""How the sentences of an answer come by their documents, by name. Commands offer it before anything is loaded."""

from __future__ import annotations

from enum import StrEnum


class Cite(StrEnum):
    """The model cites; or each sentence gets the document that ranks first for it afterwards, which the model is not
    asked for; or the model cites, and sentences that lack a citation get one afterwards."""

    MODEL = "model"
    AFTER = "after"
    BOTH = "both"


DOCUMENTS, DOCUMENTS_PRETRAINED = 5, 3
DOCUMENT_TOKENS, DOCUMENT_TOKENS_PRETRAINED = 200, 100
ANSWER_TOKENS = 256
"""Of an answer, unless told: from how many documents, how many tokens of each (of a pretrained model, which is small
and loses itself, fewer of both), and how many of its own."""
