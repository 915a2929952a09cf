"""What xqe search writes, byte for byte: the lines that a plain writer makes of the same hits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
import ujson
from conftest import Run, jsonl, records
from forks import Forks

from xqe.retrieval.bm25 import BM25
from xqe.retrieval.lexical import open_index

IDS = ["d1", 'a"b', "c\\d", "é", "日本", "🎉", "x/y", "\\n", "a,b", '",', "d10", "d2", "\x7f", "z"]
TEXTS = ["winter harbour", "winter harbour", "harbour", "winter winter harbour ice", "a metal called quicksilver"]
DOCUMENTS = [{"id": name, "text": TEXTS[number % len(TEXTS)]} for number, name in enumerate(IDS)]
GERMAN = [{"id": f"de-{name}", "text": "harbour im winter"} for name in IDS[:5]]
QUERIES: list[dict[str, Any]] = [
    {"id": "q1", "query": "winter harbour", "lang": "en", "mine": [1, 2.5, None, {"a": "/é"}]},
    {"id": "d2", "query": "harbour", "lang": "en"},
    {"id": "q3", "query": "nothing of it", "lang": "en"},
    {"id": "q4", "query": "metal", "lang": "en", "error": {"step": "expand", "message": "no answer"}},
]
OPTIONS = {
    "all": [],
    "k": ["-k", "1"],
    "own": ["--drop-self", "-k", "3"],
    "texts": ["--texts"],
    "pool": ["--pool", "POOL"],
    "several": ["MORE"],
    "hybrid": ["--by", "hybrid"],
    "several, hybrid": ["MORE", "--by", "hybrid"],
    "each, hybrid": ["MORE", "--by", "hybrid", "--per-language", "-k", "4"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Path:
    folder = tmp_path_factory.mktemp("output")
    for name, lang, documents in (("INDEX", "en", DOCUMENTS), ("MORE", "de", GERMAN)):
        done = forks("index", str(folder / name), "--lang", lang, "--encoder", "fake", stdin=jsonl(*documents))
        assert done.status == 0, done.stderr
    (folder / "POOL").write_text("\n".join(IDS[:4]) + "\n", "utf-8")
    return folder


def searched(xqe: Run, made: Path, *options: str, status: int = 1) -> str:
    given = [str(made / one) if one in ("POOL", "MORE") else one for one in options]
    by = [] if "--by" in options else ["--by", "bm25"]
    done = xqe("search", str(made / "INDEX"), *given, *by, stdin=jsonl(*QUERIES))
    assert done.returncode == status, done.stderr
    return done.stdout


def line(record: dict[str, Any]) -> str:
    return f"{ujson.dumps(record, ensure_ascii=False, escape_forward_slashes=False)}\n"


def run(record: dict[str, Any], tag: str) -> str:
    """The lines of a TREC run, each score one 32-bit step below the one before where it would not be less."""
    lines, before = "", numpy.float32(numpy.inf)
    for rank, hit in enumerate(record["hits"], 1):
        score = min(numpy.float32(hit["score"]), numpy.nextafter(before, numpy.float32(-numpy.inf)))
        lines += f"{record['id']} Q0 {hit['id']} {rank} {score:.9g} {tag}\n"
        before = score
    return lines


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_lines_are_those_of_a_plain_writer(xqe: Run, made: Path, options: list[str]) -> None:
    written = searched(xqe, made, *options)
    found = [json.loads(one) for one in written.splitlines()]
    assert written == "".join(map(line, found))
    for record, query in zip(found, QUERIES, strict=True):
        assert list(record) == [*query, "index", "hits"]
        assert {name: record[name] for name in query} == query
        ranks = [(hit["score"], hit["id"]) for hit in record["hits"]]
        assert ranks == sorted(ranks, reverse=True)
    if "--texts" not in options:
        in_columns = searched(xqe, made, *options, "--format", "trec", "--tag", "t")
        assert in_columns == "".join(run(record, "t") for record in found)


def test_hits_are_those_of_the_index(xqe: Run, made: Path) -> None:
    index = open_index(made / "INDEX")
    record = json.loads(searched(xqe, made).splitlines()[0])
    weights = BM25(index).query(dict(QUERIES[0]), "q1").weights
    assert [(hit["id"], hit["score"]) for hit in record["hits"]] == index.search(weights, 1000)
    assert len(record["hits"]) > len(TEXTS)
    ties = {hit["score"] for hit in record["hits"]}
    assert len(ties) < len(record["hits"])


def test_fields_of_hits(xqe: Run, made: Path) -> None:
    def fields(*options: str) -> list[str]:
        return list(json.loads(searched(xqe, made, *options).splitlines()[0])["hits"][0])

    assert fields() == ["id", "score"]
    assert fields("--texts") == ["id", "score", "text"]
    assert fields("MORE") == ["id", "score", "lang", "from"]
    assert fields("--by", "hybrid") == ["id", "score", "from"]


def test_no_hits_at_all_are_refused(xqe: Run, made: Path) -> None:
    assert searched(xqe, made, "-k", "0", status=2) == ""


def test_a_lone_surrogate_makes_a_line_ascii(xqe: Run, tmp_path: Path) -> None:
    documents = '{"id": "\\ud83d", "text": "ice"}\n{"id": "🎉é", "text": "ice"}\n{"id": "d", "text": "stone"}\n'
    assert xqe("index", str(tmp_path / "odd"), "--lang", "en", stdin=documents).returncode == 0
    done = xqe(
        "search", str(tmp_path / "odd"), stdin=jsonl({"id": "q1", "query": "ice"}, {"id": "q2", "query": "stone"})
    )
    first, second = done.stdout.splitlines()
    assert '[{"id":"\\ud83d\\ude4' not in first
    assert first.isascii()
    assert [hit["id"] for hit in json.loads(first)["hits"]] == ["🎉é", "\ud83d"]
    assert '"id":"\\ud83c\\udf89\\u00e9"' in first
    assert [hit["id"] for hit in json.loads(second)["hits"]] == ["d"]
    refused = xqe("search", str(tmp_path / "odd"), "ice", "--format", "trec")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "lone surrogate" in refused.stderr


def test_records_and_columns_say_the_same_to_what_reads_runs(xqe: Run, made: Path, tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text(searched(xqe, made), "utf-8")
    (tmp_path / "run.trec").write_text(searched(xqe, made, "--format", "trec"), "utf-8")
    (tmp_path / "qrels").write_text("q1 0 日本 1\nd2 0 d10 1\nq4 0 é 1\n", "utf-8")
    options = ["eval", "--qrels", str(tmp_path / "qrels"), "-m", "MRR,nDCG@10", "--format", "jsonl", "--test", "none"]
    values = [
        {
            name: value
            for name, value in records(xqe(*options, str(tmp_path / name)))[0].items()
            if name in ("MRR", "nDCG@10")
        }
        for name in ("run.jsonl", "run.trec")
    ]
    assert values[0] == values[1]
    fused = [
        [(one["id"], [hit["id"] for hit in one["hits"]]) for one in records(xqe("fuse", str(tmp_path / name)))]
        for name in ("run.jsonl", "run.trec")
    ]
    assert [one for one in fused[0] if one[1]] == fused[1]
