"""What a model that answers is told, in the language of its answer: the table of answering.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from xqe.text.languages import Language
from xqe.text.sentences import sentences

FALLBACK = "en"
OPENING = " ["
"""What a prompt ends with after which a model has to say the number of a document first."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What is said in one language; see answering.toml."""

    language: str
    instruction: str
    citing: str
    unable: str
    refusal: str
    question: str
    answer: str
    sources: tuple[str, ...]

    def told(self, cites: bool) -> str:
        """The whole instruction, on one line. cites: with how documents are cited."""
        unable = self.unable.format(refusal=self.refusal)
        return " ".join([self.instruction, *([self.citing] if cites else []), unable])

    def variables(self, cites: bool) -> dict[str, str]:
        """What a prompt may name of it."""
        return {
            "language": self.language,
            "instruction": self.told(cites),
            "refusal": self.refusal,
            "question": self.question,
            "answer": self.answer,
            "opening": OPENING if cites else "",
        }


@cache
def wording(language: Language) -> Wording:
    """What is said in a language; what is said in English, with its name, where it has no table."""
    rows = _rows()
    row = {**rows.get(language.code, rows[FALLBACK])}
    named = {key: row[key].replace("{language}", language.name) for key in ("instruction", "answer")}
    return Wording(**{**row, **named, "language": language.name, "sources": tuple(row["sources"])})


def is_refusal(text: str) -> bool:
    """Whether an answer says that the documents do not tell: whether its first sentence is one of the table, in
    whatever language."""
    return any(letters(text[slice(*span)]) in _refusals() for span in sentences(text)[:1])


@cache
def _refusals() -> frozenset[str]:
    return frozenset(letters(row["refusal"]) for row in _rows().values())


def letters(text: str) -> str:
    """The letters of a text alone, in lower case."""
    return "".join(character for character in text.casefold() if character.isalnum())


@cache
def _rows() -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_name("answering.toml").read_text("utf-8"))
