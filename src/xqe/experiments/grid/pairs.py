"""Language pairs of a collection by name and by pattern: "de-en", "*-en", "!ja-*"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from xqe.errors import InputError
from xqe.messages import plural
from xqe.text.languages import LANGUAGES, code_of, language

Pair = tuple[str, str]  # codes of the languages of queries and of documents

EXCEPT = "!"
_PATTERN = re.compile(r"[a-z]*[*?][a-z*?]*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a grid file names: a pair, or all pairs of two languages whose codes fit a pattern (* for any letters, ? for
    one). source, target: a code or a pattern. excludes: whether it takes pairs away."""

    source: str
    target: str
    excludes: bool = False

    def __str__(self) -> str:
        return f'"{EXCEPT * self.excludes}{self.source}-{self.target}"'

    @property
    def is_pattern(self) -> bool:
        return _is_pattern(self.source) or _is_pattern(self.target)

    def fits(self, pair: Pair) -> bool:
        """One language with itself fits its name alone."""
        if not self.is_pattern:
            return pair == (self.source, self.target)
        return pair[0] != pair[1] and fnmatchcase(pair[0], self.source) and fnmatchcase(pair[1], self.target)


_ALL = Wanted("*", "*")


def read(where: str, texts: Sequence[str]) -> tuple[Wanted, ...]:
    """What a list of pairs names. Raises InputError for what is no pair, or comes twice."""
    found = tuple(_wanted(where, text) for text in texts)
    if len(set(found)) < len(found):
        raise InputError(f"{where}: pairs names one thing twice", "name each once")
    return found


def _wanted(where: str, text: str) -> Wanted:
    """Two languages, or patterns of them, with a dash between; a language may have a region behind a dash of its own
    ("pt-BR-en")."""
    named = text.removeprefix(EXCEPT)
    source, dash, target = named.partition("-")
    if not (source and dash and target):
        hint = 'language of queries, language of documents: "de-en", or "*-en" for all languages of queries'
        raise InputError(f'{where}.pairs: "{text}" is no pair', hint)
    parts = named.split("-")
    cuts = [("-".join(parts[:place]), "-".join(parts[place:])) for place in range(1, len(parts))]
    able = {(_code(one), _code(other)) for one, other in cuts if _is_able(one) and _is_able(other)}
    if len(able) > 1:
        raise InputError(f'{where}.pairs: "{text}" can be read as several pairs', 'leave regions out, as in "pt-en"')
    codes = able.pop() if able else (_language(where, source), _language(where, target))
    return Wanted(*codes, text != named)


def _is_pattern(text: str) -> bool:
    return _PATTERN.fullmatch(text) is not None


def _is_able(text: str) -> bool:
    return _is_pattern(text.lower()) or code_of(text) in LANGUAGES


def _code(text: str) -> str:
    return text.lower() if _is_pattern(text.lower()) else code_of(text)


def _language(where: str, text: str) -> str:
    return text.lower() if _is_pattern(text.lower()) else language(text, f"{where}.pairs").code


def chosen(wanted: Sequence[Wanted], there: Sequence[Pair], where: str, called: str) -> list[Pair]:
    """The pairs that are wanted of those that are there, in the order of what names them, each once; with nothing but
    exclusions, all others of two languages. called: what has the pairs, for messages.

    Raises InputError for what names nothing, or leaves nothing out.
    """
    excluded = [one for one in wanted if one.excludes]
    named = [one for one in wanted if not one.excludes] or [_ALL]
    found: dict[Pair, None] = {}
    for one in named:
        fitting = [pair for pair in there if one.fits(pair)]
        if not fitting:
            raise _nothing(one, there, where, called)
        kept = [pair for pair in fitting if not any(other.fits(pair) for other in excluded)]
        if not kept:
            shown = " and ".join(str(other) for other in excluded)
            raise InputError(f"{where}.pairs: of {one} {shown} leave nothing", "leave one of them out")
        found |= dict.fromkeys(kept)
    for one in excluded:
        if not any(one.fits(pair) and any(other.fits(pair) for other in named) for pair in there):
            raise InputError(f"{where}.pairs: {one} takes nothing away", _languages_of(there))
    return list(found)


def _nothing(one: Wanted, there: Sequence[Pair], where: str, called: str) -> InputError:
    if not one.is_pattern:
        said = f"{where}.pairs: {called} has no queries and qrels for {one.source}-{one.target}"
        return InputError(said, f"it has {listed(there)}")
    said = f"{where}.pairs: {one} matches no pair of two languages of {called}"
    return InputError(said, f"{_languages_of(there)}; one language with itself is named in full")


def _languages_of(there: Sequence[Pair]) -> str:
    sources, targets = (", ".join(dict.fromkeys(pair[side] for pair in there)) for side in (0, 1))
    return f"it has queries in {sources} and documents in {targets}" if there else "it has no pair at all"


def told(wanted: Sequence[Wanted], made: Sequence[Pair]) -> str | None:
    """How many pairs patterns made, in words; None where each is named in full."""
    if not any(one.is_pattern or one.excludes for one in wanted):
        return None
    languages = plural(len({code for pair in made for code in pair}), "language")
    return f"pairs {', '.join(map(str, wanted))}: {len(made):,} of {languages}"


def listed(pairs: Sequence[Pair]) -> str:
    shown = ", ".join("-".join(pair) for pair in pairs[:12])
    return f"{shown} and {len(pairs) - 12} more" if len(pairs) > 12 else shown or "none"
