"""What a text says again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

_SHORTEST_PHRASE = 3  # letters; "C, C++, C#" is no loop


def repetition(tokens: Sequence[Hashable], n: int) -> float | None:
    """Return the share of the n-grams of `tokens` that are repetitions of an earlier one; None for fewer than n."""
    grams = [tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else None


def loops(tokens: Sequence[str], shortest: int, longest: int) -> bool:
    """Whether some phrase of `shortest` to `longest` tokens stands three times in a row.

    A phrase has three letters at least, and is more than a number.
    """
    for period in range(shortest, min(longest, len(tokens) // 3) + 1):
        same = 0
        for at in range(len(tokens) - period):
            same = same + 1 if tokens[at] == tokens[at + period] else 0
            if same == 2 * period and _is_phrase("".join(tokens[at + 1 : at + 1 + period])):
                return True
    return False


def _is_phrase(letters: str) -> bool:
    return len(letters) >= _SHORTEST_PHRASE and not letters.isdigit()


@dataclass(frozen=True, slots=True)
class Units:
    """What a text is cut into to find repetitions.

    ngram: the length of a repetition. shortest, longest: the lengths of a phrase of a loop.
    """

    ngram: int
    shortest: int
    longest: int


WORDS = Units(3, 1, 40)
CHARACTERS = Units(6, 2, 80)  # of languages without white space
