"""Queries, runs and judgements as others have them: topics for Pyserini, frames, ir_measures, PyTerrier."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyterrier_stand_in as stand_in
import pytest

import xqe
from xqe import frames
from xqe.stages.topics import topics_line

DOCUMENTS = [{"id": "d1", "text": "mercury the planet"}, {"id": "d2", "text": "mercury the metal"}]
RECORD = {
    "id": "q1",
    "query": "le mercure",
    "lang": "fr",
    "passages": ["it flows"],
    "source": {"query": "x", "lang": "de"},
    "hits": [{"id": "d2", "score": 2.0}, {"id": "d1", "score": 1.0}],
}


@pytest.mark.parametrize(
    ("record", "weight", "text"),
    [
        ({}, None, "a b"),
        ({"passages": ["c\nd", "e\tf"]}, None, "a b c d e f"),
        ({"passages": ["c"]}, 3, "a b a b a b c"),
        ({"passages": ["c"]}, 0.2, "a b c"),
        ({"passages": ["c"], "combine": {"query": 5, "vectors": "sep"}}, None, "a b a b a b a b a b c"),
        ({"passages": ["c", "d"], "combine": {"query": "each"}}, None, "a b c a b d"),
        ({"passages": ["c"], "error": {"step": "expand", "message": "no"}}, None, "a b"),
    ],
)
def test_topics_of_other_engines(record: dict[str, Any], weight: float | None, text: str) -> None:
    """Query2doc's five queries before the passage (Wang et al., 2023, 2), LameR's "q a1 q a2"."""
    assert topics_line({"id": "q1", "query": "a b", **record}, weight) == f"q1\t{text}"


def test_rows_hold_all_of_a_record() -> None:
    [topic] = [frames.topic(RECORD)]
    assert frames.records_of_rows([topic]) == [{name: value for name, value in RECORD.items() if name != "hits"}]
    rows = list(frames.results(RECORD))
    assert [(row["docno"], row["rank"]) for row in rows] == [("d2", 0), ("d1", 1)]
    assert frames.records_of_rows(reversed(rows)) == [RECORD]
    with pytest.raises(xqe.XqeError, match='no column "qid"; it has docno'):
        frames.records_of_rows([{"docno": "d1"}])


def test_ir_measures_has_the_same_values() -> None:
    ir_measures = pytest.importorskip("ir_measures")
    qrels = {"q1": {"d1": 1}}
    scored, judged = frames.run_to_ir_measures([RECORD]), frames.qrels_to_ir_measures(qrels)
    measured = ir_measures.calc_aggregate([ir_measures.RR], judged, scored)
    assert measured == {ir_measures.RR: xqe.evaluate([RECORD], qrels, "MRR")["averages"]["run"]["MRR"]}
    assert frames.run_of_ir_measures(scored) == [{"id": "q1", "hits": RECORD["hits"]}]
    assert frames.qrels_of_ir_measures(judged) == qrels


def test_frames_of_pandas() -> None:
    pytest.importorskip("pandas")
    assert frames.records_of_frame(frames.run_to_frame([RECORD])) == [RECORD]
    assert frames.qrels_of_frame(frames.qrels_to_frame({"q1": {"d1": 1}})) == {"q1": {"d1": 1}}
    assert list(frames.topics_to_frame([]).columns) == list(frames.TOPICS)


def test_without_pandas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(xqe.XqeError, match=r'pip install "xqe\[pandas\]"'):
        frames.topics_to_frame([])


# ---------------------------------------------------------------- PyTerrier


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, no_settings: None) -> Iterator[ModuleType]:
    """xqe.pyterrier on what stands in for PyTerrier."""
    monkeypatch.setitem(sys.modules, "pyterrier", stand_in.module())
    monkeypatch.delitem(sys.modules, "xqe.pyterrier", raising=False)
    yield xqe.pyterrier
    sys.modules.pop("xqe.pyterrier", None)
    vars(xqe).pop("pyterrier", None)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    xqe.build_index(tmp_path / "en", DOCUMENTS, "en", quiet=True).close()
    return tmp_path / "en"


def test_a_pipeline_is_what_the_functions_do_one_after_the_other(steps: Any, index: Path) -> None:
    topics = stand_in.Frame([{"qid": "1", "query": "mercury metal"}, {"qid": "2", "query": "planet"}], ["qid", "query"])
    pipe = steps.Translate("de", lang="en", model="fake") >> steps.Expand(strategy="query2doc", model="fake")
    found = (pipe >> steps.Retriever(index, k=5))(topics)
    queries = [{"id": "1", "query": "mercury metal"}, {"id": "2", "query": "planet"}]
    asked = xqe.translate(queries, "de", lang="en", model="fake", quiet=True)
    asked = xqe.expand(asked, strategy="query2doc", model="fake", quiet=True)
    expected = xqe.search(index, asked, k=5)
    assert [(row["qid"], row["docno"], row["score"]) for row in found.rows] == [
        (record["id"], hit["id"], hit["score"]) for record in expected for hit in record["hits"]
    ]
    assert {row["query_0"] for row in found.rows if row["qid"] == "1"} == {"mercury metal"}
    assert found.columns == ["qid", "query", "lang", "passages", "record", "query_0", "docno", "score", "rank"]
    ranked = (pipe >> steps.Retriever(index) >> steps.Rerank(index, model="fake", n=1))(topics)
    assert [row["rank"] for row in ranked.rows if row["qid"] == "1"] == [0, 1]
    joined = (pipe >> steps.Join(weight=2))(topics).rows[0]
    assert joined["query"] == " ".join([asked[0]["query"], asked[0]["query"], *asked[0]["passages"]])
    assert (joined["query_0"], joined["query_1"]) == (asked[0]["query"], "mercury metal")
    answered = (steps.Retriever(index) >> steps.Answer(index, model="fake"))(
        stand_in.Frame([{"qid": "1", "query": "mercury", "lang": "en"}], ["qid", "query", "lang"])
    )
    assert answered.columns == ["qid", "query", "lang", "passages", "record", "qanswer", "answer"]
    assert answered.rows[0]["qanswer"] == answered.rows[0]["answer"]["text"]


def test_frames_without_rows_open_nothing_and_others_are_refused(steps: Any) -> None:
    topics = stand_in.Frame([], ["qid", "query"])
    pipe = steps.Translate("en", model="nowhere.gguf") >> steps.Retriever("nowhere", texts=True)
    assert pipe(topics).columns[-4:] == ["docno", "score", "rank", "text"]
    for step in (steps.Rerank("nowhere"), steps.Answer("nowhere")):
        with pytest.raises(stand_in.InputValidationError):
            step(topics)
    with pytest.raises(stand_in.InputValidationError):
        steps.Translate("en")(stand_in.Frame([], ["qid"]))
    assert repr(steps.Retriever("nowhere", k=7).fuse_rank_cutoff(3)) == "xqe.Retriever(index='nowhere', k=3)"


def test_a_model_stays_open_until_it_is_closed(steps: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    step = steps.Translate("en", lang="fr", model="fake", no_store=True, seed=3)
    frame = stand_in.Frame([{"qid": "1", "query": "le zinc"}], ["qid", "query"])
    first = step(frame).rows
    monkeypatch.setattr(steps, "open_model", None)
    assert step(frame).rows == first
    step.close()
    with pytest.raises(TypeError):
        step(frame)


def test_without_pyterrier_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyterrier", None)
    monkeypatch.delitem(sys.modules, "xqe.pyterrier", raising=False)
    with pytest.raises(xqe.XqeError, match=r'pip install "xqe\[pyterrier\]"'):
        _ = xqe.pyterrier
