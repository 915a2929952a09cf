"""The sentence of a document that tells most about what was asked."""

from __future__ import annotations

import re
from collections.abc import Iterable

from xqe.text.languages import Language
from xqe.text.sentences import SIGNS, sentences
from xqe.text.snippets import joined, snippet

MOST = 60
"""Words of a sentence; what is longer, such as a list, is cut, with an ellipsis."""

_PART = re.compile(r"\n\s*\n|\n\s*(?=(?:[-*+•·–—]|\d{1,2}[.)])\s)")  # a paragraph, or an item of a list
_BULLET = re.compile(r"[-*+•·–—]\s+")


def telling(text: str, words: Iterable[str], written: Language) -> str:
    """The sentence of a text, or the item of a list, that has most of these words, each counted once; of equal ones the
    first. written: its language. "" for a text of white space."""
    before, after = (rf"(?<![\w{SIGNS}])", rf"(?![\w{SIGNS}])") if written.has_spaces else ("", "")
    wanted = [re.compile(f"{before}{re.escape(word)}{after}", re.IGNORECASE) for word in set(map(str.casefold, words))]
    parts = [joined(_BULLET.sub("", part.lstrip(), count=1)) for part in _PART.split(text)]
    found = [part[slice(*span)] for part in parts for span in sentences(part, written.code)]
    if not found:
        return ""
    best = max(found, key=lambda sentence: sum(word.search(sentence) is not None for word in wanted))
    return snippet(best, {}, str.split, MOST).text
