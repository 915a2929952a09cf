"""Whether a worked example gives a query away: it is the query itself, or differs from it in next to nothing."""

from __future__ import annotations

import unicodedata
from collections import Counter

NEAR = 0.8
_LETTERS = 3


def is_near_copy(text: str, query: str) -> bool:
    """Whether two texts are the same but for a few letters: case, accents, spaces and marks count nothing, and of the
    sequences of three letters they share four fifths (Dice: twice the shared ones, of those of both)."""
    one, other = _letters(text), _letters(query)
    if one == other:
        return True
    ours, theirs = _sequences(one), _sequences(other)
    shared = (ours & theirs).total()
    return 2 * shared >= NEAR * (ours.total() + theirs.total()) > 0


def _letters(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(character for character in decomposed if character.isalnum())


def _sequences(letters: str) -> Counter[str]:
    return Counter(letters[at : at + _LETTERS] for at in range(len(letters) - _LETTERS + 1))
