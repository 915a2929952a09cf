"""How models mark their reasoning and their turns: the patterns of marks.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FLAGS = re.IGNORECASE | re.MULTILINE
_WORD = re.compile(r"\w")


class UnfinishedError(Exception):
    """An answer ends before its reasoning does."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The marks that one family of models puts around its reasoning."""

    begin: re.Pattern[str]
    end: re.Pattern[str]

    def is_in(self, text: str) -> bool:
        return bool(self.begin.search(text) or self.end.search(text))

    def is_open(self, text: str) -> bool:
        """Whether a text ends within reasoning."""
        begins = list(self.begin.finditer(text))
        return bool(begins) and not self.end.search(text, begins[-1].end())

    def without(self, text: str) -> str:
        """The text without what is between the marks, and without what is before an end that has no beginning.

        Raises UnfinishedError where nothing is left before reasoning that has no end.
        """
        while True:
            begin = self.begin.search(text)
            ends = list(self.end.finditer(text, 0, begin.start() if begin else len(text)))
            if ends:
                text = text[ends[-1].end() :]
            elif begin is None:
                return text
            elif end := self.end.search(text, begin.end()):
                text = f"{text[: begin.start()]} {text[end.end() :]}"
            elif _WORD.search(text, 0, begin.start()):
                return text[: begin.start()]
            else:
                raise UnfinishedError


@dataclass(frozen=True, slots=True)
class _Marks:
    """reasoning: of all families. tokens: special tokens that are written out. begin, end: of a model's turn."""

    reasoning: tuple[Reasoning, ...]
    tokens: frozenset[bytes]
    begin: re.Pattern[str]
    end: re.Pattern[str]


@cache
def _marks() -> _Marks:
    table = tomllib.loads(Path(__file__).with_name("marks.toml").read_text("utf-8"))
    begin, end = (re.compile(table["turns"][key], _FLAGS | re.VERBOSE) for key in ("begin", "end"))
    return _Marks(
        tuple(
            Reasoning(re.compile(row["begin"], _FLAGS), re.compile(row["end"], _FLAGS)) for row in table["reasoning"]
        ),
        frozenset(token.encode() for token in table["tokens"]["written"]),
        begin,
        end,
    )


def is_written(token: bytes) -> bool:
    """Whether a special token of this text stands in the text of an answer: what it means there is needed."""
    return token in _marks().tokens


def without_reasoning(answer: str, source: str, prompt_end: str = "") -> str:
    """An answer without its reasoning. Marks that are in `source` are words of it, and stay, but for a pair that stands
    before everything else.

    prompt_end: how the prompt ended, which may have begun the reasoning. Raises UnfinishedError.
    """
    for marks in _marks().reasoning:
        is_open = marks.is_open(prompt_end)
        if is_open and not marks.end.search(answer):
            raise UnfinishedError
        if is_open or not marks.is_in(source):
            answer = marks.without(answer)
        else:
            begin = marks.begin.match(answer.lstrip())
            end = marks.end.search(answer.lstrip(), begin.end()) if begin else None
            if end and not marks.begin.match(source.lstrip()) and _WORD.search(answer.lstrip(), end.end()):
                answer = answer.lstrip()[end.end() :]
    return answer


def without_turns(answer: str, source: str) -> str:
    """An answer without what begins and ends a model's turn, and without what follows that."""
    marks = _marks()
    while begin := marks.begin.match(answer):
        answer = answer[begin.end() :]
    end = marks.end.search(answer)
    return answer[: end.start()] if end and not marks.end.search(source) else answer
