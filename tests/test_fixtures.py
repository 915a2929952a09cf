"""The fixtures are what their README says, in every language."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from typing import Any

import pytest
from conftest import FIXTURES, OF_FIXTURES

from xqe.models import examples
from xqe.text.languages import LANGUAGES

KINDS = {"documents": "text", "titles": "query", "questions": "query"}
SCRIPT_NAMES = {
    "Arab": ("ARABIC",),
    "Cyrl": ("CYRILLIC",),
    "Deva": ("DEVANAGARI",),
    "Hans": ("CJK",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA"),
    "Latn": ("LATIN",),
}


def rows(kind: str, code: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FIXTURES / kind / f"{code}.jsonl").read_text("utf-8").splitlines()]


def share_of_script(text: str, script: str) -> float:
    letters = [character for character in text if character.isalpha()]
    own = [c for c in letters if unicodedata.name(c, "").startswith(SCRIPT_NAMES[script])]
    return len(own) / len(letters)


@pytest.mark.parametrize("code", OF_FIXTURES)
def test_every_language_has_every_topic_in_its_own_script(code: str) -> None:
    english = rows("documents", "en")
    assert len(english) == 40
    assert Counter(Counter(row["domain"] for row in english).values()) == {5: 8}
    for kind, field in KINDS.items():
        own = rows(kind, code)
        assert [(row["id"], row["domain"]) for row in own] == [(row["id"], row["domain"]) for row in english]
        texts = [row[field] for row in own]
        assert len(set(texts)) == len(texts)
        assert all(text == text.strip() and text == unicodedata.normalize("NFC", text) for text in texts)
        assert share_of_script(" ".join(texts), LANGUAGES[code].script) > 0.95
        if kind != "documents":
            assert {row["lang"] for row in own} == {code}


@pytest.mark.parametrize("code", OF_FIXTURES)
def test_passages_are_of_the_length_that_the_readme_says(code: str) -> None:
    for row in rows("documents", code):
        if code in ("zh", "ja"):
            assert 70 <= len(row["text"]) <= 260
        else:
            assert (
                38 <= len(row["text"].split()) <= (130 if code == "vi" else 100)
            )  # a Vietnamese word is 1–3 syllables


@pytest.mark.parametrize("code", OF_FIXTURES)
def test_titles_are_short_and_questions_are_questions(code: str) -> None:
    for title, question in zip(rows("titles", code), rows("questions", code), strict=True):
        assert len(title["query"]) < len(question["query"])
        assert question["query"].endswith(("?", "？", "؟", "か"))


def test_the_qrels_name_one_passage_for_each_topic() -> None:
    lines = [line.split() for line in (FIXTURES / "qrels.txt").read_text().splitlines()]
    assert [(q, "0", d, "1") for q, _, d, _ in lines] == [(r["id"], "0", r["id"], "1") for r in rows("documents", "en")]


def test_worked_examples_do_not_leak_into_the_fixtures() -> None:
    for code in OF_FIXTURES:
        shown = {example[field] for example in examples.builtin(code) for field in ("query", "passage")}
        assert not shown & {row[field] for kind, field in KINDS.items() for row in rows(kind, code)}
