"""Counting the terms of documents, a batch at a time."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from xqe.files.fingerprints import Keys, fingerprints
from xqe.files.names import NONE, Numbering, Numbers
from xqe.text.analysis import Analyzer
from xqe.text.tokens import cut

Counts = NDArray[numpy.uint32]

_REMEMBERED = 1 << 19  # terms; some 60 MB
_REMEMBERED_OF_TOKENS = 1 << 22  # terms, of all tokens together; some 40 MB
_BLOCK = 1 << 18  # characters that are cut at a time: what is made of them meanwhile stays in a processor's cache
_PIECE = 1_000_000  # characters of a document that are analysed at a time: its words take fifty times their length


class TermCounts(NamedTuple):
    """The terms of some documents, counted.

    keys: the fingerprints of the distinct terms, sorted. terms: those of them that the counter had not met before, and
    places: where their keys are. frequencies: for each distinct term, how many of the documents hold it. Pairs of
    document and term, in the order of the documents and within one in that of the keys: numbers (into `keys`) and
    counts. For each document: sizes, how many pairs it has, and lengths, how many terms.
    """

    keys: Keys
    terms: list[str]
    places: Counts
    frequencies: Counts
    numbers: Counts
    counts: Counts
    sizes: Counts
    lengths: Counts


class TermCounter:
    """Analyses documents and counts their terms, which it remembers: one is fingerprinted, and told by its name, once.

    Where no dictionary cuts texts, it remembers tokens and their terms, too, and nothing is done a word but for those
    that it has not met. When it has met very many it forgets all, and tells each again.
    """

    def __init__(self, analyze: Analyzer) -> None:
        self._analyze = analyze
        self._forget()

    def _forget(self) -> None:
        self._number_of: defaultdict[str, int] = defaultdict(count().__next__)
        self._names: list[str] = []
        self._keys: Keys = numpy.empty(0, numpy.uint64)
        self._tokens = Numbering()
        self._ends = array("I", [0])  # of the terms of each token
        self._terms = array("I")  # of all tokens, one after the other

    def count(self, texts: Sequence[str]) -> tuple[list[str], TermCounts]:
        """The terms of each text, those of a kind together, joined by spaces; and all counted."""
        if len(self._keys) > _REMEMBERED or len(self._terms) > _REMEMBERED_OF_TOKENS:
            self._forget()
        flat, lengths = self._numbered(texts)
        met = len(self._keys)
        new = list(islice(reversed(self._number_of), len(self._number_of) - met))[::-1]
        self._names += new
        self._keys = numpy.concatenate([self._keys, fingerprints(new)])

        held = numpy.zeros(len(self._keys), numpy.bool_)
        held[flat] = True
        distinct = numpy.flatnonzero(held)
        distinct = distinct[numpy.argsort(self._keys[distinct])]
        place = numpy.zeros(len(self._keys), numpy.uint32)
        place[distinct] = numpy.arange(len(distinct), dtype=numpy.uint32)

        width = len(distinct).bit_length()
        narrow = numpy.uint32 if len(texts) << width <= 1 << 32 else numpy.uint64  # which sorts in half the time
        owners = (numpy.arange(len(texts), dtype=numpy.uint64) << numpy.uint64(width)).astype(narrow)
        pairs = numpy.repeat(owners, lengths) | place[flat]
        pairs, counts = numpy.unique(pairs, return_counts=True)
        numbers = (pairs & narrow((1 << width) - 1)).astype(numpy.uint32)
        sizes = numpy.bincount((pairs >> narrow(width)).astype(numpy.int64), minlength=len(texts))
        bodies = self._bodies(distinct, numbers, counts, lengths)
        return bodies, TermCounts(
            keys=self._keys[distinct],
            terms=new,
            places=place[met:],
            frequencies=numpy.bincount(numbers, minlength=len(distinct)).astype(numpy.uint32),
            numbers=numbers,
            counts=counts.astype(numpy.uint32),
            sizes=sizes.astype(numpy.uint32),
            lengths=lengths,
        )

    def _bodies(self, distinct: Numbers, numbers: Counts, counts: Numbers, lengths: Counts) -> list[str]:
        names = list(map(self._names.__getitem__, distinct.tolist()))
        terms = list(map(names.__getitem__, numpy.repeat(numbers, counts).tolist()))
        ends = numpy.cumsum(lengths, dtype=numpy.int64).tolist()
        return [" ".join(terms[start:end]) for start, end in zip([0, *ends], ends, strict=False)]

    def _numbered(self, texts: Sequence[str]) -> tuple[Counts, Counts]:
        """The numbers of the terms of all texts, one text after the other, and how many each has."""
        numbered = self._of_tokens if self._analyze.is_by_token else self._of_terms
        flats: list[Counts] = [numpy.empty(0, numpy.uint32)]
        lengths = numpy.zeros(len(texts), numpy.uint32)
        for owners, block in _blocks(texts):
            flat, its = numbered(block)
            flats.append(flat)
            numpy.add.at(lengths, owners, its)
        return numpy.concatenate(flats), lengths

    def _of_terms(self, texts: Sequence[str]) -> tuple[Counts, Counts]:
        analysed = list(map(self._analyze.terms, texts))
        lengths = numpy.fromiter(map(len, analysed), numpy.uint32, len(texts))
        numbers = map(self._number_of.__getitem__, chain.from_iterable(analysed))
        return numpy.fromiter(numbers, numpy.uint32, int(lengths.sum())), lengths

    def _of_tokens(self, texts: Sequence[str]) -> tuple[Counts, Counts]:
        tokens = cut(self._analyze.uncased(texts))
        keys, each = numpy.unique(tokens.keys, return_inverse=True)
        known = self._tokens.find(keys)
        new = numpy.flatnonzero(known == NONE)
        if len(new):
            known[new] = numpy.arange(len(new)) + len(self._ends) - 1
            self._tokens.add(keys[new], known[new])
            standing = numpy.empty(len(keys), numpy.int64)
            standing[each] = numpy.arange(len(each))
            for number in standing[new].tolist():
                self._terms.extend(map(self._number_of.__getitem__, self._analyze.terms(tokens.text(number))))
                self._ends.append(len(self._terms))
        starts, ends = (numpy.asarray(self._ends)[known + one].astype(numpy.int64) for one in (0, 1))
        starts, sizes = starts[each], (ends - starts)[each]
        before = numpy.concatenate([[0], numpy.cumsum(sizes)])  # how many terms there are before each token
        at = numpy.repeat(starts - before[:-1], sizes) + numpy.arange(before[-1])
        lengths = numpy.diff(before[numpy.cumsum(tokens.sizes)], prepend=0)
        return numpy.asarray(self._terms)[at], lengths.astype(numpy.uint32)


def _blocks(texts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
    """Texts, of which long ones are taken apart at white space, by blocks; and which of them each piece is of."""
    owners: list[int] = []
    block: list[str] = []
    size = 0
    for owner, text in enumerate(texts):
        for piece in (text,) if len(text) <= _PIECE else _pieces(text):
            owners.append(owner)
            block.append(piece)
            size += len(piece)
            if size >= _BLOCK:
                yield owners, block
                owners, block, size = [], [], 0
    if block:
        yield owners, block


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        piece = text[start : start + _PIECE]
        if start + _PIECE < len(text):
            piece = piece[: _last_space(piece)] or piece
        yield piece
        start += len(piece)


def _last_space(text: str) -> int:
    """Where the last white space of a text is, 0 if it has none."""
    last_word = "" if text[-1].isspace() else text.rsplit(None, 1)[-1]
    return max(0, len(text) - len(last_word) - 1)
