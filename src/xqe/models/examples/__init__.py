"""Worked examples: xqe's own five in many languages, and files of the user's, chosen from by seed.

An example has "query" and "passage", and may have "rationale" and "rephrasing" (which pretrained models are shown
for the strategies cot and rar), "lang" and "passage_lang". The built-in ones say the same in every language, id by id,
so that they also serve as worked examples of translation, and of answers in another language than the query's. In a
language that nobody has written them in there are none: a chat model does without, a pretrained one cannot
(`check_shown`).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import ujson

from xqe.errors import InputError, XqeError
from xqe.files import jsonl
from xqe.text.languages import LANGUAGES, Language
from xqe.text.languages import language as language_of

Example = Mapping[str, str]

BUILTIN = 5  # in each language
FIELDS = ("query", "passage", "rationale", "rephrasing")
LANGUAGE_FIELDS = ("lang", "passage_lang")
GIVEN = ("query", "passage", *LANGUAGE_FIELDS)
"""What a line of a file of examples has, for a prompt that shows no more of it."""
SHAPE = 'each example needs {"query", "passage"}'


@cache
def builtin(code: str) -> tuple[Example, ...]:
    """The built-in examples in a language, in the order of their ids; none where nobody has written them."""
    path = Path(__file__).parent / f"{code}.jsonl"
    text = path.read_text("utf-8") if path.exists() else ""
    return tuple(ujson.loads(line) for line in text.splitlines())


def check_shown(shown: Sequence[Example], is_chat: bool, fields: Sequence[str], *spoken: Language) -> None:
    """Raise XqeError if a pretrained model, which is told by examples alone what to write, would be shown none for want
    of built-in ones. fields: of a line of --examples, none where there is no such option. spoken: the languages that an
    example has."""
    lacking = [one.name for one in dict.fromkeys(spoken) if not builtin(one.code)]
    if shown or is_chat or not lacking:
        return
    given = f"give --examples FILE, each line with {', '.join(fields)}, or a chat model"
    raise XqeError(
        f"no built-in examples in {' or '.join(lacking)}, and a pretrained model goes by them",
        given if fields else "take a chat model",
    )


def translations(source: Language, target: Language, fields: tuple[str, ...], count: int) -> list[Example]:
    """Worked examples of translation: these fields of the first `count` built-in examples, in both languages."""
    pairs = zip(builtin(source.code), builtin(target.code), strict=False)
    return [{"source": a[field], "target": b[field]} for a, b in list(pairs)[:count] for field in fields]


def _answered_in(source: Language, target: Language, asked_as: str) -> list[Example]:
    """The built-in examples with queries in one language, and all that answers them in another."""
    pairs = zip(builtin(source.code), builtin(target.code), strict=False)
    return [{**answer, "query": asked[asked_as]} for asked, answer in pairs]


class Chooser:
    """Chooses the examples that prompts in a language show: the same for every query, so that prompts share them.

    path: a JSONL file, or None for the built-in ones. From a file are taken the examples whose "lang" and
    "passage_lang" are the languages of the query and of the passage to be written; one without "lang" is for queries
    in any language, and one without "passage_lang" has its passage in the language of its query. shots: how many, or
    none where no built-in ones are in the languages; where there are more, the seed decides which. asked_as: what the
    query of a built-in example is, "query", which may be a short phrase, or "rephrasing", which is a whole question.
    Raises XqeError for a file with too few examples, or with one that lacks its query or its passage.
    """

    def __init__(self, path: str | None = None, shots: int = BUILTIN, seed: int = 0, asked_as: str = "query") -> None:
        self.shots, self.seed = shots, seed
        self._asked_as = asked_as
        self._path = path
        if path is not None and shots == 0:
            raise XqeError(f"--examples {path} has no effect with --shots 0", "leave one out")
        if path is None and shots > BUILTIN:
            raise XqeError(f"--shots {shots}: there are {BUILTIN} built-in examples", "give more with --examples FILE")
        self._read = [_check(value, where) for where, value in jsonl.objects(path)] if path is not None else None
        self._chosen: dict[tuple[str, str], list[Example]] = {}
        self._pools: dict[tuple[str, str], list[Example]] = {}
        if self._read is not None and not any(field in example for example in self._read for field in LANGUAGE_FIELDS):
            self(LANGUAGES["en"])  # too few for one language are too few for all: say so now

    def require(self, fields: frozenset[str]) -> None:
        """Raise InputError if a prompt that shows these fields would find one missing."""
        for number, example in enumerate(self._read or (), 1):
            for field in sorted(fields - example.keys()):
                raise InputError(
                    f'{self._path}: example {number} has no "{field}", which this strategy shows a pretrained model',
                    "add it to every example, or use --strategy zeroshot or fewshot",
                )

    def require_passages_in(self, target: Language) -> None:
        """Raise InputError if no example of the file says that its passage is in this language."""
        if self._read is not None and all(_passage_language(example) != target.code for example in self._read):
            raise InputError(
                f"{self._path}: no example says that its passage is in {target.name}",
                f'add "passage_lang": "{target.code}" to those whose passage is, or leave out --examples',
            )

    def __call__(self, language: Language, target: Language | None = None) -> list[Example]:
        """The examples for queries in a language, with passages in `target` (None: in the same)."""
        target = target or language
        pair = (language.code, target.code)
        if pair not in self._chosen:
            pool = self.candidates(language, target)
            if len(pool) < self.shots and self._read is not None:
                asked = f"{language.name} queries" + (f" with {target.name} passages" if target != language else "")
                raise InputError(
                    f"{self._path}: --shots {self.shots}, but {len(pool)} examples for {asked}",
                    "add examples or lower --shots",
                )
            more = len(pool) > self.shots
            self._chosen[pair] = random.Random(self.seed).sample(pool, self.shots) if more else pool
        return self._chosen[pair]

    def candidates(self, language: Language, target: Language | None = None) -> list[Example]:
        """The examples that are chosen from, the same list each time."""
        target = target or language
        pair = (language.code, target.code)
        if pair not in self._pools:
            self._pools[pair] = self._pool(language, target)
        return self._pools[pair]

    def _pool(self, language: Language, target: Language) -> list[Example]:
        if self._read is None:
            return _answered_in(language, target, self._asked_as)
        return [
            example
            for example in self._read
            if example.get("lang", language.code) == language.code
            and _passage_language(example, language.code) == target.code
        ]


def _passage_language(example: Example, asked: str = "") -> str:
    """The code of the language of an example's passage; `asked` is the one of its query where it names none."""
    return example.get("passage_lang") or example.get("lang", asked)


def _check(value: Any, where: str) -> Example:
    if not isinstance(value, dict):
        raise InputError(f"{where}: not a JSON object", SHAPE)
    for field in ("query", "passage"):
        if not isinstance(value.get(field), str) or not value[field].strip():
            raise InputError(f'{where}: missing "{field}"', SHAPE)
    texts = {name: text for name, text in value.items() if isinstance(text, str)}
    return {
        **{field: " ".join(texts[field].split()) for field in FIELDS if field in texts},
        **{field: language_of(texts[field], where).code for field in LANGUAGE_FIELDS if field in texts},
    }
