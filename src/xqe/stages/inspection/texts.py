"""A text, its words, and what is measured of it alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from xqe.stages.inspection.metatext import is_meta
from xqe.stages.inspection.repetition import CHARACTERS, WORDS, loops, repetition
from xqe.text.analysis import Analysed, analyzer, clean
from xqe.text.detection import language_of, script_share
from xqe.text.languages import Language

_QUARTER = 0.25  # of Chinese descriptions of software, full of Latin names, one in a hundred has fewer letters
_SYLLABLES = ("vi",)
"""Languages in which white space parts syllables, of which most words have two."""
_NO_LETTER = re.compile(r"[\W_]+")


def letters(text: str) -> str:
    """The letters and digits of a text, without their marks and in lower case."""
    return _NO_LETTER.sub("", clean(text))


class Text:
    """A text and its words, of a language that is known or not."""

    def __init__(self, text: str, row: Language | None) -> None:
        self._text, self._row = text, row
        self._analysed: list[Analysed] = analyzer(row.code).explain(text) if row else []
        self.words = [word.word for word in self._analysed]

    @property
    def stems(self) -> frozenset[str]:
        """Of all words but stop words."""
        return frozenset(word.stem for word in self._analysed if word.stem)

    @property
    def content(self) -> frozenset[str]:
        """What passages and examples share: stems, or pairs of them in a language that writes a word as several."""
        if self._row is None or not (self._row.analysis.pairs or self._row.code in _SYLLABLES):
            return self.stems
        return frozenset(map(" ".join, pairwise(word.stem for word in self._analysed if word.stem)))

    def values(self) -> dict[str, Any]:
        """What is measured of the text alone, and the language that it seems to be in."""
        row, detected = self._row, language_of(self._text)
        script = script_share(self._text, row) if row else None
        tokens: Sequence[str] = self.words
        units = WORDS
        if row is None or row.analysis.segmenter != "words":
            tokens, units = letters(self._text), CHARACTERS
        return {
            "language": detected,
            "script": script,
            "repetition": repetition(tokens, units.ngram),
            "wrong_language": detected != row.code if row and detected else None,
            "wrong_script": script < _QUARTER if script is not None else None,
            "loop": loops(tokens, units.shortest, units.longest),
            "meta": is_meta(self._text, row.code if row else "en"),
            "empty": not letters(self._text),
            "words": len(self.words) if row else None,
            "characters": len(self._text),
        }
