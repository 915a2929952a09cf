"""chrF against sacrebleu's values."""

from __future__ import annotations

import pytest

from xqe.evaluation.chrf import chrf

SACREBLEU = [  # 2.6.0, sentence_chrf with its defaults
    ("the cat sat on the mat", "the cat sat on the mat", 100.0),
    ("Tool for removing PDF files", "tool for taking PDF files apart", 52.229831),
    ("ab", "abcdefgh", 23.404255),
    ("a", "a", 100.0),
    ("", "something", 0.0),
    ("xyz", "abc", 0.0),
    ("аркадная игра", "аркадная 2D игра в танки", 43.460359),
    ("ファイルを変換する", "タブをスペースに変換する", 17.651329),
    ("  spaced   out ", "spaced out", 100.0),
    ("aaaa", "aa", 78.125),
    ("naïve café", "naive cafe", 39.411376),
]


@pytest.mark.parametrize(("text", "reference", "expected"), SACREBLEU)
def test_values_are_those_of_sacrebleu(text: str, reference: str, expected: float) -> None:
    assert 100 * chrf(text, [reference]) == pytest.approx(expected, abs=1e-5)


def test_the_reference_that_is_nearest_counts() -> None:
    both = ["a big dog", "the little house"]
    assert 100 * chrf("the small house", both) == pytest.approx(30.326977, abs=1e-5)  # sacrebleu
    assert chrf("anything", []) == 0
