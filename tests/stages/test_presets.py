"""Presets, held to the options that they stand for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from collections_for_tests import fixture_collection
from conftest import jsonl

from xqe import cli
from xqe.experiments.grid.planner import make_plan
from xqe.experiments.grid.settings import read_grid

RECORD = {
    "id": "q1",
    "query": "price of zinc",
    "lang": "en",
    "passages": ["The price of zinc and copper, copper, copper."],
    "source": {"query": "prix du zink kupfer", "lang": "fr"},
    "translations": [{"text": "price of zinc", "share": 0.5}, {"text": "prize of tin", "share": 0.5}],
}
DOCUMENTS = [
    {"id": "d1", "text": "Zinc has a price in the east.", "lang": "en"},
    {"id": "d2", "text": "Copper falls, and kupfer with it.", "lang": "en"},
    {"id": "d3", "text": "A prize of tin for the winner.", "lang": "en"},
]
AS_IN_THE_PAPER = ["--query-weight", "1", "--source-weight", "0", "--nbest-mass", "0"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("presets")
    (folder / "docs.jsonl").write_text(jsonl(*DOCUMENTS))
    (folder / "queries.jsonl").write_text(jsonl(RECORD))
    assert cli.run(["index", str(folder / "en"), "--lang", "en", "-i", str(folder / "docs.jsonl")]) == 0
    assert cli.run(["embed", str(folder / "en"), "--encoder", "fake"]) == 0
    return folder / "en"


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch, no_settings: None) -> None:
    monkeypatch.setenv("XQE_MODEL", "fake")


def hits(capsys: pytest.CaptureFixture[str], index: Path, *options: str) -> list[tuple[str, float]]:
    capsys.readouterr()
    assert cli.run(["search", str(index), "-i", str(index.parent / "queries.jsonl"), *options]) == 0
    return [(hit["id"], hit["score"]) for hit in json.loads(capsys.readouterr().out)["hits"]]


def test_the_papers_is_by_words_with_the_passage_once_and_nothing_of_the_source(
    index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = hits(capsys, index, "--preset", "paper")
    assert own == hits(capsys, index, "--by", "bm25", *AS_IN_THE_PAPER)
    assert own != hits(capsys, index, "--by", "bm25")
    vectors = hits(capsys, index, "--preset", "paper", "--by", "dense")
    assert vectors == hits(
        capsys, index, "--by", "dense", "--encode", "query", "--query-weight", "1", "--nbest-mass", "0"
    )


def test_an_option_goes_before_it_and_the_best_is_the_default(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    automatic = ["--query-weight", "auto", "--source-weight", "auto", "--nbest-mass", "0.97"]
    given = hits(capsys, index, "--preset", "paper", *automatic)
    assert given == hits(capsys, index, "--by", "bm25", *automatic) == hits(capsys, index, "--by", "bm25")
    assert hits(capsys, index, "--preset", "best") == hits(capsys, index, "--preset", "quick") == hits(capsys, index)


def test_a_question_is_expanded_as_the_paper_would(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def steps(*options: str) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert cli.run(["ask", str(index), "prix zinc", "--lang", "fr", "--gloss", "none", *options]) == 0
        found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["steps"]
        return found

    made = steps("--preset", "paper")
    assert [step.get("strategy") for step in made if step["step"] == "expand"] == ["zeroshot"]
    assert made[0].get("samples") is None
    made = steps("--preset", "paper", "--strategy", "cot", "--translations", "2")
    assert [step.get("strategy") for step in made if step["step"] == "expand"] == ["cot"]
    assert made[0]["samples"] == 2
    assert [step["step"] for step in steps()] == ["translate", "answer"]
    made = steps("--preset", "best")
    assert [step["step"] for step in made] == ["translate", "rerank", "answer"]
    assert (made[0]["samples"], made[1]["n"]) == (5, 3)
    assert "rerank" not in [step["step"] for step in steps("--preset", "best", "--rerank", "0")]


GRID = """
presets = ["best", "paper"]
strategies = ["zeroshot"]
orders = ["te"]
uses = ["query+doc"]
baselines = ["translation"]
retrievers = {retrievers}
{more}
[[models]]
model = "fake"
[[collections]]
path = "collection"
pairs = ["de-en"]
"""


def grid(folder: Path, retrievers: str, more: str = "") -> Path:
    fixture_collection(folder / "collection", ["de", "en"], topics=4)
    path = folder / "grid.toml"
    path.write_text(GRID.format(retrievers=retrievers, more=more), "utf-8")
    return path


def test_a_grid_compares_them_and_its_report_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    path = grid(tmp_path, '["bm25", "hybrid"]', 'encoder = "fake"')
    assert cli.run(["grid", str(path), "--out", str(out), "--quiet"]) == 0, capsys.readouterr().err
    cells = {file.stem: json.loads(file.read_text("utf-8")) for file in (out / "cells").rglob("fake.*.json")}
    assert {"fake.paper", "fake.best.hybrid", "fake.best.hybrid+best@20"} <= cells.keys()
    assert (cells["fake.paper"]["kind"], cells["fake.best.hybrid"]["kind"]) == ("paper", "best")
    said = json.loads((out / "manifest.json").read_text("utf-8"))["settings"]["presets"]
    assert said["paper"]["source_weight"] == 0 and said["best"]["source_weight"] is None
    assert cli.run(["report", str(out), "--format", "md"]) == 0
    told = (out / "report" / "report.md").read_text("utf-8")
    assert "Preset: best" in told and "Preset: paper" in told


def test_a_preset_has_its_own_number_of_translations(tmp_path: Path) -> None:
    made = {one.name: one.samples for one in make_plan(read_grid(grid(tmp_path, '["bm25"]', "translations = 3"))).texts}
    assert made["t.de-en"] == 3
    assert made["t.t1.de-en"] == made["te.auto.t1.de-en"] == 1


def test_one_that_searches_otherwise_than_the_grid_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = grid(tmp_path, '["hybrid"]', 'encoder = "fake"')
    assert cli.run(["grid", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "presets: paper searches by bm25; add bm25 to retrievers" in capsys.readouterr().err
