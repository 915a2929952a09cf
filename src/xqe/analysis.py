"""Analysis: text to index terms, the same for documents and queries.

    NFKC -> lower-case -> ASCII digits -> segment -> normalise -> stop words -> stem -> fold

What each language does is its row in `xqe.languages`; what the names in a row mean is in the tables here
(SEGMENTERS, NORMALISERS, stemmers). Any string has terms: control characters and lone surrogates separate words,
soft hyphens, joiners and direction marks are left out, and a term holds no white space.

The normalisations of Arabic and Hindi have the effect of Lucene's ArabicNormalizer, light10 stemmer (Larkey,
Ballesteros and Connell, 2007) and HindiNormalizer, so that results compare with published ones.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib import metadata
from importlib.resources import files
from typing import Any

from xqe.languages import Language, language

RULES_VERSION = 1
"""Raised with every change of what analysis yields: indexes of another version are refused."""

LONGEST_TERM = 255
"""Characters; a longer run without a break (encoded data) is cut there, as in Lucene."""

_CACHED_WORDS = 1 << 18  # a word's way from segment to term, kept for each language; about 40 MB when full

Segment = Callable[[str], list[str]]
Rewrite = Callable[[str], str]

# ---------------------------------------------------------------- characters

_UNENCODABLE = re.compile(r"[\ud800-\udfff]")
# Soft hyphen, joiners, direction marks, word joiner and other invisible operators, variation selectors, BOM. The
# zero width space is not here: it separates words.
_INVISIBLE = re.compile(r"[\u00ad\u061c\u180e\u200c-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
_APOSTROPHES = re.compile(r"[\u2018\u2019\u02bc\uff07]")
_FOREIGN_DIGIT = re.compile(r"[^\D0-9]")


def clean(text: str) -> str:
    """Return `text` in NFKC, lower-case, with ASCII digits and apostrophes, and without invisible characters."""
    if text.isascii():
        return text.lower()
    text = _INVISIBLE.sub("", _UNENCODABLE.sub(" ", text))
    text = _APOSTROPHES.sub("'", unicodedata.normalize("NFKC", text)).lower()
    return _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)


# ---------------------------------------------------------------- segmenters

_HAN = "\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
# A line that was wrapped inside a sentence goes on without a space. An empty line does end the paragraph.
_WRAPPED = re.compile(rf"(?<=[{_HAN}{_KANA}])[^\S\n]*\n[^\S\n]*(?=[{_HAN}{_KANA}])")
# At most 4000 characters, since a dictionary segmenter takes at most 48 kB and holds a lattice of all it is given.
_DICTIONARY_RUN = re.compile(rf"[{_HAN}{_KANA}]{{1,4000}}")


def _words() -> Segment:
    from unicode_segmentation_rs import unicode_words

    return unicode_words


def _mixed(dictionary_words: Callable[[str], Iterable[str]]) -> Segment:
    """A segmenter that gives runs of Han and kana to a dictionary, and all else to `unicode_words`.

    So Latin words and identifiers (ffmpeg, x86_64) are cut in Chinese and Japanese text as everywhere else.
    """
    unicode_words = _words()

    def segment(text: str) -> list[str]:
        text = _WRAPPED.sub("", text)
        words: list[str] = []
        end = 0
        for run in _DICTIONARY_RUN.finditer(text):
            words += unicode_words(text[end : run.start()])
            words += dictionary_words(run[0])
            end = run.end()
        words += unicode_words(text[end:])
        return words

    return segment


def _jieba() -> Segment:
    import rjieba

    return _mixed(rjieba.cut_for_search)


def _sudachi() -> Segment:
    """Short units in their normalised form (サーバ and サーバー are one), without particles and auxiliaries."""
    import sudachipy

    dictionary = sudachipy.Dictionary(dict=SUDACHI_DICTIONARY)
    tokenizer = dictionary.tokenizer(mode=sudachipy.SplitMode.A)
    grammatical = dictionary.pos_matcher([("助詞",), ("助動詞",), ("補助記号",), ("記号",), ("空白",)])

    def dictionary_words(run: str) -> Iterable[str]:
        # some normalised forms are Latin abbreviations in capitals
        return (word.normalized_form().lower() for word in tokenizer.tokenize(run) if not grammatical(word))

    return _mixed(dictionary_words)


SUDACHI_DICTIONARY = "core"
SEGMENTERS: dict[str, tuple[Callable[[], Segment], tuple[str, ...]]] = {
    # name: what makes it (dictionaries are loaded then), and the packages that decide what it yields
    "words": (_words, ("unicode-segmentation-rs",)),
    "jieba": (_jieba, ("unicode-segmentation-rs", "rjieba")),
    "sudachi": (_sudachi, ("unicode-segmentation-rs", "sudachipy", f"sudachidict-{SUDACHI_DICTIONARY}")),
}

# ---------------------------------------------------------------- normalisers and foldings


def _mapped(table: dict[str, str]) -> Rewrite:
    return partial(_translate, str.maketrans(table))


def _translate(table: dict[int, str], word: str) -> str:
    return word if word.isascii() else word.translate(table)


def _without(pattern: str) -> Rewrite:
    return partial(re.compile(pattern).sub, "")


def _accents(word: str) -> str:
    """Without the marks that Latin letters bear: é is often typed e."""
    if word.isascii():
        return word
    return unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", word)))


_MARKS = re.compile(r"[\u0300-\u036f]")


def _katakana(word: str) -> str:
    return word[:-1] if len(word) > 3 and word[-1] == "ー" and _ALL_KATAKANA(word) else word


_ALL_KATAKANA = re.compile(r"[\u30a1-\u30fa\u30fc-\u30ff]+").fullmatch
_ARABIC_LETTERS = {
    **dict.fromkeys("آأإٱ", "ا"),  # alef with madda, hamza above or below, wasla
    "ى": "ي",  # dotless yeh
    "ة": "ه",  # teh marbuta
    **dict.fromkeys("\u0640\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0670", ""),  # tatweel, vowel marks
}
_NUKTA = dict(zip("ऩऱऴ\u0958\u0959\u095a\u095b\u095c\u095d\u095e\u095f", "नरळकखगजडढफय", strict=True))
_HINDI_LETTERS = {
    **_NUKTA,
    **dict.fromkeys("\u093c\u094d", ""),  # nukta, virama
    "\u0901": "\u0902",  # chandrabindu, anusvara
    **dict(zip("\u0945\u0946\u0949\u094a", "\u0947\u0947\u094b\u094b", strict=True)),  # candra and short vowel signs
    **dict(zip("\u090d\u090e\u0911\u0912\u0972", "एएओओअ", strict=True)),
}
_HINDI_VOWELS = dict(
    zip(
        "आईऊॠॡऐऔ\u0940\u0942\u0944\u0963\u0948\u094c",
        "अइउऋऌएओ\u093f\u0941\u0943\u0962\u0947\u094b",
        strict=True,
    )
)
_VIETNAMESE_TONES = {
    old: new
    for olds, news in (
        ("òa óa ỏa õa ọa", "oà oá oả oã oạ"),
        ("òe óe ỏe õe ọe", "oè oé oẻ oẽ oẹ"),
        ("ùy úy ủy ũy ụy", "uỳ uý uỷ uỹ uỵ"),
    )
    for old, new in zip(olds.split(), news.split(), strict=True)
}


def _hindi_letters(word: str) -> str:
    """Also न् before a consonant is written as anusvara (हिन्दी, हिंदी)."""
    return _translate(_HINDI_TABLE, word.replace("न\u094d", "\u0902"))


def _vietnamese_tones(word: str) -> str:
    """The tone mark of an open syllable in oa, oe, uy, on its second vowel, in whichever way it was typed."""
    return word[:-2] + _VIETNAMESE_TONES.get(word[-2:], word[-2:])


_HINDI_TABLE = str.maketrans(_HINDI_LETTERS)
NORMALISERS: dict[str, Rewrite] = {
    "accents": _accents,
    "arabic_letters": _mapped(_ARABIC_LETTERS),
    "english_possessive": _without(r"'s?$"),
    "french_elision": _without(r"^(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu)'(?=.)"),
    "hindi_letters": _hindi_letters,
    "hindi_vowels": _mapped(_HINDI_VOWELS),
    "italian_elision": _without(
        r"^(?:[cdlmstv]|un|all|agl|coll|dall|dagl|dell|degl|nell|negl|sull|sugl|gl|quell|quest)'(?=.)"
    ),
    "katakana": _katakana,
    "russian_yo": _mapped({"ё": "е"}),
    "vietnamese_tones": _vietnamese_tones,
}

# ---------------------------------------------------------------- stemmers

_LIGHT10_PREFIXES = ("ال", "وال", "بال", "كال", "فال", "لل", "و")
_LIGHT10_SUFFIXES = ("ها", "ان", "ات", "ون", "ين", "يه", "ية", "ه", "ة", "ي")


def _arabic_light10(word: str) -> str:
    """Take one prefix (article, with or without conjunction or preposition) and the endings off, keeping two letters.

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


def _stemmer(name: str) -> tuple[Rewrite, str]:
    """The stemmer of a language's row, and its name and version."""
    if name == "arabic_light10":
        return _arabic_light10, name
    import Stemmer

    algorithm = name.removeprefix("snowball ")
    stem: Rewrite = Stemmer.Stemmer(algorithm, 0).stemWord  # its own cache is off: whole words are cached here
    return stem, f"{name} (PyStemmer {metadata.version('PyStemmer')})"


# ---------------------------------------------------------------- the analyzer


def stop_words(code: str) -> list[str]:
    """The words of stopwords/<code>.txt, as they are written there."""
    text = (files("xqe") / "stopwords" / f"{code}.txt").read_text(encoding="utf-8")
    return [word for line in text.splitlines() if not line.startswith("#") for word in line.split()]


class Analyzer:
    """Text to terms for one language. Dictionaries are loaded when it is made; it is for one thread at a time."""

    def __init__(self, row: Language) -> None:
        analysis = row.analysis
        self.code = row.code
        make_segmenter, packages = SEGMENTERS[analysis.segmenter]
        self._segment = make_segmenter()
        self._normalisers = [NORMALISERS[name] for name in analysis.normalisers]
        self._foldings = [NORMALISERS[name] for name in analysis.foldings]
        self._stem: Rewrite | None = None
        stemmer = ""
        if analysis.stemmer:
            self._stem, stemmer = _stemmer(analysis.stemmer)
        stop = stop_words(row.code)
        self._stop = frozenset(self._normalised(clean(word)) for word in stop)
        self._term_of: dict[str, str] = {}
        self.identity: dict[str, Any] = {
            "language": row.code,
            "rules": RULES_VERSION,
            "segmenter": [f"{package} {metadata.version(package)}" for package in packages],
            "normalisers": list(analysis.normalisers),
            "stopwords": hashlib.sha256(" ".join(stop).encode()).hexdigest()[:16],
            "stemmer": stemmer,
            "foldings": list(analysis.foldings),
        }
        """What decides the terms: two analyzers with the same identity yield the same terms."""

    def terms(self, text: str) -> list[str]:
        """Return the terms of `text`, in its order, with repetitions."""
        term_of = self._term_of
        terms: list[str] = []
        for word in self._segment(clean(text)):
            term = term_of.get(word)
            if term is None:
                term = self._remember(word)
            if term:
                terms.append(term)
        return terms

    def _remember(self, word: str) -> str:
        """The term of a word, "" for a stop word; the cache starts anew when it is full."""
        if len(word) > LONGEST_TERM:
            return self._term(word[:LONGEST_TERM])
        if len(self._term_of) >= _CACHED_WORDS:
            self._term_of.clear()
        term = self._term_of[word] = self._term(word)
        return term

    def _term(self, word: str) -> str:
        word = self._normalised(word)
        if word in self._stop:
            return ""
        if self._stem is not None:
            word = self._stem(word)
        for fold in self._foldings:
            word = fold(word)
        return "".join(word.split())

    def _normalised(self, word: str) -> str:
        for normalise in self._normalisers:
            word = normalise(word)
        return word


@cache
def analyzer(code: str) -> Analyzer:
    """Return the analyzer of a language, the same one each time. Raises XqeError for a language xqe does not know."""
    row = language(code)
    return Analyzer(row) if row.code == code else analyzer(row.code)


PROBES = (
    "The ship's l’été d'été dell'arte can’t foo_bar x86_64 node.js ＡＢＣ ﾃｽﾄ 3.14 Straße Häuser running",
    "canciones informações città huizen hoà hòa pembangunan щётки книгами",
    "وَالكُتُبُ المكتبة ١٢٣ إلى مدرسة हिन्दी हिंदी किताबें क़लम २०२४",
    "サーバとサーバーの性能を\n比較しました。我来到北京清华大学，研究生命起源。",
)
"""Texts whose terms are kept with an index and compared when it is opened: they exercise every table above."""
