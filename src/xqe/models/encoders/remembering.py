"""An encoder that remembers what it has encoded, so that texts can be encoded together before each is asked for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy

from xqe.models.encoders.base import Encoded, Encoder, Side
from xqe.models.encoders.wrapper import Wrapper

if TYPE_CHECKING:
    from xqe.models.encoders.base import Matrix

MOST = 10_000
"""Texts that are remembered, the latest; of 1,024 dimensions 40 MB."""


class Remembering(Wrapper):
    """Encodes each text once, whoever asks for it, and in whatever thread. What it closes is the encoder that it
    wraps."""

    def __init__(self, encoder: Encoder, most: int = MOST) -> None:
        super().__init__(encoder)
        self._most = most
        self._lock = threading.Lock()
        self._known: dict[tuple[Side, str], Matrix | str] = {}

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        with self._lock:
            new = [text for text in dict.fromkeys(texts) if (side, text) not in self._known]
            made = self._encoder.encode(new, side) if new else None
            if made is not None:
                for place, text in enumerate(new):
                    self._known[side, text] = made.errors.get(place, made.vectors[place])
            found = [self._known[side, text] for text in texts]
            excess = max(0, len(self._known) - self._most)
            for key in [*islice(self._known, excess)]:
                del self._known[key]
        nothing = numpy.zeros(self.contract.dimension, numpy.float32)
        rows = [nothing if isinstance(vector, str) else vector for vector in found]
        errors = {place: vector for place, vector in enumerate(found) if isinstance(vector, str)}
        vectors = numpy.stack(rows) if rows else numpy.empty((0, len(nothing)), numpy.float32)
        return Encoded(vectors, made.truncated if made is not None else 0, errors)
