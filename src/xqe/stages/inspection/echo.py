"""Texts that repeat the query."""

from __future__ import annotations

import re

from xqe.stages.inspection.texts import letters
from xqe.text.sentences import OWN_MARKS


def echoes(text: str, query: str) -> bool:
    """Whether a text is the query and nothing else, or begins with it as with a sentence or a heading of its own.

    A passage that begins with its subject, which may be all of the query, is no echo.
    """
    asked = letters(query)
    said = letters(text)
    if not asked or not said.startswith(asked):
        return False
    if said == asked:
        return True
    end = _end_of(text, len(asked))
    return bool(re.match(rf"\s*(?:[.!?:：{OWN_MARKS}](?:\s|$|(?<=[。！？：]))|\n)", text[end:]))


def _end_of(text: str, wanted: int) -> int:
    """Where in a text its first so many letters end."""
    count = 0
    for at, character in enumerate(text, 1):
        count += len(letters(character))
        if count >= wanted:
            return at
    return len(text)
