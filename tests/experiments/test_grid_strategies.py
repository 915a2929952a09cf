"""The field's methods in a grid: what each has a model write, and the documents that some of them read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from collections_for_tests import fixture_collection

from xqe import cli
from xqe.collections.layout import CollectionWriter
from xqe.errors import InputError
from xqe.experiments.grid.planner import make_plan
from xqe.experiments.grid.settings import read_grid
from xqe.files.records import Document
from xqe.stages.strategies import PAPER, Strategy

TEXT = """
strategies = ["query2doc", "lamer", "qa-expand", "exp4fuse", "auto"]
uses = ["query+doc"]
baselines = []
{more}
[[models]]
model = "fake"
[[collections]]
path = "collection"
pairs = ["de-en"]
"""


def written(folder: Path, more: str = "") -> Path:
    fixture_collection(folder / "collection", ["de", "en"], topics=4)
    path = folder / "grid.toml"
    path.write_text(TEXT.format(more=more), "utf-8")
    return path


def texts(out: Path, name: str) -> list[dict[str, Any]]:
    [path] = (out / "texts").rglob(f"{name}.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_each_strategy_is_its_own_recipe_and_documents_are_what_words_find(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.run(["grid", str(written(tmp_path)), "--out", str(out), "--quiet"]) == 0, capsys.readouterr().err
    found = [one["hits"] for one in texts(out, "te.lamer.de-en")]
    assert any(found), "of some query there is a document"
    assert {len(one["passages"]) for one in texts(out, "te.lamer.de-en")} == {5}
    for one in texts(out, "te.lamer.de-en"):
        step = one["steps"][-1]
        assert (step["strategy"], step["temperature"], step["max_tokens"]) == ("lamer", 1.0, 128)
        assert step["documents"] == [hit["id"] for hit in one["hits"]]
        assert all(hit["text"] for hit in one["hits"])
    assert not list((out / "texts").rglob("et.lamer*"))
    assert {one["steps"][0]["strategy"] for one in texts(out, "e.auto.de")} <= {"zeroshot", "fewshot"}
    assert all(one["combine"]["query"] == 3 for one in texts(out, "et.qa-expand.de-en"))
    [run] = (out / "runs").rglob("fake.exp4fuse.te.query+doc.trec.gz")
    scores = [float(line.split()[4]) for line in gzip.decompress(run.read_bytes()).decode().splitlines()]
    assert max(scores) == pytest.approx(1.2 * 2 / 61), "the first of both lists, by ranks"
    assert cli.run(["grid", str(tmp_path / "grid.toml"), "--out", str(out), "--resume", "--quiet"]) == 0


def test_what_the_file_says_goes_before_the_recipe(tmp_path: Path) -> None:
    grid = read_grid(written(tmp_path, "samples = [2]\ntemperature = 0.4\npassage_tokens = 50"))
    lamer = Strategy.LAMER
    assert (grid.samples_of(lamer), grid.sampling_of(lamer).temperature, grid.tokens_of(lamer)) == ((2,), 0.4, 50)
    usual = read_grid(written(tmp_path))
    assert (usual.samples_of(lamer), usual.sampling_of(lamer).temperature, usual.tokens_of(lamer)) == ((5,), 1.0, 128)
    assert usual.sampling_of(None).temperature == 0
    made = {one.name: one.count for one in make_plan(usual).texts}
    assert made["te.lamer.de-en"] == 4 * 5
    assert made["e.qa-expand.de"] == 4 * 6


def test_the_papers_strategies_are_the_default(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text("utf-8").split("\n", 2)[2], "utf-8")
    assert read_grid(path).strategies == PAPER


def test_a_grid_of_translations_alone(tmp_path: Path) -> None:
    path = written(tmp_path)
    without = path.read_text("utf-8").replace('"query2doc", "lamer", "qa-expand", "exp4fuse", "auto"', "")
    path.write_text(without.replace("baselines = []", 'baselines = ["original", "translation"]'), "utf-8")
    plan = make_plan(read_grid(path))
    assert [cell.system for cell in plan.cells] == ["original", "fake.translation"]
    path.write_text(without, "utf-8")
    with pytest.raises(InputError, match="nothing to search with; name strategies, baselines or presets"):
        make_plan(read_grid(path))


def test_queries_that_people_translated_are_drawn_before_others(tmp_path: Path) -> None:
    path = written(tmp_path)
    more = 'baselines = ["human"]'
    path.write_text(path.read_text("utf-8").replace("baselines = []", more) + "queries = 2\n", "utf-8")
    writer = CollectionWriter(tmp_path / "collection", "some", replace=True)
    for lang in ("de", "en"):
        writer.documents(lang, [Document("d1", "text")])
        writer.qrels("test", "all", lang, [(f"q{n}", "d1", 1) for n in range(20)])
    writer.queries("test", "de", [(f"q{n}", f"Frage {n}") for n in range(20)])
    writer.queries("test", "en", [(f"q{n}", f"question {n}") for n in (3, 17)])
    writer.finish("some questions, of which people translated two", {"name": "some"}, "CC0-1.0", parallel=True)
    assert make_plan(read_grid(path)).asked["some"].pairs["de", "en"] == ("q3", "q17")
