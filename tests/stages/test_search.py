"""Searching: which text of a record counts how much, what comes out, and when."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import pytest
from conftest import Run
from hypothesis import given
from hypothesis import strategies as st

from xqe.errors import InputError
from xqe.files.records import Document, Record
from xqe.retrieval.bm25 import BM25
from xqe.retrieval.fusion import GREATEST_SCORE, falling, in_32_bits
from xqe.retrieval.lexical import Index, build, open_index
from xqe.stages.search import nine_digits, run_lines, search

DOCUMENTS = {
    "d1": "The planet Mercury is nearest to the sun",
    "d2": "Mercury, once called quicksilver, is a metal",
    "d3": "A harbour in winter",
    "d4": "A harbour in winter",
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("search") / "facts"
    build(
        path,
        "en",
        [(f"t:{n}", Document(identifier, text)) for n, (identifier, text) in enumerate(DOCUMENTS.items(), 1)],
    )
    return path


@pytest.fixture(scope="module")
def index(directory: Path) -> Index:
    return open_index(directory)


@pytest.fixture
def xqe_search(xqe: Run) -> Run:
    """Run xqe search in a directory, over records."""

    def run(directory: Path, *arguments: str, records: Sequence[Any] = ()) -> subprocess.CompletedProcess[str]:
        stdin = "".join(json.dumps(record) + "\n" for record in records)
        return xqe("search", str(directory), *arguments, stdin=stdin)

    return run


# ---------------------------------------------------------------- records out


def test_a_record_gains_index_and_hits_and_keeps_all_else(xqe_search: Run, directory: Path) -> None:
    record = {"id": "q7", "query": "metals", "lang": "en", "mine": {"a": [1, None]}, "steps": [{"step": "translate"}]}
    done = xqe_search(directory, "-k", "5", records=[record])
    assert (done.returncode, done.stderr) == (0, "")
    out = json.loads(done.stdout)
    assert {key: out[key] for key in record} == record
    assert out["index"] == {
        "name": "facts", "lang": "en", "by": "bm25", "use": "query+doc", "query_weight": 1.0, "source_weight": "auto",
        "k": 5, "k1": 0.82, "b": 0.68,
    }  # fmt: skip
    assert [hit["id"] for hit in out["hits"]] == ["d2"]
    assert set(out) == {*record, "index", "hits"}


def test_passages_find_what_the_query_does_not(xqe_search: Run, directory: Path) -> None:
    record = {"id": "q", "query": "element", "passages": ["quicksilver"]}
    for use, expected in (("query", []), ("doc", ["d2"]), ("query+doc", ["d2"])):
        done = xqe_search(directory, "--use", use, records=[record])
        assert [hit["id"] for hit in json.loads(done.stdout)["hits"]] == expected


@pytest.mark.parametrize(("name", "k", "expected"), [("d4", 1, ["d3"]), ("d3", 9, ["d4"]), ("q", 9, ["d4", "d3"])])
def test_a_hit_that_is_the_query_itself_is_left_out_where_that_is_asked(
    index: Index, name: str, k: int, expected: list[str]
) -> None:
    """The others have the scores and the places that they have with it, and are as many as were asked for."""
    record: Record = {"id": name, "query": "winter harbour"}
    whole, dropped = (
        next(search(iter([record]), BM25(index), 1, lambda: "", depth, drop_own=drop))
        for depth, drop in ((9, False), (k, True))
    )
    assert [hit["id"] for hit in dropped["hits"]] == expected
    assert dropped["hits"] == [hit for hit in whole["hits"] if hit["id"] != name][:k]
    assert (dropped["index"]["k"], dropped["index"]["drop_self"], "drop_self" in whole["index"]) == (k, True, False)


def test_one_query_on_the_command_line(xqe_search: Run, directory: Path) -> None:
    out = json.loads(xqe_search(directory, "winter harbours").stdout)
    assert [hit["id"] for hit in out["hits"]] == ["d4", "d3"]
    assert out["hits"][0]["score"] == out["hits"][1]["score"]


@pytest.mark.parametrize("query", ["", "the of", "*", "a:b AND (", '"', "\x00", '+-&&||!(){}[]^"~*?:\\/', "  ", "🎉"])
def test_no_query_is_parsed(xqe_search: Run, directory: Path, query: str) -> None:
    done = xqe_search(directory, records=[{"id": "q", "query": query}, {"id": "q2", "query": "metal"}])
    assert (done.returncode, done.stderr) == (0, "")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["hits"] == []
    assert [hit["id"] for hit in second["hits"]] == ["d2"]


def test_records_that_failed_are_searched_counted_and_passed_on(xqe_search: Run, directory: Path) -> None:
    failed = {"id": "q1", "query": "metal", "error": {"step": "expand", "message": "no answer"}}
    done = xqe_search(directory, "--use", "doc", records=[failed, {"id": "q2", "query": "x", "passages": ["winter"]}])
    assert done.returncode == 1
    assert "1 of 2 records failed" in done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["error"] == failed["error"]
    assert [hit["id"] for hit in first["hits"]] == ["d2"]
    assert [hit["id"] for hit in second["hits"]] == ["d4", "d3"]


def test_doc_without_passages_ends_with_status_2_after_what_came_before(
    xqe_search: Run, directory: Path, tmp_path: Path
) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"id": "q1", "query": "x", "passages": ["metal"]}\n\n{"id": "q2", "query": "x"}\n')
    done = xqe_search(directory, "--use", "doc", "--input", str(path))
    assert done.returncode == 2
    assert f'{path}:3: no "passages"' in done.stderr
    assert json.loads(done.stdout)["id"] == "q1"


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "much", ""])
def test_a_query_weight_that_means_nothing_is_refused(xqe_search: Run, directory: Path, weight: str) -> None:
    done = xqe_search(directory, "metal", "--query-weight", weight)
    assert done.returncode == 2
    assert "--query-weight" in done.stderr
    assert done.stderr.count("\n") == 1


# ---------------------------------------------------------------- streaming


def test_an_answer_does_not_wait_for_the_next_query(directory: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "xqe", "search", str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for number in range(3):
        process.stdin.write(json.dumps({"id": f"q{number}", "query": "metal"}).encode() + b"\n")
        process.stdin.flush()
        assert select.select([process.stdout], [], [], 30)[0], "no answer while input is open"
        assert json.loads(process.stdout.readline())["id"] == f"q{number}"
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_order_is_kept_with_many_threads(index: Index) -> None:
    records = [{"id": str(number), "query": "metal harbour"} for number in range(300)]
    one, many = (list(search(iter(records), BM25(index), threads, lambda: "")) for threads in (1, 8))
    assert [record["id"] for record in many] == [record["id"] for record in records]
    assert one == many


def test_an_error_while_reading_comes_after_the_records_before_it(index: Index) -> None:
    def records() -> Iterator[Record]:
        yield {"id": "q1", "query": "metal"}
        raise InputError("queries.jsonl:2: broken JSON")

    answers = search(records(), BM25(index), 2, lambda: "")
    assert next(answers)["id"] == "q1"
    with pytest.raises(InputError, match="broken"):
        next(answers)


def test_a_closed_pipe_ends_it_quietly(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text("".join(json.dumps({"id": str(n), "query": "metal"}) + "\n" for n in range(5000)))
    process = subprocess.Popen(
        [sys.executable, "-m", "xqe", "search", str(directory), "-i", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


# ---------------------------------------------------------------- TREC runs


def test_lines_of_a_trec_run(xqe_search: Run, directory: Path) -> None:
    queries = [{"id": "q1", "query": "winter"}, {"id": "q2", "query": "nothing here"}, {"id": "q3", "query": "metal"}]
    done = xqe_search(directory, "--format", "trec", "--tag", "mine", records=queries)
    assert done.returncode == 0
    rows = [line.split(" ") for line in done.stdout.splitlines()]
    assert [(row[0], row[1], row[2], row[3], row[5]) for row in rows] == [
        ("q1", "Q0", "d4", "1", "mine"),
        ("q1", "Q0", "d3", "2", "mine"),
        ("q3", "Q0", "d2", "1", "mine"),
    ]
    assert float(rows[0][4]) > float(rows[1][4])
    assert "1 of 3 queries have no hits" in done.stderr


def test_a_tag_is_one_word(xqe_search: Run, directory: Path) -> None:
    assert xqe_search(directory, "metal", "--format", "trec", "--tag", "my run").returncode == 2


SCORES = st.lists(st.floats(0.0625, 500, width=32), min_size=1, max_size=40)


@given(scores=SCORES, repeats=st.integers(1, 4))
def test_scores_of_a_run_fall_strictly_and_stay_what_they_were(scores: list[float], repeats: int) -> None:
    ordered = sorted(scores * repeats, reverse=True)
    hits = [{"id": f"d{number}", "score": score} for number, score in enumerate(ordered)]
    written = [line.split(" ")[4] for line in run_lines({"id": "q", "hits": hits}, "xqe")]
    read = [numpy.float32(score) for score in written]  # trec_eval reads float32
    assert all(before > after for before, after in pairwise(read))
    assert read[0] == numpy.float32(ordered[0])
    assert [float(score) for score in read] == pytest.approx(ordered, rel=1e-4)


def test_a_run_without_hits_has_no_lines() -> None:
    assert run_lines({"id": "q", "hits": []}, "xqe") == []


IN_RUNS = st.floats(2**-13, 10**9, width=32)


@given(
    st.lists(IN_RUNS | st.integers(1, 10**6).map(float), max_size=30) | st.lists(st.floats(width=32, allow_nan=False))
)
def test_nine_digits_are_those_of_a_format(scores: list[float]) -> None:
    assert nine_digits(numpy.array(scores, numpy.float32)) == [f"{numpy.float32(score):.9g}" for score in scores]


@given(st.lists(st.sampled_from([0.0, -0.0, 1e-45, 1.0, 2.0, 2.0000002, 3.0, 5.5, -1.0, 1e39, -1e39, GREATEST_SCORE])))
def test_scores_fall_by_the_least_step(scores: list[float]) -> None:
    expected = in_32_bits(scores)
    for rank in range(1, len(expected)):
        if expected[rank] >= expected[rank - 1]:
            with numpy.errstate(under="ignore"):
                below = numpy.nextafter(numpy.float32(expected[rank - 1]), numpy.float32(-GREATEST_SCORE))
            expected[rank] = float(below)
    assert in_32_bits(falling(scores)) == expected
