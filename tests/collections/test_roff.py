"""Manual pages as text: four pages against what groff and mandoc make of them, and what stands within a line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xqe.collections.roff.characters import named
from xqe.collections.roff.conditions import holds, number
from xqe.collections.roff.escapes import resolved
from xqe.collections.roff.language import arguments
from xqe.collections.roff.page import Section
from xqe.collections.roff.reading import read_page, redirection
from xqe.collections.roff.tables import rows

MANUALS = Path(__file__).parents[1] / "golden" / "manuals"
"""Pages and what others print of them, without what sets type: NAME.txt is by groff 1.22.4 (-k -t -mandoc -Tutf8
-P-c -rLL=1000n), of sieve.8 by mandoc 1.14.6 (-K utf-8 -T utf8 -O width=1000)."""
_FRAME = re.compile(r"[│─┌┐└┘├┤┬┴┼]")


def sections(source: str) -> list[tuple[str, list[str]]]:
    return [(one.heading, one.lines) for one in read_page(source).sections[1:]]


@pytest.mark.parametrize("name", ["teapot.1", "sieve.8", "Tea.3pm", "yakan.1"])
def test_pages_say_what_typesetters_print(name: str) -> None:
    printed = _FRAME.sub(" ", (MANUALS / f"{name}.txt").read_text("utf-8")).replace("⟨", "<").replace("⟩", ">")
    lines = [line for line in printed.splitlines() if line][1:-1]  # without header and footer
    said = [word for one in read_page((MANUALS / name).read_text("utf-8")).sections for word in words(one)]
    expected = [word for word in " ".join(lines).split() if name != "sieve.8" or word != "•"]
    if name == "yakan.1":  # which a typesetter breaks by spaces that Japanese does not have
        assert "".join(said) == "".join(expected)
    else:
        assert said == expected


def words(section: Section) -> list[str]:
    return " ".join((section.heading, *section.lines)).split()


def test_a_line_for_each_paragraph_item_row_and_line_of_code() -> None:
    page = dict(sections((MANUALS / "teapot.1").read_text("utf-8")))
    assert list(page) == ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "TABLE", "SEE ALSO"]
    assert page["SYNOPSIS"] == ["teapot [-v] [-c cups] leaf ...", "kettle [--boil[=degrees]]"]
    assert page["OPTIONS"] == [
        "-v, --verbose Say more. This is a long line that goes on in the next one.",
        "-c cups Make so many.",
        "• one or two",
        "• more, as in",
        "teapot -c 5",
        "kettle --boil",
        "--cups=cups The same.",
        "Boiling water",
        "Joinedtogether again, at the tea page <https://example.org/tea>.",
    ]
    assert page["TABLE"] == ["Kind\tMinutes", "green\t2", "black\tfour or more", "herbal\t10"]


def test_lines_of_japanese_are_joined_without_a_space() -> None:
    page = dict(sections((MANUALS / "yakan.1").read_text("utf-8")))
    assert page["名前"] == ["yakan - お湯を沸かす"]
    assert page["説明"] == [
        "指定された温度までお湯を沸かします。 --help を付けると使い方を表示します。",
        "-v 詳しく表示する。",
    ]


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\fBbold\fP \f(CWcode\fR \f[I]slant\f[]", "bold code slant"),
        (r"\-\-long\-option", "--long-option"),
        (r"caf\('e \(:u \(ss \(/o \(vs \(oA", "café ü ß ø š Å"),
        (r"\[u0414]\[u0065_0301]\['e]\[e aa]", "Дééé"),
        (r"a\&.b\|c\^d\%e\:f\/g\,h", "a.bcdefgh"),
        (r"\s-1small\s0 \s+2big\s-2 \s[10]ten\s[0]", "small big ten"),
        (r"\h'-04'\(bu\h'+03'one", "• one"),
        (r"\(lqa\(rq \(aqb\(aq \(dqc\(dq", "“a” 'b' \"c\""),
        (r"back\eslash \\ \N'65' \o'ab'", r"back\slash \ A a"),
        (r"end \" a comment", "end "),
        (r"\[nothing]\(zz\X'pdf: x'\D'l 1 0'", ""),
        ("plain", "plain"),
    ],
)
def test_escapes(escaped: str, text: str) -> None:
    assert resolved(escaped) == text


def test_characters_by_groff_char() -> None:
    table = {"em": 0x2014, "en": 0x2013, "bu": 0x2022, "co": 0xA9, "*a": 0x3B1, "*W": 0x3A9, "->": 0x2192, "<=": 0x2264}
    table |= {"/L": 0x141, "OE": 0x152, "Fo": 0xAB, "ts": 0x3C2, "rs": 0x5C, "ha": 0x5E, "12": 0xBD, "Eu": 0x20AC}
    assert {name: ord(named(name)) for name in table} == table
    assert named("u110000") == "" and named("uD") == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("n .ad l", (True, " .ad l")),
        ("!n x", (False, " x")),
        ("t x", (False, " x")),
        ("'a'a' x", (True, " x")),
        ("'a'b' x", (False, " x")),
        ("3>2 x", (True, " x")),
        ("(1:(0==1)) x", (True, " x")),
        ("0&1 x", (False, " x")),
        ("d Note x", (True, " x")),
        ("dOther x", (False, " x")),
        ("r cups x", (True, " x")),
    ],
)
def test_conditions(text: str, found: tuple[bool, str]) -> None:
    assert holds(text, {"Note"}, {"cups"}) == found


def test_numbers_have_no_precedence() -> None:
    assert number("2+3*4") == (20, "")
    assert number("(2+3)*-2u x") == (-10, " x")
    assert number("10/0") == (0, "")
    assert number("x") == (0, "x")


def test_arguments() -> None:
    assert arguments(r'one "two words" th\ ree "say ""so""" ""') == ["one", "two words", r"th\ ree", 'say "so"', ""]


def test_rows_of_tables() -> None:
    lines = ["l l", "l l.", "a\tb", "_", "T{", "long", "text", "T}\tc", ".T&", "l.", "d", "=", r"\_" + "\te"]
    assert list(rows(lines)) == [[["a"], ["b"]], [["long", "text"], ["c"]], [["d"]], [[], ["e"]]]


def test_redirects() -> None:
    assert redirection(".so man1/gzip.1\n") == "man1/gzip.1"
    assert redirection('\'\\" t\n.\\" comment\n.so man3/x.3') == "man3/x.3"
    assert redirection("'\\\" a\n" * 5000 + ".TH X 1") is None
    assert redirection(".TH X 1\n.SH NAME\n.so y") is None


@pytest.mark.parametrize(
    "source",
    [
        ".de A\n.A\n..\n.A\n.SH NAME\nx \\- y\n",  # calls itself
        ".ds a \\*b\n.ds b \\*a\n.SH NAME\n\\*a x \\- y\n",  # stands for itself
        ".de A\n.A \\$1\\$1\n..\n.A xxxxxxxx\n.SH NAME\nx \\- y\n",  # grows
        ".if 1 \\{\\\n.SH NAME\nx \\- y\n",  # never closed
        ".SH NAME\nx \\- y\n.de NEVER\nEnded\n",
        ".TS\nl l",
        ".SH NAME\nx \\- y\n.TS\nl l.\nT{\nopen",
        ".SH\n.SH\n.SH NAME\nx \\- y \\",
        ".el x\n.ie\n.if\n.nr\n.ds\n.de\n..\n.rn\n.als\n.tr\n.so\n.shift 9\n.SH NAME\nx \\- y\n.nr a " + "(" * 4000,
        ".SH NAME\nx \\- y\n.if " + "!" * 4000 + "n z\n",
    ],
)
def test_what_is_damaged_does_no_harm(source: str) -> None:
    read_page(source)


def test_of_damaged_lines_the_text_is_kept() -> None:
    assert sections(".SH NAME\n\\fBx \\- y\\\n.UNKNOWN z\n.SH TEXT\n\\[u00e\n") == [
        ("NAME", ["x - y.UNKNOWN z"]),
        ("TEXT", ["[u00e"]),
    ]
