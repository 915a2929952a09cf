"""Guides and judges as dimensions of a grid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from collections_for_tests import lines
from conftest import FIXTURES

from xqe import cli
from xqe.collections.layout import ANY, CollectionWriter
from xqe.errors import InputError
from xqe.experiments.grid.asked import ask_all
from xqe.experiments.grid.generating import stage_of
from xqe.experiments.grid.guidance import train_pairs
from xqe.experiments.grid.planner import make_plan
from xqe.experiments.grid.settings import read_grid
from xqe.files.records import Document
from xqe.files.trec import read_qrels
from xqe.models.encoders import fake
from xqe.models.encoders.base import Encoded, Side
from xqe.models.engines.fake import FakeEngine
from xqe.models.examples import builtin
from xqe.models.prompts import Chat
from xqe.stages.librarian.choosing import Choice
from xqe.stages.librarian.guide import Guide

GRID = """
strategies = ["fewshot"]
orders = ["te"]
uses = ["query+doc"]
baselines = ["translation", "direct"]
guides = ["nearby", "both"]
judges = ["weigh"]
encoder = "fake"
shots = 2
depth = 10
[[models]]
model = "fake"
[[collections]]
path = "collection"
pairs = ["de-en"]
"""
TOPIC = {
    one[field]: f"topic{one['id']}"
    for code in ("de", "en")
    for one in builtin(code)
    for field in ("query", "rephrasing", "passage")
}


class Aligned(fake.FakeEncoder):
    """To which the built-in examples of one id say the same in every language."""

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        return super().encode([TOPIC.get(text, text) for text in texts], side)


@pytest.fixture
def grid_file(tmp_path: Path) -> Path:
    """A grid beside a collection with a train split, of which one query has the document of an evaluated one."""
    writer = CollectionWriter(tmp_path / "collection", "fixtures")
    qrels = read_qrels(str(FIXTURES / "qrels.txt"))
    for lang in ("de", "en"):
        documents = lines(FIXTURES / "documents" / f"{lang}.jsonl")
        writer.documents(lang, [Document(one["id"], one["text"], one.get("title", "")) for one in documents])
        queries = {one["id"]: one["query"] for one in lines(FIXTURES / "questions" / f"{lang}.jsonl")}
        text = {one["id"]: one["text"] for one in documents}
        names = [*queries]
        test, train = names[:3], names[3:8]
        writer.queries("test", lang, [(name, queries[name]) for name in test])
        writer.queries("train", lang, [*((name, queries[name]) for name in train), ("leaks", "ganz anders")])
        leaking = max(qrels[test[0]], key=qrels[test[0]].__getitem__)
        for split, some in (("test", test), ("train", train)):
            judged = [(name, document, grade) for name in some for document, grade in qrels[name].items()]
            writer.qrels(split, ANY, lang, [*judged, *([("leaks", leaking, 1)] if split == "train" else [])])
        writer.examples("train", lang, [(queries[name], text[next(iter(qrels[name]))]) for name in train])
    writer.finish("of the fixtures", {"name": "fixtures"}, "CC0-1.0", parallel=True)
    path = tmp_path / "grid.toml"
    path.write_text(GRID, "utf-8")
    return path


def steps(out: Path, name: str) -> list[list[dict[str, Any]]]:
    path = out / "texts" / "fixtures" / "fake" / f"{name}.jsonl"
    return [json.loads(line)["steps"] for line in path.read_text("utf-8").splitlines()]


def test_a_grid_compares_guides_and_judges(
    grid_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_settings: None
) -> None:
    monkeypatch.setattr(fake, "FakeEncoder", Aligned)
    out = grid_file.parent / "out"
    assert cli.run(["grid", str(grid_file), "--out", str(out)]) == 0
    systems = {path.stem for path in out.glob("cells/fixtures/de-en/*.json")}
    few, direct = "fake.fewshot.te.query+doc", "fake.fewshot.direct.query+doc"
    guided = {f"{system}{guide}" for system in (few,) for guide in ("", ".nearby", ".both")}
    guided |= {direct, f"{direct}.nearby"}
    translated = {f"fake.translation{guide}" for guide in ("", ".nearby", ".both")}
    assert systems == {f"{system}{judge}" for system in guided for judge in ("", ".weigh")} | translated
    for translate, expand in steps(out, "te.fewshot.both.de-en"):
        assert translate["chosen"] == expand["chosen"] == "nearest"
        assert len(translate["nearby"]["documents"]) == len(expand["nearby"]["documents"]) == 1
    assert all("nearby" not in step for some in steps(out, "te.fewshot.de-en") for step in some)
    capsys.readouterr()
    assert cli.run(["grid", str(grid_file), "--out", str(out), "--resume"]) == 0
    assert "0 new" in capsys.readouterr().err
    assert cli.run(["report", str(out), "--format", "md", "--out", "-"]) == 0
    report = capsys.readouterr().out
    section = report[report.index("## Guided by an encoder") :]
    assert "| fake, Few-shot, T + E, Q + doc | both, judge weigh |" in section


@pytest.mark.parametrize("shots", ["shots = 2\n", ""])
def test_a_guide_chooses_among_the_examples_of_train(grid_file: Path, shots: str, no_settings: None) -> None:
    grid_file.write_text(GRID.replace("shots = 2\n", shots), "utf-8")
    plan = make_plan(read_grid(grid_file))
    of_train = [one["query"] for one in lines(grid_file.parent / "collection" / "examples" / "train" / "en.jsonl")]
    record = {"id": "q", "query": "what is it", "lang": "en"}
    for guide in ("plain", "both"):
        [texts] = [one for one in plan.texts if one.kind == "expand" and one.guide == guide]
        [request] = stage_of(texts, plan, FakeEngine(), Guide(Choice(Aligned(), "query"))).requests(record)
        assert isinstance(request.prompt, Chat)
        assert any(query in request.prompt.user for query in of_train) == (guide == "both")


def test_queries_of_train_give_none_away(grid_file: Path) -> None:
    """That with the document of an evaluated query is left out, whatever it says."""
    [asked] = ask_all(read_grid(grid_file)).values()
    pairs = train_pairs(asked, ("de", "en"))
    assert len(pairs) == 5
    assert all(pair["source"] != "ganz anders" for pair in pairs)
    assert not {pair["source"] for pair in pairs} & set(asked.queries["de"].values())


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('guides = ["nearby", "both"]', 'guides = ["near"]', "guides"),
        ('guides = ["nearby", "both"]', 'guides = ["examples"]\nnearby = 2', "nearby has no effect"),
        ('judges = ["weigh"]', 'judges = ["kindly"]', "judges"),
        ('path = "collection"', 'path = "collection"\nsplit = "train"', '"train" is evaluated'),
    ],
)
def test_what_is_wrong_is_named(grid_file: Path, before: str, after: str, message: str) -> None:
    grid_file.write_text(GRID.replace(before, after), "utf-8")
    with pytest.raises(InputError, match=message):
        make_plan(read_grid(grid_file))


def test_what_a_guide_shows_is_part_of_the_key(grid_file: Path) -> None:
    plan = make_plan(read_grid(grid_file))
    grid_file.write_text(GRID.replace("depth = 10", "depth = 10\nnearby = 2"), "utf-8")
    more = make_plan(read_grid(grid_file))
    same = {one.name: one.key == other.key for one, other in zip(plan.texts, more.texts, strict=True)}
    assert same["t.de-en"]
    assert not same["t.nearby.de-en"]
    assert not same["te.fewshot.both.de-en"]
