"""Worked examples of translation in a file of the user's: queries, each in two languages.

An example has "source" and "target", and may have "source_lang" and "target_lang"; one that does not name them is of
the languages of whatever is translated.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from xqe.errors import InputError
from xqe.files import jsonl
from xqe.models.examples import Example
from xqe.text.languages import Language
from xqe.text.languages import language as language_of

SHOTS = 10
"""How many are shown unless told: as many as of the built-in ones, of which each has its query in two forms."""
SHAPE = 'each example needs {"source", "target"}'
FIELDS = ("source", "target", "source_lang", "target_lang")
_TEXTS = FIELDS[:2]


class Pairs:
    """Chooses the examples that prompts of two languages show: the same for every query. where: they come from, for
    errors. shots: how many, or all if there are fewer; where there are more, the seed decides which."""

    def __init__(self, examples: Sequence[Example], where: str, shots: int = SHOTS, seed: int = 0) -> None:
        self._read, self._where, self.shots, self.seed = examples, where, shots, seed

    def __call__(self, source: Language, target: Language) -> list[Example]:
        """The examples of a translation."""
        pool = self.candidates(source, target)
        return random.Random(self.seed).sample(pool, self.shots) if len(pool) > self.shots else pool

    def require(self, target: Language) -> None:
        """Raise InputError if no example can be of a translation into this language."""
        if all(example.get("target_lang", target.code) != target.code for example in self._read):
            raise InputError(f"{self._where}: no example is of a translation into {target.name}", "leave it out")

    def candidates(self, source: Language, target: Language) -> list[Example]:
        """The examples that are chosen from. Raises InputError where there are none."""
        pool = [
            example
            for example in self._read
            if example.get("source_lang", source.code) == source.code
            and example.get("target_lang", target.code) == target.code
        ]
        if not pool:
            raise InputError(
                f"{self._where}: no examples of translations from {source.name} into {target.name}",
                'see "source_lang" and "target_lang"',
            )
        return pool


def read_pairs(path: str, shots: int = SHOTS, seed: int = 0) -> Pairs:
    """The examples in a file. Raises InputError for one that lacks a text."""
    return Pairs([_check(value, where) for where, value in jsonl.objects(path)], path, shots, seed)


def _check(value: Any, where: str) -> Example:
    if not isinstance(value, dict):
        raise InputError(f"{where}: not a JSON object", SHAPE)
    for field in _TEXTS:
        if not isinstance(value.get(field), str) or not value[field].strip():
            raise InputError(f'{where}: missing "{field}"', SHAPE)
    languages = {name: value[name] for name in ("source_lang", "target_lang") if isinstance(value.get(name), str)}
    return {
        **{field: " ".join(value[field].split()) for field in _TEXTS},
        **{name: language_of(code, where).code for name, code in languages.items()},
    }
