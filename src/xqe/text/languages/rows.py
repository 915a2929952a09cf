"""The languages xqe knows: one row each, from which prompts, analysis, help texts and tests are derived."""

from __future__ import annotations

from dataclasses import dataclass

from xqe.errors import XqeError


@dataclass(frozen=True, slots=True)
class Analysis:
    """How text of a language becomes index terms; the names are those of the tables in `xqe.text.analysis`.

    Every text is first brought to NFKC (which folds full-width Latin and half-width katakana), lower-cased, and
    its digits written in ASCII. Then, in this order: `segmenter` cuts it into words, each of the `normalisers`
    rewrites a word, words of stopwords/<code>.txt are left out, `stemmer` ("snowball" names one of PyStemmer's)
    cuts inflection, and each of the `foldings` rewrites what is left. Each of the `additions` gives the word one
    more term beside its stem, and with `pairs` each two neighbours make a term too.
    """

    segmenter: str = "words"
    normalisers: tuple[str, ...] = ()
    stemmer: str = ""
    foldings: tuple[str, ...] = ()
    # How far a stemmer should go differs from query to query, so a word is found by its exact form, by its stem and,
    # loosely, by what the stem begins with; what two words share of these decides how well they match.
    additions: tuple[str, ...] = ("form", "prefix")
    pairs: bool = False


@dataclass(frozen=True, slots=True)
class Language:
    """A language of queries and documents.

    code: ISO 639-1. name: in English, as prompts name it. native: in itself. script: ISO 15924.
    analysis: how its text becomes index terms.
    """

    code: str
    name: str
    native: str
    script: str
    analysis: Analysis

    @property
    def is_latin(self) -> bool:
        """The grouping by script that the paper's discussion uses (section 5)."""
        return self.script == "Latn"

    @property
    def has_spaces(self) -> bool:
        """Whether white space parts its words and sentences."""
        return self.script not in ("Hans", "Jpan")


_ROWS = (
    # Spelling of alef, yeh and teh marbuta varies between writers, Persian and Urdu keyboards have a kaf, yeh and heh
    # of their own, and vowel marks are optional. The stemmer is light10: it takes off articles, conjunctions and
    # endings only, and was made and tested for retrieval.
    Language("ar", "Arabic", "العربية", "Arab", Analysis(normalisers=("arabic_letters",), stemmer="arabic_light10")),
    # The stemmer itself reads ae, oe, ue as umlauts and ß as ss, and takes umlauts off, so that Bücher, Buecher and
    # Buch meet.
    Language(
        "de",
        "German",
        "Deutsch",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="snowball german", foldings=("accents",)),
    ),
    # Porter rather than its successor: it is what published BM25 results use.
    Language(
        "en",
        "English",
        "English",
        "Latn",
        Analysis(normalisers=("english_possessive", "ligatures"), stemmer="snowball porter", foldings=("accents",)),
    ),
    Language(
        "es",
        "Spanish",
        "español",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="snowball spanish", foldings=("accents",)),
    ),
    # An elided article or pronoun (l', d', qu') is a word of its own.
    Language(
        "fr",
        "French",
        "français",
        "Latn",
        Analysis(normalisers=("french_elision", "ligatures"), stemmer="snowball french", foldings=("accents",)),
    ),
    # Nasals, nuktas and candra vowels are spelt in several ways; joiners and viramas only shape the conjunct. Vowel
    # length is folded after stemming, because the stemmer tells endings apart by it.
    Language(
        "hi",
        "Hindi",
        "हिन्दी",
        "Deva",
        Analysis(normalisers=("hindi_letters",), stemmer="snowball hindi", foldings=("hindi_vowels",)),
    ),
    # Words are derived with prefixes as much as with suffixes; the stemmer takes both off. The roots that it leaves are
    # short and alike, so their beginnings say too little. An accent says how an e is spoken, and is rarely written.
    Language(
        "id",
        "Indonesian",
        "Bahasa Indonesia",
        "Latn",
        Analysis(normalisers=("ligatures", "accents"), stemmer="snowball indonesian", additions=("form",)),
    ),
    Language(
        "it",
        "Italian",
        "italiano",
        "Latn",
        Analysis(normalisers=("italian_elision", "ligatures"), stemmer="snowball italian", foldings=("accents",)),
    ),
    # No white space between words: a dictionary segments. It also brings verbs to their dictionary form, unites
    # spellings, and leaves out particles and auxiliaries. The final long mark of katakana words comes and goes.
    Language("ja", "Japanese", "日本語", "Jpan", Analysis("sudachi", normalisers=("katakana",), additions=())),
    Language(
        "nl",
        "Dutch",
        "Nederlands",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="snowball dutch", foldings=("accents",)),
    ),
    Language(
        "pt",
        "Portuguese",
        "português",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="snowball portuguese", foldings=("accents",)),
    ),
    # ё is mostly written е. Encyclopedias and dictionaries mark the vowel that is stressed.
    Language(
        "ru",
        "Russian",
        "русский",
        "Cyrl",
        Analysis(normalisers=("stress_marks", "russian_yo"), stemmer="snowball russian"),
    ),
    # Words do not inflect. White space separates syllables, of which most words have two: so pairs are terms. Two ways
    # of placing the tone mark are in use (hòa, hoà). The capital of đ has doubles.
    Language(
        "vi",
        "Vietnamese",
        "Tiếng Việt",
        "Latn",
        Analysis(normalisers=("vietnamese_d", "vietnamese_tones"), additions=(), pairs=True),
    ),
    # No white space between words: a dictionary segments, and yields the words inside long words too.
    Language("zh", "Chinese", "中文", "Hans", Analysis("jieba", additions=())),
)

LANGUAGES: dict[str, Language] = {row.code: row for row in _ROWS}


_LONG = {
    "ar": "ara arb", "de": "deu ger", "en": "eng", "es": "spa", "fr": "fra fre", "hi": "hin", "id": "ind", "it": "ita",
    "ja": "jpn", "nl": "nld dut", "pt": "por", "ru": "rus", "vi": "vie", "zh": "zho chi cmn",
}  # fmt: skip
"""ISO 639-1 -> ISO 639-3, and what ISO 639-2/B calls otherwise."""
_SHORT = {long: short for short, longs in _LONG.items() for long in longs.split()}
_SHORT |= {name.lower(): row.code for row in _ROWS for name in (row.name, row.native)}


def language(code: str, where: str = "") -> Language:
    """Return the row of a language, in any case: by its code, of two letters or three and with any region ("pt_BR" is
    "pt"), or by its name, in English or in itself.

    Raises XqeError for an unknown one; `where` ("queries.jsonl:3", "--to") says in the message who named it.
    """
    primary = _primary(code)
    if primary not in LANGUAGES:
        place = f"{where}: " if where else ""
        raise XqeError(f'{place}unknown language "{code}"', f"xqe knows {' '.join(LANGUAGES)}")
    return LANGUAGES[primary]


def code_of(code: str) -> str:
    """Return the one spelling of a language's code, by which languages are compared: "pt" for "pt_BR" and "PT ".

    So it is with a language that xqe does not know, too, if it looks like a code of ISO 639; else it is as given.
    """
    try:
        return language(code).code
    except XqeError:
        primary = _primary(code)
        return primary if len(primary) in (2, 3) and primary.isascii() and primary.isalpha() else code


def _primary(code: str) -> str:
    primary = code.strip().lower().replace("_", "-").split("-")[0]
    return _SHORT.get(primary, primary)


def name_of(code: object) -> str:
    """The English name of a language, or what was given if xqe does not know it."""
    try:
        return language(str(code)).name
    except XqeError:
        return str(code)
