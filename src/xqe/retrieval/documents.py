"""The documents that a search finds: their ids, their numbers, their texts, and the best of them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy
from numpy.typing import NDArray

from xqe.files.names import NONE, Names, Numbers

Scores = NDArray[numpy.float32]
Owners = NDArray[numpy.uint32]
"""The documents that have questions in a language, by their numbers, rising."""

MANIFEST = "xqe.json"
"""Of an index. Its field "data" names the folder of its files, which is another one after each build."""
SEVERAL = "languages"
"""The field "kind" of a manifest that names an index for each language (`lexical.languages`)."""
SHARDS = "shards"
"""The same of one that names the shards of one index (`lexical.shards`)."""


class Numbered(ABC):
    """Documents have numbers, from 0. Any number of threads may ask."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def has_texts(self) -> bool:
        """Whether their texts are kept, of all of them."""

    @abstractmethod
    def ids(self, numbers: Numbers) -> list[str]:
        """The id of each number."""

    @abstractmethod
    def numbers(self, ids: Sequence[str]) -> Numbers:
        """The number of each id, -1 for one that no document has."""

    @abstractmethod
    def text(self, number: int) -> str | None:
        """The text of a document, its title first; None where none is kept."""

    def languages(self, numbers: Numbers) -> list[str] | None:
        """The language of each document; None where they are of one index, which has one."""
        return None

    def counts(self) -> dict[str, int]:
        """How many documents there are in each language; empty where they are of one index."""
        return {}

    def id(self, number: int) -> str:
        return self.ids(numpy.array([number]))[0]

    def pool(self, ids: Sequence[str]) -> tuple[Numbers, int]:
        """The numbers of documents, sorted, as searches take them, and how many of the ids no document has."""
        numbers = self.numbers(ids)
        known = numbers != NONE
        return numpy.unique(numbers[known]), int((~known).sum())

    def best(self, numbers: Numbers, scores: Scores, k: int) -> tuple[Numbers, Scores]:
        """The k best of some documents, by score and then by id, both falling."""
        if len(numbers) > k:
            kept = numpy.flatnonzero(scores >= numpy.partition(scores, -k)[-k])
            numbers, scores = numbers[kept], scores[kept]
        order = numpy.argsort(-scores, kind="stable")
        numbers, scores = numbers[order], scores[order]
        tied = _tied(scores)
        if len(tied):
            ids, values = self.ids(numbers[tied]), scores[tied].tolist()
            # falling values stay where they are, so that each group of equal ones is put in order in its place
            ranked = sorted(range(len(tied)), key=lambda at: (values[at], ids[at]), reverse=True)
            numbers[tied] = numbers[tied[ranked]]
        return numbers[:k], scores[:k]

    def above(self, number: int, others: Numbers) -> int:
        """How many of these documents come before one that has the same score."""
        own = self.id(number)
        return sum(name > own for name in self.ids(others))


class Concatenated(Numbered):
    """Documents of several places as one list: those of one place after those of the other.

    starts: the number of the first document of each place, and at the end how many there are.
    """

    def __init__(self, places: Sequence[Documents]) -> None:
        self._places = list(places)
        self.starts = numpy.cumsum([0, *map(len, places)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def has_texts(self) -> bool:
        return all(its.has_texts for its in self._places)

    def owners(self, numbers: Numbers) -> Numbers:
        """Of which place each document is."""
        return numpy.searchsorted(self.starts, numbers, "right") - 1

    def placed(self, number: int) -> tuple[int, int]:
        """Of which place a document is, and its number there."""
        owner = int(self.owners(numpy.array([number]))[0])
        return owner, number - int(self.starts[owner])

    def pools(self, pool: Numbers | None) -> list[Numbers | None]:
        """What of a pool is of each place, in its own numbers."""
        if pool is None:
            return [None] * len(self._places)
        ends = numpy.searchsorted(pool, self.starts)
        return [pool[ends[at] : ends[at + 1]] - self.starts[at] for at in range(len(self._places))]

    def ids(self, numbers: Numbers) -> list[str]:
        owners = self.owners(numbers)
        ids = [""] * len(numbers)
        for owner, its in enumerate(self._places):
            at = numpy.flatnonzero(owners == owner)
            for place, name in zip(at.tolist(), its.ids(numbers[at] - self.starts[owner]), strict=True):
                ids[place] = name
        return ids

    def numbers(self, ids: Sequence[str]) -> Numbers:
        found = numpy.full(len(ids), NONE, numpy.int64)
        for start, place in zip(self.starts, self._places, strict=False):
            its = place.numbers(ids)
            found = numpy.where(its == NONE, found, its + start)
        return found

    def text(self, number: int) -> str | None:
        owner, own = self.placed(number)
        return self._places[owner].text(own)


class Documents(Numbered):
    """The documents of an index, in the order in which they were indexed.

    folder: where the files of the index lie, and of what else is made of its documents. text_of: the text of a document
    by its number; None where no texts are kept.
    """

    def __init__(self, names: Names, folder: Path, text_of: Callable[[int], str | None] | None = None) -> None:
        self.folder = folder
        self._names = names
        self._text_of = text_of

    def __len__(self) -> int:
        return len(self._names)

    @property
    def has_texts(self) -> bool:
        return self._text_of is not None

    def ids(self, numbers: Numbers) -> list[str]:
        return self._names.texts(numbers)

    def numbers(self, ids: Sequence[str]) -> Numbers:
        return self._names.numbers(ids)

    def text(self, number: int) -> str | None:
        return self._text_of(number) if self._text_of is not None else None

    @property
    def tables(self) -> list[Names]:
        """The ids, in a table or in several."""
        return [self._names]

    def shared(self, others: Documents) -> str | None:
        """An id that a document of another index has, too."""
        pairs = product(self.tables, others.tables)
        return next((name for own, its in pairs if (name := own.shared(its)) is not None), None)


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of documents in one language. documents: those that have any, of which the text is these, one a
    line. owners: the number that each of them has among all."""

    documents: Documents
    owners: Owners

    def own(self, number: int) -> int | None:
        """Which of them a document is; None for one that has none."""
        at = int(numpy.searchsorted(self.owners, number))
        return at if at < len(self.owners) and self.owners[at] == number else None


def _tied(scores: Scores) -> Numbers:
    """Where falling values have an equal one beside them."""
    equal = numpy.concatenate([[False], scores[1:] == scores[:-1], [False]])
    return numpy.flatnonzero(equal[1:] | equal[:-1])


def data_folder(directory: Path) -> Path | None:
    """The folder that the manifest of an index names now; None where there is no index that can be read."""
    try:
        return directory / str(json.loads((directory / MANIFEST).read_bytes())["data"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def is_several(directory: Path) -> bool:
    """Whether a folder has a manifest that names an index for each language."""
    return kind_of(directory) == SEVERAL


def kind_of(directory: Path) -> str | None:
    """The field "kind" of the manifest in a folder; None where there is none, as in that of an index in one piece."""
    try:
        return str(json.loads((directory / MANIFEST).read_bytes())["kind"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
