"""xqe inspect: records in and out, summaries, what a person reads, and what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, jsonl, records

from xqe.stages.inspection.inspector import inspected
from xqe.stages.inspection.measures import MEASURES
from xqe.stages.inspection.summary import BY

STEP = {"step": "expand", "strategy": "fewshot", "shots": 5, "model": "m", "finish": "stop"}
GOOD = {
    "id": "1",
    "query": "ships in a harbour",
    "lang": "en",
    "passages": ["Ships lie in the harbour at the quay, and their crews have gone ashore."],
    "steps": [STEP],
    "user": {"kept": 1},
}
META = GOOD | {
    "id": "2",
    "passages": ["Sure! Here is a short passage.", "Ships."],
    "steps": [STEP | {"strategy": "cot"}],
}
FAILED = {"id": "3", "query": "x", "lang": "en", "error": {"step": "expand", "message": "no answer"}}
QUERY = {"id": "4", "query": "ships", "lang": "en"}


def test_each_record_gains_its_inspection(xqe: Run) -> None:
    done = xqe("inspect", stdin=jsonl(GOOD, META, QUERY))
    assert (done.returncode, done.stderr) == (0, "")
    found = records(done)
    assert found == [json.loads(json.dumps(record)) for record in inspected([GOOD, META, QUERY])]
    assert [record["inspection"] and record["inspection"]["flagged"] for record in found] == [0, 0.5, None]


def test_after_a_pipe_that_generates(xqe: Run, tmp_path: Path) -> None:
    """The fake engine answers with the query and a digest of the prompt."""
    translated = xqe("translate", "nom du mercure", "--from", "fr", "--to", "en", "--model", "fake")
    expanded = xqe("expand", "--strategy", "zeroshot", "--model", "fake", stdin=translated.stdout)
    (tmp_path / "in.jsonl").write_text(translated.stdout + expanded.stdout, "utf-8")
    of_query, of_passage = (row["inspection"] for row in records(xqe("inspect", "-i", str(tmp_path / "in.jsonl"))))
    assert (of_query["order"], of_query["strategy"], of_query["faithfulness"]) == ("t", None, None)
    assert (of_passage["order"], of_passage["strategy"], of_passage["model"]) == ("te", "zeroshot", "fake")
    assert of_passage["faithfulness"] == 1


def test_failed_records_pass_and_are_counted(xqe: Run) -> None:
    done = xqe("inspect", stdin=jsonl(FAILED, GOOD))
    assert done.returncode == 1
    assert "1 of 2 records failed" in done.stderr
    assert records(done)[0] == FAILED | {"inspection": None}


def test_a_summary(xqe: Run) -> None:
    done = xqe("inspect", "--summary", stdin=jsonl(GOOD, META, FAILED, QUERY))
    assert done.returncode == 1
    everything, good, meta, without = records(done)
    assert (everything["group"], everything["records"], everything["inspected"]) == ({}, 4, 2)
    assert good["group"] == dict(zip(BY, ("m", "fewshot", "e", "en", "en"), strict=True))
    assert (meta["group"]["strategy"], meta["measures"]["meta"], meta["flagged"]) == ("cot", 0.5, 1)
    assert (without["records"], without["failed"], without["inspected"], without["flagged"]) == (2, 1, 0, None)
    assert list(good["measures"]) == [measure.name for measure in MEASURES]
    assert good["counted"]["faithfulness"] == 1


def test_groups_of_ones_own_make_a_summary(xqe: Run) -> None:
    found = records(xqe("inspect", "--by", "user.kept", stdin=jsonl(GOOD, META | {"user": {"kept": 2}})))
    assert [row["group"] for row in found] == [{}, {"user.kept": "1"}, {"user.kept": "2"}]


def test_what_a_person_reads(xqe: Run) -> None:
    done = xqe("inspect", "--summary", "--format", "text", stdin=jsonl(GOOD, META))
    lines = {line.split("  ")[0]: line.split() for line in done.stdout.splitlines()}
    assert lines["strategy"][1:] == ["fewshot", "cot"]
    assert lines["records"][1:] == ["2", "1", "1"]
    assert lines["meta %"][2:] == ["25.0", "0.0", "50.0"]
    assert lines["flagged %"][2:] == ["50.0", "0.0", "100.0"]
    assert lines["kept %"][2:] == ["-", "-", "-"]
    shown = xqe("inspect", "--format", "text", stdin=jsonl(GOOD, META, FAILED, QUERY))
    assert shown.stdout.count("meta\n") == 1
    assert "faithfulness 100 %" in shown.stdout
    assert "no answer" in shown.stdout
    assert "nothing generated" in shown.stdout
    assert shown.returncode == 1


def test_many_groups_stand_below_each_other(xqe: Run) -> None:
    many = [GOOD | {"id": str(number), "user": number} for number in range(30)]
    done = xqe("inspect", "--by", "user", "--format", "text", stdin=jsonl(*many))
    heads = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("user")]
    assert len(heads) > 1
    assert [name for head in heads for name in head if name != "all"] == [str(number) for number in range(30)]
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_nothing_in_nothing_out(xqe: Run) -> None:
    assert xqe("inspect").stdout == ""
    [row] = records(xqe("inspect", "--summary"))
    assert (row["records"], row["group"]) == (0, {})


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["--by", "strategy,,x"], "", '--by: "strategy,,x" does not name one or more fields'),
        (["--by", "lang,lang"], "", '--by: "lang,lang"'),
        (["--examples", "nowhere"], "", "nowhere: no such file"),
        (["--input", "nowhere"], "", "nowhere: no such file"),
        ([], '{"id": "1"}\n', '<stdin>:1: missing "query"'),
        ([], '{"id": "1", "query": "x", "passages": "y"}\n', '<stdin>:1: "passages" is not a list'),
        (["--format", "xml"], "", "'xml'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(xqe: Run, arguments: list[str], stdin: Any, message: str) -> None:
    done = xqe("inspect", *arguments, stdin=stdin)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


# ---- people's translations

TRANSLATED = [
    {"id": name, "query": query, "lang": "en", "source": {"query": asked, "lang": "de"}, "hits": hits}
    for name, query, asked, hits in (
        ("a", "the cat", "die Katze", [{"id": "x", "score": 2}]),
        ("b", "the dog", "der große Hund in dem Haus", [{"id": "y", "score": 1}, {"id": "x", "score": 2}]),
        ("c", "house", "Haus", []),
    )
]
PEOPLES = [
    {"id": "a", "query": "the cats", "lang": "en"},
    {"id": "a", "query": "die Katzen", "lang": "de"},
    {"id": "b", "query": "the big dog", "lang": "en-US"},
    {"id": "b", "query": "the dog", "lang": "en"},
]


@pytest.fixture
def people(tmp_path: Path) -> str:
    (tmp_path / "people.jsonl").write_text(jsonl(*PEOPLES), "utf-8")
    return str(tmp_path / "people.jsonl")


def test_queries_are_held_to_what_people_wrote(xqe: Run, people: str) -> None:
    done = xqe("inspect", "--references", people, "--encoder", "fake", stdin=jsonl(*TRANSLATED, FAILED))
    assert done.returncode == 1
    *found, failed = [record["inspection"] for record in records(done)]
    assert failed is None
    assert [one["chrf"] for one in found] == [pytest.approx(0.775710334), pytest.approx(1), None]  # sacrebleu
    assert [one["length"] for one in found] == ["1-2", "5-8", "1-2"]
    assert found[0]["similarity"] < found[1]["similarity"] == pytest.approx(1)
    assert "2 of 4 records have no reference" in done.stderr
    everything, *groups = records(xqe("inspect", "--references", people, "--summary", stdin=jsonl(*TRANSLATED)))
    assert everything["measures"]["chrf"] == pytest.approx((0.775710334 + 1) / 2)
    assert [row["group"]["length"] for row in groups] == ["1-2", "5-8"]


def test_what_is_measured_is_held_to_what_is_found(xqe: Run, people: str, tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("a 0 x 1\nb 0 y 1\nc 0 z 1\n", "utf-8")
    asked = ("inspect", "--references", people, "--qrels", str(tmp_path / "qrels"))
    first, *others = records(xqe(*asked, "-m", "MRR", stdin=jsonl(*TRANSLATED)))
    assert (first["group"], first["measure"], first["found"], first["queries"]) == ({}, "chrf", "MRR", 2)
    assert first["spearman"]["value"] == first["kendall"]["value"] == -1  # a is found first, and b second
    assert {row["measure"] for row in others} <= {"chrf", "kept"}
    (tmp_path / "run").write_text("b Q0 y 1 9 t\na Q0 v 1 9 t\n", "utf-8")
    shown = xqe(*asked, "--run", str(tmp_path / "run"), "--format", "text", stdin=jsonl(*TRANSLATED))
    assert "+1.00" in shown.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--qrels", "x"), "--qrels is for what --references measures"),
        (("--run", "x"), "--run has no effect without --qrels"),
        (("--references", "{}", "--measure", "MRR"), "--measure has no effect without --qrels"),
        (("--references", "{}", "--qrels", "x", "--summary"), "--qrels writes no --summary"),
        (("--references", "{}", "--split", "test"), "--split has no effect on a file"),
        (("--references", "{}", "--lang", "en"), "--lang has no effect without --collection"),
        (("--references", "/no/such"), "/no/such: no such file"),
        (("--references", "{}", "--pooling", "cls"), "--pooling has no effect without --collection or --encoder"),
    ],
)
def test_what_goes_with_references(xqe: Run, people: str, options: tuple[str, ...], message: str) -> None:
    done = xqe("inspect", *(option.format(people) for option in options), stdin=jsonl(*TRANSLATED))
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
