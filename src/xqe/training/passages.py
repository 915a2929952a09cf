"""From a document's text to a passage that a model is to learn to write: one line, cut at the end of a sentence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from xqe.text.snippets import joined

Count = Callable[[str], int]
"""The tokens of a text, without BOS."""

_NO_END = re.compile(r"(?:^|\s)(?:\w|\d\d)\.$")  # an initial, or the number of what comes next
_LONGEST_TOKEN = 16
"""Characters: of a longer text no more is looked at than this for each token of the budget."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A document's text as a passage. tokens: how many it has. is_cut: whether there was more."""

    text: str
    tokens: int
    is_cut: bool


def passage(text: str, budget: int, least: int, count: Count) -> Passage:
    """The beginning of a text, in at most `budget` tokens.

    It ends where a sentence does (UAX #29, but not after "2." or "J."), if one ends within the budget and after at
    least `least` tokens; else where a word does. UAX #29 knows no words of Chinese and Japanese: there that may be
    after any character of Han or hiragana. One word with more tokens than the budget gives an empty passage.
    """
    whole = joined(text)
    looked_at = whole[: budget * _LONGEST_TOKEN]
    if looked_at == whole and (tokens := count(whole)) <= budget:
        return Passage(whole, tokens, False)
    for ends in (_sentence_ends(looked_at, whole), _word_ends(looked_at, whole)):
        cut, tokens = _longest(looked_at, list(ends), budget, count)
        if cut and tokens >= least:
            return Passage(cut, tokens, True)
    return Passage(cut, tokens, True)


def _longest(text: str, ends: Sequence[int], budget: int, count: Count) -> tuple[str, int]:
    """The longest of the beginnings of a text that fits, and its tokens.

    A longer beginning has more tokens, or nearly so: it may have one less where its last word makes a token with what
    was before. So the last step goes back one by one.
    """
    low, high = 0, len(ends)  # `low` beginnings are known to fit
    while low < high:
        middle = (low + high + 1) // 2
        if count(text[: ends[middle - 1]]) <= budget:
            low = middle
        else:
            high = middle - 1
    for end in reversed(ends[:low]):
        tokens = count(text[:end])
        if tokens <= budget:
            return text[:end], tokens
    return "", 0


def _sentence_ends(text: str, whole: str) -> Iterator[int]:
    from unicode_segmentation_rs import unicode_sentences

    place = 0
    for sentence in unicode_sentences(text):
        place = text.index(sentence, place) + len(sentence)
        end = _written_end(text, place)
        if (place < len(text) or len(text) == len(whole)) and not _NO_END.search(text, max(0, end - 4), end):
            yield end  # where a text was clipped, no sentence ends


def _word_ends(text: str, whole: str) -> Iterator[int]:
    from unicode_segmentation_rs import split_word_bounds

    place = 0
    for piece in split_word_bounds(text):
        place += len(piece)
        if any(character.isalnum() for character in piece) and (place < len(text) or len(text) == len(whole)):
            yield place


def _written_end(text: str, end: int) -> int:
    """The end of a sentence without the space and the opening brackets that UAX #29 counts in."""
    while end and (text[end - 1].isspace() or unicodedata.category(text[end - 1]) in ("Ps", "Pi")):
        end -= 1
    return end
