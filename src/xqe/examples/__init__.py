"""Worked examples: xqe's own five in each language, and files of the user's, chosen from by seed.

An example has "query" and "passage", and may have "rationale" and "rephrasing" (which pretrained models are shown
for the strategies cot and rar) and "lang". The built-in ones say the same in every language, id by id, so that they
also serve as worked examples of translation.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import ujson

from xqe import jsonl
from xqe.errors import InputError, XqeError
from xqe.languages import LANGUAGES, Language
from xqe.languages import language as language_of

Example = Mapping[str, str]

BUILTIN = 5  # in each language
FIELDS = ("query", "passage", "rationale", "rephrasing", "lang")
SHAPE = 'each example needs {"query", "passage"}'


@cache
def builtin(code: str) -> tuple[Example, ...]:
    """The built-in examples in a language, in the order of their ids."""
    text = (files(__name__) / f"{code}.jsonl").read_text("utf-8")
    return tuple(ujson.loads(line) for line in text.splitlines())


def translations(source: Language, target: Language, fields: tuple[str, ...], count: int) -> list[Example]:
    """Worked examples of translation: these fields of the first `count` built-in examples, in both languages."""
    pairs = zip(builtin(source.code), builtin(target.code), strict=True)
    return [{"source": a[field], "target": b[field]} for a, b in list(pairs)[:count] for field in fields]


class Chooser:
    """Chooses the examples that prompts in a language show: the same for every query, so that prompts share them.

    path: a JSONL file, or None for the built-in ones. From a file whose examples have a "lang", those of the query's
    language are taken. shots: how many; where there are more, the seed decides which. Raises XqeError for a file with
    too few examples, or with one that lacks its query or its passage.
    """

    def __init__(self, path: str | None = None, shots: int = BUILTIN, seed: int = 0) -> None:
        self.shots = shots
        self._path, self._seed = path, seed
        if path is None and shots > BUILTIN:
            raise XqeError(f"--shots {shots}: there are {BUILTIN} built-in examples", "give more with --examples FILE")
        self._read = [_check(value, where) for where, value in jsonl.objects(path)] if path is not None else None
        self._chosen: dict[str, list[Example]] = {}
        if self._read is not None and not any("lang" in example for example in self._read):
            self(LANGUAGES["en"])  # too few for one language are too few for all: say so now

    def require(self, fields: frozenset[str]) -> None:
        """Raise InputError if a prompt that shows these fields would find one missing."""
        for number, example in enumerate(self._read or (), 1):
            for field in sorted(fields - example.keys()):
                raise InputError(
                    f'{self._path}: example {number} has no "{field}", which this strategy shows a pretrained model',
                    "add it to every example, or use --strategy zeroshot or fewshot",
                )

    def __call__(self, language: Language) -> list[Example]:
        """The examples for queries in a language."""
        if language.code not in self._chosen:
            read = builtin(language.code) if self._read is None else self._read
            pool = [example for example in read if example.get("lang", language.code) == language.code]
            if len(pool) < self.shots:
                raise InputError(
                    f"{self._path}: --shots {self.shots}, but {len(pool)} examples for {language.name} queries",
                    "add examples or lower --shots",
                )
            more = len(pool) > self.shots
            self._chosen[language.code] = random.Random(self._seed).sample(pool, self.shots) if more else pool
        return self._chosen[language.code]


def _check(value: Any, where: str) -> Example:
    if not isinstance(value, dict):
        raise InputError(f"{where}: not a JSON object", SHAPE)
    for field in ("query", "passage"):
        if not isinstance(value.get(field), str) or not value[field].strip():
            raise InputError(f'{where}: missing "{field}"', SHAPE)
    example = {field: " ".join(value[field].split()) for field in FIELDS if isinstance(value.get(field), str)}
    if "lang" in example:
        example["lang"] = language_of(example["lang"], where).code
    return example
