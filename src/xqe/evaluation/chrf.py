"""chrF: how many character n-grams a translation and a reference have in common.

Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015. The parameters and rules are those of
sacrebleu 2 for a single sentence (chrF2, without words): n-grams of 1 to 6 characters, white space left out, recall
counting twice as much as precision, and the mean over the lengths that both texts have. Its values are equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

LONGEST = 6  # characters of an n-gram
RECALL = 2.0  # what it counts against precision


def chrf(text: str, references: Iterable[str]) -> float:
    """Return chrF, 0..1, of a text against that of its references which it is most like; 0 without any.

    >>> round(100 * chrf("the cat", ["the cats"]), 2)
    85.01
    """
    own = _ngrams(text)
    return max((_score(own, _ngrams(reference)) for reference in references), default=0.0)


def _score(text: list[Counter[str]], reference: list[Counter[str]]) -> float:
    both = [(one, other) for one, other in zip(text, reference, strict=True) if one and other]
    if not both:
        return 0.0
    matches = [(one & other).total() for one, other in both]
    precision = sum(match / one.total() for match, (one, _) in zip(matches, both, strict=True)) / len(both)
    recall = sum(match / other.total() for match, (_, other) in zip(matches, both, strict=True)) / len(both)
    weight = RECALL**2
    return (1 + weight) * precision * recall / (weight * precision + recall) if precision + recall else 0.0


def _ngrams(text: str) -> list[Counter[str]]:
    """The n-grams of each length from 1, with their counts."""
    characters = "".join(text.split())
    return [
        Counter(characters[start : start + length] for start in range(len(characters) - length + 1))
        for length in range(1, LONGEST + 1)
    ]
