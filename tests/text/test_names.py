"""Names among the words of a text."""

from __future__ import annotations

import pytest

from xqe.text.languages import LANGUAGES
from xqe.text.names import names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("convert a file to PDF", {"pdf"}),
        ("Install it with version 2.10-rc1", {"2", "10", "rc1", "2.10"}),
        ("how to call node.js from foo_bar", {"node", "js", "node.js", "foo", "bar", "foo_bar"}),
        ("what is /etc/passwd, or ~/bin?", {"etc", "passwd", "bin"}),
        ("use --force or -x (of ls)", {"force", "x"}),
        ("std::map and main() in C++", {"std", "map", "main", "c"}),
        ('the error "no such file" of Firefox', {"no", "such", "file", "firefox"}),
        ("und «ein Wort» „noch eins“", {"ein", "wort", "noch", "eins"}),
        ("त्रुटि “फ़ाइल नहीं मिली”", {"फ़ाइल", "नहीं", "मिली"}),  # vowel signs are of the word
        ("ili »jedna riječ« i „još jedna”", {"jedna", "riječ", "još"}),
        ("a myLittleName word", {"mylittlename"}),
        ("Every sentence begins so", set()),
        ("ALL IN CAPITALS", set()),
        ("read/write well-known words", set()),
        ("١٢٣ x", {"123"}),
        ("", set()),
    ],
)
def test_what_stays_as_it_is(text: str, expected: set[str]) -> None:
    assert names(text, LANGUAGES["en"]) == expected


def test_a_german_noun_is_no_name() -> None:
    assert names("ein Werkzeug für den GNU Compiler", LANGUAGES["de"]) == {"gnu"}
    assert names("un outil pour Emacs", None) == {"emacs"}
