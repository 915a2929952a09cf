"""An encoder without a model: the words of a text decide its vector, and texts that share words are close."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy

from xqe.models.encoders.base import Contract, Encoded, Encoder, Side
from xqe.models.engines import FAKE

DIMENSION = 64
LIMIT = 512  # words


class FakeEncoder(Encoder):
    """Adds up a direction for each word, which its hash decides. A word is a token."""

    name = FAKE

    @property
    def contract(self) -> Contract:
        return Contract({"model": FAKE}, "mean", "", "", DIMENSION, LIMIT)

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        words = [re.findall(r"\w+", text.lower()) for text in texts]
        vectors = numpy.stack([_vector(some[:LIMIT]) for some in words]) if words else numpy.empty((0, DIMENSION))
        return Encoded(vectors.astype(numpy.float32), sum(len(some) > LIMIT for some in words))

    def windows(self, texts: Sequence[str], tokens: int, overlap: int) -> list[list[str]]:
        return [_windows(text.split(), tokens, overlap) for text in texts]

    def close(self) -> None:
        pass


def _vector(words: Sequence[str]) -> numpy.ndarray:
    total = _direction("")
    for word in words:
        total += 4 * _direction(word)
    total /= numpy.linalg.norm(total)
    return total


def _direction(word: str) -> numpy.ndarray:
    seed = int.from_bytes(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "big")
    return numpy.random.default_rng(seed).standard_normal(DIMENSION)


def _windows(words: Sequence[str], tokens: int, overlap: int) -> list[str]:
    starts = range(0, max(1, len(words) - overlap), tokens - overlap)
    return [" ".join(words[start : start + tokens]) for start in starts]
