"""The languages that xqe has something of its own to say about: one row each, from which prompts, analysis, reports and
tests are derived. What is not here has the row that `xqe.text.languages.others` makes.

What is said of a language's writing is of its orthography, and not of a measurement; docs/languages.md says what was
measured. Resources are the classes of Joshi et al. (ACL 2020), "The State and Fate of Linguistic Diversity and
Inclusion in the NLP World", from 0 (no data) to 5 (as much as English).
"""

from __future__ import annotations

from dataclasses import dataclass


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


UNSPACED = frozenset(
    (
        "Hans",
        "Hant",
        "Hani",
        "Jpan",
        "Thai",
        "Laoo",
        "Khmr",
        "Mymr",
        "Tibt",
        "Lana",
        "Tale",
        "Talu",
        "Tavt",
        "Bopo",
        "Yiii",
    )
)
"""Scripts without white space between words."""

RIGHT_TO_LEFT = frozenset(("Arab", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm", "Rohg", "Samr", "Mand"))


@dataclass(frozen=True, slots=True)
class Language:
    """A language of queries and documents.

    code: ISO 639-1, or of three letters where that has none. name: in English, as prompts name it. native: in itself.
    script: ISO 15924, the one that most of its text is in. analysis: how its text becomes index terms. family: with
    what it is grouped, for Indo-European its branch; "" for a language without a row. resources: its class of Joshi et
    al., None for one without a row.
    """

    code: str
    name: str
    native: str
    script: str
    analysis: Analysis
    family: str = ""
    resources: int | None = None

    @property
    def is_latin(self) -> bool:
        """The grouping by script that the paper's discussion uses (section 5)."""
        return self.script == "Latn"

    @property
    def has_spaces(self) -> bool:
        """Whether white space parts its words and sentences."""
        return self.script not in UNSPACED

    @property
    def is_right_to_left(self) -> bool:
        return self.script in RIGHT_TO_LEFT

    @property
    def is_known(self) -> bool:
        """Whether it has a row of its own."""
        return self.resources is not None


_ROWS = (
    Language("af", "Afrikaans", "Afrikaans", "Latn", Analysis(), family="Germanic", resources=3),
    Language("am", "Amharic", "አማርኛ", "Ethi", Analysis(), family="Semitic", resources=2),
    # Spelling of alef, yeh and teh marbuta varies between writers, Persian and Urdu keyboards have a kaf, yeh and heh
    # of their own, and vowel marks are optional. The stemmer is light10: it takes off articles, conjunctions and
    # endings only, and was made and tested for retrieval.
    Language(
        "ar",
        "Arabic",
        "العربية",
        "Arab",
        Analysis(normalisers=("arabic_letters",), stemmer="arabic_light10"),
        family="Semitic",
        resources=5,
    ),
    Language("bg", "Bulgarian", "български", "Cyrl", Analysis(), family="Slavic", resources=3),
    Language("bn", "Bengali", "বাংলা", "Beng", Analysis(), family="Indo-Aryan", resources=3),
    Language("ca", "Catalan", "català", "Latn", Analysis(stemmer="snowball catalan"), family="Romance", resources=4),
    Language("cs", "Czech", "čeština", "Latn", Analysis(stemmer="snowball czech"), family="Slavic", resources=4),
    Language("da", "Danish", "dansk", "Latn", Analysis(stemmer="snowball danish"), family="Germanic", resources=3),
    # The stemmer itself reads ae, oe, ue as umlauts and ß as ss, and takes umlauts off, so that Bücher, Buecher and
    # Buch meet.
    Language(
        "de",
        "German",
        "Deutsch",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="snowball german", foldings=("accents",)),
        family="Germanic",
        resources=5,
    ),
    Language("el", "Greek", "ελληνικά", "Grek", Analysis(stemmer="snowball greek"), family="Hellenic", resources=3),
    # Porter rather than its successor: it is what published BM25 results use.
    Language(
        "en",
        "English",
        "English",
        "Latn",
        Analysis(normalisers=("english_possessive", "ligatures"), stemmer="snowball porter", foldings=("accents",)),
        family="Germanic",
        resources=5,
    ),
    Language(
        "es",
        "Spanish",
        "español",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="snowball spanish", foldings=("accents",)),
        family="Romance",
        resources=5,
    ),
    Language("et", "Estonian", "eesti", "Latn", Analysis(stemmer="snowball estonian"), family="Uralic", resources=3),
    Language("eu", "Basque", "euskara", "Latn", Analysis(stemmer="snowball basque"), family="Basque", resources=4),
    Language("fa", "Persian", "فارسی", "Arab", Analysis(stemmer="snowball persian"), family="Iranian", resources=4),
    Language("fi", "Finnish", "suomi", "Latn", Analysis(stemmer="snowball finnish"), family="Uralic", resources=4),
    # An elided article or pronoun (l', d', qu') is a word of its own.
    Language(
        "fr",
        "French",
        "français",
        "Latn",
        Analysis(normalisers=("french_elision", "ligatures"), stemmer="snowball french", foldings=("accents",)),
        family="Romance",
        resources=5,
    ),
    Language("gl", "Galician", "galego", "Latn", Analysis(), family="Romance", resources=3),
    Language("gu", "Gujarati", "ગુજરાતી", "Gujr", Analysis(), family="Indo-Aryan", resources=1),
    Language("ha", "Hausa", "Hausa", "Latn", Analysis(), family="Chadic", resources=2),
    Language("he", "Hebrew", "עברית", "Hebr", Analysis(), family="Semitic", resources=3),
    # Nasals, nuktas and candra vowels are spelt in several ways; joiners and viramas only shape the conjunct. Vowel
    # length is folded after stemming, because the stemmer tells endings apart by it.
    Language(
        "hi",
        "Hindi",
        "हिन्दी",
        "Deva",
        Analysis(normalisers=("hindi_letters",), stemmer="snowball hindi", foldings=("hindi_vowels",)),
        family="Indo-Aryan",
        resources=4,
    ),
    Language("hr", "Croatian", "hrvatski", "Latn", Analysis(), family="Slavic", resources=4),
    Language("hu", "Hungarian", "magyar", "Latn", Analysis(stemmer="snowball hungarian"), family="Uralic", resources=4),
    Language(
        "hy", "Armenian", "հայերեն", "Armn", Analysis(stemmer="snowball armenian"), family="Armenian", resources=1
    ),
    # Words are derived with prefixes as much as with suffixes; the stemmer takes both off. The roots that it leaves are
    # short and alike, so their beginnings say too little. An accent says how an e is spoken, and is rarely written.
    Language(
        "id",
        "Indonesian",
        "Bahasa Indonesia",
        "Latn",
        Analysis(normalisers=("ligatures", "accents"), stemmer="snowball indonesian", additions=("form",)),
        family="Austronesian",
        resources=3,
    ),
    Language("ig", "Igbo", "Igbo", "Latn", Analysis(), family="Niger-Congo", resources=1),
    Language(
        "it",
        "Italian",
        "italiano",
        "Latn",
        Analysis(normalisers=("italian_elision", "ligatures"), stemmer="snowball italian", foldings=("accents",)),
        family="Romance",
        resources=4,
    ),
    # No white space between words: a dictionary segments. It also brings verbs to their dictionary form, unites
    # spellings, and leaves out particles and auxiliaries. The final long mark of katakana words comes and goes.
    Language(
        "ja",
        "Japanese",
        "日本語",
        "Jpan",
        Analysis("sudachi", normalisers=("katakana",), additions=()),
        family="Japonic",
        resources=5,
    ),
    Language("ka", "Georgian", "ქართული", "Geor", Analysis(), family="Kartvelian", resources=3),
    Language("km", "Khmer", "ខ្មែរ", "Khmr", Analysis(additions=(), pairs=True), family="Austroasiatic", resources=1),
    Language("ko", "Korean", "한국어", "Kore", Analysis(), family="Koreanic", resources=4),
    Language(
        "lt", "Lithuanian", "lietuvių", "Latn", Analysis(stemmer="snowball lithuanian"), family="Baltic", resources=3
    ),
    Language("lv", "Latvian", "latviešu", "Latn", Analysis(), family="Baltic", resources=3),
    Language("ml", "Malayalam", "മലയാളം", "Mlym", Analysis(), family="Dravidian", resources=1),
    Language("mr", "Marathi", "मराठी", "Deva", Analysis(), family="Indo-Aryan", resources=2),
    Language(
        "ms",
        "Malay",
        "Bahasa Melayu",
        "Latn",
        Analysis(stemmer="snowball indonesian"),
        family="Austronesian",
        resources=3,
    ),
    Language(
        "nl",
        "Dutch",
        "Nederlands",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="snowball dutch", foldings=("accents",)),
        family="Germanic",
        resources=4,
    ),
    Language(
        "no", "Norwegian", "norsk", "Latn", Analysis(stemmer="snowball norwegian"), family="Germanic", resources=1
    ),
    Language("pa", "Punjabi", "ਪੰਜਾਬੀ", "Guru", Analysis(), family="Indo-Aryan", resources=2),
    Language("pl", "Polish", "polski", "Latn", Analysis(stemmer="snowball polish"), family="Slavic", resources=4),
    Language(
        "pt",
        "Portuguese",
        "português",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="snowball portuguese", foldings=("accents",)),
        family="Romance",
        resources=4,
    ),
    Language("ro", "Romanian", "română", "Latn", Analysis(stemmer="snowball romanian"), family="Romance", resources=3),
    # ё is mostly written е. Encyclopedias and dictionaries mark the vowel that is stressed.
    Language(
        "ru",
        "Russian",
        "русский",
        "Cyrl",
        Analysis(normalisers=("stress_marks", "russian_yo"), stemmer="snowball russian"),
        family="Slavic",
        resources=4,
    ),
    Language("sk", "Slovak", "slovenčina", "Latn", Analysis(), family="Slavic", resources=3),
    Language("sl", "Slovenian", "slovenščina", "Latn", Analysis(), family="Slavic", resources=3),
    Language("so", "Somali", "Soomaali", "Latn", Analysis(), family="Cushitic", resources=1),
    Language("sr", "Serbian", "српски", "Cyrl", Analysis(stemmer="snowball serbian"), family="Slavic", resources=4),
    Language("sv", "Swedish", "svenska", "Latn", Analysis(stemmer="snowball swedish"), family="Germanic", resources=4),
    Language("sw", "Swahili", "Kiswahili", "Latn", Analysis(), family="Niger-Congo", resources=2),
    Language("ta", "Tamil", "தமிழ்", "Taml", Analysis(stemmer="snowball tamil"), family="Dravidian", resources=3),
    Language("te", "Telugu", "తెలుగు", "Telu", Analysis(), family="Dravidian", resources=1),
    Language("th", "Thai", "ไทย", "Thai", Analysis(additions=(), pairs=True), family="Tai", resources=3),
    Language("tl", "Tagalog", "Tagalog", "Latn", Analysis(), family="Austronesian", resources=3),
    Language("tr", "Turkish", "Türkçe", "Latn", Analysis(stemmer="snowball turkish"), family="Turkic", resources=4),
    Language("uk", "Ukrainian", "українська", "Cyrl", Analysis(), family="Slavic", resources=3),
    Language("ur", "Urdu", "اردو", "Arab", Analysis(), family="Indo-Aryan", resources=3),
    # Words do not inflect. White space separates syllables, of which most words have two: so pairs are terms. Two ways
    # of placing the tone mark are in use (hòa, hoà). The capital of đ has doubles.
    Language(
        "vi",
        "Vietnamese",
        "Tiếng Việt",
        "Latn",
        Analysis(normalisers=("vietnamese_d", "vietnamese_tones"), additions=(), pairs=True),
        family="Austroasiatic",
        resources=4,
    ),
    Language("yo", "Yoruba", "Yorùbá", "Latn", Analysis(), family="Niger-Congo", resources=2),
    # No white space between words: a dictionary segments, and yields the words inside long words too.
    Language(
        "zh",
        "Chinese",
        "中文",
        "Hans",
        Analysis("jieba", additions=()),
        family="Sinitic",
        resources=5,
    ),
    Language("zu", "Zulu", "isiZulu", "Latn", Analysis(), family="Niger-Congo", resources=2),
)

LANGUAGES: dict[str, Language] = {row.code: row for row in _ROWS}
"""The rows by code."""
