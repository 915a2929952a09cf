"""Pools: which documents a search may find."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, jsonl

from xqe.files.records import Document
from xqe.retrieval.lexical import build

DOCUMENTS = {"d1": "ship harbour", "d2": "ship", "d3": "ship ship sun", "d4": "moon", "7": "ship moon star"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pools") / "ix"
    build(path, "en", [(f"t:{n}", Document(name, text)) for n, (name, text) in enumerate(DOCUMENTS.items(), 1)])
    return path


@pytest.fixture
def search(xqe: Run) -> Run:
    """Run xqe search in a directory and a pool."""
    queries = jsonl({"id": "q1", "query": "ship"}, {"id": "q2", "query": "ship moon"})

    def run(directory: Path, *arguments: str, pool: str | Path = "") -> subprocess.CompletedProcess[str]:
        return xqe("search", str(directory), "--pool", str(pool), *arguments, stdin=queries)

    return run


def hits(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, float]]:
    records = map(json.loads, done.stdout.splitlines())
    return {record["id"]: {hit["id"]: hit["score"] for hit in record["hits"]} for record in records}


EACH = {"q1": {"d2", "7"}, "q2": {"d4"}}
FILES = {
    "ids": ("d2\nd4\n\n7\n", {"q1": {"d2", "7"}, "q2": {"d2", "d4", "7"}}),
    "pairs": ("q1\td2\nq2 d4\nq1\t7\n", EACH),
    "qrels": ("q1 0 d2 1\nq1 0 7 0\nq2 0 d4 3\n", EACH),
    "beir": ("query-id\tcorpus-id\tscore\nq1\td2\t1\nq1\t7\t1\nq2\td4\t0\n", EACH),
    "run": ("q1 Q0 d2 1 9 x\nq1 Q0 7 2 8 x\nq2 Q0 d4 1 3.5 x\n", EACH),
    "msmarco": ("q1\td2\t1\nq1\t7\t2\nq2\td4\t1\n", EACH),
    "records": (
        '{"id": "q1", "hits": [{"id": "d2", "score": 1}, {"id": 7}]}\n{"id": "q2", "hits": [{"id": "d4"}]}\n',
        EACH,
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_only_documents_of_the_pool_are_found_with_the_scores_they_have(
    search: Run, directory: Path, tmp_path: Path, kind: str
) -> None:
    text, expected = FILES[kind]
    (tmp_path / "pool").write_text(text)
    everywhere = hits(search(directory, pool=write(tmp_path, "\n".join(DOCUMENTS))))
    done = search(directory, pool=tmp_path / "pool")
    assert (done.returncode, done.stderr) == (0, "")
    found = hits(done)
    assert {query: set(documents) for query, documents in found.items()} == expected
    for query, documents in found.items():
        assert documents == {name: everywhere[query][name] for name in documents}
    assert all(json.loads(line)["index"]["pool"] for line in done.stdout.splitlines())


def write(folder: Path, text: str) -> Path:
    path = folder / "all"
    path.write_text(text + "\n")
    return path


def test_a_pool_may_come_from_a_pipe(directory: Path) -> None:
    command = f'"{sys.executable}" -m xqe search "{directory}" ship --pool <(printf "d2\\n7\\n")'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert {hit["id"] for hit in json.loads(done.stdout)["hits"]} == {"d2", "7"}


def test_feedback_comes_from_the_pool(search: Run, directory: Path, tmp_path: Path) -> None:
    done = search(directory, "--feedback", "rocchio", pool=write(tmp_path, "d1\nd2"))
    assert set(hits(done)["q1"]) == {"d1", "d2"}


def test_a_query_without_a_pool_has_no_hits_and_is_counted(search: Run, directory: Path, tmp_path: Path) -> None:
    done = search(directory, pool=write(tmp_path, "q1 d2"))
    assert (done.returncode, set(hits(done)["q2"])) == (0, set())
    assert "1 of 2 queries have no pool" in done.stderr


def test_documents_that_the_index_lacks_are_counted(search: Run, directory: Path, tmp_path: Path) -> None:
    done = search(directory, pool=write(tmp_path, "d2\nd99\nd98"))
    assert (done.returncode, set(hits(done)["q1"])) == (0, {"d2"})
    assert "2 of 3 documents are not in the index" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty pool"),
        ("x1\nx2", "none of the 2 documents"),
        ("d1\nq1 d2", ":2: 2 columns"),
        ("a b c d e", ":1: 5 columns"),
        ('{"id": "q1"}', ':1: no "id" with "hits"'),
        ('{"id": "q1", "hits": [{"name": "d1"}]}', ':1: no "id" with "hits"'),
        ("{", "broken JSON"),
    ],
)
def test_a_bad_pool_is_one_line_before_anything_is_searched(
    search: Run, directory: Path, tmp_path: Path, text: str, message: str
) -> None:
    done = search(directory, pool=write(tmp_path, text))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


@pytest.mark.parametrize("pool", ["-", "no/such/file"])
def test_a_pool_that_cannot_be_read(search: Run, directory: Path, pool: Any) -> None:
    done = search(directory, pool=pool)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--feedback-weight", "0.5"), "without --feedback"),
        (("--feedback", "rm3", "--feedback-weight", "1.5"), "from 0 to 1"),
        (("--feedback", "bo1"), "rocchio"),
        (("--b", "2"), "--b"),
        (("--k1", "-1"), "--k1"),
        (("--passage-terms", "0"), "--passage-terms"),
    ],
)
def test_options_that_mean_nothing(
    search: Run, directory: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    done = search(directory, *options, pool=write(tmp_path, "d1"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
