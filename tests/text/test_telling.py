"""The sentence that is shown of a document, by hand."""

from __future__ import annotations

import pytest

from xqe.text.languages import LANGUAGES
from xqe.text.telling import MOST, telling

WRAPPED = "Zinc is a metal. It is traded\nin London, every day.\n\nTin melts late; so does the price of zinc in London."

LISTED = "Metals:\n * copper, lead\n   and what is made of them\n - zinc and tin\n"


@pytest.mark.parametrize(
    ("text", "words", "code", "best"),
    [
        (WRAPPED, ["london", "traded"], "en", "It is traded in London, every day."),
        (WRAPPED, ["LONDON", "Price", "zinc"], "en", "Tin melts late; so does the price of zinc in London."),
        (WRAPPED, ["zinc"], "en", "Zinc is a metal."),
        (WRAPPED, ["on", "met"], "en", "Zinc is a metal."),  # no words of it: the first
        (WRAPPED, [], "en", "Zinc is a metal."),
        ("鉄は重い。\n亜鉛は\n安い。", ["亜鉛"], "ja", "亜鉛は安い。"),
        ("घर बड़ा है। नई गाड़ी आई। गाड़ीवान सोया।", ["गाड़ी"], "hi", "नई गाड़ी आई।"),  # a word ends in a vowel sign
        (LISTED, ["zinc"], "en", "zinc and tin"),
        (LISTED, ["copper", "lead"], "en", "copper, lead and what is made of them"),
        (" \n\n ", ["zinc"], "en", ""),
    ],
)
def test_the_sentence_with_most_of_the_words_is_taken(text: str, words: list[str], code: str, best: str) -> None:
    assert telling(text, words, LANGUAGES[code]) == best


def test_what_is_cut_is_seen_to_be() -> None:
    list_of_words = " ".join(f"word{number}" for number in range(2 * MOST))
    told = telling(list_of_words, [], LANGUAGES["en"])
    assert told == f"{' '.join(list_of_words.split()[:MOST])} …"
