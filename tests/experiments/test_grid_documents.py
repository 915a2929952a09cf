"""xqe grid over documents with questions, and over translated ones: cells are what the pipe gives, and the report has
them beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from collections_for_tests import fixture_collection, lines
from conftest import FIXTURES

from xqe import cli
from xqe.errors import InputError
from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.indexing import build_translated
from xqe.experiments.grid.planner import make_plan
from xqe.experiments.grid.settings import read_grid
from xqe.experiments.report import questions, results
from xqe.experiments.report.blocks import Curve, Table
from xqe.experiments.report.compose import compose
from xqe.experiments.report.page import page
from xqe.experiments.report.study import studies_of

GRID = """
name = "small"
strategies = ["fewshot"]
orders = ["te"]
uses = ["query+doc"]
baselines = ["original", "documents"]
retrievers = ["bm25", "hybrid"]
encoder = "fake"
depth = 30
[questions]
weights = 0.5
shares = [0.1, 0.25]
[[models]]
model = "fake"
[[collections]]
path = "collection"
pairs = ["de-en"]
questions = {en = "augmented.jsonl"}
"""
TOPICS = 5


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection, its documents with the German questions that they answer, and a grid over them that has run."""
    folder = tmp_path_factory.mktemp("grid")
    fixture_collection(folder / "collection", ["de", "en"], topics=TOPICS)
    asked = {one["id"]: one["query"] for one in lines(FIXTURES / "questions" / "de.jsonl")[:TOPICS]}
    with (folder / "augmented.jsonl").open("w", encoding="utf-8") as file:
        for one in lines(FIXTURES / "documents" / "en.jsonl"):
            more = {"questions": {"de": [asked[one["id"]]]}} if one["id"] in asked else {}
            file.write(json.dumps({**one, **more}, ensure_ascii=False) + "\n")
    (folder / "grid.toml").write_text(GRID)
    assert cli.run(["grid", str(folder / "grid.toml"), "--out", str(folder / "out"), "-q"]) == 0
    return folder


def cell(made: Path, system: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made / f"out/cells/fixtures/de-en/{system}.json").read_text())
    return found


def test_cells_are_what_the_pipe_gives(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked, found = made / "collection/queries/test/de.jsonl", tmp_path / "found.jsonl"
    english, german = (made / "out/indexes/fixtures" / name for name in ("en", "fake+en-de"))
    hybrid = ["--by", "hybrid", "--encoder", "fake"]
    for system, index, options in (
        ("original", english, ["--by", "bm25"]),
        ("original.qw0_5", english, ["--by", "bm25", "--question-weight", "0.5"]),
        ("original.hybrid.qs0_1", english, [*hybrid, "--question-share", "0.1"]),
        ("original.hybrid.qw0_5.qs0_25", english, [*hybrid, "--question-weight", "0.5", "--question-share", "0.25"]),
        ("fake.documents", german, ["--by", "bm25"]),
    ):
        capsys.readouterr()
        assert cli.run(["search", str(index), "-i", str(asked), "-k", "30", *options]) == 0
        found.write_text(capsys.readouterr().out)
        assert cli.run(["eval", "--qrels", str(made / "collection/qrels/test/all-en.qrels"), str(found)]) == 0
        measures = json.loads(capsys.readouterr().out)["measures"]
        assert cell(made, system)["measures"] == pytest.approx(measures, abs=1e-6), system
    assert cell(made, "original.qw0_5")["measures"] != cell(made, "original")["measures"]


def test_translated_documents_are_those_of_the_command(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "documents.jsonl"
    given.write_text("".join((FIXTURES / "documents/en.jsonl").read_text("utf-8").splitlines(keepends=True)[:3]))
    capsys.readouterr()
    assert cli.run(["translate", "--documents", "--from", "en", "--to", "de", "--model", "fake", "-i", str(given)]) == 0
    wanted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    there = lines(made / "out/texts/fixtures/fake/docs.en-de.jsonl")
    assert len(there) == 40
    assert [(one["id"], one["text"], one["lang"]) for one in there[:3]] == [
        (one["id"], one["text"], one["lang"]) for one in wanted
    ]
    costs = {one["stage"]: one for one in json.loads((made / "out/manifest.json").read_text())["costs"]}
    assert costs["translate documents"]["count"] == 40


def test_nothing_is_done_twice_and_changed_questions_are_said(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ["grid", str(made / "grid.toml"), "--out", str(made / "out"), "--resume"]
    assert cli.run(grid) == 0
    assert " 0 new, 0 failed; 0 texts generated, 0 reused;" in capsys.readouterr().err
    file = made / "augmented.jsonl"
    before = file.read_text()
    try:
        file.write_text(before.replace("Merkur", "Saturn"))
        assert cli.run(grid) == 2
        assert "have changed since it was built; build it again with --reindex" in capsys.readouterr().err
        file.write_text("".join(before.splitlines(keepends=True)[1:]))
        assert cli.run([*grid[:2], "--out", str(tmp_path / "other")]) == 2
        assert "augmented.jsonl:1: not the document of " in capsys.readouterr().err
    finally:
        file.write_text(before)


BAD = {
    ("weights = 0.5\nshares = [0.1, 0.25]", ""): "questions: neither weights nor shares",
    ("weights = 0.5", "weights = [0]"): "questions: weights = 0",
    ("shares = [0.1, 0.25]", "shares = 2"): "questions: shares = 2",
    ('"bm25", "hybrid"]\nencoder = "fake"', '"bm25"]'): "questions: shares has no effect on searches by bm25",
    ("weights = 0.5", "systems = []"): "questions: systems is empty",
    ("weights = 0.5", "languages = []"): "questions: languages is empty",
    ('{en = "augmented.jsonl"}', '{en = "augmented.jsonl", EN = "augmented.jsonl"}'): "names one language twice",
    ("weights = 0.5", 'systems = "best"'): 'questions.systems: no system "best"',
    ('questions = {en = "augmented.jsonl"}', ""): "questions: no collection has questions",
    ('{en = "augmented.jsonl"}', '{en = "none.jsonl"}'): "none.jsonl: no such file",
    ('{en = "augmented.jsonl"}', '{de = "augmented.jsonl"}'): "collections[1].questions: no pair has documents in de",
    ("[questions]\nweights = 0.5\nshares = [0.1, 0.25]", ""): "collections[1]: questions have no effect",
}


@pytest.mark.parametrize("change", BAD, ids=lambda change: change[1])
def test_a_mistake_is_named(made: Path, change: tuple[str, str]) -> None:
    path = made / "bad.toml"
    path.write_text(GRID.replace(*change))
    with pytest.raises(InputError) as caught:
        make_plan(read_grid(path))
    assert BAD[change] in str(caught.value)


def test_questions_of_no_language_that_counts_are_said_before_anything_is_generated(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (made / "french.toml").write_text(GRID.replace("weights = 0.5", 'weights = 0.5\nlanguages = "fr"'))
    assert cli.run(["grid", str(made / "french.toml"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "questions.languages: " in said and "has no questions in fr; there are de" in said
    assert not (tmp_path / "out/texts").exists()


def test_cells_of_documents_none_of_which_could_be_translated_fail_and_no_others(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(made / "out", resume=True)
    told = folder.said_of
    monkeypatch.setattr(Folder, "said_of", lambda _, texts: (said := told(texts)) | {"failed": said["records"]})
    unable: dict[str, str] = {}
    build_translated(make_plan(read_grid(made / "grid.toml")), folder, unable, rebuild=True)
    assert list(unable.values()) == ["none of 40 documents could be translated"]


def test_documents_are_translated_only_where_that_is_asked_for(made: Path) -> None:
    path = made / "usual.toml"
    path.write_text(GRID.replace('baselines = ["original", "documents"]\n', ""))
    assert "documents" not in read_grid(path).baselines


def test_the_report_has_questions_beside_translated_documents(made: Path) -> None:
    found = results.read([made / "out"])
    words, curve, both = questions.blocks(found, "MRR")
    assert isinstance(words, Table) and isinstance(curve, Curve) and isinstance(both, Table)
    assert words.columns == ("none", "weight 0.5", "translated documents")
    value = cell(made, "original.qw0_5")["measures"]["MRR"]
    assert [row.heads for row in words.rows] == [("Original query", "de-en"), ("Original query", "mean")]
    assert words.rows[0].values[1].number == pytest.approx(value)
    assert curve.places == (0.0, 0.1, 0.25)
    shares = [cell(made, f"original.hybrid{end}")["measures"]["MRR"] for end in ("", ".qs0_1", ".qs0_25")]
    assert dict(curve.lines)["mean"] == pytest.approx([100 * one for one in shares])
    assert curve.level is not None and curve.level[0] == "translated documents"
    assert curve.level[1] == pytest.approx(100 * cell(made, "fake.documents.hybrid")["measures"]["MRR"])
    studies = studies_of(found, "MRR")
    assert all(one.questions is None for study in studies for one in study.systems)
    text = page(compose(found, studies, 0), "made")
    assert "Translated documents" in text and "share of questions" in text
