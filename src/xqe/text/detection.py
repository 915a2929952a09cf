"""Which script and which language a text is in.

The script is Unicode's. The language is py3langid's guess: naive Bayes over byte n-grams, 139 languages (Lui and
Baldwin, 2012, in Barbaresi's retrained fork).
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from xqe.text.languages import LANGUAGES, Language, row_of

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# By the first word of a character's Unicode name, which for a letter is that of its script.
SCRIPTS: dict[str, frozenset[str]] = {
    "Arab": frozenset({"ARABIC"}),
    "Armn": frozenset({"ARMENIAN"}),
    "Beng": frozenset({"BENGALI"}),
    "Cyrl": frozenset({"CYRILLIC"}),
    "Deva": frozenset({"DEVANAGARI"}),
    "Ethi": frozenset({"ETHIOPIC"}),
    "Geor": frozenset({"GEORGIAN"}),
    "Grek": frozenset({"GREEK"}),
    "Gujr": frozenset({"GUJARATI"}),
    "Guru": frozenset({"GURMUKHI"}),
    "Hans": frozenset({"CJK", "IDEOGRAPHIC"}),
    "Hebr": frozenset({"HEBREW"}),
    "Jpan": frozenset({"CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}),
    "Khmr": frozenset({"KHMER"}),
    "Kore": frozenset({"HANGUL", "CJK", "IDEOGRAPHIC"}),
    "Latn": frozenset({"LATIN"}),
    "Mlym": frozenset({"MALAYALAM"}),
    "Taml": frozenset({"TAMIL"}),
    "Telu": frozenset({"TELUGU"}),
    "Thai": frozenset({"THAI"}),
}
"""ISO 15924 code to the letters of that script."""

# Of some 5,000 titles and one-line queries in 36 languages, 67 % are told at this confidence, and 99.5 % of them
# rightly (docs/languages.md).
SURE = 0.7
SURE_OF_OTHERS = 0.8  # that it is none of xqe's languages; no text of theirs was mistaken for one
FEWEST_HAN = 10  # characters; a shorter text without kana may be Chinese or Japanese

# What texts beside an uncertain one say of it: a language that so many of them, and such a share, are certainly in, and
# that is not out of the question by the text itself. Sixty short queries in one language are told rightly in 99.2 %,
# each by itself in 90.8 % (docs/languages.md).
_FEWEST_BESIDE = 2
_SHARE_BESIDE = 0.1
_LEAST_SHARE = 0.001

DETECTOR = "py3langid"
_NO_LANGUAGE = "zxx"

_NO_SCRIPT = ""


@lru_cache(maxsize=1 << 16)
def _script_name(character: str) -> str:
    """The script of a letter as its name has it, "" for what is no letter."""
    if not unicodedata.category(character).startswith("L"):
        return _NO_SCRIPT
    return unicodedata.name(character, _NO_SCRIPT).split(" ")[0].split("-")[0]


def script_share(text: str, language: Language) -> float | None:
    """Return the share of the letters of `text` that are of the script of `language`; None where it has no letter."""
    names = [name for name in map(_script_name, unicodedata.normalize("NFKC", text)) if name]
    expected = SCRIPTS[language.script]
    return sum(name in expected for name in names) / len(names) if names else None


def _is_only_han(scripts: Counter[str]) -> bool:
    return 0 < scripts["CJK"] < FEWEST_HAN and scripts["CJK"] == scripts.total() - scripts[_NO_SCRIPT]


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class Guess(NamedTuple):
    """The language that a text is most likely in: its ISO 639 code, its share among xqe's languages or, for one that is
    none of these, among all; and whether that is certain enough to go by."""

    lang: str
    share: float
    is_certain: bool


def guess(text: str, beside: Counter[str] | None = None) -> Guess | None:
    """The language that a text is most likely in; None for a text without letters.

    A language other than xqe's is named only if it is certain among all; else the choice is among xqe's, which
    is more often right for short texts. beside: in which languages how many texts that come with it certainly are;
    where its own is not certain, it is one of these if it can be.
    """
    scripts = Counter(map(_script_name, text))
    if scripts.total() == scripts[_NO_SCRIPT]:
        return None
    shares: defaultdict[str, float] = defaultdict(float)
    for code, share in _identifier().rank(text):
        row = row_of(code)  # of several that the model knows apart, as Norwegian's two forms, there is one
        shares[code if row is None else row.code] += float(share)
    shares.pop(_NO_LANGUAGE, None)
    best = max(shares, key=shares.__getitem__)
    if best not in LANGUAGES and shares[best] >= SURE_OF_OTHERS:
        return Guess(best, shares[best], not _is_only_han(scripts))
    own = {code: share for code, share in shares.items() if code in LANGUAGES}
    best, total = max(own, key=own.__getitem__), sum(own.values())
    is_certain = own[best] >= SURE * total > 0 and not _is_only_han(scripts)
    if beside and not is_certain:
        best = _one_of(own, total, beside) or best
    return Guess(best, own[best] / total if total else 0.0, is_certain)


def _one_of(own: Mapping[str, float], total: float, beside: Counter[str]) -> str | None:
    """The likeliest of the languages that texts beside one are in, None where it can be none of these."""
    fewest = max(_FEWEST_BESIDE, _SHARE_BESIDE * beside.total())
    can_be = [code for code, count in beside.items() if count >= fewest and own.get(code, 0.0) >= _LEAST_SHARE * total]
    return max(can_be, key=lambda code: own[code] * beside[code], default=None)


def language_of(text: str) -> str | None:
    """The ISO 639 code of the language of a text, None where that is not certain enough."""
    told = guess(text)
    return told.lang if told is not None and told.is_certain else None
