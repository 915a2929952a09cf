"""Texts cut into tokens, many at once and by numpy alone: at white space and punctuation of ASCII, where words end in
every language that no dictionary cuts. A token is a word, or several that other characters part; what the rules of
UAX #29 make of it is the same wherever it stands, and what is known of a token is found by its key.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from xqe.files.fingerprints import Keys
from xqe.files.names import Numbers

_SPACE, _BETWEEN, _WITHIN, _JOINING = range(4)
_BEYOND_ASCII = 0x80
_ENDS = b" "


def _kinds() -> NDArray[numpy.uint8]:
    """What each byte of UTF-8 is: white space, _BETWEEN words, _WITHIN one perhaps, or _JOINING what is on both sides.

    The joining ones are those that a rule of UAX #29 (WB6, WB7 and WB12) keeps in words. Two together keep nothing.
    """
    kinds = numpy.full(256, _WITHIN, numpy.uint8)
    kinds[:_BEYOND_ASCII] = _BETWEEN
    kinds[list(b" \t\n\v\f\r")] = _SPACE
    kinds[list((string.ascii_letters + string.digits + "_").encode())] = _WITHIN
    kinds[list(b"""'".:,;""")] = _JOINING
    return kinds


_KINDS = _kinds()
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_OF_BYTES = numpy.random.default_rng(2025).integers(1 << 64, size=256, dtype=numpy.uint64)


class Tokens(NamedTuple):
    """Tokens, one text after the other. keys: 64 bits each, equal for equal ones. starts and ends: where they stand in
    `data`, UTF-8. sizes: how many each text has."""

    data: bytes
    keys: Keys
    starts: Numbers
    ends: Numbers
    sizes: Numbers

    def text(self, number: int) -> str:
        return self.data[self.starts[number] : self.ends[number]].decode("utf-8", "surrogatepass")


def cut(texts: Sequence[str]) -> Tokens:
    """The tokens of texts. Some thirty bytes of memory for each of their bytes are taken meanwhile."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    data = b"".join((_ENDS, _ENDS.join(encoded), _ENDS))
    values = numpy.frombuffer(data, numpy.uint8)
    kinds = _KINDS[values]
    is_within = kinds == _WITHIN
    joining = numpy.flatnonzero(kinds == _JOINING)
    is_within[joining] = is_within[joining - 1] & is_within[joining + 1]
    if not data.isascii():  # a mark that combines makes one of what it stands behind, be it a hyphen
        is_beyond = values >= _BEYOND_ASCII
        is_within[:-1] |= is_beyond[1:] & (kinds[:-1] != _SPACE)
    edges = numpy.flatnonzero(is_within[1:] != is_within[:-1]) + 1
    starts, ends = edges[0::2], edges[1::2]
    lasts = numpy.cumsum(numpy.fromiter(map(len, encoded), numpy.int64, len(encoded)) + len(_ENDS))
    sizes = numpy.diff(numpy.searchsorted(starts, lasts), prepend=0)
    return Tokens(data, _keys(values, starts, ends), starts, ends, sizes)


def _keys(values: NDArray[numpy.uint8], starts: Numbers, ends: Numbers) -> Keys:
    """A key for each stretch of bytes: a polynomial of numbers drawn for the bytes, modulo 2^64.

    Two of n different tokens share one with a probability of about n squared / 2^58: the numbers are random, and what
    they are multiplied by, differences of a few powers, has few factors of two.
    """
    powers, inverses = _powers(1 << (len(values) - 1).bit_length())
    sums = numpy.empty(len(values) + 1, numpy.uint64)
    sums[0] = 0
    # indexing, since take is six times as slow with bytes for places
    numpy.cumsum(_OF_BYTES[values] * powers[: len(values)], out=sums[1:])
    keys: Keys = (sums[ends] - sums[starts]) * inverses[starts]
    return keys


@cache
def _powers(count: int) -> tuple[Keys, Keys]:
    """So many powers of the factor, and of its inverse."""
    factors = (_FACTOR, pow(_FACTOR, -1, 1 << 64))
    powers, inverses = (numpy.full(count, factor, numpy.uint64) for factor in factors)
    powers[0] = inverses[0] = 1
    return numpy.cumprod(powers), numpy.cumprod(inverses)
