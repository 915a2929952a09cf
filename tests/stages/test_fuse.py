"""Fusion against ranx and against references of a few lines; which answers are fused; xqe fuse as a command."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, command, jsonl
from hypothesis import given
from hypothesis import strategies as st

from xqe import cli
from xqe.errors import InputError
from xqe.evaluation import comparison, values
from xqe.evaluation.measures import parse_all
from xqe.files import trec
from xqe.files.records import Record
from xqe.files.trec import Answer
from xqe.retrieval.fusion import (
    METHODS,
    NORMS,
    Fusion,
    Ranked,
    fuse_hits,
    in_32_bits,
    method_named,
    norm_named,
    ranking,
)
from xqe.stages.fuse import Run, Settings, fuse

GOLDEN = json.loads((ROOT / "tests" / "golden" / "fusion.json").read_text("utf-8"))
RUNS: list[dict[str, dict[str, float]]] = GOLDEN["runs"]


def fusion(method: str, norm: str = "min-max", rrf_k: int = 60) -> Fusion:
    return Fusion(method_named(method), norm_named(norm), rrf_k)


# ---- the methods, against ranx (tests/golden/make_fusion.py says how its values were made) ----


def case_name(case: dict[str, Any]) -> str:
    return " ".join(str(case[key]) for key in ("method", "norm", "rrf_k", "weights") if key in case)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=case_name)
def test_scores_are_those_of_ranx(case: dict[str, Any]) -> None:
    how = fusion(case["method"], case.get("norm", "min-max"), case.get("rrf_k", 60))
    runs = [RUNS[number] for number in GOLDEN["of_max"]] if case.get("norm") == "max" else RUNS
    for query, expected in case["scores"].items():
        found = fuse_hits([ranking(run[query]) for run in runs], how, case.get("weights"))
        assert found == pytest.approx(expected, rel=1e-9, abs=0)


def test_every_method_and_normalisation_is_compared_with_ranx() -> None:
    compared = {(case["method"], case.get("norm")) for case in GOLDEN["cases"]}
    assert compared == {
        (method.name, norm) for method in METHODS for norm in ([n.name for n in NORMS] if not method.points else [None])
    }


# ---- where xqe does something else than ranx ----

ONLY: Ranked = [(7.5, "a")]
EQUAL: Ranked = [(0.1, "c"), (0.1, "b"), (0.1, "a")]


@pytest.mark.parametrize(
    ("norm", "of_only", "of_equal"),
    [("min-max", 1, 1), ("sum", 1, 1 / 3), ("zmuv", 0, 0), ("max", 1, 1), ("none", 7.5, 0.1)],
)
def test_an_only_hit_and_equal_scores_have_points(norm: str, of_only: float, of_equal: float) -> None:
    assert fuse_hits([ONLY], fusion("combsum", norm)) == {"a": of_only}
    assert fuse_hits([EQUAL], fusion("combsum", norm)) == pytest.approx(dict.fromkeys("cba", of_equal))


def test_a_tiny_range_is_a_range() -> None:
    near = [(1e-12, "b"), (5e-13, "c"), (0.0, "a")]
    assert fuse_hits([near], fusion("combsum")) == {"b": 1.0, "c": 0.5, "a": 0.0}


def test_the_least_score_is_the_least_also_where_32_bits_do_not_tell() -> None:
    hits = ranking({"a": 1.00000001, "b": 1.0})
    assert [document for _, document in hits] == ["b", "a"]
    assert fuse_hits([hits], fusion("combsum")) == {"a": 1.0, "b": 0.0}


def test_sums_are_exact() -> None:
    runs: list[Ranked] = [[(score, "a")] for score in (0.1, 0.2, 0.3)]
    assert fuse_hits(runs, fusion("combsum", "none")) == fuse_hits(runs[::-1], fusion("combsum", "none"))


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_a_run_of_weight_0_takes_no_part(method: str) -> None:
    one, other = [(3.0, "a"), (2.0, "b"), (1.0, "c")], [(9.0, "x"), (8.0, "b")]
    assert fuse_hits([one, other], fusion(method), [0.5, 0.0]) == fuse_hits([one], fusion(method), [0.5])


def test_weights_of_combanz_are_those_of_a_mean() -> None:
    one, other = [(3.0, "a"), (1.0, "b")], [(5.0, "a")]
    assert fuse_hits([one, other], fusion("combanz", "none"), [3.0, 1.0]) == {"a": 3.5, "b": 1.0}


# ---- properties ----

HITS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-50, 50, width=32), max_size=8)
WEIGHT = st.sampled_from([0.0, 0.25, 1.0, 3.0])
HOW = st.builds(
    fusion,
    st.sampled_from([method.name for method in METHODS]),
    st.sampled_from([norm.name for norm in NORMS if not norm.positive]),
    st.integers(0, 100),
)


@given(
    st.lists(st.tuples(HITS, WEIGHT), min_size=1, max_size=5).flatmap(
        lambda runs: st.tuples(st.just(runs), st.permutations(runs))
    ),
    HOW,
)
def test_the_order_of_the_runs_has_no_effect(
    orders: tuple[list[tuple[dict[str, float], float]], list[tuple[dict[str, float], float]]], how: Fusion
) -> None:
    one, other = ([ranking(hits) for hits, _ in runs] for runs in orders)
    weights, permuted = ([weight for _, weight in runs] for runs in orders)
    assert fuse_hits(one, how, weights) == fuse_hits(other, how, permuted)  # to the last bit


@given(HITS, st.integers(1, 4), st.sampled_from(["rrf", "borda", "isr"]))
def test_a_run_fused_with_itself_keeps_its_order(hits: dict[str, float], times: int, method: str) -> None:
    alone = ranking(hits)
    fused = fuse_hits([alone] * times, fusion(method))
    assert [document for _, document in ranking(fused)] == [document for _, document in alone]


@given(HITS, HITS, st.sampled_from([0.25, 0.5, 4.0, 1024.0]), st.sampled_from(["min-max", "sum", "zmuv"]))
def test_the_scale_of_scores_has_no_effect(
    one: dict[str, float], other: dict[str, float], by: float, norm: str
) -> None:
    scaled = {document: score * by for document, score in one.items()}
    how = fusion("combsum", norm)
    expected = fuse_hits([ranking(one), ranking(other)], how)
    assert fuse_hits([ranking(scaled), ranking(other)], how) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(HITS, HITS, st.integers(0, 100))
def test_rrf_against_the_formula_of_its_paper(one: dict[str, float], other: dict[str, float], k: int) -> None:
    expected: dict[str, float] = {}
    for hits in (one, other):
        for document, score in hits.items():
            rank = 1 + sum((hits[better], better) > (score, document) for better in hits)
            expected[document] = expected.get(document, 0) + 1 / (k + rank)
    assert fuse_hits([ranking(one), ranking(other)], fusion("rrf", rrf_k=k)) == pytest.approx(expected)


SCORES = st.floats(-1e39, 1e39) | st.sampled_from([0.0, 1.0, 1.00000001, 3.4028234663852886e38])


@given(st.dictionaries(st.text(min_size=1, max_size=2), SCORES, max_size=8))
def test_hits_rank_as_xqe_eval_ranks_them(hits: dict[str, float]) -> None:
    hits = {document: in_32_bits([score])[0] if abs(score) > 3.4e38 else score for document, score in hits.items()}
    assert [document for _, document in ranking(hits)] == values.ranking(hits)
    assert {document: score for score, document in ranking(hits)} == hits


# ---- which answers are fused ----


def answers(run: str, *queries: str, **fields: Any) -> Iterator[Answer]:
    """Answers with one hit of their own and one that is everyone's."""
    for query in queries:
        record = {"id": query, "query": f"{query} of {run}", **fields} if fields else None
        yield Answer(query, {f"{query}-{run}": 2.0, "all": 1.0}, f"{run}:{query}", record)


def fused(*runs: Iterator[Answer], **settings: Any) -> list[Record]:
    named = [Run(name, run) for name, run in zip("ABCD", runs, strict=False)]
    return list(fuse(named, Settings(**settings)))


def documents(record: Record) -> set[str]:
    return {hit["id"] for hit in record["hits"]}


def test_queries_come_in_the_order_of_the_first_run_then_of_the_others() -> None:
    out = fused(answers("a", "3", "1"), answers("b", "4", "1", "2", "3"), answers("c", "5", "2", "3"))
    assert [record["id"] for record in out] == ["3", "1", "4", "2", "5"]
    assert [list(record["fusion"]["weights"]) for record in out] == [
        ["A", "B", "C"],
        ["A", "B"],
        ["B"],
        ["B", "C"],
        ["C"],
    ]
    assert documents(out[0]) == {"3-a", "3-b", "3-c", "all"}
    assert documents(out[2]) == {"4-b", "all"}


def test_hits_say_where_they_come_from_and_come_best_first() -> None:
    one = Answer("q", {"x": 9.5, "y": 3.0, "z": 1.0}, "a:1")
    other = Answer("q", {"y": -1, "w": -2}, "b:1", ranks_only=True)
    (record,) = fused(iter([one]), iter([other]), fusion=fusion("rrf", rrf_k=1), k=3)
    both, third = in_32_bits([1 / 3 + 1 / 2, 1 / 3])
    assert record["hits"] == [
        {"id": "y", "score": both, "from": [{"run": "A", "rank": 2, "score": 3.0}, {"run": "B", "rank": 1}]},
        {"id": "x", "score": 0.5, "from": [{"run": "A", "rank": 1, "score": 9.5}]},
        {"id": "w", "score": third, "from": [{"run": "B", "rank": 2}]},
    ]


def test_a_run_of_weight_0_is_not_where_hits_come_from() -> None:
    runs = [Run("A", answers("a", "q")), Run("B", answers("b", "q"), 0.0)]
    (record,) = fuse(runs, Settings())
    assert record["fusion"]["weights"] == {"A": 1.0, "B": 0.0}
    assert {hit["id"]: [of["run"] for of in hit["from"]] for hit in record["hits"]} == {"q-a": ["A"], "all": ["A"]}


def test_equal_scores_come_by_descending_id() -> None:
    out = fused(answers("a", "q"), answers("b", "q"))
    assert [hit["id"] for hit in out[0]["hits"]] == ["all", "q-b", "q-a"]


def test_depth_is_cut_before_scores_are_normalised() -> None:
    one = Answer("q", {"x": 9.0, "y": 8.0, "z": 0.0}, "a:1")
    (record,) = fused(iter([one]), fusion=fusion("combsum"), depth=2)
    assert [(hit["id"], hit["score"]) for hit in record["hits"]] == [("x", 1.0), ("y", 0.0)]


def test_runs_in_one_order_are_read_side_by_side() -> None:
    read: list[str] = []

    def counted(run: str) -> Iterator[Answer]:
        for answer in answers(run, *map(str, range(100))):
            read.append(run)
            yield answer

    runs = [Run(name, counted(name)) for name in "ABC"]
    for number, record in enumerate(fuse(runs, Settings()), 1):
        assert record["id"] == str(number - 1)
        assert [read.count(name) for name in "ABC"] == [number] * 3


def test_language_pairs_are_not_mixed() -> None:
    def run(name: str, *pairs: str) -> Iterator[Answer]:
        for pair in pairs:
            of, to = pair.split("-")
            yield from answers(name, "q", source={"lang": of}, index={"lang": to})

    out = fused(run("a", "de-en", "fr-en", "de-ja"), run("b", "fr-en", "de-en", "fr-ja"))
    pairs = [f"{record['source']['lang']}-{record['index']['lang']}" for record in out]
    assert pairs == ["de-en", "fr-en", "de-ja", "fr-ja"]
    assert [len(record["hits"]) for record in out] == [3, 3, 2, 2]


@pytest.mark.parametrize(("one", "other"), [("pt-BR", "pt"), ("zh-Hant", "zh_CN"), ("ZH", "zh"), ("de ", "de-AT")])
def test_a_language_is_one_however_it_is_spelled(one: str, other: str) -> None:
    """Two runs of the same two queries are two queries, each from both; records keep their spelling."""
    first = answers("a", "1", "2", source={"lang": one}, index={"lang": other, "name": "i"})
    second = answers("b", "1", "2", source={"lang": other}, index={"lang": one, "name": "i"})
    out = fused(first, second)
    assert [documents(record) for record in out] == [{"1-a", "1-b", "all"}, {"2-a", "2-b", "all"}]
    assert [record["source"] for record in out] == [{"lang": one}] * 2
    assert [record["index"] for record in out] == [{"lang": other, "name": "i"}] * 2


def test_a_run_without_fields_fits_a_run_of_one_language_pair() -> None:
    pair = {"source": {"lang": "de"}, "index": {"lang": "en"}}
    out = fused(answers("a", "1", "2"), answers("b", "2", "1", **pair), answers("c", "1", lang="de"))
    assert [documents(record) for record in out] == [{"1-a", "1-b", "1-c", "all"}, {"2-a", "2-b", "all"}]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_run_without_fields_does_not_fit_one_of_several_pairs(order: tuple[int, int]) -> None:
    def several() -> Iterator[Answer]:
        for of in ("de", "fr"):
            yield from answers("b", "q", source={"lang": of}, index={"lang": "en"})

    runs = [answers("a", "q"), several()]
    with pytest.raises(InputError, match='query "q" belongs to several language pairs'):
        fused(*(runs[number] for number in order))


def test_a_run_without_fields_does_not_fit_one_of_several_pairs_that_was_read_ahead() -> None:
    def several() -> Iterator[Answer]:
        for of in ("de", "fr"):
            yield from answers("b", "q", source={"lang": of}, index={"lang": "en"})
        yield from answers("b", "p")

    with pytest.raises(InputError, match=r'c:q: query "q" belongs to several language pairs'):
        fused(answers("a", "p"), several(), answers("c", "q", "p"))


@pytest.mark.parametrize("fields", [{}, {"source": {"lang": "de"}, "index": {"lang": "en"}}])
def test_a_query_twice_in_a_run_is_an_error(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r'a:q: query "q" again \(first at a:q\)'):
        fused(answers("a", "q", "q", **fields), answers("b", "q", **fields))


def test_runs_that_share_no_query_are_an_error_before_anything_is_yielded() -> None:
    pair = {"source": {"lang": "de"}, "index": {"lang": "en"}}
    runs = [Run("A", answers("a", "1", "2")), Run("B", answers("b", "1", "3", **pair)), Run("C", answers("c", "4"))]
    with pytest.raises(InputError) as caught:
        next(fuse(runs, Settings()))
    assert caught.value.message == 'C: shares no query with the other runs (it has "4", A has "1")'
    other = {"source": {"lang": "fr"}, "index": {"lang": "en"}}
    with pytest.raises(InputError, match=r'A: .*it has "1" source.lang=de index.lang=en, B has "1" source.lang=fr'):
        fused(answers("a", "1", **pair), answers("b", "1", **other))


# ---- what becomes of the other fields ----


def record_answer(record: Record) -> Iterator[Answer]:
    yield Answer(record["id"], {"d": 1.0}, "x:1", record)


ORIGINAL = {
    "id": "q",
    "query": "Bier",
    "lang": "de",
    "domain": "food",
    "index": {"name": "en", "lang": "en", "k": 9, "query_weight": 1.0},
    "hits": [],
}
TRANSLATED = {
    "id": "q",
    "query": "beer",
    "lang": "en",
    "source": {"query": "Bier", "lang": "de"},
    "steps": [{"step": "translate"}],
    "passages": ["Beer is …"],
    "user": 12,
    "index": {"name": "en", "lang": "en", "k": 9, "query_weight": 3.5},
    "hits": [],
}


def test_the_state_of_a_record_is_the_first_runs_and_other_fields_are_everyones() -> None:
    (record,) = fused(record_answer(ORIGINAL), record_answer(TRANSLATED))
    assert record.pop("hits")
    assert record.pop("fusion") == {
        "method": "rrf",
        "rrf_k": 60,
        "weights": {"A": 1.0, "B": 1.0},
        "depth": None,
        "k": 1000,
    }
    assert record == {
        "id": "q",
        "query": "Bier",
        "lang": "de",
        "domain": "food",
        "user": 12,
        "index": {"name": "en", "lang": "en", "k": 9},
    }
    (record,) = fused(answers("a", "q"), record_answer(TRANSLATED), record_answer(ORIGINAL))
    assert {key: record[key] for key in ("query", "lang", "source", "steps", "passages")} == {
        key: TRANSLATED[key] for key in ("query", "lang", "source", "steps", "passages")
    }


def test_a_record_that_failed_in_one_run_is_fused_and_stays_marked() -> None:
    failed = {"id": "q", "query": "Bier", "lang": "de", "error": {"step": "translate", "message": "no"}}
    (record,) = fused(record_answer(TRANSLATED), iter([Answer("q", {}, "b:1", failed)]))
    assert record["error"] == {"step": "translate", "message": "no", "run": "B"}
    assert documents(record) == {"d"}
    assert record["query"] == "beer"
    assert record["index"] == TRANSLATED["index"]


# ---- the command ----

TREC = "q1 Q0 d1 1 9.5 t\nq1 Q0 d2 2 8 t\nq2 Q0 d9 1 4 t\nq2 Q0 d3 2 3 t\n"
OTHER = "q2 Q0 d3 1 0.9 t\nq2 Q0 d9 2 0.8 t\nq1 Q0 d2 1 0.7 t\nq1 Q0 d5 2 0.1 t\n"
MSMARCO = "q1\td2\t1\nq1\td1\t2\n"
QRELS = "q1 0 d1 1\nq2 0 d3 1\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {"a.trec": TREC, "b.trec": OTHER, "ranks.tsv": MSMARCO, "qrels": QRELS}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def xqe_fuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    status = cli.run(["fuse", *arguments])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "no RUN given; give run files, or - for standard input: xqe fuse RUN RUN"),
        ("- a.trec -", "standard input can be read once only; give the other runs as files"),
        ("a.trec nowhere", "nowhere: no such file or directory; check the path"),
        ("a.trec b.trec --method best", '--method: unknown method "best"; xqe knows rrf, combsum, '),
        ("a.trec b.trec --method combsum --norm l2", '--norm: unknown normalisation "l2"; xqe knows min-max, max, '),
        ("a.trec b.trec --norm max", "--norm has no effect on --method rrf; it is for combsum, combmnz, combanz, "),
        ("a.trec b.trec --method isr --rrf-k 9", "--rrf-k has no effect on --method isr; it is for rrf"),
        ("a.trec --method combmax --weight 2", "--weight has no effect on --method combmax; it is for rrf, combsum, "),
        ("a.trec b.trec --weight 1", "--weight is given once for 2 runs; give it once for each run"),
        ("a.trec --weight 1 --weight 2", "--weight is given 2 times for 1 run; give it once for each run"),
        ("a.trec b.trec --weight 1 --weight -1", "--weight -1 is not a number from 0 to 1e+06"),
        ("a.trec b.trec --weight 1 --weight nan", "invalid value for '--weight': 'nan' is not a number"),
        ("a.trec b.trec --weight 1 --weight inf", "invalid value for '--weight': 'inf' is not a number"),
        ("a.trec b.trec --weight 0 --weight 0", "every --weight is 0"),
        ("a.trec b.trec --name a", "--name is given once for 2 runs"),
        ("a.trec b.trec --name a --name a", '--name "a" is empty or given twice'),
        ("a.trec b.trec --tag mine", '--tag "mine" is empty, contains white space, or is given without --format trec'),
        ("a.trec b.trec -k 0", "invalid value for '-k'"),
        ("a.trec b.trec --depth 0", "invalid value for '--depth'"),
        ("a.trec empty", "empty: empty run"),
        ("a.trec qrels", "qrels:1: 4 columns, so qrels and not a run"),
        ("a.trec alone", 'a: shares no query with the other runs (it has "q1", alone has "q7")'),
        ("a.trec infinite", 'infinite:1: the score of document "d1" of query "q1" is not a 32-bit number'),
        ("a.trec nan", 'nan:1: score "nan" is not a number'),
        ("a.trec ranks.tsv --method combsum --norm none", "ranks.tsv:1: a run with ranks and no scores, which --norm"),
        ("a.trec ranks.tsv --method combmnz --norm max", "ranks.tsv:1: a run with ranks and no scores, which --norm"),
        ("a.trec negative --method combsum --norm max", "negative:1: the greatest score is -1, and --norm max"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_status_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    for name, text in {
        "empty": "",
        "alone": "q7 Q0 d1 1 2 t\n",
        "infinite": "q1 Q0 d1 1 1e39 t\n",
        "nan": "q1 Q0 d1 1 nan t\n",
        "negative": "q1 Q0 d1 1 -1 t\n",
    }.items():
        (folder / name).write_text(text)
    status, out, err = xqe_fuse(capsys, *arguments.split())
    assert (status, out) == (2, [])
    assert err.startswith(f"xqe: {message}")
    assert err.count("\n") == 1


def test_options_reach_the_fusion(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--weight", "2", "--weight", "0.5", "--rrf-k", "1", "--depth", "1", "-k", "1"]
    status, out, err = xqe_fuse(capsys, "a.trec", "b.trec", *options)
    assert (status, err) == (0, "")
    one, other = map(json.loads, out)
    assert one["fusion"] == {"method": "rrf", "rrf_k": 1, "weights": {"a": 2.0, "b": 0.5}, "depth": 1, "k": 1}
    assert one["hits"] == [{"id": "d1", "score": 1.0, "from": [{"run": "a", "rank": 1, "score": 9.5}]}]
    assert other["hits"] == [{"id": "d9", "score": 1.0, "from": [{"run": "a", "rank": 1, "score": 4.0}]}]
    _, out, _ = xqe_fuse(capsys, "a.trec", "b.trec", "--method", "combmax", "--norm", "none")
    assert json.loads(out[0])["fusion"]["norm"] == "none"
    assert [hit["score"] for hit in json.loads(out[0])["hits"]] == in_32_bits([9.5, 8.0, 0.1])


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.trec", "b.trec"], ["a", "b"]),
        (["a.trec", "one/a.jsonl.gz"], ["a.trec", "a.jsonl.gz"]),
        (["a.trec", "one/a.trec"], ["a.trec", "one/a.trec"]),
        (["a.trec", "a.trec", "b.trec"], ["a.trec", "a.trec#2", "b.trec"]),
        (["ja.r.TE.w1", "ja.r.TE.w2"], ["ja.r.TE.w1", "ja.r.TE.w2"]),
    ],
)
def test_runs_are_called_by_their_files(
    folder: Path, capsys: pytest.CaptureFixture[str], paths: list[str], names: list[str]
) -> None:
    (folder / "one").mkdir()
    for path in paths:
        (folder / path).write_text(TREC)
    status, out, _ = xqe_fuse(capsys, *paths)
    assert status == 0
    assert list(json.loads(out[0])["fusion"]["weights"]) == names


def test_a_file_given_twice_counts_twice_and_is_mentioned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = xqe_fuse(capsys, "a.trec", f"{folder}/a.trec", "b.trec")
    assert (status, len(out)) == (0, 2)
    said = "is given 2 times, and counts as often"
    assert err == f"xqe: a.trec {said}\nxqe: {folder}/a.trec {said}\n"


def test_missing_queries_and_failed_records_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = {
        "id": "q2",
        "query": "x",
        "error": {"step": "expand", "message": "no"},
        "hits": [{"id": "d3", "score": 1}],
    }
    (folder / "failed.jsonl").write_text(jsonl(failed))
    status, out, err = xqe_fuse(
        capsys, "a.trec", "ranks.tsv", "failed.jsonl", "--name", "A", "--name", "B", "--name", "C"
    )
    assert (status, len(out)) == (1, 2)
    assert err == (
        "xqe: 2 of 2 queries are not in every run, and are fused from those that have them: B lacks 1, C lacks 1\n"
        'xqe: 1 of 2 records failed; each has an "error" field that says at which step and why\n'
    )


def measured(path: str) -> dict[str, float]:
    evaluation = values.evaluate_run("x", trec.read_run(path), trec.read_qrels("qrels"), parse_all(["MRR,nDCG,Hit@1"]))
    return comparison.compare([evaluation])[0].measures


def test_both_formats_evaluate_alike_and_scores_of_a_run_fall(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, records, _ = xqe_fuse(capsys, "a.trec", "b.trec", "--method", "combsum")
    status, lines, err = xqe_fuse(capsys, "a.trec", "b.trec", "--method", "combsum", "--format", "trec", "--tag", "sum")
    assert (status, err) == (0, "")
    (folder / "fused.jsonl").write_text("\n".join(records))
    (folder / "fused.trec").write_text("\n".join(lines))
    assert measured("fused.jsonl") == measured("fused.trec")
    rows = [line.split() for line in lines]
    assert [row[:4] for row in rows] == [
        ["q1", "Q0", "d2", "1"],
        ["q1", "Q0", "d1", "2"],
        ["q1", "Q0", "d5", "3"],
        ["q2", "Q0", "d9", "1"],
        ["q2", "Q0", "d3", "2"],
    ]
    assert {row[5] for row in rows} == {"sum"}
    for before, after in pairwise(rows):
        assert before[0] != after[0] or float(before[4]) > float(after[4])
    assert math.isclose(float(rows[3][4]), 1.0)


def test_a_trec_run_has_one_language_pair(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hits = [{"id": "d1", "score": 1}]
    rows = [{"id": "q1", "lang": of, "index": {"lang": "en"}, "hits": hits} for of in ("de", "fr")]
    (folder / "pairs.jsonl").write_text(jsonl(*rows))
    assert len(xqe_fuse(capsys, "pairs.jsonl")[1]) == 2
    status, _, err = xqe_fuse(capsys, "pairs.jsonl", "--format", "trec")
    assert status == 2
    assert err == 'xqe: query "q1" again, in another language pair; a TREC run has one; leave --format trec out\n'


def test_a_query_without_hits_has_no_line_in_a_trec_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "none.jsonl").write_text(jsonl({"id": "q1", "hits": []}, {"id": "q2", "hits": [{"id": "d", "score": 1}]}))
    status, out, err = xqe_fuse(capsys, "none.jsonl", "--format", "trec")
    assert (status, out) == (0, ["q2 Q0 d 1 0.0163934417 xqe"])
    assert err == "xqe: 1 of 2 queries have no hits, and so no line in the run\n"


def test_in_a_pipe_to_eval(folder: Path) -> None:
    with (folder / "b.trec").open() as stdin:
        one = subprocess.Popen(command("fuse", "a.trec", "-"), stdin=stdin, stdout=subprocess.PIPE)
        done = subprocess.run(
            command("eval", "--qrels", "qrels", "-m", "MRR"),
            stdin=one.stdout,
            capture_output=True,
            text=True,
            check=True,
        )
    assert one.stdout is not None
    one.stdout.close()
    assert one.wait() == 0
    assert json.loads(done.stdout)["measures"] == {"MRR": 0.5}
    assert done.stderr == ""


def test_a_reader_that_goes_away_ends_it_with_141(folder: Path) -> None:
    lines = [f"q{query} Q0 d{hit} {hit} {9 - hit} t" for query in range(3000) for hit in range(5)]
    (folder / "long").write_text("\n".join(lines))
    one = subprocess.Popen(command("fuse", "long"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert one.stdout is not None
    assert one.stdout.readline()
    one.stdout.close()
    assert one.wait() == 141
    assert one.stderr is not None
    with one.stderr as said:
        assert said.read() == b""


def test_ctrl_c_ends_it_with_130_and_what_was_fused_is_written(folder: Path) -> None:
    rows = [jsonl({"id": f"q{number}", "hits": [{"id": "d", "score": 1}]}) for number in (1, 2)]
    read, write = os.pipe()
    with subprocess.Popen(command("fuse", "-", "a.trec"), stdin=read, stdout=subprocess.PIPE) as one:
        os.close(read)
        os.write(write, rows[0].encode())
        assert one.stdout is not None
        assert json.loads(one.stdout.readline())["id"] == "q1"  # as soon as both runs have it
        one.send_signal(signal.SIGINT)
        assert one.wait() == 130
        os.close(write)


def test_the_documentation_names_every_method_and_normalisation() -> None:
    section = (ROOT / "docs" / "cli.md").read_text("utf-8").split("\n## xqe fuse\n")[1].split("\n## ")[0]
    for row in (*METHODS, *NORMS):
        assert f"| `{row.name}` |" in section
        assert row.about.replace("|", "\\|") in section
