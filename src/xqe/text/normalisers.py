"""Normalisers: what is rewritten of a text before it is cut into words, and of a word before or after its stemming.

Each undoes a difference that is one of spelling, typing or encoding and not of the word; the rows of
`xqe.text.languages` say which languages have it, and why. Words are in NFKC and lower case, with ASCII apostrophes. The
normalisations of Arabic, Hindi and Persian have the effect of Lucene's, so that results compare with published ones;
those of Arabic also take letters of Persian and Urdu keyboards for the Arabic ones, as its PersianNormalizer does the
other way round.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import partial

Rewrite = Callable[[str], str]


def _mapped(table: dict[str, str]) -> Rewrite:
    return partial(_translate, str.maketrans(table))


def _translate(table: dict[int, str], word: str) -> str:
    return word if word.isascii() else word.translate(table)


def _replaced(pattern: str, by: str) -> Rewrite:
    """What a pattern matches replaced. It is compiled when a word first comes, as most are of languages that do not."""
    substitute: Callable[[str, str], str] | None = None

    def replaced(word: str) -> str:
        nonlocal substitute
        if substitute is None:
            substitute = re.compile(pattern).sub
        return substitute(by, word)

    return replaced


def _without(pattern: str) -> Rewrite:
    return _replaced(pattern, "")


def _decomposed(change: Rewrite) -> Rewrite:
    """What a change of the marks that combine makes of a word, which is composed again."""

    def changed(word: str) -> str:
        if word.isascii():
            return word
        return unicodedata.normalize("NFC", change(unicodedata.normalize("NFD", word)))

    return changed


def _paired(old: str, new: str) -> dict[str, str]:
    return dict(zip(old, new, strict=True))


# ---------------------------------------------------------------- texts


def turkish_case(text: str) -> str:
    """The capitals of ı and i, which lower-casing takes for those of other languages."""
    return text.replace("I\u0307", "i").replace("İ", "i").replace("I", "ı")


half_spaces = _replaced("(?<=[\u0600-\u06ff])\u200c+(?=[\u0600-\u06ff])", " ")
"""A zero width non-joiner between Arabic letters parts what belongs to one word in Persian and Urdu (کتاب‌ها)."""

# ---------------------------------------------------------------- Latin, Greek and Cyrillic letters

_MARKS = "[\u0300-\u036f]"
_STRUCK = str.maketrans({"đ": "d", "ð": "d", "ħ": "h", "ł": "l", "ø": "o", "ŧ": "t", "þ": "th"})
_without_marks = _decomposed(_without(_MARKS))


def _accents(word: str) -> str:
    """Without the marks that Latin letters bear, strokes among them: é is often typed e, and Łódź Lodz."""
    return word if word.isascii() else _without_marks(word).translate(_STRUCK)


def _accents_but(letters: str) -> Rewrite:
    """The same but for these, which are letters of the language's own alphabet."""

    def folded(word: str) -> str:
        return word if word.isascii() else "".join(one if one in letters else _accents(one) for one in word)

    return folded


_STRESSED = str.maketrans("ѐѝ", "еи")  # the two that have a character of their own
_stress = _without(_MARKS)


def _stress_marks(word: str) -> str:
    """Without the acute or grave that says which vowel of a Cyrillic word is stressed. й and ё are letters, each one
    character by now, and keep what they bear."""
    return word if word.isascii() else _stress(word).translate(_STRESSED)


def _greek_letters(word: str) -> str:
    """Without tonos, breathings, dialytika and iota subscripts; the sigma of a word's end is one as any other."""
    return _without_marks(word).replace("ς", "σ")


def _danish_letters(word: str) -> str:
    """å for aa; æ and ø for the letters of Swedish and German."""
    return word.replace("aa", "å").replace("ä", "æ").replace("ö", "ø")


def _final_mm(word: str) -> str:
    return word[:-1] if word.endswith("mm") else word


_ROMANIAN = str.maketrans({"ş": "ș", "ţ": "ț", "ã": "ă"})
_inner_i = _replaced(r"(?<=\w)î(?=\w)", "â")


def _romanian_letters(word: str) -> str:
    """Commas for cedillas, ă for ã, and â for an î inside of a word, as it is written since 1993. That makes â of the î
    behind a prefix, too (neîncetat), in every text alike."""
    return word if word.isascii() else _inner_i(word.translate(_ROMANIAN))


_SERBIAN = dict(
    zip(
        "абвгдђежзијклљмнњопрстћуфхцчџш",
        [
            "a",
            "b",
            "v",
            "g",
            "d",
            "đ",
            "e",
            "ž",
            "z",
            "i",
            "j",
            "k",
            "l",
            "lj",
            "m",
            "n",
            "nj",
            "o",
            "p",
            "r",
            "s",
            "t",
            "ć",
            "u",
            "f",
            "h",
            "c",
            "č",
            "dž",
            "š",
        ],
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


def _vietnamese_tones(word: str) -> str:
    """The tone mark of an open syllable in oa, oe, uy, on its second vowel, in whichever way it was typed."""
    return word[:-2] + _VIETNAMESE_TONES.get(word[-2:], word[-2:])


# ---------------------------------------------------------------- Arabic and Hebrew letters

_ARABIC_MARKS = {  # vowel marks, hamzas that no letter bears, tatweel, marks of the Koran
    chr(mark): ""
    for first, last in (
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
    for mark in range(first, last + 1)
}
_ARABIC_LETTERS = {
    **_ARABIC_MARKS,
    **dict.fromkeys("آأإٱٲٳ", "ا"),  # alef with madda, hamza above or below, wasla
    **dict.fromkeys("ىیے", "ي"),  # dotless yeh; that of Persian and of Urdu keyboards
    **dict.fromkeys("کڪ", "ك"),  # kaf of these keyboards, and one that is drawn out
    **dict.fromkeys("ةۃہۂھەۀ", "ه"),  # teh marbuta; heh of these keyboards
}
_HAMZAS = {**dict.fromkeys("أإٱ", "ا"), "ؤ": "و", "ء": ""}
_PERSIAN_LETTERS = {
    **_ARABIC_MARKS,
    **_HAMZAS,
    **dict.fromkeys("يىېےئ", "ی"),
    **dict.fromkeys("كڪ", "ک"),
    **dict.fromkeys("ةۃۂۀەھہ", "ه"),
}
_URDU_LETTERS = {
    **_ARABIC_MARKS,
    **_HAMZAS,
    **dict.fromkeys("يىۍېئ", "ی"),
    **dict.fromkeys("كڪ", "ک"),
    **dict.fromkeys("هةۃۂۀەھ", "ہ"),
    "ۓ": "ے",
}
_HEBREW = str.maketrans(
    {
        **dict.fromkeys(map(chr, (*range(0x591, 0x5BE), 0x5BF, 0x5C1, 0x5C2, 0x5C4, 0x5C5, 0x5C7)), ""),  # points
        **dict.fromkeys("\u05f3\u05f4\"'", ""),  # geresh, gershayim
        **_paired("ךםןףץ", "כמנפצ"),
        **dict(zip("\u05f0\u05f1\u05f2", ("ו", "וי", "י"), strict=True)),  # digraphs of Yiddish
    }
)


def _hebrew_letters(word: str) -> str:
    """Without points, geresh and gershayim, with the letters of a word's middle, and vav and yod never doubled."""
    return word if word.isascii() else word.translate(_HEBREW).replace("וו", "ו").replace("יי", "י")


# ---------------------------------------------------------------- letters of South Asia


def _nasals(first: int) -> Rewrite:
    """Nasals before a stop of their own class as anusvara, in the script whose block begins there: the blocks have the
    order of ISCII."""

    def at(offset: int) -> str:
        return chr(first + offset)

    classes = ((0x19, 0x15), (0x1E, 0x1A), (0x23, 0x1F), (0x28, 0x24), (0x2E, 0x2A))  # a nasal, the first of four stops
    pattern = "|".join(f"{at(nasal)}{at(0x4D)}(?=[{at(stop)}-{at(stop + 3)}])" for nasal, stop in classes)
    return _replaced(pattern, at(0x02))


_HINDI_LETTERS = str.maketrans(
    {
        **_paired("ऩऱऴ\u0958\u0959\u095a\u095b\u095c\u095d\u095e\u095f", "नरळकखगजडढफय"),  # with a nukta
        **dict.fromkeys("\u093c\u094d", ""),  # nukta, virama
        "\u0901": "\u0902",  # chandrabindu, anusvara
        **_paired("\u0945\u0946\u0949\u094a", "\u0947\u0947\u094b\u094b"),  # candra and short vowel signs
        **_paired("\u090d\u090e\u0911\u0912\u0972", "एएओओअ"),
    }
)
_HINDI_VOWELS = _paired(
    "आईऊॠॡऐऔ\u0940\u0942\u0944\u0963\u0948\u094c",
    "अइउऋऌएओ\u093f\u0941\u0943\u0962\u0947\u094b",
)


def _hindi_letters(word: str) -> str:
    """Also न् before a consonant is written as anusvara (हिन्दी, हिंदी)."""
    return _translate(_HINDI_LETTERS, word.replace("न\u094d", "\u0902"))


_TELUGU_LETTERS = str.maketrans({"\u0c01": "", "ఱ": "ర", "ౘ": "చ", "ౙ": "జ"})


def _telugu_letters(word: str) -> str:
    return _translate(_TELUGU_LETTERS, word.replace("ళ్ళ", "ళ్ల"))


_MALAYALAM_LETTERS = str.maketrans(
    {
        **{chillu: letter + "\u0d4d" for chillu, letter in _paired("ൺൻർൽൾൿ", "ണനരലളക").items()},
        "\u0d4e": "ര\u0d4d",  # dot reph
        "\u0d4c": "\u0d57",  # au
    }
)
_malayalam_viramas = _replaced("\u0d4d+|\u0d41\u0d4d$", "\u0d4d")


def _malayalam_letters(word: str) -> str:
    """Chillus as a letter with a virama, the half-u with one alone, and ററ as it is written now."""
    return _malayalam_viramas(_translate(_MALAYALAM_LETTERS, word)).replace("ററ", "റ\u0d4dറ")


# ---------------------------------------------------------------- letters of other scripts

_ALL_KATAKANA = re.compile(r"[\u30a1-\u30fa\u30fc-\u30ff]+").fullmatch


def _katakana(word: str) -> str:
    return word[:-1] if len(word) > 3 and word[-1] == "ー" and _ALL_KATAKANA(word) else word


_thai_am = _replaced("([\u0e48-\u0e4b]*)\u0e4d([\u0e48-\u0e4b]*)\u0e32", "\\1\\2\u0e33")
_thai_doubled = _replaced("([\u0e31\u0e34-\u0e3a\u0e47-\u0e4e])\\1+", r"\1")


def thai_letters(text: str) -> str:
    """ำ as one character behind its tone mark, แ for two เ, and no mark twice."""
    return _thai_doubled(_thai_am(text).replace("\u0e40\u0e40", "\u0e41"))


_KHMER_OLD = str.maketrans(
    {"\u17a3": "\u17a2", "\u17a4": "\u17a2\u17b6", "\u17b2": "\u17b1", "\u17b4": "", "\u17b5": "", "\u17d3": "\u17c6"}
)
_KHMER_SYLLABLE = re.compile("([\u1780-\u17b3])((?:\u17d2[\u1780-\u17b3]|[\u17b6-\u17d1\u17dd]){2,})")
_KHMER_PART = re.compile("\u17d2[\u1780-\u17b3]|.")


def khmer_order(text: str) -> str:
    """Syllables in the order of Unicode (chapter 16.4), without letters that it discourages, as T. Jones has it (Khmer
    syllable reordering for search, Wikimedia, 2021)."""
    text = _KHMER_SYLLABLE.sub(_in_order, text.translate(_KHMER_OLD))
    return text.replace("\u17c1\u17b8", "\u17be").replace("\u17c1\u17b6", "\u17c4")


def _in_order(syllable: re.Match[str]) -> str:
    parts = sorted(_KHMER_PART.findall(syllable[2]), key=_rank)
    return syllable[1] + "".join(dict.fromkeys(parts))


def _rank(part: str) -> int:
    if part[0] == "\u17d2":
        return 1 if part[1] == "\u179a" else 0  # the subscript of ro comes last, though it is drawn first
    if part in "\u17c9\u17ca\u17cc":
        return 2  # what shifts the register, and robat
    return 3 if "\u17b6" <= part <= "\u17c5" else 4  # vowels; signs


def _khmer_letters(word: str) -> str:
    """In order, and with ្ត for ្ដ, which look the same."""
    return khmer_order(word).replace("\u17d2\u178a", "\u17d2\u178f")


_armenian_marks = _without("[\u0559-\u055f]")
_armenian_vew = _replaced("(?<!\u0578)\u0582", "\u057e")  # ւ, which behind ո is the second half of ու


def _armenian_letters(word: str) -> str:
    """Without the marks inside of a word, and վ for ւ that is not of ու."""
    return _armenian_vew(_armenian_marks(word))


_AMHARIC_LETTERS = {
    **{  # series that once differed in sound, in seven orders
        chr(old + order): chr(new + order)
        for old, new in {0x1210: 0x1200, 0x1280: 0x1200, 0x1220: 0x1230, 0x12D0: 0x12A0, 0x1340: 0x1338}.items()
        for order in range(7)
    },
    **dict.fromkeys("ሃሓኃኻ", "ሀ"),
    **dict.fromkeys("ኣዓ", "አ"),
    **_paired("ቈኈኰጐ", "ቆሆኮጎ"),
    **dict.fromkeys("\u135d\u135e\u135f", ""),  # of gemination and length
}


# ---------------------------------------------------------------- the tables

TEXTS: dict[str, Rewrite] = {"half_spaces": half_spaces, "turkish_case": turkish_case}
"""What texts are rewritten by before anything else."""

NORMALISERS: dict[str, Rewrite] = {
    "accents": _accents,
    "accents_estonian": _accents_but("õäöü"),
    "accents_nordic": _accents_but("åäöæø"),
    "amharic_clitics": _without("^(?:የ|ስለ|እንደ|ወደ|[በለከ](?=[አ-ኦ]))(?=..)"),  # before a vowel; else they may be a root's
    "amharic_letters": _mapped(_AMHARIC_LETTERS),
    "apostrophes": _without("'"),
    "arabic_letters": _mapped(_ARABIC_LETTERS),
    "armenian_article": _without("(?<=..[բ-դզթժլ-ձղ-նշչ-ջռ-ցփքֆ])[ըն]$"),  # behind a vowel it may be the stem's
    "armenian_letters": _armenian_letters,
    "bengali_letters": _mapped({"ৎ": "ত\u09cd", "ৰ": "র", "ৱ": "ব"}),
    "bengali_vowels": _mapped({"\u09c0": "\u09bf", "\u09c2": "\u09c1", "ঈ": "ই", "ঊ": "উ", "\u0981": "", "ঙ": "ং"}),
    "catalan_elision": _without(r"^[dlmnst]'(?=.)|(?<=.)'(?:l|ls|n|ns|m|s|t)$"),
    "catalan_l": _replaced(r"l[·•‧∙⋅.]l", "ll"),
    "danish_letters": _danish_letters,
    "dots_below": _decomposed(_replaced("[\u0329\u0331]", "\u0323")),  # a line below is meant for a dot
    "english_possessive": _without(r"'s?$"),
    "final_mm": _final_mm,
    "finnish_colon": _without(
        r":(?:n|t|a|ä|ta|tä|tta|ttä|ssa|ssä|sta|stä|lla|llä|lta|ltä|lle|na|nä|ksi|[aeiouyäö]n|h[aeiouyäö]n|iin|i?hin"
        r"|i?den|i?en|tten|kin|kaan|kään|ni|nsa|nsä)$"
    ),
    "finnish_nk": _replaced(r"ng(?=[aäeiouöy]?$)", "nk"),
    "french_elision": _without(r"^(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu)'(?=.)"),
    "greek_letters": _greek_letters,
    "gujarati_letters": _mapped(
        {"\u0abc": "", "\u0a81": "\u0a82", "\u0ac9": "\u0acb", "\u0ac5": "\u0ac7", "ઑ": "ઓ", "ઍ": "એ"}
    ),
    "gujarati_nasals": _nasals(0x0A80),
    "gujarati_vowels": _mapped({"\u0ac0": "\u0abf", "\u0ac2": "\u0ac1", "ઈ": "ઇ", "ઊ": "ઉ"}),
    "gurmukhi_letters": _mapped({"\u0a3c": "", "\u0a70": "\u0a02", "\u0a01": "\u0a02", "\u0a71": ""}),
    "gurmukhi_nasals": _nasals(0x0A00),
    "hausa_y": _replaced("'y", "ƴ"),
    "hebrew_letters": _hebrew_letters,
    "hindi_letters": _hindi_letters,
    "hindi_vowels": _mapped(_HINDI_VOWELS),
    "hooks": _mapped(_paired("ɓɗƙƴ", "bdky")),
    "hungarian_length": _mapped(_paired("áéíóőúű", "aeioöuü")),
    "hungarian_letters": _mapped(_paired("õû", "őű")),
    "igbo_elision": _without("^n'(?=.)"),
    "italian_elision": _without(
        r"^(?:[cdlmstv]|un|all|agl|coll|dall|dagl|dell|degl|nell|negl|sull|sugl|gl|quell|quest)'(?=.)"
    ),
    "katakana": _katakana,
    "khmer_letters": _khmer_letters,
    "ligatures": _mapped({"œ": "oe", "æ": "ae", "ß": "ss"}),
    "lithuanian_stress": _decomposed(_without("[\u0300\u0301\u0303]")),
    "malayalam_letters": _malayalam_letters,
    "persian_letters": _mapped(_PERSIAN_LETTERS),
    "romanian_letters": _romanian_letters,
    "russian_yo": _mapped({"ё": "е"}),
    "serbian_latin": _mapped(_SERBIAN),
    "stress_marks": _stress_marks,
    "swedish_colon": _without(r":(?:s|n|t|en|ens|et|ets|ar|arna|er|erna|are|as)$"),
    "swedish_letters": _mapped(_paired("æø", "äö")),
    "tagalog_contractions": _without("'[ty]$"),
    "tamil_letters": _mapped({"ஶ": "ஸ"}),
    "tamil_sandhi": _without("[கசதப]\u0bcd$"),
    "telugu_letters": _telugu_letters,
    "telugu_nasals": _nasals(0x0C00),
    "thai_letters": thai_letters,
    "turkish_apostrophe": _without(r"(?<=\w\w)'.*$"),  # two letters before it: o'brien, d'artagnan are no cases
    "turkish_circumflex": _mapped(_paired("âîû", "aiu")),
    "turkish_i": _mapped({"ı": "i"}),
    "ukrainian_letters": _mapped({"ґ": "г", "'": ""}),
    "urdu_letters": _mapped(_URDU_LETTERS),
    "vietnamese_d": _mapped(_paired("ðɖ", "đđ")),  # other letters, whose capitals look like that of đ
    "vietnamese_tones": _vietnamese_tones,
}
