"""Explanations: they sum to the score that a search gives and to a ten-line BM25, with ranks among all documents."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from bm25_reference import bm25
from conftest import FIXTURES, jsonl
from hypothesis import given, settings
from hypothesis import strategies as st

from xqe import cli
from xqe.commands import screens
from xqe.files.records import Document
from xqe.retrieval.bm25 import BM25
from xqe.retrieval.lexical import Parameters, build, open_index
from xqe.retrieval.weighting import Query
from xqe.text.analysis import analyzer

RECORD = {
    "id": "chem",
    "query": "symbol of mercury",
    "lang": "en",
    "source": {"query": "Symbol von Mercury Hg", "lang": "de"},
    "passages": ["Mercury is a liquid metal; its symbol Hg comes from hydrargyrum.", "A planet."],
}


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("explain") / "english"
    assert cli.run(["index", str(directory), "--lang", "en", "-i", str(FIXTURES / "documents" / "en.jsonl")]) == 0
    return directory


def rows(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert cli.run(list(arguments)) == status
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# ---------------------------------------------------------------- against a reference


WORDS = ("xa", "xb", "xc", "xd", "xe")
TERMS = sorted({*analyzer("en").terms(" ".join(WORDS)), "nowhere"})
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), min_size=1, max_size=8)
WEIGHTS = st.dictionaries(st.sampled_from(TERMS), st.floats(0.125, 8, width=16))


@settings(deadline=None, max_examples=15)
@given(texts=TEXTS, weights=WEIGHTS, k1=st.floats(0.125, 3), b=st.floats(0, 1))
def test_an_explanation_sums_to_the_score_and_ranks_among_all(
    texts: list[list[str]], weights: dict[str, float], k1: float, b: float
) -> None:
    collection = {f"d{number}": analyzer("en").terms(" ".join(text)) for number, text in enumerate(texts)}
    with TemporaryDirectory() as directory:
        documents = [(f"t:{n}", Document(f"d{n}", " ".join(text))) for n, text in enumerate(texts)]
        build(Path(directory) / "index", "en", documents)
        index = open_index(Path(directory) / "index")
        retriever, query = BM25(index, parameters=Parameters(k1, b)), Query(weights, 1.0, {"query": weights})
        found = [retriever.explained(query, number) for number in range(len(texts))]
        hits = index.search(weights, len(texts), parameters=Parameters(k1, b))
    expected = {**dict.fromkeys(collection, 0.0), **bm25(collection, weights, k1, b)}
    assert {row["document"]: row["score"] for row in found} == pytest.approx(expected, rel=1e-6)
    assert {row["document"]: row["rank"] for row in found if row["rank"]} == {
        hit.id: rank for rank, hit in enumerate(hits, 1)
    }
    for row, terms in zip(found, collection.values(), strict=True):
        assert sum(term["score"] for term in row["terms"]) == pytest.approx(row["score"], rel=1e-6)
        assert {term["term"]: term["tf"] for term in row["terms"]} == {
            term: count for term, count in Counter(terms).items() if term in weights
        }
        assert {term["term"] for term in row["missing"]} == set(weights) - set(terms)
        assert (row["length"], row["documents"]) == (len(terms), len(texts))


# ---------------------------------------------------------------- as xqe search scores

SETTINGS = {
    "query and passages": (),
    "the query": ("--use", "query"),
    "passages alone": ("--use", "doc", "--passage-terms", "3"),
    "the source": ("--source-weight", "0.5", "--query-weight", "2"),
    "other parameters": ("--k1", "2", "--b", "0.1"),
    "rm3": ("--feedback", "rm3", "--feedback-docs", "3"),
    "rocchio": ("--feedback", "rocchio", "--feedback-weight", "0.3", "--k1", "0.9"),
}


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_scores_and_ranks_are_those_of_a_search(
    english: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    source = tmp_path / "records.jsonl"
    source.write_text(jsonl(RECORD))
    [found] = rows(capsys, "search", str(english), "-i", str(source), *options)
    hits = {hit["id"]: (rank, hit["score"]) for rank, hit in enumerate(found["hits"], 1)}
    assert len(hits) > 1
    explanations = rows(capsys, "explain", str(english), "-", *hits, "-i", str(source), *options)
    assert [row["document"] for row in explanations] == list(hits)
    for row in explanations:
        assert (row["id"], row["query"]) == ("chem", "symbol of mercury")
        assert row["rank"] == hits[row["document"]][0]
        assert row["score"] == pytest.approx(hits[row["document"]][1], rel=1e-6)
        assert sum(term["score"] for term in row["terms"]) == pytest.approx(row["score"], rel=1e-6)


def test_terms_of_the_query_that_are_missing_are_listed(english: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terms_of = analyzer("en").terms
    [row] = rows(capsys, "explain", str(english), "mercury harmonica gazpacho", "astro1")
    assert {term["term"] for term in row["terms"]} == set(terms_of("mercury"))
    assert {term["term"] for term in row["missing"]} == set(terms_of("harmonica gazpacho"))
    assert all(set(term) == {"term", "weight", "df", "idf"} for term in row["missing"])


def test_a_document_without_a_match_has_no_rank(english: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for query in ("harmonica", "the of"):
        [row] = rows(capsys, "explain", str(english), query, "astro1")
        assert (row["score"], row["rank"], row["terms"]) == (0.0, None, [])


# ---------------------------------------------------------------- errors, and the screen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mercury", "astro1", "nobody"), 'holds no document "nobody"; an id is written as in the documents'),
        (("mercury", "astro1", "--feedback-weight", "2"), "--feedback-weight without --feedback"),
        (("mercury", "astro1", "--use", "doc"), 'QUERY: no "passages" to search with'),
    ],
)
def test_errors_are_one_line(
    english: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert rows(capsys, "explain", str(english), *arguments, status=2) == []
    assert cli.run(["explain", str(english), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_screen(english: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "_UNFOLDED", 80)
    capsys.readouterr()
    query = "mercury [red] harmonica \x1b[31m " + " ".join(f"word{number}" for number in range(40))
    assert cli.run(["explain", str(english), query, "astro1", "--format", "text"]) == 0
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "\x1b" not in shown
    lines = [line.removeprefix("terms").split() for line in shown.splitlines()]
    assert lines[0][:3] == ["document", "astro1", "score"]
    adds = [float(line[5]) for line in lines if line[:1] and line[0] in analyzer("en").terms("mercury")]
    assert sum(adds) == pytest.approx(float(lines[0][3].rstrip(",")), rel=1e-3)
    nowhere = shown[shown.index("nowhere") :]
    assert "harmonica" in nowhere
    assert "word39" in nowhere


def test_what_re_ranking_made_of_a_document_is_told(
    english: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"rank": 3, "first": 12.5, "score": -7.25}
    path = tmp_path / "reranked.jsonl"
    path.write_text(
        jsonl({**RECORD, "hits": [{"id": "chem1", "score": 0.9, "reranked": told}, {"id": "astro1", "score": -0.1}]})
    )
    first, second = rows(capsys, "explain", str(english), "-", "chem1", "astro1", "-i", str(path))
    assert first["reranked"] == {**told, "new_rank": 1, "new_score": 0.9} and "reranked" not in second
    assert cli.run(["explain", str(english), "-", "chem1", "-i", str(path), "--format", "text"]) == 0
    assert "from rank 3 to 1: found with 12.5, the model's score -7.25, now 0.9" in capsys.readouterr().out
