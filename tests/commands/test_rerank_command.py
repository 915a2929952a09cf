"""xqe rerank as a command: runs in and out, options without effect, exit statuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, jsonl, records

from xqe import cli
from xqe.commands.runs import open_run
from xqe.errors import InputError, XqeError
from xqe.files.records import Record
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.requests import Completion, Request

DOCUMENTS = [
    {"id": "zinc", "title": "Zinc", "text": "the price of zinc"},
    {"id": "tin", "text": "the price of tin"},
    {"id": "far", "text": "weather in Vienna"},
]
QUERIES: list[Record] = [
    {"id": "q1", "query": "price of zinc", "lang": "en", "user": 1},
    {"id": "q2", "query": "weather in Vienna", "lang": "en"},
]
TREC = "q1 Q0 far 1 9 t\nq1 Q0 tin 2 8 t\nq1 Q0 zinc 3 7 t\nq3 Q0 tin 1 5 t\n"
FAKE = ("--model", "fake", "--first-weight", "0")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("rerank")
    (folder / "docs.jsonl").write_text(jsonl(*DOCUMENTS))
    assert cli.run(["index", str(folder / "en"), "--lang", "en", "-i", str(folder / "docs.jsonl")]) == 0
    return str(folder / "en")


def files(tmp_path: Path, **texts: str) -> list[str]:
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return [str(tmp_path / name) for name in texts]


def hits_of(record: dict[str, Any]) -> list[str]:
    return [hit["id"] for hit in record["hits"]]


def test_records_of_a_search_are_reranked(xqe: Run, index: str) -> None:
    found = xqe("search", index, "--format", "jsonl", stdin=jsonl(*QUERIES))
    done = xqe("rerank", index, *FAKE, "-n", "2", stdin=found.stdout)
    first, second = records(done)
    assert (hits_of(first)[0], hits_of(second)[0]) == ("zinc", "far")
    assert first["user"] == 1 and first["steps"][0]["step"] == "rerank"
    counts, _, rate = done.stderr.strip().rpartition(", ")
    assert counts == "xqe: rerank: 2 records, 3 scored, 0 reused, 0 failed" and rate.endswith(" scored/s")


def test_a_trec_run_goes_in_and_out(xqe: Run, index: str, tmp_path: Path) -> None:
    """q2 is not in the run, and of q3 there is no query: its hits stay, and the exit status is 1."""
    run, queries = files(tmp_path, run=TREC, queries=jsonl(*QUERIES))
    done = xqe("rerank", index, run, "--queries", queries, *FAKE, "-n", "2", "--format", "trec", "--tag", "new")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [(line[0], line[2], line[3], line[5]) for line in lines] == [
        ("q1", "tin", "1", "new"), ("q1", "far", "2", "new"), ("q1", "zinc", "3", "new"), ("q3", "tin", "1", "new"),
    ]  # fmt: skip
    said = done.stderr.splitlines()
    assert f"xqe: 1 of 2 queries of {queries} are not in the run" in said
    assert "xqe: 1 of 3 queries have no hits, and so no line in the run" in said
    assert done.returncode == 1


@pytest.mark.parametrize("is_file", [True, False])
@pytest.mark.parametrize("form", ["trec", "msmarco", "jsonl"])
def test_runs_are_joined_with_their_queries(tmp_path: Path, form: str, is_file: bool) -> None:
    hits = [{"id": "far", "score": 9.0, "title": "x"}, {"id": "zinc", "score": 7}]
    run, queries = files(
        tmp_path,
        run={
            "trec": "q1 Q0 far 1 9 t\nq1 Q0 zinc 2 7 t\n",
            "msmarco": "q1\tfar\t1\nq1\tzinc\t2\n",
            "jsonl": jsonl({"id": "q1", "query": "another", "note": 5, "hits": hits}),
        }[form],
        queries=jsonl(*QUERIES),
    )
    arriving = open_run(run if is_file else None, None if is_file else [run], queries, "rerank")
    first, second = arriving
    assert arriving.total == 2
    assert first["query"] == "price of zinc" and hits_of(first) == ["far", "zinc"]
    assert first.get("note") == (5 if form == "jsonl" else None)
    assert second == {**QUERIES[1], "hits": []}


@pytest.mark.parametrize(
    ("run", "queries", "message"),
    [
        ("q7 Q0 far 1 9 t\n", jsonl(*QUERIES), 'holds no query of the run, which has "q7", and it "q1"'),
        (TREC, jsonl(QUERIES[0], QUERIES[0]), 'query "q1" twice'),
        (TREC, "", "no queries; --queries names the queries that were searched with"),
        (TREC, None, "a bare text, not JSON; a run has no queries: name them with --queries FILE"),
        (jsonl(QUERIES[0]), None, 'query "q1" has no "hits"; search first'),
        (jsonl({**QUERIES[0], "hits": [{"id": "a", "score": 1}] * 2}), None, 'document "a" twice for query "q1"'),
        (jsonl({**QUERIES[0], "hits": [{"id": "a", "score": "1"}]}), None, 'the score of hit 1 ("a") is not a number'),
        (jsonl({**QUERIES[0], "hits": [{"id": "a", "score": 1e300}]}), None, "is not a 32-bit number"),
        (jsonl({**QUERIES[0], "hits": {}}), None, '"hits" is not a list'),
        ("", jsonl(*QUERIES), "empty run"),
    ],
)
def test_a_run_that_cannot_be_used_is_said_before_a_model_is_loaded(
    tmp_path: Path, run: str, queries: str | None, message: str
) -> None:
    paths = files(tmp_path, run=run, queries=queries or "")
    with pytest.raises(InputError) as raised:
        open_run(paths[0], None, paths[1] if queries is not None else None, "rerank")
    assert message in str(raised.value) or message in f"{raised.value.message}; {raised.value.hint}"


def test_a_run_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(XqeError, match="both a RUN and --input"):
        open_run("a", ["b"], None, "rerank")
    with pytest.raises(XqeError, match="--queries cannot be standard input"):
        open_run("a", None, "-", "rerank")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "listwise", "--first-weight", "0.5"], "--first-weight has no effect on listwise"),
        (["--max-tokens", "5"], "--max-tokens has no effect on likelihood; leave it out, or re-rank by listwise"),
        (
            ["--kind", "likelihood", "--model", "openai:m", "--base-url", "http://localhost:1/v1"],
            "no server tells of a chat; give --api compl",
        ),
        (["--kind", "cross", "--prompt", "p.toml", "--model", "fake"], "--prompt has no effect on cross"),
        (["--tag", "x"], "without --format trec"),
        (["--prompt", "nowhere.toml"], "nowhere.toml: no such file"),
        (["other"], '"run.jsonl" is not an index, and a run is one argument'),
    ],
)
def test_options_that_mean_nothing_are_refused(
    index: str, options: list[str], message: str, capfd: pytest.CaptureFixture[str], no_settings: None
) -> None:
    assert cli.run(["rerank", index, "run.jsonl", *options]) == 2
    assert message in capfd.readouterr().err


@pytest.mark.parametrize("option", ["--temperature", "--top-p", "--top-k", "--seed", "--repeat-penalty"])
def test_nothing_is_drawn(index: str, option: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["rerank", index, option, "1"]) == 2
    assert f"no such option: {option}" in capfd.readouterr().err


def test_of_what_has_failed_no_prompt_is_shown(
    index: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], no_settings: None
) -> None:
    run, queries = files(tmp_path, run=TREC, queries=jsonl(*QUERIES))
    assert cli.run(["rerank", index, run, "--queries", queries, "--model", "fake", "-n", "1", "--show-prompt"]) == 0
    assert capfd.readouterr().err.count("prompt of ") == 1


@pytest.mark.parametrize("kind", ["likelihood", "yes-no", "listwise"])
def test_prompts_are_shown(
    index: str, tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str], no_settings: None
) -> None:
    given = jsonl({**QUERIES[0], "hits": [{"id": "zinc", "score": 2}, {"id": "tin", "score": 1}]})
    [run] = files(tmp_path, run=given)
    assert cli.run(["rerank", index, run, "--kind", kind, "--model", "fake", "--show-prompt"]) == 0
    shown, said = capfd.readouterr()
    assert "Zinc the price of zinc" in shown and "price of zinc" in shown.replace("Zinc the price of zinc", "")
    assert said.count("prompt of q1") == (1 if kind == "listwise" else 2)
    assert shown.endswith("<model>price of zinc\n") == (kind == "likelihood")


def test_a_window_that_stays_makes_the_status_1(
    index: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    no_settings: None,
) -> None:
    def silent(self: FakeEngine, request: Request) -> Completion:
        return Completion("I do not know.", "stop", 4)

    monkeypatch.setattr(FakeEngine, "_answer", silent)
    [run] = files(tmp_path, run=jsonl({**QUERIES[0], "hits": [{"id": "tin", "score": 2}, {"id": "zinc", "score": 1}]}))
    assert cli.run(["rerank", index, run, "--kind", "listwise", "--model", "fake"]) == 1
    written, said = capfd.readouterr()
    assert hits_of(json.loads(written)) == ["tin", "zinc"]
    assert "windows that stayed as they were: 1" in said
