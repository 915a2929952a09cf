"""Draws by hash: where an id stands in a draw depends on the seed and the id alone, whatever else is drawn from."""

from __future__ import annotations

import hashlib

_KEYS = 1 << 64


def rank(seed: object, name: str) -> bytes:
    """What a draw is ordered by: the SHA-256 of the seed, which is a number or the name of a draw, and an id."""
    return hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogatepass")).digest()


def key(seed: object, name: str) -> int:
    """The first eight bytes of the rank, from 0 to 2^64 - 1."""
    return int.from_bytes(rank(seed, name)[:8], "big")


def share(seed: object, name: str) -> float:
    """The key as a number in [0, 1)."""
    return key(seed, name) / _KEYS
