"""Feedback held against Anserini's RM3 and Rocchio: terms, weights and runs (tests/golden/feedback.json)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from xqe.files.documents import Placed
from xqe.files.records import Document
from xqe.retrieval.bm25 import BM25
from xqe.retrieval.choices import By, Method
from xqe.retrieval.feedback import Feedback
from xqe.retrieval.lexical import Index, Parameters, builder, open_index
from xqe.retrieval.weighting import Query
from xqe.text.counting import TermCounter
from xqe.text.workers import Batch

METHODS = [method for method in Method if By.BM25 in method.sides]

GOLDEN = json.loads((ROOT / "tests" / "golden" / "feedback.json").read_text())
LUCENE_LEAVES_OUT = 2.2  # the constant factor k1 + 1
CASES = [(method, case) for method in ("rm3", "rocchio") for case in GOLDEN[method]]


def as_terms(documents: Iterable[Placed], code: str, cores: int | None = None) -> Iterator[Batch]:
    """The golden texts are terms already."""
    placed = list(documents)
    bodies = [document.text for _, document in placed]
    yield Batch(placed, bodies, TermCounter().count([body.split() for body in bodies]))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("feedback") / "ix"
    texts = GOLDEN["documents"].items()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "analysed", as_terms)
        documents = [(f"t:{n}", Document(name, text)) for n, (name, text) in enumerate(texts, 1)]
        builder.build(path, "en", documents, parameters=Parameters(1.2, 0.75))
    return open_index(path)


def expanded(weights: Mapping[str, float], index: Index, feedback: Feedback) -> dict[str, float]:
    """What feedback makes of a query's weights."""
    return dict(BM25(index, feedback=feedback).fed(Query(weights, 1.0, {"query": weights}), None).weights)


def assert_run(index: Index, weights: dict[str, float], run: list[list[Any]]) -> None:
    hits = index.search(weights, len(run))
    assert [hit.id for hit in hits] == [name for name, _ in run]
    assert [hit.score / LUCENE_LEAVES_OUT for hit in hits] == pytest.approx([score for _, score in run], abs=1e-4)


@pytest.mark.parametrize("query", GOLDEN["queries"])
def test_hits_are_those_of_lucene(index: Index, query: str) -> None:
    assert_run(index, dict(Counter(GOLDEN["queries"][query].split())), GOLDEN["bm25"]["run"][query])


def feedback_of(method: str, params: dict[str, Any]) -> Feedback:
    weight = 1 - params["original_weight"] if method == "rm3" else params["beta"] / params["alpha"]
    return Feedback(Method(method), params["documents"], params["terms"], weight)


@pytest.mark.parametrize("query", GOLDEN["queries"])
@pytest.mark.parametrize(("method", "case"), CASES, ids=[case["options"] for _, case in CASES])
def test_terms_and_runs_are_those_of_anserini(index: Index, method: str, case: dict[str, Any], query: str) -> None:
    weights = dict(Counter(GOLDEN["queries"][query].split()))
    feedback = feedback_of(method, case["params"])
    scale = case["params"].get("alpha", 1.0)
    result = {term: weight * scale for term, weight in expanded(weights, index, feedback).items() if weight > 0}
    assert result == pytest.approx(case["expanded"][query], rel=1e-5)
    assert_run(index, result, case["run"][query])


def test_defaults_are_anserinis(index: Index) -> None:
    weights = dict(Counter(next(iter(GOLDEN["queries"].values())).split()))
    for method in METHODS:
        as_there = feedback_of(method, GOLDEN[method][0]["params"])
        assert expanded(weights, index, Feedback(method)) == expanded(weights, index, as_there)


def test_a_query_that_finds_nothing_stays_as_it_is(index: Index) -> None:
    assert expanded({"unheard": 2.0}, index, Feedback(Method.RM3)) == {"unheard": 2.0}


def test_a_weight_of_nothing_keeps_the_order_of_the_query_alone(index: Index) -> None:
    weights = dict(Counter(GOLDEN["queries"]["1"].split() if "1" in GOLDEN["queries"] else ["packag"]))
    for method in METHODS:
        alone = [hit.id for hit in index.search(weights, 20)]
        assert [hit.id for hit in index.search(expanded(weights, index, Feedback(method, weight=0.0)), 20)] == alone


def test_one_chinese_character_may_be_a_feedback_term(tmp_path: Path) -> None:
    texts = ["船 港", *(f"山{n}" for n in range(30))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "analysed", as_terms)
        builder.build(tmp_path / "ix", "zh", [(f"t:{n}", Document(f"d{n}", text)) for n, text in enumerate(texts, 1)])
    assert "港" in expanded({"船": 1.0}, open_index(tmp_path / "ix"), Feedback(Method.RM3))


@pytest.mark.parametrize("method", METHODS)
def test_words_come_from_documents_by_their_stems(tmp_path: Path, method: Method) -> None:
    texts = ["ships harbours", *(f"mountain{n}" for n in range(30))]
    builder.build(tmp_path / "ix", "en", [(f"t:{n}", Document(f"d{n}", text)) for n, text in enumerate(texts, 1)])
    assert set(expanded({"ship": 1.0}, open_index(tmp_path / "ix"), Feedback(method))) == {"ship", "harbour"}
