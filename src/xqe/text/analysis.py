"""Analysis: text to index terms, the same for documents and queries.

    clean -> segment -> normalise -> stop words -> stem -> fold -> add

`clean` undoes what is of the encoding and not of the word, in every language: it brings a text to NFKC, lower-case,
ASCII digits and apostrophes. What each language does is its row in `xqe.text.languages`; what the names in a row mean
is in the tables here (SEGMENTERS, NORMALISERS, stemmers, ADDITIONS). A word that inflects has three terms of equal
weight: its stem ("ship"), its form ("=ships"), and what the stem begins with ("ship*"). docs/analysis.md says what each
language does, why, and what was measured.

Any string has terms: control characters and lone surrogates separate words, what is invisible (soft hyphens, joiners,
direction marks, selectors of a variant) is left out, and a term holds no white space.

The normalisations of Arabic and Hindi have the effect of Lucene's ArabicNormalizer, light10 stemmer (Larkey,
Ballesteros and Connell, 2007) and HindiNormalizer, so that results compare with published ones; those of Arabic also
take letters of Persian and Urdu keyboards for the Arabic ones, as its PersianNormalizer does the other way round.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from xqe.files.packages import version
from xqe.text.languages import Language, known, language

RULES_VERSION = 3
"""Raised with every change of what analysis yields: indexes of another version are refused."""

LONGEST_TERM = 255
"""Characters; a longer run without a break (encoded data) is cut there, as in Lucene."""

_CACHED_WORDS = 1 << 18  # a word's way from segment to term, kept for each language; about 40 MB when full

Segment = Callable[[str], list[str]]
Rewrite = Callable[[str], str]

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


# ---------------------------------------------------------------- segmenters

_HAN = "\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
# A line that was wrapped inside a sentence goes on without a space. An empty line does end the paragraph.
_WRAPPED = rf"(?<=[{_HAN}{_KANA}])[^\S\n]*\n[^\S\n]*(?=[{_HAN}{_KANA}])"
# At most 4000 characters, since a dictionary segmenter takes at most 48 kB and holds a lattice of all it is given.
_DICTIONARY_RUN = rf"[{_HAN}{_KANA}]{{1,4000}}"


def _words() -> Segment:
    from unicode_segmentation_rs import unicode_words

    return unicode_words


def _mixed(dictionary_words: Callable[[str], Iterable[str]], run: str = _DICTIONARY_RUN) -> Segment:
    """A segmenter that gives runs of Han and kana, or what `run` says, to a dictionary, and all else to
    `unicode_words`.

    So Latin words and identifiers (ffmpeg, x86_64) are cut in Chinese and Japanese text as everywhere else.
    """
    unicode_words = _words()
    wrapped, dictionary_run = re.compile(_WRAPPED), re.compile(run)  # which takes 10 ms

    def segment(text: str) -> list[str]:
        text = wrapped.sub("", text)
        words: list[str] = []
        end = 0
        for found in dictionary_run.finditer(text):
            words += unicode_words(text[end : found.start()])
            words += dictionary_words(found[0])
            end = found.end()
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


@cache
def written_words(code: str) -> Segment:
    """What cuts a text of a language into its words as they are written, for comparing texts and not for an index.

    White space does; but in Japanese the dictionary (short units), and in Chinese, Thai and Khmer each character is
    one, as evaluations of answers have it there (MLQA, MKQA).
    """
    make = _WRITTEN.get(code)
    return make() if make is not None else str.split


def _sudachi_as_written() -> Segment:
    import sudachipy

    tokenizer = sudachipy.Dictionary(dict=SUDACHI_DICTIONARY).tokenizer(mode=sudachipy.SplitMode.A)
    return _mixed(lambda run: (word.surface() for word in tokenizer.tokenize(run)))


_WRITTEN: dict[str, Callable[[], Segment]] = {
    "ja": _sudachi_as_written,
    "km": lambda: _mixed(list, "[\u1780-\u17d3]+"),
    "th": lambda: _mixed(list, "[\u0e01-\u0e4e]+"),
    "zh": lambda: _mixed(list),
}

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
    """Without the marks that Latin letters bear, strokes among them: é is often typed e, and Łódź Lodz."""
    if word.isascii():
        return word
    bare = _MARKS.sub("", unicodedata.normalize("NFD", word)).translate(_STRUCK)
    return unicodedata.normalize("NFC", bare)


def _stress_marks(word: str) -> str:
    """Without the acute or grave that says which vowel of a Cyrillic word is stressed. й and ё are letters, each one
    character by now, and keep what they bear."""
    return word if word.isascii() else _MARKS.sub("", word).translate(_STRESSED)


_STRUCK = str.maketrans({"đ": "d", "ð": "d", "ħ": "h", "ł": "l", "ø": "o", "ŧ": "t", "þ": "th"})
_STRESSED = str.maketrans("ѐѝ", "еи")  # the two that have a character of their own
_MARKS = re.compile(r"[\u0300-\u036f]")


def _katakana(word: str) -> str:
    return word[:-1] if len(word) > 3 and word[-1] == "ー" and _ALL_KATAKANA(word) else word


_ALL_KATAKANA = re.compile(r"[\u30a1-\u30fa\u30fc-\u30ff]+").fullmatch
_ARABIC_LETTERS = {
    **dict.fromkeys("آأإٱٲٳ", "ا"),  # alef with madda, hamza above or below, wasla
    **dict.fromkeys("ىیے", "ي"),  # dotless yeh; that of Persian and of Urdu keyboards
    **dict.fromkeys("کڪ", "ك"),  # kaf of these keyboards, and one that is drawn out
    **dict.fromkeys("ةۃہۂھەۀ", "ه"),  # teh marbuta; heh of these keyboards
    # tatweel; vowel marks, hamzas that no letter bears, marks of the Koran
    **{
        chr(mark): ""
        for marks in (
            (0x610, 0x61A),
            (0x640, 0x640),
            (0x64B, 0x65F),
            (0x670, 0x670),
            (0x674, 0x674),
            (0x6D6, 0x6DC),
            (0x6DF, 0x6E8),
            (0x6EA, 0x6ED),
            (0x8D3, 0x8FF),
        )
        for mark in range(marks[0], marks[1] + 1)
    },
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
    "ligatures": _mapped({"œ": "oe", "æ": "ae", "ß": "ss"}),
    "russian_yo": _mapped({"ё": "е"}),
    "stress_marks": _stress_marks,
    "vietnamese_d": _mapped({"ð": "đ", "ɖ": "đ"}),  # other letters, whose capitals look like that of đ
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
    return stem, f"{name} (PyStemmer {version('PyStemmer')})"


# ---------------------------------------------------------------- terms beside the stem

# No segmenter leaves one of these in a word, so these terms are never those of another word.
FORM_MARK, PREFIX_MARK, PAIR_MARK = "=", "*", "+"
PREFIX_LENGTH = 4


def is_added(term: str) -> bool:
    """Whether a term stands beside the stem of a word, or of two, and is not one itself."""
    return term[0] == FORM_MARK or term[-1] == PREFIX_MARK or PAIR_MARK in term


_PART_BREAK = re.compile(r"[_.:\u00b7]+")


def _form(form: str, stem: str) -> list[str]:
    return [FORM_MARK + form]


def _prefix(form: str, stem: str) -> list[str]:
    """Of the stem, which articles and verbal prefixes are off already. It meets related words that no stemmer joins
    (Konverter, konvertieren), the first part of a compound, and spellings with a number (pyqt, pyqt5)."""
    return [stem[:PREFIX_LENGTH] + PREFIX_MARK] if len(stem) >= PREFIX_LENGTH else []


Addition = Callable[[str, str], list[str]]
ADDITIONS: dict[str, Addition] = {
    # name: the terms that a word has beside its stem, of its normalised form and its stem
    "form": _form,
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
    """Text to terms for one language. Dictionaries are loaded when it is made; it is for one thread at a time.

    All terms count alike: in documents and in queries, in frequencies and in lengths. Lower weights for the terms
    beside the stem, and lengths without them, were measured and gained nothing.
    """

    def __init__(self, row: Language) -> None:
        analysis = row.analysis
        self.code = row.code
        make_segmenter, packages = SEGMENTERS[analysis.segmenter]
        self._segment = make_segmenter()
        self._normalisers = [NORMALISERS[name] for name in analysis.normalisers]
        self._foldings = [NORMALISERS[name] for name in analysis.foldings]
        self._additions = [ADDITIONS[name] for name in analysis.additions]
        self._pairs = analysis.pairs
        self._stem: Rewrite | None = None
        stemmer = ""
        if analysis.stemmer:
            self._stem, stemmer = _stemmer(analysis.stemmer)
        stop = stop_words(row.code)
        self._stop = frozenset(self._normalised(clean(word)) for word in stop)
        self._terms_of: dict[str, tuple[str, ...]] = {}
        self.identity: dict[str, Any] = {
            "language": row.code,
            "rules": RULES_VERSION,
            "segmenter": [f"{package} {version(package)}" for package in packages],
            "normalisers": list(analysis.normalisers),
            "stopwords": hashlib.sha256(" ".join(stop).encode()).hexdigest()[:16],
            "stemmer": stemmer,
            "foldings": list(analysis.foldings),
            "additions": list(analysis.additions),
            "pairs": analysis.pairs,
        }
        """What decides the terms: two analyzers with the same identity yield the same terms."""

    def terms(self, text: str) -> list[str]:
        """Return the terms of `text`, in its order, with repetitions; the terms of a word stand together."""
        terms_of = self._terms_of
        terms: list[str] = []
        last = ""
        for word in self._segment(clean(text)):
            of_word = terms_of.get(word)
            if of_word is None:
                of_word = self._remember(word)
            terms += of_word
            if self._pairs and of_word:
                if last:
                    terms.append(last + PAIR_MARK + of_word[0])
                last = of_word[0]
        return terms

    def explain(self, text: str) -> list[Analysed]:
        """Return what becomes of each word of `text`; their terms, one after the other, are `terms(text)`."""
        words: list[Analysed] = []
        last = ""
        for word in map(self._analysed, self._segment(clean(text))):
            pair = (last + PAIR_MARK + word.stem,) if self._pairs and last and word.stem else ()
            words.append(word._replace(terms=word.terms + pair))
            last = word.stem or last
        return words

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
    "cœur Curaçao Łódź Ве\u0301на Ðà Nẵng dell´arte 葛\U000e0100飾区 کتابی ١٫٥ が か゛",
)
"""Texts whose terms are kept with an index and compared when it is opened: they exercise every table above."""


def word_count(text: str, code: str) -> int:
    """How many words a query has: those of white space, and for a language written without, those of its segmenter."""
    row = known(code)
    if row is None or row.has_spaces:
        return len(text.split())
    return len(analyzer(code).explain(text))
