"""Draws by hash: where an id stands in a draw depends on the seed and the id alone, whatever else is drawn from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

_KEYS = 1 << 64


def rank(seed: object, name: str) -> bytes:
    """What a draw is ordered by: the SHA-256 of the seed, which is a number or the name of a draw, and an id."""
    return hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogatepass")).digest()


def key(seed: object, name: str) -> int:
    """The first eight bytes of the rank, from 0 to 2^64 - 1."""
    return int.from_bytes(rank(seed, name)[:8], "big")


def split_of(seed: object, name: str, splits: Mapping[str, float]) -> str:
    """The split of an id, by its hash: the same in every language and every release. splits: the share of each."""
    at = share(seed, name)
    for split, size in splits.items():
        if at < size:
            return split
        at -= size
    return split


def share(seed: object, name: str) -> float:
    """The key as a number in [0, 1)."""
    return key(seed, name) / _KEYS
