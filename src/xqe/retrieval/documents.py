"""The documents of an index: their ids, their numbers, their texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy

from xqe.files.names import NONE, Names, Numbers


class Documents:
    """Documents have numbers, from 0 in the order in which they were indexed. Any number of threads may ask.

    text_of: the text of a document by its number; None where no texts are kept.
    """

    def __init__(self, names: Names, text_of: Callable[[int], str | None] | None = None) -> None:
        self._names = names
        self._text_of = text_of

    def __len__(self) -> int:
        return len(self._names)

    @property
    def has_texts(self) -> bool:
        return self._text_of is not None

    def ids(self, numbers: Numbers) -> list[str]:
        return self._names.texts(numbers)

    def id(self, number: int) -> str:
        return self.ids(numpy.array([number]))[0]

    def numbers(self, ids: Sequence[str]) -> Numbers:
        """The number of each id, -1 for one that no document has."""
        return self._names.numbers(ids)

    def pool(self, ids: Sequence[str]) -> tuple[Numbers, int]:
        """The numbers of documents, sorted, as searches take them, and how many of the ids no document has."""
        numbers = self.numbers(ids)
        known = numbers != NONE
        return numpy.unique(numbers[known]), int((~known).sum())

    def text(self, number: int) -> str | None:
        """The text of a document, its title first; None where none is kept."""
        return self._text_of(number) if self._text_of is not None else None
