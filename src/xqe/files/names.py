"""Strings by number and numbers by string: the terms of a collection, the ids of its documents.

No string has an end of line.

NAME.text      the strings in UTF-8, one after the other
NAME.ends      where each begins and ends: n + 1 offsets, uint64
NAME.keys      the fingerprints of all, sorted, uint64
NAME.numbers   whose they are, uint32
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy
from numpy.typing import NDArray

from xqe.files.arrays import Writers, mapped, runs
from xqe.files.fingerprints import Keys, fingerprints

Numbers = NDArray[numpy.int64]
_END = "\n"
_Number = TypeVar("_Number", numpy.uint64, numpy.uint32)
NONE = -1
_AT_A_TIME = 1 << 22  # fingerprints that are sorted together


class Numbering:
    """Which number belongs to a key, in memory, for keys that come in batches; 12 bytes a key.

    Sorted arrays of falling size, each at least twice the next: a batch is looked up in all of them, and adding one
    merges those that are no longer larger than what follows.
    """

    def __init__(self) -> None:
        self._levels: list[tuple[Keys, NDArray[numpy.uint32]]] = []

    def find(self, keys: Keys) -> Numbers:
        """The number of each key, NONE where there is none."""
        numbers = numpy.full(len(keys), NONE, numpy.int64)
        for known, its in self._levels:
            _look_up(keys, known, its, numbers)
        return numbers

    def add(self, keys: Keys, numbers: Numbers) -> None:
        """Add keys that are not there yet, each once."""
        if not len(keys):
            return
        order = numpy.argsort(keys)
        self._levels.append((keys[order], numbers[order].astype(numpy.uint32)))
        while len(self._levels) > 1 and len(self._levels[-2][0]) < 2 * len(self._levels[-1][0]):
            self._merge_last()

    def sorted(self) -> tuple[Keys, NDArray[numpy.uint32]]:
        """All keys, sorted, and the number of each."""
        while len(self._levels) > 1:
            self._merge_last()
        return self._levels[0] if self._levels else (numpy.empty(0, "<u8"), numpy.empty(0, "<u4"))

    def _merge_last(self) -> None:
        """Merge the last two; sorting them together would take twice the memory."""
        (keys, numbers), (more_keys, more_numbers) = self._levels[-2:]
        del self._levels[-2:]
        at = numpy.searchsorted(keys, more_keys)
        at += numpy.arange(len(at))
        rest = numpy.ones(len(keys) + len(at), numpy.bool_)
        rest[at] = False
        keys = _placed(keys, rest, more_keys, at)
        numbers = _placed(numbers, rest, more_numbers, at)
        self._levels.append((keys, numbers))


def _placed(
    values: NDArray[_Number], rest: NDArray[numpy.bool_], more: NDArray[_Number], at: Numbers
) -> NDArray[_Number]:
    """One array with `more` at these places and `values` at the rest."""
    merged = numpy.empty(len(rest), values.dtype)
    merged[rest] = values
    merged[at] = more
    return merged


def _look_up(keys: Keys, known: Keys, numbers: NDArray[numpy.uint32], into: Numbers) -> None:
    if len(known):
        at = numpy.minimum(numpy.searchsorted(known, keys), len(known) - 1)
        found = known[at] == keys
        into[found] = numbers[at[found]]


class NamesWriter:
    """Writes names in the order of their numbers."""

    def __init__(self, folder: Path, name: str, files: Writers) -> None:
        self._text = files.file(folder / f"{name}.text")
        self._ends = files.array(folder / f"{name}.ends", "<u8")
        self._keys = files.array(folder / f"{name}.keys", "<u8")
        self._numbers = files.array(folder / f"{name}.numbers", "<u4")
        self._ends.append([0])
        self._end = 0

    def append(self, texts: Iterable[str]) -> None:
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        if encoded:
            ends = numpy.cumsum([len(text) for text in encoded], dtype=numpy.uint64) + numpy.uint64(self._end)
            self._text.write(b"".join(encoded))
            self._ends.append(ends)
            self._end = int(ends[-1])

    def finish(self, numbering: Numbering) -> None:
        keys, numbers = numbering.sorted()
        self._keys.append(keys)
        self._numbers.append(numbers)


class Names:
    """Names as they were written, on disk; nothing is held in memory."""

    def __init__(self, folder: Path, name: str) -> None:
        self._ends = mapped(folder / f"{name}.ends", "<u8")
        self._keys = mapped(folder / f"{name}.keys", "<u8")
        self._numbers = mapped(folder / f"{name}.numbers", "<u4")
        self._text = mapped(folder / f"{name}.text", "u1")

    def __len__(self) -> int:
        return len(self._ends) - 1

    def texts(self, numbers: Numbers) -> list[str]:
        """The names with these numbers."""
        if not len(numbers):
            return []
        starts = self._ends[numbers].astype(numpy.int64)
        sizes = self._ends[numbers + 1].astype(numpy.int64) - starts + 1  # and one byte, which becomes an end
        text = self._text.take(runs(starts, sizes), mode="clip")  # there may be none behind the last
        text[numpy.cumsum(sizes) - 1] = ord(_END)
        return str(text[:-1].data, "utf-8", "surrogatepass").split(_END)

    def numbers(self, texts: Sequence[str]) -> Numbers:
        """The number of each name, NONE for one that is not there."""
        return self.of_keys(fingerprints(texts))

    def of_keys(self, keys: Keys) -> Numbers:
        """The same for their fingerprints."""
        numbers = numpy.full(len(keys), NONE, numpy.int64)
        _look_up(keys, self._keys, self._numbers, numbers)
        return numbers

    def shared(self, others: Names) -> str | None:
        """A name that is there and among others; None where there is none."""
        keys, at, _ = numpy.intersect1d(self._keys, others._keys, assume_unique=True, return_indices=True)
        return self.texts(self._numbers[at[:1]].astype(numpy.int64))[0] if len(keys) else None


def distinct(tables: Sequence[Names]) -> int:
    """How many different names several tables have."""
    return sum(len(numpy.unique(keys)) for keys, _ in _in_ranges(tables))


def in_two(tables: Sequence[Names]) -> tuple[str, int, int] | None:
    """A name that two of several tables have, and which they are; None where there is none."""
    for keys, owners in _in_ranges(tables):
        order = numpy.argsort(keys, kind="stable")
        again = numpy.flatnonzero(keys[order[1:]] == keys[order[:-1]])[:1]
        if len(again):
            one, other = order[again[0] : again[0] + 2]
            first = int(owners[one])
            number = tables[first].of_keys(keys[one : one + 1])
            return tables[first].texts(number)[0], first, int(owners[other])
    return None


def _in_ranges(tables: Sequence[Names]) -> Iterator[tuple[Keys, Numbers]]:
    """The fingerprints of all tables, those of one range after the other, and of which table each is."""
    ranges = 1 + sum(map(len, tables)) // _AT_A_TIME
    bounds = numpy.array([number * (1 << 64) // ranges for number in range(1, ranges)], numpy.uint64)
    ends = [[0, *numpy.searchsorted(table._keys, bounds).tolist(), len(table)] for table in tables]
    for number in range(ranges):
        some = [table._keys[its[number] : its[number + 1]] for table, its in zip(tables, ends, strict=True)]
        yield numpy.concatenate(some), numpy.repeat(numpy.arange(len(some)), [len(keys) for keys in some])
