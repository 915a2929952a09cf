"""xqe grid with [[rerank]]: what is read by a model, that it is read once, and that cells are what the pipe gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from collections_for_tests import fixture_collection

from xqe import cli
from xqe.errors import InputError
from xqe.experiments.grid.plan import Plan
from xqe.experiments.grid.planner import make_plan
from xqe.experiments.grid.settings import read_grid

HEAD = """
name = "small"
strategies = ["fewshot"]
orders = ["te"]
baselines = ["translation", "human"]
retrievers = ["bm25", "hybrid"]
encoder = "fake"
depth = 30
[[models]]
model = "fake"
[[collections]]
path = "collection"
pairs = ["de-en"]
"""
ROWS = """
[[rerank]]
n = [4, 10]
first_weight = [0.2, 0.5]
systems = ["*.translation*", "human*"]
[[rerank]]
kind = "listwise"
systems = "human.hybrid"
[[rerank]]
kind = "yes-no"
query = "query"
n = 6
systems = ["fake.*.doc.hybrid"]
"""

Made = Callable[..., Path]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grid") / "collection"
    fixture_collection(folder, ["de", "en"], topics=5)
    return folder


@pytest.fixture
def made(collection: Path, tmp_path: Path) -> Made:
    """Write a grid file over the collection."""

    def make(rows: str = ROWS, head: str = HEAD) -> Path:
        path = tmp_path / "grid.toml"
        path.write_text(head.replace('"collection"', f'"{collection}"') + rows, "utf-8")
        return path

    return make


def planned(path: Path) -> Plan:
    return make_plan(read_grid(path))


def cells(out: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in (out / "cells/fixtures/de-en").glob("*.json")}


def piped(capsys: pytest.CaptureFixture[str], given: Path, *arguments: str) -> str:
    """What a command makes of a file, which then holds that."""
    capsys.readouterr()
    assert cli.run([*arguments, *(["-i"] if arguments[0] != "eval" else []), str(given)]) in (0, 1)
    text = capsys.readouterr().out
    given.write_text(text, "utf-8")
    return text


LIKELIHOOD = ("fake.translation", "translation", ["--kind", "likelihood"])
LISTWISE = ("human.hybrid", "human", ["--kind", "listwise"])
YES_NO = ("fake.fewshot.te.doc.hybrid", "expansion", ["--kind", "yes-no", "--query", "query", "-n", "6"])


def test_cells_are_what_the_pipe_gives_and_no_pair_is_read_twice(
    made: Made, collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = made(), tmp_path / "out"
    assert cli.run(["grid", str(path), "--out", str(out)]) == 0
    assert "windows that stayed as they were: " in capsys.readouterr().err
    found = cells(out)
    index = str(out / "indexes/fixtures/en")
    for system, (first, kind, options_) in {
        "fake.translation+likelihood@4.w0_2": (*LIKELIHOOD[:2], [*LIKELIHOOD[2], "-n", "4", "--first-weight", "0.2"]),
        "fake.translation+likelihood@10.w0_5": (*LIKELIHOOD[:2], [*LIKELIHOOD[2], "-n", "10"]),
        "human.hybrid+listwise@20": LISTWISE,
        "fake.fewshot.te.doc.hybrid+yes-no@6": YES_NO,
    }.items():
        cell = found[system]
        assert cell["reranked"]["system"] == first and cell["retriever"] == found[first]["retriever"]
        given = tmp_path / "given.jsonl"
        asked = out / cell["texts"] if cell["texts"] else collection / "queries/test/en.jsonl"
        given.write_text("".join(asked.read_text("utf-8").splitlines(keepends=True)[:5]), "utf-8")
        by = ["--by", "hybrid", "--encoder", "fake"] if "hybrid" in first else ["--by", "bm25"]
        piped(capsys, given, "search", index, "-k", "30", *by, "--use", "doc" if kind == "expansion" else "query")
        piped(capsys, given, "rerank", index, "--model", "fake", *options_)
        qrels = str(collection / "qrels/test/all-en.qrels")
        measures = json.loads(piped(capsys, given, "eval", "--qrels", qrels))["measures"]
        assert cell["measures"] == pytest.approx(measures, abs=1e-6), system

    [night] = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    rankings = [json.loads(file.read_text()) for file in (out / "ranked").rglob("*.json")]
    assert len(rankings) == 4 + 1 + 1  # of likelihood one a system, whatever the depths and weights
    assert night["measured"] == sum(one["generated"] for one in rankings)
    assert max(one["generated"] + one["reused"] for one in rankings if one["kind"] == "likelihood") == 5 * 10

    # another weight and a lesser depth are of what was read; what is gone from the file is gone from the folder
    more = ROWS.replace("n = [4, 10]", "n = [4, 7, 10]").replace("[0.2, 0.5]", "[0.2, 0.9]")
    assert cli.run(["grid", str(made(more)), "--out", str(out), "--resume"]) == 0
    assert "; 0 pairs measured; " in capsys.readouterr().err
    again = cells(out)
    assert {name for name in again if "likelihood" in name and name.startswith("human+")} == {
        f"human+likelihood@{n}.w0_{w}" for n in (4, 7, 10) for w in (2, 9)
    }
    assert again["human+likelihood@4.w0_2"] == found["human+likelihood@4.w0_2"]

    # what each stage cost is of that stage, once
    costs = {(one["stage"], one["by"]): one for one in json.loads((out / "manifest.json").read_text())["costs"]}
    assert costs["rerank", "likelihood"]["count"] == 4 * 5 and costs["translate", "fake"]["made"] == 5
    own = {one["stage"]: one for one in again["fake.translation+likelihood@4.w0_2"]["costs"]}
    assert list(own) == ["translate", "search", "rerank"] and own["rerank"]["part"] == pytest.approx(0.4)


def test_a_pair_that_fails_leaves_its_query_as_it_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from xqe.models.engines.fake import FakeEngine
    from xqe.models.engines.requests import Completion, Request

    fixture_collection(tmp_path / "collection", ["de", "en"], topics=3)
    path, out = tmp_path / "grid.toml", tmp_path / "out"
    head = HEAD.replace('"bm25", "hybrid"]\nencoder = "fake"', '"bm25"]').replace('"translation", "human"', '"human"')
    path.write_text(f'{head}[[rerank]]\nsystems = "human"\n')
    measured = FakeEngine._measured

    def weak(self: FakeEngine, request: Request) -> Completion:
        return Completion("", "error", 0, "busy") if "ice" in request.subject else measured(self, request)

    with monkeypatch.context() as patched:
        patched.setattr(FakeEngine, "_measured", weak)
        assert cli.run(["grid", str(path), "--out", str(out)]) == 1
    found = cells(out)
    cell, first = found["human+likelihood@20"], found["human"]
    [query] = cell["failures"]
    assert cell["failures"][query] == "rerank: busy"
    place = cell["queries"].index(query)
    assert cell["first"][place] == first["first"][place]
    assert " 1 records failed" in capsys.readouterr().err.splitlines()[-1]
    assert cli.run(["grid", str(path), "--out", str(out), "--resume"]) == 0  # what failed is asked again
    assert not cells(out)["human+likelihood@20"]["failed"]


def test_the_translated_query_alone_is_re_ranked_unless_systems_are_named(made: Made) -> None:
    plan = planned(made("[[rerank]]\n"))
    assert [cell.system for cell in plan.reranked] == [
        "fake.translation+likelihood@20",
        "fake.translation.hybrid+likelihood@20",
    ]
    named = '[[models]]\nmodel = "fake"\nname = "other"\n'
    plan = planned(
        made('[[rerank]]\n[[rerank]]\nmodel = "other"\n', HEAD.replace("[[collections]]", f"{named}[[collections]]"))
    )
    assert {row.name for row in plan.grid.rerankers} == {"likelihood", "likelihood-other"}


def test_a_part_has_the_cells_that_it_re_ranks(made: Made) -> None:
    plan = planned(made())
    for shard in (plan.shard(number, 2) for number in range(2)):
        assert {cell.again.ranked.first for cell in shard.reranked if cell.again} <= set(shard.searched)


BAD = {
    'kind = "cosine"': "rerank[1]: unknown kind 'cosine'",
    'kind = "listwise"\nfirst_weight = 0.5': "rerank[1]: first_weight has no effect on listwise",
    "first_weight = 2": "rerank[1]: first_weight = 2",
    "n = [0]": "rerank[1]: n = 0",
    "n = 50": "rerank[1]: n = 50, and a run has 30 hits",
    "n = [5, 5]": "rerank[1]: n names one thing twice",
    'systems = ["best*"]': 'rerank[1].systems: no system "best*"; there are fake.fewshot',
    'model = "gemma-9"': "rerank[1]: ",
    'model = "openai:m"': "rerank[1]: base_url is missing",
    'prompt = "none.toml"': "rerank[1]: ",
    "depth = 3": 'rerank[1]: unknown key "depth"',
    "document_tokens = 0": "rerank[1]: document_tokens = 0",
    "\n[[rerank]]": 'rerank[2]: the name "likelihood" again',
}


@pytest.mark.parametrize("line", BAD)
def test_a_mistake_names_the_row(made: Made, line: str) -> None:
    with pytest.raises(InputError) as caught:
        planned(made(f"[[rerank]]\n{line}\n"))
    assert BAD[line] in str(caught.value)
