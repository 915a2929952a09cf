"""What a grid keeps for its report: judgements that fit its runs, people's queries, and how documents begin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from collections_for_tests import fixture_collection, lines
from conftest import FIXTURES

from xqe import cli
from xqe.collections.layout import Collection
from xqe.experiments.grid.keeping import LONGEST
from xqe.files.documents import documents
from xqe.files.records import Document

GRID = """
strategies = ["zeroshot"]
baselines = ["original", "human"]
orders = ["te"]
[[models]]
model = "fake"
[[collections]]
path = "collection"
pairs = ["de-en"]
queries = 3
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of three queries that were drawn from six."""
    folder = tmp_path_factory.mktemp("kept")
    fixture_collection(folder / "collection", ["de", "en"], topics=6)
    (folder / "grid.toml").write_text(GRID)
    assert cli.run(["grid", str(folder / "grid.toml"), "--out", str(folder / "out"), "--quiet"]) == 0
    return folder / "out"


def test_the_judgements_that_are_kept_fit_a_run(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = out / "runs/fixtures/de-en/human.trec.gz"
    qrels = out / "qrels/fixtures/de-en.qrels"
    cell = json.loads((out / "cells/fixtures/de-en/human.json").read_text())
    assert {line.split()[0] for line in qrels.read_text().splitlines()} == set(cell["queries"])
    measures = ",".join(cell["measures"])
    assert (
        cli.run(["eval", "--qrels", str(qrels), "-m", measures, "--test", "none", "--format", "jsonl", str(run)]) == 0
    )
    said = capsys.readouterr()
    assert "missing" not in said.err
    assert json.loads(said.out)["measures"] == pytest.approx(cell["measures"], abs=1e-6)


def test_queries_are_kept_as_people_wrote_them(out: Path) -> None:
    asked = {one["id"] for one in lines(out / "queries/fixtures/de.jsonl")}
    written = {one["id"]: one["query"] for one in lines(FIXTURES / "questions/en.jsonl")}
    assert {one["id"]: one["query"] for one in lines(out / "human/fixtures/en.jsonl")} == {q: written[q] for q in asked}


def test_documents_are_kept_that_are_relevant_or_found_first(out: Path) -> None:
    kept = {one["id"]: one for one in lines(out / "documents/fixtures/en.jsonl")}
    firsts = [json.loads(path.read_text())["first"] for path in (out / "cells/fixtures/de-en").iterdir()]
    relevant = [line.split()[2] for line in (out / "qrels/fixtures/de-en.qrels").read_text().splitlines()]
    assert set(kept) == {*relevant, *(one for column in firsts for one in column if one)}
    whole = {one.id: one for _, one in documents([str(FIXTURES / "documents/en.jsonl")])}
    assert all(one["text"] == whole[name].text[:LONGEST] for name, one in kept.items())


def test_documents_are_read_again_only_where_some_are_lacking(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, read = out.parent / "grid.toml", Collection.read_documents
    seen = []

    def counted(self: Collection, lang: str) -> Iterator[Document]:
        seen.append(lang)
        return read(self, lang)

    monkeypatch.setattr(Collection, "read_documents", counted)
    again = ["grid", str(file), "--out", str(out), "--resume", "--quiet"]
    assert cli.run(again) == 0 and seen == []
    kept = out / "documents/fixtures/en.jsonl"
    whole = kept.read_bytes()
    kept.write_bytes(whole[: whole.index(b"\n") + 1])
    assert cli.run(again) == 0 and seen == ["en"] and kept.read_bytes() == whole
