"""The sentence of a document that tells most about what was asked."""

from __future__ import annotations

import re
from collections.abc import Iterable

from xqe.text.languages import Language
from xqe.text.sentences import sentences
from xqe.text.snippets import joined, snippet

MOST = 60
"""Words of a sentence; what is longer, such as a list, is cut, with an ellipsis."""

_PARAGRAPH = re.compile(r"\n\s*\n")


def telling(text: str, words: Iterable[str], written: Language) -> str:
    """The sentence of a text that has most of these words, each counted once; of equal ones the first. written: its
    language. "" for a text of white space."""
    edge = r"\b" if written.has_spaces else ""
    wanted = [re.compile(f"{edge}{re.escape(word)}{edge}", re.IGNORECASE) for word in set(map(str.casefold, words))]
    found = [part[slice(*span)] for part in _paragraphs(text) for span in sentences(part, written.code)]
    if not found:
        return ""
    best = max(found, key=lambda sentence: sum(word.search(sentence) is not None for word in wanted))
    return snippet(best, {}, str.split, MOST).text


def _paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, each on one line."""
    return [joined(part) for part in _PARAGRAPH.split(text)]
