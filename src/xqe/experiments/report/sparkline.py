"""A row of numbers as a row of blocks, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
MISSING = "·"


def sparkline(numbers: Sequence[float | None]) -> str:
    """Return one block a number, from the least to the greatest of them; "·" where there is none.

    >>> sparkline([1, 2, None, 3])
    '▁▅·█'
    """
    there = [number for number in numbers if number is not None]
    low, high = min(there, default=0.0), max(there, default=0.0)
    span = high - low

    def block(number: float) -> str:
        return BLOCKS[round((len(BLOCKS) - 1) * (number - low) / span) if span else len(BLOCKS) // 2 - 1]

    return "".join(MISSING if number is None else block(number) for number in numbers)
