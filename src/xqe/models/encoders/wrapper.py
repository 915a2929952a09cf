"""An encoder around another: it answers for the other in everything that a subclass does not say itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xqe.models.encoders.base import Contract, Encoded, Encoder, Side


class Wrapper(Encoder):
    """Wraps an encoder. Closing it closes the encoder."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.name = encoder.name

    @property
    def contract(self) -> Contract:
        return self._encoder.contract

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        return self._encoder.encode(texts, side)

    def windows(self, texts: Sequence[str], tokens: int, overlap: int) -> list[list[str]]:
        return self._encoder.windows(texts, tokens, overlap)

    def making(self) -> dict[str, Any]:
        return self._encoder.making()

    def close(self) -> None:
        self._encoder.close()
