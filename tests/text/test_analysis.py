"""What users may rely on when text becomes terms: which words meet, which stay apart, and that any string is fine."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xqe.errors import XqeError
from xqe.text.analysis import ADDITIONS, LONGEST_TERM, PROBES, Analyzer, analyzer, stop_words
from xqe.text.languages import LANGUAGES
from xqe.text.normalisers import NORMALISERS, TEXTS
from xqe.text.segmenters import SEGMENTERS

CODES = sorted(LANGUAGES)
WORDS = tomllib.loads((Path(__file__).parent.parent / "golden" / "words.toml").read_text("utf-8"))
"""Of each language but the first fourteen: pairs of words that meet, that are alike, and that stay apart."""


def pairs_of(kind: str) -> list[tuple[str, str, str]]:
    return [(code, one, other) for code, kinds in WORDS.items() for one, other in kinds.get(kind, ())]


def stems(code: str, text: str) -> list[str]:
    return [word.stem for word in analyzer(code).explain(text) if word.stem]


# Forms of one word, or spellings of one, that a query and a document may choose between.
SAME = [
    *pairs_of("meets"),
    ("ar", "الكتاب", "كتاب"),  # article
    ("ar", "والمدرسة", "مدرسه"),  # conjunction and article; teh marbuta written as heh
    ("ar", "كِتَابٌ", "كتاب"),  # vowel marks
    ("ar", "كتـــاب", "كتاب"),  # tatweel
    ("ar", "أحمد", "احمد"),  # hamza
    ("ar", "مستشفى", "مستشفي"),  # dotless yeh
    ("ar", "بالمدينة", "المدينة"),  # preposition
    ("ar", "للكتاب", "الكتاب"),
    ("ar", "معلمون", "معلمين"),  # plural, nominative and oblique
    ("ar", "سيارات", "سيارة"),
    ("ar", "كتابها", "كتاب"),  # possessive
    ("ar", "١٩٩٩", "1999"),
    ("de", "Häuser", "Haus"),
    ("de", "Straße", "Strasse"),
    ("de", "Buecher", "Bücher"),
    ("en", "ships", "ship"),
    ("en", "ship’s", "ship"),
    ("en", "ship's", "ship"),
    ("en", "café", "cafe"),
    ("en", "ＡＢＣ", "abc"),  # full width
    ("en", "co\u00adoperate", "cooperate"),  # soft hyphen
    ("en", "ﬁle", "file"),  # ligature
    ("en", "Łódź", "Lodz"),  # a stroke is a mark
    ("en", "Tromsø", "Tromso"),
    ("en", "Þingvellir", "Thingvellir"),
    ("en", "Straße", "Strasse"),
    ("de", "Æsop", "Aesop"),
    ("es", "canciones", "canción"),
    ("es", "informática", "informatica"),
    ("fr", "l’été", "été"),
    ("fr", "d'histoire", "histoire"),
    ("fr", "chevaux", "cheval"),
    ("fr", "bibliothèque", "bibliotheque"),
    ("hi", "हिन्दी", "हिंदी"),  # n before a consonant or anusvara
    ("hi", "किताबें", "किताब"),  # plural
    ("hi", "क़लम", "कलम"),  # nukta
    ("hi", "चाँद", "चांद"),  # chandrabindu or anusvara
    ("hi", "२०२४", "2024"),
    ("hi", "लड़कियाँ", "लड़कियां"),
    ("hi", "पुस्तकों", "पुस्तक"),  # oblique plural
    ("hi", "भाषाएँ", "भाषा"),
    ("hi", "ज़मीन", "जमीन"),
    ("hi", "सम्बन्ध", "सम्बंध"),
    ("id", "makanan", "makan"),
    ("id", "bukunya", "buku"),  # possessive
    ("id", "bacalah", "baca"),  # particle
    ("id", "pembacaan", "baca"),  # derived by a prefix and a suffix
    ("id", "dibaca", "membaca"),  # passive and active
    ("id", "pelajaran", "belajar"),
    ("id", "permainan", "bermain"),
    ("it", "dell'arte", "arte"),
    ("it", "città", "citta"),
    ("it", "libri", "libro"),
    ("ja", "サーバー", "サーバ"),  # final long mark
    ("ja", "ｺﾝﾋﾟｭｰﾀ", "コンピュータ"),  # half width
    ("ja", "食べました", "食べる"),  # inflection
    ("ja", "付属", "附属"),  # two spellings
    ("nl", "huizen", "huis"),
    ("nl", "foto's", "foto"),
    ("nl", "boeken", "boek"),
    ("nl", "bomen", "boom"),
    ("nl", "lopend", "lopen"),
    ("nl", "mogelijkheden", "mogelijkheid"),
    ("pt", "informações", "informação"),
    ("pt", "coração", "coracao"),
    ("ru", "книгами", "книга"),
    ("ru", "ёлка", "елка"),
    ("vi", "hoà bình", "hòa bình"),  # two ways to place the tone mark
    ("vi", "Thuỷ", "thủy"),
    ("vi", "khoẻ", "khỏe"),
    ("vi", "TOÁN HỌC", "toán học"),
    ("vi", unicodedata.normalize("NFD", "tiếng việt"), "Tiếng Việt"),
    ("zh", "ＨＴＭＬ５", "html5"),
    ("zh", "圖書館", "图书馆"),  # traditional and simplified characters
    ("zh", "乾燥", "干燥"),
    ("zh", "頭髮", "头发"),
    ("zh", "後面", "后面"),
    ("zh", "發展", "发展"),
]

# One word in two encodings, or as two keyboards have it: all its terms are the same, so that a query finds it as if it
# were written alike. Sources: Unicode's Default_Ignorable_Code_Point and NFKC; Lucene's ArabicNormalizer and
# PersianNormalizer (kaf, yeh, heh); what dictionaries and encyclopedias of the language do.
ALIKE = [
    *(
        (code, f"{word[0]}{mark}{word[1:]}", word)
        for code, word in [
            ("ar", "كتاب"),
            ("de", "haus"),
            ("en", "ship"),
            ("es", "barco"),
            ("fr", "maison"),
            ("hi", "किताब"),
            ("id", "kapal"),
            ("it", "nave"),
            ("ja", "東京"),
            ("nl", "huis"),
            ("pt", "navio"),
            ("ru", "вода"),
            ("vi", "nam"),
            ("zh", "北京"),
            *((code, kinds["meets"][0][1]) for code, kinds in WORDS.items()),
        ]
        for mark in ("\u00ad", "\u034f", "\u180b", "\u200d", "\u2060", "\ufe00", "\ufe0f", "\U000e0100", "\U000e01ef")
    ),
    *pairs_of("alike"),
    ("ru", "Ве\u0301на", "Вена"),
    ("ru", "Достое\u0301вский", "Достоевский"),
    ("ru", "за\u0300мок", "замок"),
    ("ru", "вс\u0450", "все"),  # е with a grave, one character
    ("ru", unicodedata.normalize("NFD", "ёлка"), "ёлка"),
    ("ru", unicodedata.normalize("NFD", "Кита́й"), "Китай"),
    ("ar", "کتاب", "كتاب"),  # kaf
    ("ar", "عربی", "عربي"),  # yeh
    ("ar", "مستشفى", "مستشفی"),
    ("ar", "ﻛﺘﺎﺏ", "كتاب"),  # presentation forms
    ("ar", "ﻻ ﺍﻟﺴﻼﻡ", "لا السلام"),  # lam and alef
    ("ar", "مدرسہ", "مدرسة"),
    ("ar", "اللّٰه", "الله"),
    ("ar", "كﹶتﹶب", "كتب"),  # vowel marks that stand by themselves
    ("ar", "ا\u0654حمد", "أحمد"),
    ("ar", "رحم\u0670ن", "رحمن"),
    ("ar", "۱۹۹۹", "1999"),  # Persian digits
    ("ar", "٣٫١٤", "3.14"),
    ("ar", "١٬٠٠٠", "1,000"),
    ("de", "E\u2010Mail", "E-Mail"),  # hyphens
    ("de", "E\u2011Mail", "E-Mail"),
    ("de", "Hals–Nasen–Ohren", "Hals-Nasen-Ohren"),
    ("de", "Haﬀ", "Haff"),
    ("en", "Cæsar", "Caesar"),
    ("en", "don´t", "don't"),
    ("en", "don‛t", "don′t"),
    ("en", "İstanbul", "Istanbul"),
    ("es", "Paraŀlel", "Paral·lel"),
    ("fr", "cœur", "coeur"),
    ("fr", "SŒUR", "sœur"),
    ("fr", "l´été", "l'été"),
    ("fr", "aujourd´hui", "aujourd’hui"),
    ("id", "apél", "apel"),
    ("id", "Pelé", "Pele"),
    ("it", "dell´arte", "dell’arte"),
    ("nl", "ĳs", "ijs"),
    ("nl", "foto´s", "foto’s"),
    ("hi", "विद्\u200dया", "विद्या"),
    ("hi", "क़लम", unicodedata.normalize("NFD", "क़लम")),
    ("ja", "葛\U000e0100飾区", "葛飾区"),
    ("ja", "か\u309bくせい", "がくせい"),  # sound marks: with a width, combining, in half width
    ("ja", "か\u3099くせい", "がくせい"),
    ("ja", "ﾊﾞｽ", "バス"),
    ("ja", "神社", "神社"),  # a compatibility ideograph
    ("ja", "⽇本", "日本"),  # a radical
    ("ja", "１２月", "12月"),
    ("vi", "Ðà Nẵng", "Đà Nẵng"),  # eth, and the African d
    ("vi", "ÐƯỜNG", "đường"),
    ("vi", "Ɖường", "đường"),
    ("zh", "北京大学", "北\ufe00京大学"),
    ("zh", "羅馬", "羅馬"),
]

# Words that differ in what they mean and must not be folded into one.
DIFFERENT = [
    *pairs_of("apart"),
    ("ar", "كتاب", "مكتب"),
    ("de", "Stahl", "Stall"),
    ("en", "policy", "police"),
    ("fr", "aujourd'hui", "hui"),
    ("hi", "राम", "रम"),
    ("zh", "乾隆", "干隆"),  # a name keeps what is simplified elsewhere
    ("hi", "दिन", "दान"),
    ("hi", "फल", "फूल"),
    ("id", "buku", "baku"),
    ("id", "hutan", "hutang"),
    ("nl", "man", "maan"),
    ("nl", "bom", "boom"),
    ("ar", "علم", "عمل"),
    ("ja", "カー", "カ"),
    ("ru", "стол", "стул"),
    ("vi", "mà", "má"),
    ("vi", "hòn", "hoan"),
    ("ar", "قال", "كال"),
    ("ar", "باب", "پاپ"),
    ("de", "Kirsche", "Kirche"),
    ("es", "ano", "anio"),
    ("hi", "सडक", "सरक"),
    ("it", "pero", "perro"),
    ("ja", "がくせい", "かくせい"),
    ("ja", "ハハ", "ババ"),
    ("pt", "coser", "cozer"),
    ("ru", "йод", "иод"),  # й is a letter
    ("ru", "вода", "boda"),  # what looks alike in another script is another word
    ("ru", "рак", "pak"),
    ("vi", "đa", "da"),
    ("zh", "大", "太"),
    ("en", "foe", "fo"),
]


@pytest.mark.parametrize(("code", "one", "other"), SAME)
def test_forms_of_a_word_meet(code: str, one: str, other: str) -> None:
    assert stems(code, one)
    assert stems(code, one) == stems(code, other)
    assert set(analyzer(code).terms(one)) & set(analyzer(code).terms(other))


@pytest.mark.parametrize(("code", "one", "other"), ALIKE)
def test_ways_to_encode_a_word_have_the_same_terms(code: str, one: str, other: str) -> None:
    assert analyzer(code).terms(one) == analyzer(code).terms(other) != []


def test_each_language_has_words_that_meet_and_words_that_do_not() -> None:
    for pairs in (SAME, ALIKE, DIFFERENT):
        assert {code for code, _, _ in pairs} == set(CODES)


@pytest.mark.parametrize(("code", "one", "other"), DIFFERENT)
def test_other_words_stay_apart(code: str, one: str, other: str) -> None:
    assert stems(code, one) != stems(code, other)


@pytest.mark.parametrize(
    ("code", "word", "terms"),
    [
        ("en", "Ships", ["ship", "=ships", "ship*"]),
        ("en", "a", []),
        ("en", "C", ["c", "=c"]),
        ("de", "Häusern", ["haus", "=häusern", "haus*"]),
        ("ru", "книгами", ["книг", "=книгами", "книг*"]),
        ("id", "makanan", ["makan", "=makanan"]),
        ("vi", "học", ["học"]),
        ("vi", "học sinh của trường", ["học", "sinh", "trường"]),
        ("km", "ទន្លេ", ["ទ", "ន្លេ", "ទ+ន្លេ"]),
        ("ja", "学校", ["学校"]),
    ],
)
def test_terms_of_a_word(code: str, word: str, terms: list[str]) -> None:
    assert analyzer(code).terms(word) == terms


@pytest.mark.parametrize(
    ("code", "one", "other"),
    [
        ("en", "PyQt5", "PyQt 5"),
        ("de", "Konvertierung", "Konverter"),  # derived words
        ("de", "Sonnenfinsternis", "Sonne"),  # the first part of a compound
        ("nl", "zonsverduistering", "zonsopgang"),
        ("nl", "kleine", "klein"),
        ("fr", "convertisseur", "conversion"),
        ("pt", "conversor", "conversão"),
        ("ru", "программирование", "программа"),
        ("ar", "الحاسوبية", "حاسوب"),
    ],
)
def test_words_with_one_beginning_share_a_term(code: str, one: str, other: str) -> None:
    assert stems(code, one) != stems(code, other) or code == "ar"
    assert set(analyzer(code).terms(one)) & set(analyzer(code).terms(other))


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("joined", "part"), [("kernel_module", "module"), ("node.vfs", "vfs"), ("v4l:xyz", "xyz")])
def test_identifiers_are_found_whole_and_by_their_parts(code: str, joined: str, part: str) -> None:
    found = analyzer(code).terms(joined)
    assert analyzer(code).terms(part)[0] in found
    assert found[0] not in analyzer(code).terms(joined.replace("_", " ").replace(".", " ").replace(":", " "))


def test_numbers_stay_whole() -> None:
    assert stems("en", "3.14 1,000 1.2.3") == ["3.14", "1,000", "1.2.3"]
    assert not {"3", "14", "1"} & set(analyzer("en").terms("3.14 1,000 1.2.3"))


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        ("hi", "क्षेत्र राष्ट्रपति", 2),  # viramas and vowel signs do not split a word
        ("ar", "العَرَبِيَّة لغة", 2),
        ("vi", "học sinh giỏi", 3),
        ("ru", "Мос­ква", 1),
        ("en", "can't", 1),
        ("en", "3.14 1,000", 2),
        ("en", "first\u200bsecond\x00third\x1ffourth\u2028fifth", 5),
    ],
)
def test_word_boundaries(code: str, text: str, words: int) -> None:
    assert len(stems(code, text)) == words


@pytest.mark.parametrize(
    ("text", "inside"),
    [("东京大学图书馆", ["大学", "图书馆"]), ("我来到北京清华大学", ["北京", "清华大学", "大学"])],
)
def test_chinese_words_inside_long_ones_are_found(text: str, inside: list[str]) -> None:
    terms = analyzer("zh").terms(text)
    assert set(inside) <= set(terms)
    assert "京大" not in terms


def test_japanese_is_cut_into_words_without_particles() -> None:
    terms = analyzer("ja").terms("東京都の図書館で本を読む")
    assert {"東京", "図書", "本", "読む"} <= set(terms)
    assert not {"の", "で", "を"} & set(terms)


@pytest.mark.parametrize("code", ["ja", "zh"])
def test_a_line_break_inside_a_sentence_does_not_cut_a_word(code: str) -> None:
    assert analyzer(code).terms("大\n学") == analyzer(code).terms("大学")
    assert analyzer(code).terms("大\n\n学") != analyzer(code).terms("大学")


@pytest.mark.parametrize("code", CODES)
def test_latin_words_and_identifiers_are_found_in_text_of_any_script(code: str) -> None:
    around = {"ja": "これは{}を使う。", "zh": "我们使用{}编码。"}.get(code, "({}).")
    for word in ("ffmpeg", "x86_64", "UTF8"):
        assert analyzer(code).terms(word)[0] in analyzer(code).terms(around.format(word))


@pytest.mark.parametrize("code", CODES)
def test_stop_words_are_left_out(code: str) -> None:
    words = stop_words(code)
    if code == "km":  # whose terms are parts of words
        assert words == []
        return
    assert 20 <= len(words) <= 150  # long lists hurt titles
    if code == "ja":  # whose list holds normalised forms
        words = ["これ", "それ", "あれ", "この", "その", "する", "している", "ある", "こと", "ため", "どこ"]
    assert analyzer(code).terms("\n\n".join(words)) == []


@pytest.mark.parametrize("code", CODES)
def test_native_name_has_a_term(code: str) -> None:
    assert analyzer(code).terms(LANGUAGES[code].native)


ANY_TEXT = st.text(st.characters(), max_size=60)  # lone surrogates and controls too


@pytest.mark.parametrize("code", CODES)
@given(text=ANY_TEXT)
@settings(max_examples=20)
def test_any_string_has_terms_without_white_space(code: str, text: str) -> None:
    terms = analyzer(code).terms(text)
    assert terms == analyzer(code).terms(text) == [term for word in analyzer(code).explain(text) for term in word.terms]
    assert all(term and not any(c.isspace() for c in term) for term in terms)
    " ".join(terms).encode()


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("text", ["", " \t\n", "...", "\ud800", "\x00\x01", "🎉", "\u200d"])
def test_text_without_words_has_no_terms(code: str, text: str) -> None:
    assert analyzer(code).terms(text) == []


@pytest.mark.parametrize("code", ["ar", "en", "ja", "zh"])
def test_very_long_texts(code: str) -> None:
    """Runs without a break are cut, and nothing is taken in one piece by a segmenter that cannot."""
    assert [len(term) for term in analyzer(code).terms("x" * 5_000_000)] == [LONGEST_TERM]
    run = {"ar": "كتاب ", "en": "word ", "ja": "図書館", "zh": "图书馆"}[code]
    assert len(analyzer(code).terms(run * 60_000)) >= 60_000


def test_a_language_is_recognised_in_any_spelling() -> None:
    assert analyzer("PT_br") is analyzer("pt")
    with pytest.raises(XqeError, match="unknown language"):
        analyzer("tlhx")


def test_identity_tells_languages_apart_and_repeats() -> None:
    assert len({str(analyzer(code).identity) for code in CODES}) == len(CODES)
    assert analyzer("ja").identity["segmenter"][-1].startswith("sudachidict")


def test_rows_name_only_what_there_is() -> None:
    for row in LANGUAGES.values():
        assert row.analysis.segmenter in SEGMENTERS
        assert set(row.analysis.texts) <= TEXTS.keys()
        assert {*row.analysis.normalisers, *row.analysis.foldings} <= NORMALISERS.keys()
        assert set(row.analysis.additions) <= ADDITIONS.keys()


@pytest.mark.parametrize("name", [*TEXTS, *NORMALISERS, *ADDITIONS])
def test_the_probes_exercise_every_table(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index opened by an analyzer in which a rule does something else must not answer."""

    def terms() -> list[list[str]]:
        return [Analyzer(row).terms(probe) for row in rows for probe in PROBES]

    rules = {
        row: (row.analysis.texts, row.analysis.normalisers, row.analysis.foldings, row.analysis.additions)
        for row in LANGUAGES.values()
    }
    rows = [row for row, named in rules.items() if any(name in names for names in named)][:2]
    before = terms()
    if name in TEXTS or name in NORMALISERS:
        monkeypatch.setitem(TEXTS if name in TEXTS else NORMALISERS, name, lambda word: word)
    else:
        monkeypatch.setitem(ADDITIONS, name, lambda form, stem: [])
    assert terms() != before


def test_a_dictionary_is_loaded_for_its_language_only() -> None:
    code = (
        "import sys; from xqe.text.analysis import analyzer; analyzer('en').terms('a ship');"
        "sys.exit(bool({'sudachipy', 'rjieba', 'opencc', 'lindera', 'icu4py', 'langcodes'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("code", sorted({row.analysis.segmenter: code for code, row in LANGUAGES.items()}.values()))
def test_any_number_of_threads_may_analyse(code: str) -> None:
    texts = [" ".join(PROBES) * 8 + str(number) for number in range(30)]
    analyze = analyzer(code)
    alone = [analyze.terms(text) for text in texts]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(analyze.terms, texts)) == alone
    finally:
        sys.setswitchinterval(interval)
