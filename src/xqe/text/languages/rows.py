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
    """How text of a language becomes index terms; the names are those of the tables in `xqe.text.segmenters`,
    `normalisers`, `stemmers` and `analysis`.

    A text is first rewritten by each of `texts`. Every one is then brought to NFKC (which folds full-width Latin and
    half-width katakana), lower-cased, and its digits written in ASCII. Then, in this order: `segmenter` cuts it into
    words, each of the `normalisers` rewrites a word, words of stopwords/<code>.txt are left out, `stemmer` cuts
    inflection ("snowball" names one of PyStemmer's, "light" is the language's own of endings.toml), and each of the
    `foldings` rewrites what is left. Each of the `additions` gives the word one more term beside its stem, or several,
    and with `pairs` each two neighbours make a term too.
    """

    texts: tuple[str, ...] = ()
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
    # The indefinite article is 'n, in one character too (ŉ). Plurals and attributive adjectives end in -e, before which
    # a consonant is doubled after a short vowel (kat, katte), a long vowel is written once (skool, skole) and f is w
    # (brief, briewe); words of several syllables and names take -s, foreign ones 's. No published light stemmer is
    # known to us, and Snowball's for Dutch expects -en; so the rules of spelling (AWS) are the stemmer. Compounds are
    # written together.
    Language(
        "af",
        "Afrikaans",
        "Afrikaans",
        "Latn",
        Analysis(
            normalisers=("english_possessive", "ligatures"),
            stemmer="afrikaans_light",
            foldings=("accents",),
        ),
        family="Germanic",
        resources=3,
    ),
    # Letters that once differed in sound are spelt one for the other (ሀ ሐ ኀ, ሰ ሠ, አ ዐ, ጸ ፀ, and ሃ for ሀ). Prepositions
    # and the genitive የ are written to the word; of these only what no root begins with comes off (የ, ስለ, and በ, ለ, ከ
    # before a vowel): ከተማ and በሽታ are no prepositions with a noun. Number, definiteness and case are endings of nouns.
    Language(
        "am",
        "Amharic",
        "አማርኛ",
        "Ethi",
        Analysis(normalisers=("amharic_letters", "amharic_clitics"), stemmer="light"),
        family="Semitic",
        resources=2,
    ),
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
    # No cases, but an article at the end of nouns and adjectives, and four plurals. Dictionaries mark the vowel that is
    # stressed, and ѝ (her) bears a grave that is often left out.
    Language(
        "bg",
        "Bulgarian",
        "български",
        "Cyrl",
        Analysis(normalisers=("stress_marks",), stemmer="light"),
        family="Slavic",
        resources=3,
    ),
    # Khanda ta is ত with a virama (older texts encode it so). Determiner, number and case are written to the noun. Long
    # and short i and u sound alike and the spelling of loans and of -ী was changed (বাঙালী, বাঙালি); the chandrabindu
    # is often left out; ঙ and ং are one sound. These are folded after stemming, because endings have them.
    Language(
        "bn",
        "Bengali",
        "বাংলা",
        "Beng",
        Analysis(normalisers=("bengali_letters",), stemmer="light", foldings=("bengali_vowels",)),
        family="Indo-Aryan",
        resources=3,
    ),
    # An elided article, pronoun or preposition (l', d', s', n', m', t') is a word of its own, as is one elided behind
    # (porta'l). The l of two syllables is written with a point (col·legi), for which a full stop, a bullet or nothing
    # is typed. The stemmer is light: Snowball's leaves casa and cases, llibre and llibres, cançó and cançons apart.
    Language(
        "ca",
        "Catalan",
        "català",
        "Latn",
        Analysis(
            normalisers=("catalan_elision", "catalan_l", "ligatures"),
            stemmer="light",
            foldings=("accents",),
        ),
        family="Romance",
        resources=4,
    ),
    # Háčeks and lengths are left out in many a query (počítač, pocitac), and are folded, after the stemmer, which tells
    # endings by them and undoes some of what they change in a stem (jazyk, jazyce).
    Language(
        "cs",
        "Czech",
        "čeština",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="snowball czech", foldings=("accents",)),
        family="Slavic",
        resources=4,
    ),
    # æ, ø and å are letters and no accents (hår, har), so they stay where accents go. å was written aa until 1948, and
    # many names still are or may be (Aarhus, Århus); names from Swedish and German come with ä, ö. A genitive or an
    # ending stands behind an apostrophe after an abbreviation (USA's). Compounds are written together.
    Language(
        "da",
        "Danish",
        "dansk",
        "Latn",
        Analysis(
            normalisers=("danish_letters", "english_possessive"),
            stemmer="snowball danish",
            foldings=("accents_nordic",),
        ),
        family="Germanic",
        resources=3,
    ),
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
    # Capitals bear no tonos and lower case does, and it comes and goes in queries; polytonic spelling is still printed.
    # The sigma at a word's end is a letter of its own, which a word in capitals or cut by a hyphen does not show. So
    # marks and final sigma are folded before the stop list, as Lucene's GreekLowerCaseFilter does; the stemmer expects
    # it so.
    Language(
        "el",
        "Greek",
        "ελληνικά",
        "Grek",
        Analysis(normalisers=("greek_letters",), stemmer="snowball greek"),
        family="Hellenic",
        resources=3,
    ),
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
    # õ, ä, ö and ü are letters and no accents (tall, täll), so they stay; š and ž of loans are typed s, sh or z. Nouns
    # have fourteen cases, and their stems change with gradation (linn, linna): the stemmer joins cases, not always the
    # nominative. Compounds are written together. (EKI's light stemmer, as Snowball has it.)
    Language(
        "et",
        "Estonian",
        "eesti",
        "Latn",
        Analysis(stemmer="snowball estonian", foldings=("accents_estonian",)),
        family="Uralic",
        resources=3,
    ),
    # The article and the case stand at the end of the noun phrase (etxe, etxea, etxeetan), joined to whatever word that
    # is. The stemmer is light: one ending of the declension (Euskaltzaindia's tables) is taken off with the vowel e or
    # a before it. Snowball's takes gizona to gizo and gizon to gizon, and leaves etxea, mendia and liburua as they are.
    Language(
        "eu",
        "Basque",
        "euskara",
        "Latn",
        Analysis(stemmer="light", foldings=("accents",)),
        family="Basque",
        resources=4,
    ),
    # Typed on Arabic keyboards, too, whose yeh, kaf and heh differ; hamza and vowel marks are optional. Endings and
    # verbal prefixes are joined, or apart by a half-space (U+200C) or a space (کتابها, کتاب‌ها, کتاب ها): a half-space
    # parts words here, the stop list has the endings, and the stemmer takes off those that are joined. It is light
    # rather than Snowball's, which takes the ان of names off with ی (ایرانی, ایران).
    Language(
        "fa",
        "Persian",
        "فارسی",
        "Arab",
        Analysis(texts=("half_spaces",), normalisers=("persian_letters",), stemmer="light"),
        family="Iranian",
        resources=4,
    ),
    # Nouns have fifteen cases; endings are joined to the word, and to an abbreviation or a number by a colon (EU:n). ä
    # and ö are letters and no accents (talli, tälli); š and ž of loans are typed s and z (šakki, sakki). The k of nk is
    # weakened in closed syllables (Helsinki, Helsingissä), which the stemmer leaves. Compounds are written together.
    Language(
        "fi",
        "Finnish",
        "suomi",
        "Latn",
        Analysis(
            normalisers=("finnish_colon",),
            stemmer="snowball finnish",
            foldings=("finnish_nk", "accents_nordic"),
        ),
        family="Uralic",
        resources=4,
    ),
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
    # Accents come and go in queries, as in Spanish. Plurals of words in -l change their end (animal, animais), those in
    # -z too (cruz, cruces); adjectives have a gender. The endings are those of Lucene's GalicianMinimalStemmer and of
    # the step of RSLP (Orengo and Huyck 2001) that takes genders off; derivations stay.
    Language(
        "gl",
        "Galician",
        "galego",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="light", foldings=("accents",)),
        family="Romance",
        resources=3,
    ),
    # Cases are written to the noun, which has three genders with vowels of their own. A nasal before a stop is anusvara
    # or the letter (હિંદી, હિન્દી); candra vowels are of loans. Long and short i and u are confused in writing, and
    # folded after stemming.
    Language(
        "gu",
        "Gujarati",
        "ગુજરાતી",
        "Gujr",
        Analysis(normalisers=("gujarati_nasals", "gujarati_letters"), stemmer="light", foldings=("gujarati_vowels",)),
        family="Indo-Aryan",
        resources=1,
    ),
    # ɓ ɗ ƙ ƴ are often typed without their hooks, ƴ also as 'y. The article and the genitive are an -n or -r at the
    # noun, which itself ends in a vowel. Tone and length are marked in dictionaries alone. Plurals are irregular and do
    # not meet.
    Language(
        "ha",
        "Hausa",
        "Hausa",
        "Latn",
        Analysis(normalisers=("ligatures", "hausa_y"), stemmer="light", foldings=("hooks", "accents", "apostrophes")),
        family="Chadic",
        resources=2,
    ),
    # Points and cantillation are optional; vav and yod are doubled in unpointed spelling or not (תוכנית of תכנית is not
    # undone). Abbreviations have a gershayim or a quotation mark before the last letter (צה״ל, צה"ל, צהל), foreign
    # sounds a geresh. Article, conjunction and prepositions are written to the word, and many words begin as these do
    # (מדינה, בית): so a word has a term for each way in which some may be taken off, beside its own.
    Language(
        "he",
        "Hebrew",
        "עברית",
        "Hebr",
        Analysis(normalisers=("hebrew_letters",), stemmer="light", additions=("form", "hebrew_clitics")),
        family="Semitic",
        resources=3,
    ),
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
    # Marks are left out in much that is typed (racunalo), and are folded, after the stemmer; đ is then d. ije and je
    # are left as they are: the east's e is another language's (sr). Snowball's Serbian stemmer reads them as e, and
    # would do here, too (vrijeme); it takes off more, verbs among it: to be measured against the light one.
    Language(
        "hr",
        "Croatian",
        "hrvatski",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="light", foldings=("accents",)),
        family="Slavic",
        resources=4,
    ),
    # ő and ű became õ and û where a character set had none of them, and are met so in older texts. A long vowel of a
    # stem is short before endings (madár, madarak; út, utak; víz, vizek), and long í, ú, ű are often typed short: so
    # length is folded after the stemmer, but not what is another vowel: ö, ü are not o, u (kor, kör).
    Language(
        "hu",
        "Hungarian",
        "magyar",
        "Latn",
        Analysis(
            normalisers=("hungarian_letters", "ligatures"), stemmer="snowball hungarian", foldings=("hungarian_length",)
        ),
        family="Uralic",
        resources=4,
    ),
    # The marks of question, exclamation and stress stand inside of a word (ինչպե՞ս). և is a letter of its own, which
    # NFKC takes apart as եւ, capitals write as ԵՎ, and the classical spelling as եւ, with ւ for every վ behind a vowel
    # but ո. The article -ը, before a vowel -ն, is written to the noun. Snowball's stemmer leaves it, and case, on short
    # words, and does not bring տարբերություն and տարբերությունը together.
    Language(
        "hy",
        "Armenian",
        "հայերեն",
        "Armn",
        Analysis(normalisers=("armenian_letters", "armenian_article"), stemmer="light"),
        family="Armenian",
        resources=1,
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
    # Words hardly inflect. Tone marks are mostly left out, and the dots below ị ọ ụ often: stems are without any, and
    # the form keeps what was written. na before a vowel is n' and written to the next word. Words are short and alike:
    # their beginnings say too little.
    Language(
        "ig",
        "Igbo",
        "Igbo",
        "Latn",
        Analysis(normalisers=("ligatures", "dots_below", "igbo_elision"), foldings=("accents",), additions=("form",)),
        family="Niger-Congo",
        resources=1,
    ),
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
        Analysis(segmenter="sudachi", normalisers=("katakana",), additions=()),
        family="Japonic",
        resources=5,
    ),
    # One letter case in running text; capitals of headings (Mtavruli) are lower-cased. Cases, plural and postpositions
    # are endings, written together, one after the other; stems that lose a vowel before them (წყალი, წყლის) do not
    # meet.
    Language("ka", "Georgian", "ქართული", "Geor", Analysis(stemmer="light"), family="Kartvelian", resources=3),
    # No white space between words, except that a zero width space is typed between some. Words do not inflect. The
    # parts of a syllable are typed in several orders that look alike, ្ដ looks like ្ត, and two vowel signs like the one
    # that they make up. The terms are clusters, which are visible, with pairs of neighbours: ICU's dictionary is no
    # better on titles (docs/languages.md). Nothing is a stop word: ជា is one, and the end of កម្ពុជា.
    Language(
        "km",
        "Khmer",
        "ខ្មែរ",
        "Khmr",
        Analysis(segmenter="khmer", normalisers=("khmer_letters",), additions=(), pairs=True),
        family="Austroasiatic",
        resources=1,
    ),
    # Particles and endings are written to the word, compounds with spaces or without: a dictionary of morphemes cuts
    # them. Left out are those that are only grammar (`segmenters`); kept, unlike in Nori, adverbs, determiners,
    # prefixes and suffixes, which the subject may hang on, and of which the stop list has those that say nothing. Of a
    # verb the stem is the term.
    Language(
        "ko", "Korean", "한국어", "Kore", Analysis(segmenter="korean", additions=()), family="Koreanic", resources=4
    ),
    # Letters with hooks, carons and macrons are often typed without; dictionaries and encyclopedias mark stress and
    # tone with grave, acute and tilde (Vìlnius), which is no spelling and goes first. The stemmer tells endings by the
    # letters' marks, so these are folded after it; the form keeps them.
    Language(
        "lt",
        "Lithuanian",
        "lietuvių",
        "Latn",
        Analysis(normalisers=("lithuanian_stress",), stemmer="snowball lithuanian", foldings=("accents",)),
        family="Baltic",
        resources=3,
    ),
    # Letters with macrons, carons and commas are often typed without (Riga, Rīga); they tell cases apart, so the
    # stemmer sees them and they are folded after it. Nouns of two declensions change their last consonant before some
    # endings (lācis, lāča; upe, upju), which the stemmer undoes (Kreslins 1996, as in Lucene).
    Language(
        "lv",
        "Latvian",
        "latviešu",
        "Latn",
        Analysis(stemmer="light", foldings=("accents",)),
        family="Baltic",
        resources=3,
    ),
    # A chillu is one character or a letter with virama and joiner (അവൻ, അവന്‍), which leaves the virama when joiners
    # are out; so chillus are written with a virama. ന്റ is encoded in three ways, the half-u of older texts has a vowel
    # sign (അവനു്), ററ was റ്റ, and the au sign has lost its left half. Number, case and clitics are written to the
    # noun.
    Language(
        "ml",
        "Malayalam",
        "മലയാളം",
        "Mlym",
        Analysis(normalisers=("malayalam_letters",), stemmer="light"),
        family="Dravidian",
        resources=1,
    ),
    # Devanagari as Hindi has it, so the same letters are united (nasals, nuktas, candra vowels of loans: बॅंक, बँक);
    # also the eyelash ऱ. Cases and postpositions are written to the oblique of the noun. Vowel length is folded after
    # stemming.
    Language(
        "mr",
        "Marathi",
        "मराठी",
        "Deva",
        Analysis(normalisers=("hindi_letters",), stemmer="light", foldings=("hindi_vowels",)),
        family="Indo-Aryan",
        resources=2,
    ),
    # The affixes are those of Indonesian, and so is the stemmer. Also as there, the roots that it leaves are short and
    # alike, and an accent is rarely written. A plural is a word twice with a hyphen, which parts it.
    Language(
        "ms",
        "Malay",
        "Bahasa Melayu",
        "Latn",
        Analysis(normalisers=("ligatures", "accents"), stemmer="snowball indonesian", additions=("form",)),
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
    # Bokmål. æ, ø and å are letters and no accents (hår, har), so they stay where accents go; older names have aa
    # (Aasen, Åsen). Feminine nouns have two endings (boka, boken). No word ends in two m, but its forms have them (rom,
    # rommet; sykdom, sykdommer). Compounds are written together. Nynorsk shares most stems and the stemmer serves it
    # too.
    Language(
        "no",
        "Norwegian",
        "norsk",
        "Latn",
        Analysis(
            normalisers=("danish_letters", "english_possessive"),
            stemmer="snowball norwegian",
            foldings=("final_mm", "accents_nordic"),
        ),
        family="Germanic",
        resources=1,
    ),
    # In Gurmukhi (that of Pakistan is written in Arabic script, and has the fallback's words). Nuktas are left out in
    # typing (ਖ਼ਬਰ, ਖਬਰ), the sign of a long consonant as well (ਇੱਕ, ਇਕ); tippi and bindi are the same nasal. Cases are
    # words.
    Language(
        "pa",
        "Punjabi",
        "ਪੰਜਾਬੀ",
        "Guru",
        Analysis(normalisers=("gurmukhi_nasals", "gurmukhi_letters"), stemmer="light"),
        family="Indo-Aryan",
        resources=2,
    ),
    # Ogoneks, acutes and the stroke of ł are left out in many a query (Łódź, Lodz; książka, ksiazka), and are folded,
    # after the stemmer, which tells endings by them.
    Language(
        "pl",
        "Polish",
        "polski",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="snowball polish", foldings=("accents",)),
        family="Slavic",
        resources=4,
    ),
    Language(
        "pt",
        "Portuguese",
        "português",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="snowball portuguese", foldings=("accents",)),
        family="Romance",
        resources=4,
    ),
    # ș and ț have a comma below; for years keyboards and fonts had ş and ţ with a cedilla, so both are met everywhere.
    # â inside of a word was written î until 1993, and is so in Moldova and by some today (pîine, pâine). All marks are
    # left out in much of what is typed, so they are folded, after the stemmer, which tells endings by them. The article
    # stands at the end of the word (pădurea), as an ending.
    Language(
        "ro",
        "Romanian",
        "română",
        "Latn",
        Analysis(normalisers=("romanian_letters", "ligatures"), stemmer="snowball romanian", foldings=("accents",)),
        family="Romance",
        resources=3,
    ),
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
    # Mäkčeňs and lengths are left out in many a query (počítač, pocitac), and are folded, after the stemmer, which
    # tells endings by them. A vowel may be long in the plural alone (kniha, kníh), which folding joins, too.
    Language(
        "sk",
        "Slovak",
        "slovenčina",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="light", foldings=("accents",)),
        family="Slavic",
        resources=3,
    ),
    # Carons are left out in many a query (računalnik, racunalnik), and are folded, after the stemmer. Three numbers:
    # the dual has endings of its own (-oma, -ema).
    Language(
        "sl",
        "Slovenian",
        "slovenščina",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="light", foldings=("accents",)),
        family="Slavic",
        resources=3,
    ),
    # Articles and demonstratives are endings of the noun (buug, buugga; magaalo, magaalada), plurals mostly regular.
    # The apostrophe is a letter, and often left out; tone is not written.
    Language(
        "so",
        "Somali",
        "Soomaali",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="light", foldings=("accents", "apostrophes")),
        family="Cushitic",
        resources=1,
    ),
    # Written in Cyrillic and in Latin, letter for letter: both meet in Latin, which is unambiguous from Cyrillic (њ is
    # nj, but nj in Latin may be нј). The stemmer reads dj as đ, and what the west writes ije, je as e (mlijeko, mleko);
    # marks are left out in much Latin text (sisati, šišati), and are folded after it.
    Language(
        "sr",
        "Serbian",
        "српски",
        "Cyrl",
        Analysis(
            normalisers=("stress_marks", "serbian_latin", "ligatures"),
            stemmer="snowball serbian",
            foldings=("accents",),
        ),
        family="Slavic",
        resources=4,
    ),
    # å, ä and ö are letters and no accents (får, far), so they stay where accents go (idé, ide); names from Danish and
    # Norwegian are also typed æ, ø. An ending stands behind a colon after an abbreviation (EU:s). No word ends in two
    # m, but its forms have them (ström, strömmar). Compounds are written together: their first part is found by its
    # beginning.
    Language(
        "sv",
        "Swedish",
        "svenska",
        "Latn",
        Analysis(
            normalisers=("swedish_letters", "swedish_colon"),
            stemmer="snowball swedish",
            foldings=("final_mm", "accents_nordic"),
        ),
        family="Germanic",
        resources=4,
    ),
    # Nouns have class prefixes, of which singular and plural differ (kitabu, vitabu); these, the infinitive's and the
    # locative -ni come off. Words of a root with different classes meet then (mgonjwa, ugonjwa), which is more help
    # than harm. The apostrophe of ng' comes and goes.
    Language(
        "sw",
        "Swahili",
        "Kiswahili",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="light", foldings=("accents", "apostrophes")),
        family="Niger-Congo",
        resources=2,
    ),
    # Plural, case and clitics are written to the noun; Snowball's stemmer knows them (not a plural with a case in
    # -ங்கள்: மரங்களில் stays apart from மரம், and meets மரங்கள் by its beginning only). A stop may be doubled at a
    # word's end before another stop (இந்தக் காலம்). Grantha ஶ is mostly written ஸ.
    Language(
        "ta",
        "Tamil",
        "தமிழ்",
        "Taml",
        Analysis(normalisers=("tamil_sandhi", "tamil_letters"), stemmer="snowball tamil"),
        family="Dravidian",
        resources=3,
    ),
    # Number and case are written to the noun, and change its last vowel. A nasal before a stop is anusvara or the
    # letter (సంబంధం, సమ్బన్ధం), ళ్ళ and ళ్ల are one, ఱ and the half-nasal are of older texts; joiners in loans come and
    # go (సాఫ్ట్‌వేర్), which are left out in every language.
    Language(
        "te",
        "Telugu",
        "తెలుగు",
        "Telu",
        Analysis(normalisers=("telugu_nasals", "telugu_letters"), stemmer="light"),
        family="Dravidian",
        resources=1,
    ),
    # No white space between words: a dictionary segments, ICU's, by its longest known words; Lucene's analyzer asks
    # Java's dictionary. Words do not inflect. NFKC takes ำ apart, and the tone mark of น้ำ is typed before or behind
    # it; แ is typed as two เ. What is not in the dictionary (names) comes in pieces, which pairs hold together.
    Language(
        "th",
        "Thai",
        "ไทย",
        "Thai",
        Analysis(segmenter="thai", normalisers=("thai_letters",), additions=()),
        family="Tai",
        resources=3,
    ),
    # The linker -ng is written to the word before (malaking bahay), and so are -'t and -'y. Accents say which syllable
    # is stressed, in dictionaries alone. Verbs inflect with prefixes, infixes and doubled syllables, of which only the
    # prefixes can be taken off safely; nouns and adjectives, which titles are made of, do not.
    Language(
        "tl",
        "Tagalog",
        "Tagalog",
        "Latn",
        Analysis(normalisers=("ligatures", "accents", "tagalog_contractions"), stemmer="light"),
        family="Austronesian",
        resources=3,
    ),
    # Capitals are I and İ, of ı and i: lower-casing has to know that before the stemmer looks at the harmony of vowels
    # (KIZLAR is kızlar, not kizlar). English and identifiers are written in capitals, too (LINUX, IP), so ı and i are
    # one after the stemmer. Names take their case behind an apostrophe (Ankara'da), which is left out with what
    # follows. A circumflex says how a consonant is spoken, and is mostly left out (kâğıt, kağıt).
    Language(
        "tr",
        "Turkish",
        "Türkçe",
        "Latn",
        Analysis(
            texts=("turkish_case",),
            normalisers=("turkish_apostrophe", "turkish_circumflex"),
            stemmer="snowball turkish",
            foldings=("turkish_i",),
        ),
        family="Turkic",
        resources=4,
    ),
    # ґ was abolished from 1933 to 1990 and is still written г. The apostrophe is typed in five ways or left out
    # (комп'ютер, компютер). Encyclopedias mark the vowel that is stressed; ї and й are letters, each one character by
    # now. No ё; и, і, ї are three letters.
    Language(
        "uk",
        "Ukrainian",
        "українська",
        "Cyrl",
        Analysis(normalisers=("stress_marks", "ukrainian_letters"), stemmer="light"),
        family="Slavic",
        resources=3,
    ),
    # Typed on Urdu, Persian and Arabic keyboards, whose yeh, kaf and heh differ; vowel marks and hamza on a carrier are
    # optional (لئے, لیے; درجۂ, درجہ); ہ and ھ are written one for the other (انہیں, انھیں). Alef with madda is a letter
    # of its own, and so is the nasal ں. Case is by postpositions, number and gender by endings. English plurals in ز
    # stay.
    Language(
        "ur",
        "Urdu",
        "اردو",
        "Arab",
        Analysis(texts=("half_spaces",), normalisers=("urdu_letters",), stemmer="light"),
        family="Indo-Aryan",
        resources=3,
    ),
    # Words do not inflect. White space separates syllables, of which most words have two; pairs of them as terms lost
    # more on titles than they gained elsewhere. Two ways of placing the tone mark are in use (hòa, hoà). The capital of
    # đ has doubles.
    Language(
        "vi",
        "Vietnamese",
        "Tiếng Việt",
        "Latn",
        Analysis(normalisers=("vietnamese_d", "vietnamese_tones"), additions=()),
        family="Austroasiatic",
        resources=4,
    ),
    # Words do not inflect. Tone marks and the dots below ẹ ọ ṣ are left out as often as written, in part or wholly, and
    # the dot is typed as a line below, too: so stems are without any, and the form keeps what was written (ọkọ, ọkọ̀).
    # Words are short and alike: their beginnings say too little.
    Language(
        "yo",
        "Yoruba",
        "Yorùbá",
        "Latn",
        Analysis(normalisers=("ligatures", "dots_below"), foldings=("accents",), additions=("form",)),
        family="Niger-Congo",
        resources=2,
    ),
    # No white space between words: a dictionary segments, and yields the words inside long words too. Two scripts, of
    # which the dictionary has one: text in the other is converted, word by word where a character has several.
    Language(
        "zh",
        "Chinese",
        "中文",
        "Hans",
        Analysis(segmenter="jieba", additions=()),
        family="Sinitic",
        resources=5,
    ),
    # Written together what English writes apart: class prefix, possessive, conjunction and preposition stand before a
    # root (ngesiZulu, lwesiZulu), the locative and final vowels behind it. The class prefixes come off with what melts
    # into them.
    Language(
        "zu",
        "Zulu",
        "isiZulu",
        "Latn",
        Analysis(normalisers=("ligatures",), stemmer="light", foldings=("accents",)),
        family="Niger-Congo",
        resources=2,
    ),
)

LANGUAGES: dict[str, Language] = {row.code: row for row in _ROWS}
"""The rows by code."""
