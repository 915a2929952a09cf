"""A long text in pieces: none is too long, they are cut where a reader would, and they make the text again."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqe.text.pieces import Piece, pieces, whole


def texts_of(text: str, most: int, code: str = "en") -> list[str]:
    return [piece.text for piece in pieces(text, most, code)]


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("One. Two two. Three.", 14, ["One. Two two.", "Three."]),
        ("Line one goes\non here.\nThe next.", 99, ["Line one goes on here.", "The next."]),
        ("Der Zug fährt z. B. um 9 Uhr. Er hält.", 32, ["Der Zug fährt z. B. um 9 Uhr.", "Er hält."]),
        ("a long one, with a comma and no end", 20, ["a long one,", "with a comma and no", "end"]),
        ("x" * 25, 10, ["x" * 10, "x" * 10, "x" * 5]),
        ("昨日は雨。今日は晴れ、\n明日は雪。", 18, ["昨日は雨。", "今日は晴れ、", "明日は雪。"]),
        ("क" + "ि" * 3 + "त", 9, ["क" + "ि" * 2, "ि" + "त"]),
        ("", 10, []),
        (" \n\n ", 10, []),
    ],
)
def test_where_a_text_is_cut(text: str, most: int, expected: list[str]) -> None:
    assert texts_of(text, most, "de" if "Zug" in text else "ja" if "雨" in text else "en") == expected


def test_items_of_a_list_are_pieces_without_their_marks() -> None:
    text = "It can:\n * read\n * write, and\n   flush\n\nEnd."
    made = pieces(text, 99)
    assert made == [
        Piece("", "It can:", "\n "), Piece("* ", "read", "\n "), Piece("* ", "write, and flush", "\n\n"),
        Piece("", "End.", ""),
    ]  # fmt: skip
    assert whole(made, " ") == "It can:\n * read\n * write, and flush\n\nEnd."


@given(st.text(st.sampled_from("ab .,!\n\t-あ。、क्\u00a0é\ud800"), max_size=80), st.integers(4, 40))
def test_nothing_is_lost_and_no_piece_is_too_long(text: str, most: int) -> None:
    made = pieces(text, most)
    assert all(len(piece.text.encode("utf-8", "replace")) <= most for piece in made)
    assert all("\n" not in piece.text for piece in made)
    again = whole(made, " ")
    assert "".join(again.split()) == "".join(text.split())
    paragraphs = re.findall(r"\n\s*\n\s*", text.strip())
    assert [piece.gap.count("\n") > 1 for piece in made].count(True) == len(paragraphs)


def test_a_text_without_an_end_takes_time_in_proportion() -> None:
    assert len(pieces("word " * 200_000, 736)) == 1_000_000 // 735 + 1
