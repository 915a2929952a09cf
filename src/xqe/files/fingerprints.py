"""64-bit fingerprints of strings, by which terms and document ids are found without holding them all in memory."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy
from numpy.typing import NDArray

Keys = NDArray[numpy.uint64]


def fingerprints(texts: Iterable[str]) -> Keys:
    """Return one key a text: the first eight bytes of its BLAKE2b, the same on every machine.

    Two of n different texts share a key with a probability of n squared / 2^65: three in a million for ten
    million texts. A lone surrogate, which JSON can write, is a character like any other.
    """
    digests = (blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return numpy.frombuffer(b"".join(digests), "<u8")
