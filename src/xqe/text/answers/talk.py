"""The words that a model speaks of its answer in: the table of talk.toml.

A head is what stands before a text: "Here is the translation of your query:". It is talk if it consists of nothing but
such words, in the languages in which a model may speak.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any
from unicodedata import normalize

from xqe.text.languages import language

COLON = re.compile(r"(?<!:)(?:[:：﹕∶](?![:/])|[፦៖՝]|፡(?=-))-?")
_PARTING = re.compile(
    r"[\s.,;:!?¡¿…/\\|`~=+<>{}()\[\]*_#\-–—→⇒&%$^@\"'“”„«»‹›‘’‚「」『』《》〈〉【】（）、。，！？：；﹕∶।،؛؟።፡፣፤፥፦፧។៕៖։՝॥۔־]+"
)
_INSIDE = dict.fromkeys(map(ord, "՛՜՞"))  # what Armenian calls and asks with, inside of a word
_MOST_WORDS_OF_A_NOTE = 3
FALLBACKS = frozenset({"en", "zh"})  # languages that models speak in whatever they are asked in
_KINDS = ("subjects", "opens", "agrees", "says", "links", "names")
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Head:
    """What some words are, as a head. is_talk: all of them are of the table. has_subject: one names what was asked for.
    has_name: one is a language's. agrees: all say that the model does as it is told. opens: the first one announces."""

    is_talk: bool
    has_subject: bool = False
    has_name: bool = False
    agrees: bool = False
    opens: bool = False


class Speech:
    """The words of some languages."""

    def __init__(self, codes: frozenset[str]) -> None:
        table = _table()
        rows = {code: table[code] for code in sorted(codes | FALLBACKS) if code in table}
        found: dict[str, set[str]] = {}
        for row in rows.values():
            for kind in _KINDS:
                for word in words_of(row[kind]):
                    found.setdefault(word, set()).add(kind)
        for code in codes:  # "EN: ", but only of the languages that are wanted
            found.setdefault(code, set()).add("names")
        self._kinds = {word: frozenset(kinds) for word, kinds in found.items()}
        self._notes = frozenset(word for row in rows.values() for word in words_of(row["notes"]))
        unspaced = [row for code, row in rows.items() if not language(code).has_spaces]
        piece = _longest_first(word for row in unspaced for kind in _KINDS for word in words_of(row[kind]))
        self._piece, self._pieces = re.compile(piece), re.compile(f"(?:{piece})++")

    def kinds(self, word: str) -> frozenset[str]:
        """What a word, or what is written together with it, may be in a head: some of _KINDS."""
        known = self._kinds.get(word, _NONE)
        if known or not self._pieces.fullmatch(word):
            return known
        first, *others = [self._kinds[piece] for piece in self._piece.findall(word)]
        return first.union(*(kinds - {"opens", "agrees"} for kinds in others))

    def head(self, text: str) -> Head:
        words = words_of(text)
        kinds = list(takewhile(bool, map(self.kinds, words)))
        if not kinds or len(kinds) < len(words):
            return Head(False, opens=bool(kinds and kinds[0] & {"opens", "agrees"}))
        every = frozenset().union(*kinds)
        agrees = all("agrees" in kind for kind in kinds)
        return Head(True, "subjects" in every, "names" in every, agrees, bool(kinds[0] & {"opens", "agrees"}))

    def has_subject(self, text: str) -> bool:
        """Whether any of the words names what was asked for."""
        return any("subjects" in self.kinds(word) for word in words_of(text))

    def is_note(self, text: str) -> bool:
        """Whether a text begins as a remark does: "Note: ", "(Explanation: "."""
        colon = COLON.search(text)
        words = words_of(text[: colon.start()]) if colon else []
        return 0 < len(words) <= _MOST_WORDS_OF_A_NOTE and not self._notes.isdisjoint(words)


@cache
def speech(codes: frozenset[str]) -> Speech:
    """The words of the languages of these codes, and of those that models fall back to."""
    return Speech(codes)


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case and NFC: what white space and punctuation leaves.

    Letters of Indic scripts with a nukta are written as one character or two (য়), of which NFC has the two.
    """
    cased = normalize("NFC", text.casefold().replace("i\u0307", "i"))  # of a capital I with a dot
    return [word for word in _PARTING.split(cased.translate(_INSIDE)) if word]


def is_instead(kind: str, text: str) -> bool:
    """Whether a text begins with what a model says instead of an answer; kind: a key of [instead] in talk.toml."""
    return bool(_instead(kind).match(text))


def is_thought(text: str, source: str) -> bool:
    """Whether a text begins as a model does that thinks aloud; not where its source speaks of users, too."""
    if not is_instead("thoughts", text) or is_instead("thoughts", source):
        return False
    return not re.search("|".join(_table()["instead"]["users"]), source, re.IGNORECASE)


@cache
def _instead(kind: str) -> re.Pattern[str]:
    return re.compile(rf"\W*(?:{'|'.join(_table()['instead'][kind])})", re.IGNORECASE)


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("talk.toml").read_text("utf-8"))


def _longest_first(pieces: Any) -> str:
    """An alternative of pieces as a regular expression; of none, one that never matches."""
    longest_first = sorted(set(pieces), key=lambda piece: (-len(piece), piece))
    return "|".join(map(re.escape, longest_first)) or r"(?!)"
