"""What of an untranslated query is looked for."""

from __future__ import annotations

import pytest

from xqe.files.records import Document
from xqe.retrieval.lexical import Index, build, open_index
from xqe.retrieval.source_words import source_terms
from xqe.retrieval.weighting import Weighting, weighted_query


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Index]:
    folder = tmp_path_factory.mktemp("sources")
    for code in ("en", "ru"):
        build(folder / code, code, [("t:1", Document("d1", "archive tesseract файл"))])
    return {code: open_index(folder / code) for code in ("en", "ru")}


@pytest.mark.parametrize(
    ("text", "spoken", "written", "query", "expected"),
    [
        # function words of the query's language say nothing; its articles are taken off
        ("des fichiers de l'archive", "fr", "en", [], {"fichier": 1, "archiv": 1}),
        # half where the translation has it
        ("archive zippen", "de", "en", ["archiv"], {"archiv": 0.5, "zippen": 1}),
        # ordinary Latin words for documents in other letters, and names
        ("files of tesseract-ocr 5", "en", "ru", [], {"files": 0.5, "tesseract": 0.5, "ocr": 0.5, "5": 1}),
        ("the Tesseract tool of Google", "en", "ru", ["tool"], {"tesseract": 1, "tool": 0.25, "google": 1}),
        # Latin words among others are names
        ("слова tesseract", "ru", "en", [], {"слова": 1, "tesseract": 1}),
        # a language that is not known
        ("den archive", "", "en", [], {"den": 1, "archiv": 1}),
    ],
)
def test_each_word_counts_for_itself(
    indexes: dict[str, Index], text: str, spoken: str, written: str, query: list[str], expected: dict[str, float]
) -> None:
    found = source_terms(text, spoken, query, indexes[written])
    stems = {term: weight for term, weight in found.items() if term[0] != "=" and term[-1] != "*"}
    assert {term[:4] for term in stems} == {term[:4] for term in expected}
    assert sorted(stems.values()) == sorted(expected.values())


def test_it_is_weighted_with_the_query_and_0_is_none(indexes: dict[str, Index]) -> None:
    source = {"query": "das archive", "lang": "de"}
    record = {"id": "q", "query": "files", "lang": "en", "source": source, "passages": ["tesseract"]}
    found = weighted_query(record, indexes["en"], Weighting(query_weight=3.0, source_weight=None), "here")
    assert {round(weight, 9) for weight in found.parts["source"].values()} == {3.0, 0.9}  # stems, and what is beside
    assert "archiv" in found.weights
    none = weighted_query(record, indexes["en"], Weighting(query_weight=3.0, source_weight=0.0), "here")
    assert none.parts["source"] == {}
