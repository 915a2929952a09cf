"""Which of the texts that a model wrote are no questions of a document."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum

from xqe.stages.inspection.texts import letters
from xqe.text.detection import language_of, script_share
from xqe.text.languages import Language
from xqe.text.sentences import is_whole, sentences

LEAST_SCRIPT = 0.25
"""Of the letters that must be of the language's script."""
MOST_OF_EXAMPLE = 0.5
"""Of the sequences of characters of a text, those that one example has, too."""
_PIECE = 6  # characters
_LONG = 40  # letters; no question says so many of a document again
_NO_LANGUAGE = "zxx"  # ISO 639: no linguistic content; what is told of names and numbers
_LATIN = "0-9A-Za-z\u00aa-\u024f\u1e00-\u1eff"
_RUNS = re.compile(f"[{_LATIN}]+|[^\\W_{_LATIN}]+")


class Reason(StrEnum):
    """Why a text is dropped, in the order in which that is asked; the value is what a summary says."""

    EMPTY = "empty"
    CUT = "cut off"
    COPY = "copies"
    REPEATED = "repeated"
    LANGUAGE = "wrong language"
    ELSEWHERE = "nearest to another"

    @property
    def field(self) -> str:
        """What the step of a document calls it."""
        return self.name.lower()


class Filter:
    """Looks at the texts for one document in one language, one after the other.

    passage: what the model read. examples: the questions that the prompt shows.
    """

    def __init__(self, passage: str, target: Language, examples: Collection[str]) -> None:
        self._passage = passage
        self._letters = letters(passage)
        self._runs = frozenset(run[0].casefold() for run in _RUNS.finditer(passage))
        self._target = target
        self._examples = [_pieces(letters(example)) for example in examples]
        self._seen: set[str] = set()

    def reason(self, text: str, is_cut: bool) -> Reason | None:
        """Why a text is dropped, None for a question that is kept. is_cut: it was not finished."""
        said = letters(text)
        if not said:
            return Reason.EMPTY
        if is_cut:
            return Reason.CUT
        if said in self._letters or (len(self._letters) > _LONG and self._letters in said) or self._is_example(said):
            return Reason.COPY
        each = [one for start, end in sentences(text, self._target.code) if is_whole(one := text[start:end])]
        if said in self._seen or len(set(map(letters, each))) < len(each):
            return Reason.REPEATED
        if any(map(self._is_foreign, [text, *each])):  # a question may be followed by its translation
            return Reason.LANGUAGE
        self._seen.add(said)
        return None

    def _is_example(self, said: str) -> bool:
        """Whether a text is one of the examples, perhaps with other names in it."""
        pieces = _pieces(said)
        return any(len(pieces & example) > MOST_OF_EXAMPLE * len(pieces) for example in self._examples)

    def _is_foreign(self, text: str) -> bool:
        """Whether a text is surely in another language. Names are in any: a text counts without what the passage has,
        too. Short texts are mostly of no certain language, and pass if their script is right."""
        rest = _RUNS.sub(lambda run: " " if run[0].casefold() in self._runs else run[0], text)
        share = script_share(rest, self._target)
        if share is None:
            share = script_share(text, self._target)
        if share is not None and share < LEAST_SCRIPT:
            return True
        detected = language_of(text)
        return detected not in (None, _NO_LANGUAGE, self._target.code) and language_of(rest) != self._target.code


def _pieces(said: str) -> frozenset[str]:
    """The sequences of so many characters in a text, the text itself if it is shorter."""
    return frozenset(said[at : at + _PIECE] for at in range(max(1, len(said) - _PIECE + 1)))
