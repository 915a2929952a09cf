"""Snippets: where terms stand in texts of several languages, and which words are shown."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqe.text.analysis import analyzer
from xqe.text.snippets import LEAD, Snippet, located, snippet

# The query is analysed; what should be marked was chosen by a reader of the text.
NOTHING = " ".join(f"x{number}" for number in range(200))  # no beginning of a word that is looked for
MARKED = [
    (
        "en",
        "games of ancient wars",
        "An ancient war is the subject of this game. The gambler's ancients (wars, games) …",
        ["ancient", "war", "game", "ancients", "wars", "games"],
    ),
    ("de", "Bücher des Königs", "Das Buch der Könige: Tische, Bücher.", ["Buch", "Könige", "Bücher"]),
    ("fr", "l'été", "D’été en été, L'ÉTÉ revient; un état reste.", ["D’été", "été", "L'ÉTÉ"]),
    (
        "ar",
        "كتاب المدرسة",
        "وَالكِتَابُ في مدرسة قديمة، والمدرسة كبيرة.",
        ["وَالكِتَابُ", "مدرسة", "والمدرسة"],
    ),
    ("hi", "हिन्दी किताब", "हिंदी की किताबें और हिन्दी किताब।", ["हिंदी", "किताबें", "हिन्दी", "किताब"]),
    (
        "ja",
        "サーバーの性能を見る",
        "サーバの性能を見た。新しいサーバーを見ました。",
        ["サーバ", "性能", "見", "サーバー", "見"],
    ),
    ("ja", "本を読む", "日本の本を読んだ。ｻｰﾊﾞ", ["本", "読ん"]),
    ("zh", "北京大学的生命起源", "他来到北京，在清华大学研究生命的起源。", ["北京", "大学", "生命", "起源"]),
    ("zh", "ffmpeg 视频", "用ffmpeg处理视频文件。", ["ffmpeg", "视频"]),
    ("ru", "щётка", "Щетки, щёткой и щека.", ["Щетки", "щёткой"]),
    ("ru", "Вена", "Ве\u0301на и Ве\u0301ны.", ["Ве\u0301на", "Ве\u0301ны"]),
    ("ja", "葛飾", "これは葛\U000e0100飾\ufe00の葛飾です。", ["葛\U000e0100飾\ufe00", "葛飾"]),
    ("zh", "北京", "我在北\ufe00京大学。", ["北\ufe00京"]),
    ("ar", "كتاب", "کتاب جديد وﻛﺘﺎﺏ.", ["کتاب", "وﻛﺘﺎﺏ"]),
    ("fr", "coeur d'été", "Le cœur d´ÉTÉ.", ["cœur", "ÉTÉ"]),
    ("vi", "Đà Nẵng", "ở Ðà Nẵng", ["Ðà", "Nẵng"]),
]


@pytest.mark.parametrize(("code", "query", "text", "marked"), MARKED, ids=[f"{row[0]} {row[1]}" for row in MARKED])
def test_words_of_the_query_are_marked_as_they_are_written(code: str, query: str, text: str, marked: list[str]) -> None:
    terms_of = analyzer(code).terms
    found = snippet(text, dict.fromkeys(terms_of(query), 1.0), terms_of)
    assert found.text == text
    assert [found.text[start:end] for start, end in found.matches] == marked


def test_a_term_that_is_written_otherwise_is_looked_for_within_bounds() -> None:
    asked = 0

    def terms_of(text: str) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["見る"] if "見" in text else []

    matches = located("見" + "本" * 20_000, {"見る": 1.0}, terms_of)
    assert [(match.start, match.end) for match in matches] == [(0, 1)]
    assert located("本" * 20_000 + "見", {"見る": 1.0}, terms_of) == []
    assert asked < 10_000


def test_a_word_is_worth_all_the_terms_that_it_has() -> None:
    def terms_of(text: str) -> Sequence[str]:
        return [text, *text.split("_")] if "_" in text else [text]

    scores = {"a": 1.0, "b": 1.0, "c": 1.5}
    assert [match.terms for match in located("a_b c", scores, terms_of)] == [("a", "b"), ("c",)]
    text = f"{NOTHING} c {NOTHING} a_b {NOTHING}"
    assert " a_b " in snippet(text, scores, terms_of).text


# ---------------------------------------------------------------- which words are shown


def english(text: str, *terms: str, **options: int) -> Snippet:
    return snippet(text, dict.fromkeys(terms, 1.0), analyzer("en").terms, **options)


def test_a_short_text_is_shown_whole() -> None:
    assert english("Two  lines\nof it.\n", "line") == ("Two lines of it.", [(4, 9)])


def test_the_words_around_the_matches_follow_the_beginning_of_the_document() -> None:
    found = english(f"A tool. {NOTHING}. The ships sail away (far). {NOTHING}", "ship", "sail")
    assert found.text.startswith("A tool. x0 x1 x2 x3 x4 x5 … The ships sail away (far). x0")
    assert found.text.endswith(" …")
    assert [found.text[start:end] for start, end in found.matches] == ["ships", "sail"]


def test_a_title_stands_before_what_is_further_down() -> None:
    found = english(f"Ships of old\n\n{NOTHING} They sail.", "sail")
    assert found.text.startswith("Ships of old … ")
    assert found.text.endswith(" They sail.")


def test_paragraphs_are_told_apart_and_wrapped_lines_are_joined() -> None:
    assert english("One\nline.\n\n Two.\n").text == "One line. · Two."
    terms_of = analyzer("ja").terms
    assert snippet("性\n能は", dict.fromkeys(terms_of("性能"), 1.0), terms_of) == ("性能は", [(0, 2)])


def test_many_different_words_are_worth_more_than_one_often() -> None:
    found = english(f"{NOTHING} ship ship ship {NOTHING} ship sail {NOTHING}", "ship", "sail")
    assert "ship sail" in found.text
    assert "ship ship" not in found.text


def test_the_word_that_adds_more_is_shown() -> None:
    text = f"{NOTHING} ship {NOTHING} sail {NOTHING}"
    for best, other in (("ship", "sail"), ("sail", "ship")):
        found = snippet(text, {best: 2.0, other: 1.0}, analyzer("en").terms)
        assert f" {best} " in found.text
        assert f" {other} " not in found.text


def test_without_a_match_the_beginning_is_shown() -> None:
    assert english(NOTHING, "ship", words=5) == ("x0 x1 x2 x3 x4 …", [])


@pytest.mark.parametrize("text", ["", "  \n", "…", "\x00", "\ud800", "a" * 100_000, "本" * 20_000])
def test_any_text_has_a_snippet(text: str) -> None:
    for code in ("en", "ja", "zh"):
        assert snippet(text, {"ship": 1.0}, analyzer(code).terms).matches == []


TEXTS = st.lists(st.sampled_from(["x"] * 9 + ["a", "b", "c", "d"]), min_size=1, max_size=120)


def split(text: str) -> list[str]:
    return [word for word in text.split() if word]


@given(words=TEXTS, scores=st.fixed_dictionaries(dict.fromkeys("abcd", st.integers(1, 5).map(float))))
def test_no_window_of_the_same_size_holds_more(words: list[str], scores: dict[str, float]) -> None:
    size = 24
    found = snippet(" ".join(words), scores, split, size)
    shown = {found.text[start:end] for start, end in found.matches}
    window = size - LEAD
    best = max(
        sum(scores[term] for term in set(words[start : start + window]) & set(scores)) for start in range(len(words))
    )
    assert sum(scores[term] for term in shown) >= best
    assert len(found.text.replace("…", "").split()) <= size + LEAD / 2
    assert all(found.text[start:end] in scores for start, end in found.matches)
    assert len(found.matches) == sum(found.text.split().count(term) for term in scores)
