"""Random qrels and runs as texts: what a trec_eval has to get right, from a seed alone."""

from __future__ import annotations

from random import Random

CASES = 200
_LETTERS = ("d", "D", "doc-", "é", "文書", "\uff5e", "\U0001f600")


class _Dice:
    """Draws made of `Random.random` only, the one method that Python promises to keep from release to release."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random

    def below(self, limit: int) -> int:
        return int(self._random() * limit)

    def chance(self, share: float) -> bool:
        return self._random() < share

    def score(self, kind: int) -> str:
        """A score as a run has it: with many ties, with ties of 32-bit floats only, with few."""
        if kind == 0:
            return str(self.below(4))
        if kind == 1:
            return f"{12 + self.below(6) * 1e-8:.10f}"
        return f"{self._random() * 30 - 10:.6f}"

    def some(self, names: list[str], count: int) -> list[str]:
        left = list(names)
        return [left.pop(self.below(len(left))) for _ in range(min(count, len(left)))]


def case(number: int) -> tuple[str, str, int]:
    """Return TREC qrels, a TREC run and the least relevant grade.

    Queries are missing on either side, documents are not judged, grades are of one to four levels or negative, and
    queries have no relevant document; ties, ids beyond ASCII and the BMP, ranks that contradict the scores.
    """
    dice = _Dice(number)
    letters = _LETTERS[: 1 + dice.below(len(_LETTERS))]
    names = [f"{letters[dice.below(len(letters))]}{at}" for at in range(5 + dice.below(200))]
    highest, kind = 1 + dice.below(4), dice.below(3)
    rel = 2 if highest > 1 and dice.chance(0.4) else 1
    qrels, run = [], []
    for query in range(3 + dice.below(6)):
        if query == 0 or not dice.chance(0.1):
            judged = dice.some(names, 1 + dice.below(30))
            grades = [dice.below(highest + 1) - dice.chance(0.05) for _ in judged]
            grades[0] = highest if query == 0 else max(grades[0], 0)  # trec_eval needs one that is not negative
            qrels += [f"q{query} 0 {name} {grade}" for name, grade in zip(judged, grades, strict=True)]
        if query == 0 or not dice.chance(0.15):
            found = dice.some(names, 1 + dice.below(120))
            run += [f"q{query} Q0 {name} {dice.below(9)} {dice.score(kind)} x" for name in found]
    return "\n".join(qrels) + "\n", "\n".join(run) + "\n", rel
