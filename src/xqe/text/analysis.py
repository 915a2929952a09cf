"""Analysis: text to index terms, the same for documents and queries.

    clean -> segment -> normalise -> stop words -> stem -> fold -> add

`clean` undoes what is of the encoding and not of the word, in every language: it brings a text to NFKC, lower-case,
ASCII digits and apostrophes. What each language does is its row in `xqe.text.languages`; what the names in a row mean
is in the tables of `segmenters`, `normalisers` and `stemmers`, and in ADDITIONS. A word that inflects has three terms:
its stem ("ship"), its form ("=ships"), and what the stem begins with ("ship*"). docs/analysis.md says what each
language does, why, and what was measured.

Any string has terms: control characters and lone surrogates separate words, what is invisible (soft hyphens, joiners,
direction marks, selectors of a variant) is left out, and a term holds no white space.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from xqe.files.packages import version
from xqe.text.languages import Language, known, language
from xqe.text.normalisers import NORMALISERS, TEXTS
from xqe.text.segmenters import SEGMENTERS, WORDS
from xqe.text.stemmers import Stem, endings, stemmer

RULES_VERSION = 4
"""Raised with every change of what analysis yields: indexes of another version are refused."""

LONGEST_TERM = 255
"""Characters; a longer run without a break (encoded data) is cut there, as in Lucene."""

_CACHED_WORDS = 1 << 18  # a word's way from segment to term, kept for each language; about 40 MB when full

# ---------------------------------------------------------------- characters

_UNENCODABLE = re.compile(r"[\ud800-\udfff]")
# What shows nothing by itself: soft hyphen, joiners, direction marks, word joiner and other invisible operators, BOM,
# tags, and selectors of a variant of the character before (of an emoji, of a kanji, of a Mongolian letter). The zero
# width space is not here: it separates words. And vowel marks of Arabic that stand by themselves (presentation forms),
# of which NFKC would make spaces inside of words.
INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e0fff\ufc5e-\ufc63\ufe70\ufe72\ufe74\ufe76\ufe78\ufe7a\ufe7c\ufe7e]"
)
# Quotation marks, primes and an accent that are typed for an apostrophe. NFKC makes a space and an accent of the acute.
# The grave accent of ASCII is not here: it is a quotation mark around code (mv`ing).
_APOSTROPHES = re.compile(r"[\u00b4\u02b9\u02bb-\u02bd\u2018\u2019\u201b\u2032\uff07]")
_SOUND_MARKS = re.compile(
    r"(?<=[\u3041-\u30ff])[\u309b\u309c]"
)  # of kana; these, unlike those that combine, have a width
_FOREIGN_IN_NUMBERS = re.compile(r"[^\D0-9]|(?<=\d)[\u066b\u066c](?=\d)")
_SEPARATORS = {"\u066b": ".", "\u066c": ","}  # of Arabic decimals and thousands


def clean(text: str) -> str:
    """Return `text` in NFKC, lower-case, with ASCII digits and apostrophes, and without invisible characters."""
    if text.isascii():
        return text.lower()
    text = _APOSTROPHES.sub("'", INVISIBLE.sub("", _UNENCODABLE.sub(" ", text)))
    text = _SOUND_MARKS.sub(lambda mark: chr(ord(mark[0]) - 2), text)
    text = unicodedata.normalize("NFKC", text).lower().replace("i\u0307", "i")  # of a capital I with a dot
    return _FOREIGN_IN_NUMBERS.sub(lambda one: _SEPARATORS.get(one[0]) or str(unicodedata.decimal(one[0])), text)


# ---------------------------------------------------------------- terms beside the stem

# No segmenter leaves one of these in a word, so these terms are never those of another word.
FORM_MARK, PREFIX_MARK, PAIR_MARK = "=", "*", "+"
PREFIX_LENGTH = 4


def is_added(term: str) -> bool:
    """Whether a term stands beside the stem of a word, or of two, and is not one itself."""
    return term[0] == FORM_MARK or term[-1] == PREFIX_MARK or PAIR_MARK in term


def lighter(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of a query's terms by how often they occur in it: `BESIDE` times that for those beside a stem."""
    return {term: weight * BESIDE if is_added(term) else weight for term, weight in weights.items()}


BESIDE = 0.3
"""Measured on texts of 45 to 650 words in twelve languages (docs/analysis.md)."""

_PART_BREAK = re.compile(r"[_.:\u00b7]+")


def _form(form: str, stem: str) -> list[str]:
    return [FORM_MARK + form]


def _prefix(form: str, stem: str) -> list[str]:
    """Of the stem, which articles and verbal prefixes are off already. It meets related words that no stemmer joins
    (Konverter, konvertieren), the first part of a compound, and spellings with a number (pyqt, pyqt5)."""
    return [stem[:PREFIX_LENGTH] + PREFIX_MARK] if len(stem) >= PREFIX_LENGTH else []


_HEBREW_CLITICS = re.compile("ו?(?:כש|לכש|מש|ש)?(?:מה|[הבלכמ])?")
_MOST_CLITICS = 6  # letters
_FEWEST_LEFT = 3


def _hebrew_clitics(form: str, stem: str) -> list[str]:
    """The stems of what is left of a word without what may be clitics, of each way in which some may be: they are terms
    like stems, so that ישראל finds בישראל."""
    most = min(_MOST_CLITICS, len(form) - _FEWEST_LEFT + 1)
    ends = (end for end in range(1, most) if _HEBREW_CLITICS.fullmatch(form, 0, end))
    return [endings("he").stem(form[end:]) for end in ends]


Addition = Callable[[str, str], list[str]]
ADDITIONS: dict[str, Addition] = {
    # name: the terms that a word has beside its stem, of its normalised form and its stem
    "form": _form,
    "hebrew_clitics": _hebrew_clitics,
    "prefix": _prefix,
}


def _parts(form: str) -> list[str]:
    """What a word consists of that points, colons or underscores join: foo_bar, node.js. A number has no parts."""
    parts = _PART_BREAK.split(form)
    return [part for part in parts if part] if len(parts) > 1 and not all(map(str.isdigit, parts)) else []


# ---------------------------------------------------------------- the analyzer


def stop_words(code: str) -> list[str]:
    """The words of stopwords/<code>.txt, as they are written there; none of a language without."""
    path = Path(__file__).parent / "stopwords" / f"{code}.txt"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [word for line in text.splitlines() if not line.startswith("#") for word in line.split()]


class Analysed(NamedTuple):
    """What became of one word of a text.

    word: as it was segmented. form: normalised. stem: stemmed and folded, "" for a stop word. terms: the stem and
    those beside it, none for a stop word.
    """

    word: str
    form: str
    stem: str
    terms: tuple[str, ...]


class Analyzer:
    """Text to terms for one language. Dictionaries are loaded when it is made; any number of threads may ask.

    All terms of documents count alike, in frequencies and in lengths. In a query the terms beside the stem weigh
    `BESIDE`. terms_of_a_word: how many a word has, or nearly so. is_by_token: whether the terms of a text are those of
    its tokens (`tokens.cut`), one after the other: no dictionary cuts it, and neighbours make no terms.
    """

    def __init__(self, row: Language) -> None:
        analysis = row.analysis
        self.code = row.code
        segmenter = SEGMENTERS[analysis.segmenter]
        self._texts = [TEXTS[name] for name in analysis.texts]
        self._segment = segmenter.make()
        self._normalisers = [NORMALISERS[name] for name in analysis.normalisers]
        self._foldings = [NORMALISERS[name] for name in analysis.foldings]
        self._additions = [ADDITIONS[name] for name in analysis.additions]
        self._pairs = analysis.pairs
        self.is_by_token = analysis.segmenter == WORDS and not analysis.pairs
        self.terms_of_a_word = 1 + len(analysis.additions) + analysis.pairs
        self._stem: Stem | None = None
        stemmed_by = ""
        if analysis.stemmer:
            self._stem, stemmed_by = stemmer(analysis.stemmer, row.code)
        stop = stop_words(row.code)
        self._stop = frozenset(self._normalised(self._cleaned(word)) for word in stop)
        self._terms_of: dict[str, tuple[str, ...]] = {}
        self.identity: dict[str, Any] = {
            "language": row.code,
            "rules": RULES_VERSION,
            "texts": list(analysis.texts),
            "segmenter": [f"{package} {version(package)}" for package in segmenter.packages],
            "normalisers": list(analysis.normalisers),
            "stopwords": hashlib.sha256(" ".join(stop).encode()).hexdigest()[:16],
            "stemmer": stemmed_by,
            "foldings": list(analysis.foldings),
            "additions": list(analysis.additions),
            "pairs": analysis.pairs,
        }
        """What decides the terms: two analyzers with the same identity yield the same terms."""

    def weights(self, text: str) -> dict[str, float]:
        """The weight of each term of a query."""
        return lighter(Counter(self.terms(text)))

    def terms(self, text: str) -> list[str]:
        """Return the terms of `text`, in its order, with repetitions; the terms of a word stand together."""
        terms_of = self._terms_of
        terms: list[str] = []
        last = ""
        for word in self._segment(self._cleaned(text)):
            of_word = terms_of.get(word)
            if of_word is None:
                of_word = self._remember(word)
            terms += of_word
            if self._pairs and of_word:
                if last:
                    terms.append(last + PAIR_MARK + of_word[0])
                last = of_word[0]
        return terms

    def uncased(self, texts: Sequence[str]) -> Sequence[str]:
        """Texts of the same terms, with fewer different tokens: without capitals where their case is that of ASCII."""
        if self._texts:  # some of which tell capitals apart
            return texts
        return [text.lower() if text.isascii() else text for text in texts]

    def explain(self, text: str) -> list[Analysed]:
        """Return what becomes of each word of `text`; their terms, one after the other, are `terms(text)`."""
        words: list[Analysed] = []
        last = ""
        for word in map(self._analysed, self._segment(self._cleaned(text))):
            pair = (last + PAIR_MARK + word.stem,) if self._pairs and last and word.stem else ()
            words.append(word._replace(terms=word.terms + pair))
            last = word.stem or last
        return words

    def _cleaned(self, text: str) -> str:
        for rewrite in self._texts:
            text = rewrite(text)
        return clean(text)

    def _remember(self, word: str) -> tuple[str, ...]:
        """The terms of a word; the cache starts anew when it is full."""
        terms = self._analysed(word).terms
        if len(word) > LONGEST_TERM:
            return terms
        if len(self._terms_of) >= _CACHED_WORDS:
            self._terms_of.clear()
        self._terms_of[word] = terms
        return terms

    def _analysed(self, word: str) -> Analysed:
        form, stem = self._stemmed(word[:LONGEST_TERM])
        if not stem:
            return Analysed(word, form, "", ())
        terms = [stem]
        if len(word) <= LONGEST_TERM:
            for addition in self._additions:
                terms += addition(form, stem)
            terms += (part for _, part in map(self._stemmed, _parts(form)) if part)
        return Analysed(word, form, stem, tuple(dict.fromkeys(terms)))

    def _stemmed(self, word: str) -> tuple[str, str]:
        """The normalised form of a word and its stem, "" for a stop word."""
        form = "".join(self._normalised(word).split())
        if form in self._stop:
            return form, ""
        stem = form if self._stem is None else self._stem(form)
        for fold in self._foldings:
            stem = fold(stem)
        return form, "".join(stem.split())

    def _normalised(self, word: str) -> str:
        for normalise in self._normalisers:
            word = normalise(word)
        return word


@cache
def analyzer(code: str) -> Analyzer:
    """Return the analyzer of a language, the same one each time. Raises XqeError where there is no such language."""
    row = language(code)
    return Analyzer(row) if row.code == code else analyzer(row.code)


PROBES = (
    "The ship's l’été d'été dell'arte can’t foo_bar x86_64 node.js 1.2.3 pyqt5 ＡＢＣ ﾃｽﾄ 3.14 Straße Häuser running",
    "canciones informações città huizen hoà hòa pembangunan щётки книгами",
    "وَالكُتُبُ المكتبة ١٢٣ إلى مدرسة हिन्दी हिंदी किताबें क़लम २०२४ कि की बहुत बहूत",
    "サーバとサーバーの性能を\n比較しました。我来到北京清华大学，研究生命起源。",
    "AARHUS Malmø EU:s strömmarna EU:n Helsingissä l'home col·legi casa'l Vìlnius õhk šakk ąžuolas",
    "şcoală pîine őrült võ utak IRAK Irak'ta kâğıt kış malaking'y 'yanci ɗaki ọ̀rẹ́ e\u0329 n'ụlọ ng'ombe",
    "Ἀθῆναι ΑΝΘΡΩΠΟΣ ґрунт комп'ютер књига мо\u0301ва",
    'کتاب\u200cها مؤسسة لئے هے צה"ל והספרים ידיים ৎৱ বাঙালী ঙ अॅड ਇੱਕ ਖ਼ਬਰ ਹਿੰਦੀ ਪਁ ਅਨ੍ਦਰ હિન્દી સૉફ્ટ ઈશ્વર કૂવો ન઼',
    "மரத்தைக் ஶ்ரீ ஶ్రీ సమ్బన్ధం ళ్ళు ఱ ന്‍റെ അവൻ കൗ അവനു് ററ",
    "สำหรับ น\u0e49\u0e4d\u0e32 เเม่ แแก่ ไไ ก็็ ភាសាខ្ដែរ ឲ្យ ինչպե՞ս տեղը տարբերութիւնը ሐመር ዓለም የኢትዮጵያ በአዲስ",
    "cœur Curaçao Łódź Ве\u0301на Ðà Nẵng dell´arte 葛\U000e0100飾区 کتابی ١٫٥ が か゛",
)
"""Texts whose terms are kept with an index and compared when it is opened: they exercise every table above."""


def word_count(text: str, code: str) -> int:
    """How many words a query has: those of white space, and for a language written without, those of its segmenter."""
    row = known(code)
    if row is None or row.has_spaces:
        return len(text.split())
    return len(analyzer(code).explain(text))
