"""Texts as an encoder sees them: with their prefix, cut to the limit, and in windows."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator

import numpy

from xqe.errors import ModelError
from xqe.models.encoders.recipes import Recipe
from xqe.models.engines.llama.vocabulary import Tokens, Vocabulary

_CHARACTERS = 8  # of a text for each token that is wanted of it; more are looked at where these were too few
_MARGIN = 32  # tokens at the end of a cut text that the cut may have made others

_TO_SPACE = (0x9, 0xA, 0xC, 0xD, 0x1680, *range(0x200B, 0x2010), 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD)
_TO_NOTHING = (*range(0x1, 0x9), 0xB, *range(0xE, 0x20), 0x7F, 0x8F, 0x9F)
_NMT = dict.fromkeys(_TO_SPACE, " ") | dict.fromkeys(_TO_NOTHING, "")
_FULL_WIDTH_TILDE = "～"


def normalised(text: str) -> str:
    """A text in the form that SentencePiece calls nmt_nfkc: NFKC, but for the full-width tilde, with what separates or
    is invisible made a space and control characters left out."""
    parts = text.translate(_NMT).split(_FULL_WIDTH_TILDE)
    return _FULL_WIDTH_TILDE.join(unicodedata.normalize("NFKC", part) for part in parts)


class Tokenizer:
    """Makes tokens of texts with a model's vocabulary.

    What stands for a special token in a text is plain text. Raises ModelError for a limit that leaves no room.
    """

    def __init__(self, vocabulary: Vocabulary, recipe: Recipe) -> None:
        self._vocabulary, self._recipe = vocabulary, recipe
        plain, whole = (vocabulary.tokenize("a", special, False) for special in (False, True))
        starts = range(len(whole) - len(plain) + 1)
        before = next((at for at in starts if (whole[at : at + len(plain)] == plain).all()), 0)
        self._begin, self._end = whole[:before], whole[before + len(plain) :]
        if recipe.end:
            self._end = vocabulary.tokenize(recipe.end, False, True)
        self._room = recipe.limit - len(self._begin) - len(self._end)
        longest = max(len(self._tokens(prefix, 0)) for prefix in (recipe.query_prefix, recipe.passage_prefix))
        if self._room <= longest:
            raise ModelError(
                f"{recipe.reference}: a limit of {recipe.limit} tokens leaves no room for a text",
                f"its longest prefix and what is added to it take {recipe.limit - self._room + longest}",
            )

    def encode(self, text: str, prefix: str) -> tuple[Tokens, bool]:
        """The tokens of a text with what stands before it, and whether it was cut."""
        tokens = self._tokens(prefix + text, self._room)
        cut = len(tokens) > self._room
        return numpy.concatenate([self._begin, tokens[: self._room], self._end]), cut

    def _tokens(self, text: str, most: int) -> Tokens:
        """The tokens of a text, of which those after the first `most` may be missing or others."""
        size = _CHARACTERS * (most + _MARGIN)
        while True:
            some = text if len(text) <= size else _cut(text, size)
            some = normalised(some) if self._recipe.normalised else some
            tokens = self._vocabulary.tokenize(some, False, False)
            if len(text) <= size or len(tokens) >= most + _MARGIN:
                return tokens
            size *= 2

    def windows(self, text: str, tokens: int, overlap: int) -> list[str]:
        """Cut a text into pieces of at most so many tokens, where words end if they are shorter than that."""
        if self._count(text, tokens) <= tokens:
            return [text]
        pieces, start, last = [], 0, len(text.rstrip())
        while start < last:
            ends = list(self._ends(text, start, min(last, start + tokens * _CHARACTERS)))
            fitting = bisect_right(ends, tokens, key=lambda end: self._count(text[start:end], tokens))
            if not fitting:
                ends = list(range(start + 1, max(ends[0], start + 2)))
                fitting = bisect_right(ends, tokens, key=lambda end: self._count(text[start:end], tokens)) or 1
            end = ends[fitting - 1]
            pieces.append(text[start:end].strip())
            if end >= last:
                break
            starts = ends[:fitting][::-1]
            start = starts[bisect_right(starts, overlap, key=lambda start: self._count(text[start:end], tokens)) - 1]
        return [piece for piece in pieces if piece]

    def _count(self, text: str, most: int) -> int:
        """The tokens of a text; some number above `most` where there are more than that."""
        return len(self._tokens(text, most))

    @staticmethod
    def _ends(text: str, start: int, stop: int) -> Iterator[int]:
        """Where the words between two places end; what is between words belongs to the one before."""
        from unicode_segmentation_rs import split_word_bounds

        at = start
        for part in split_word_bounds(text[start:stop]):
            if not part.isspace() and at > start:
                yield at
            at += len(part)
        yield stop


def _cut(text: str, size: int) -> str:
    """The beginning of a text, up to the last space if there is one in its second half."""
    beginning = text[:size]
    space = max(beginning.rfind(" "), beginning.rfind("\n"))
    return beginning[:space] if space > size // 2 else beginning
