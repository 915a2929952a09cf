"""Stemmers: Snowball's where it has one that serves retrieval, Larkey's light10 for Arabic, and light ones by tables.

A light stemmer takes off what inflects nouns and adjectives, of which queries consist, and leaves derivation. Those of
endings.toml are rules as their comments cite them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from xqe.files.packages import version

Stem = Callable[[str], str]

LIGHT = "light"

_LIGHT10_PREFIXES = ("ال", "وال", "بال", "كال", "فال", "لل", "و")
_LIGHT10_SUFFIXES = ("ها", "ان", "ات", "ون", "ين", "يه", "ية", "ه", "ة", "ي")


def _arabic_light10(word: str) -> str:
    """Take one prefix (article, with or without conjunction or preposition) and the endings off, keeping two letters
    (Larkey, Ballesteros and Connell, 2007).

    A lone و is taken off only before three letters or more: short words begin with it.
    """
    for prefix in _LIGHT10_PREFIXES:
        if word.startswith(prefix) and len(word) >= len(prefix) + (3 if prefix == "و" else 2):
            word = word[len(prefix) :]
            break
    for suffix in _LIGHT10_SUFFIXES:
        if word.endswith(suffix) and len(word) >= len(suffix) + 2:
            word = word[: -len(suffix)]
    return word


_AFRIKAANS_E = re.compile(r".*?([aeiouy]+)([bcdfghjklmnpqrstvwxz]+)e")
_LOOKED_AT = 8  # letters at the end


def _afrikaans_light(word: str) -> str:
    """Take the endings -s and -e of plurals and adjectives off, and write what is left as it stands alone, by the rules
    of spelling (AWS): one consonant for two (katte, kat), two vowels for one before a single consonant (skole, skool),
    f for w (briewe, brief). Three letters stay, and s after s, i or u (gas, tennis, virus). What spelling does not show
    (dae, oë) is left.
    """
    if len(word) > 4 and word[-1] == "s" and (word[-2] not in "siu'" or (len(word) > 5 and word.endswith("ies"))):
        word = word[:-1]
    found = _AFRIKAANS_E.fullmatch(word[-_LOOKED_AT:]) if len(word) > 3 else None
    if found is None:
        return word
    stem, (vowels, consonants) = word[:-1], found.groups()
    if len(consonants) > 1 and consonants[-1] == consonants[-2]:
        return stem[:-1]
    if len(consonants) == 1 and vowels in ("a", "e", "o", "u"):
        stem = stem[:-1] + vowels + consonants
    return stem[:-1] + "f" if stem[-1] == "w" else stem


class Endings(NamedTuple):
    """What a light stemmer takes off: of each kind the longest that fits, once, where `keep` characters stay.

    swaps: what then becomes of the end of a word, the longest that fits, whether or not anything was taken off.
    """

    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]
    keep: int
    swaps: Mapping[str, str]

    def stem(self, word: str) -> str:
        for prefix in self.prefixes:
            if word.startswith(prefix) and len(word) >= len(prefix) + self.keep:
                word = word[len(prefix) :]
                break
        for suffix in self.suffixes:
            if word.endswith(suffix) and len(word) >= len(suffix) + self.keep:
                word = word[: -len(suffix)]
                break
        for old, new in self.swaps.items():
            if word.endswith(old) and len(word) - len(old) + len(new) >= self.keep:
                return word[: -len(old)] + new
        return word


@cache
def endings(code: str) -> Endings:
    """The table of a language's light stemmer."""
    row: dict[str, Any] = tomllib.loads(Path(__file__).with_name("endings.toml").read_text("utf-8"))[code]
    swaps = (pair.partition(":") for pair in _longest_first(row.get("swaps", "")))
    return Endings(
        _longest_first(row["prefixes"]),
        _longest_first(row["suffixes"]),
        row["keep"],
        {old: new for old, _, new in sorted(swaps, key=lambda pair: -len(pair[0]))},
    )


def _longest_first(words: str) -> tuple[str, ...]:
    return tuple(sorted(words.split(), key=lambda word: (-len(word), word)))


_OWN: dict[str, Stem] = {"arabic_light10": _arabic_light10, "afrikaans_light": _afrikaans_light}


def stemmer(name: str, code: str) -> tuple[Stem, str]:
    """The stemmer of a language's row, and its name and version."""
    if name in _OWN:
        return _OWN[name], name
    if name == LIGHT:
        table = endings(code)
        return table.stem, f"{LIGHT} {code}: {table}"
    import Stemmer

    algorithm = name.removeprefix("snowball ")
    stem: Stem = Stemmer.Stemmer(algorithm, 0).stemWord  # its own cache is off: whole words are cached by the analyzer
    return stem, f"{name} (PyStemmer {version('PyStemmer')})"
