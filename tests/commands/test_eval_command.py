"""xqe eval as a process: what it prints, what it says, and its exit status."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

QRELS = "q1 0 d1 1\nq1 0 d2 0\nq2 0 d1 2\nq2 0 d3 1\n"
TREC = "q1 Q0 d1 1 9.5 tag\nq1 Q0 d2 2 8 tag\nq2 Q0 d9 1 4 tag\nq2 Q0 d3 2 3 tag\n"
QRELS_SHAPE = 'TREC qrels have 4 columns, "query 0 document relevance"; BEIR qrels 3, under "query-id corpus-id score"'
RUN_SHAPE = 'a TREC run has 6 columns, "query Q0 document rank score tag", an MS MARCO run 3, "query document rank"'
RECORD_SHAPE = 'each line of a run needs {"id", "hits"}'
HIT_SHAPE = 'each hit needs {"id", "score"}'

Judged = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def eval_(xqe: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Write `files`, then run xqe eval in their directory; a file's name is its keyword."""
    for name in ("FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def run(directory: Path, *arguments: str, stdin: str = "", **files: str) -> subprocess.CompletedProcess[str]:
        for name, text in {"qrels": QRELS, "run": TREC, **files}.items():
            (directory / name).write_text(text, encoding="utf-8")
        return xqe("eval", *arguments, stdin=stdin, cwd=directory)

    return run


def records(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def hits(*documents: str) -> list[dict[str, object]]:
    return [{"id": document, "score": -float(rank)} for rank, document in enumerate(documents)]


def objects(finished: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in finished.stdout.splitlines()]


def note(differences: int) -> list[str]:
    """The words below a table with differences."""
    return f"* p < 0.05 in a paired randomization test, adjusted for {differences} differences (Holm)".split()


def title(text: str) -> list[str]:
    """The words above a matrix."""
    return f"{text}; columns are index.lang".split()


# ---- data ----


def test_jsonl_has_one_object_a_run_in_full_precision(eval_: Run, tmp_path: Path) -> None:
    done = eval_(tmp_path, "--qrels", "qrels", "run", "-m", "Hit@1,MRR", "-m", "recall@50")
    assert objects(done) == [
        {
            "run": "run",
            "group": {},
            "queries": 2,
            "missing": 0,
            "measures": {"Hit@1": 0.5, "MRR": 0.75, "Recall@50": 0.75},
            "difference": None,
            "comparison": None,
            "interval": None,
        }
    ]
    assert (done.stderr, done.returncode) == ("", 0)


def test_the_default_measures(eval_: Run, tmp_path: Path) -> None:
    (row,) = objects(eval_(tmp_path, "--qrels", "qrels", "run"))
    assert isinstance(row["measures"], dict)
    assert list(row["measures"]) == ["Hit@10", "Recall@5", "Recall@50", "MRR", "nDCG@10"]


MSMARCO = "q1\td1\t1\nq1\td2\t2\nq2\td3\t2\nq2\td9\t1\n"
RECORDS = records({"id": "q1", "hits": hits("d1", "d2")}, {"id": "q2", "hits": hits("d9", "d3")})


@pytest.mark.parametrize("run", [TREC, TREC.replace(" ", "\t"), "\n\n" + TREC, MSMARCO, RECORDS, "\n  " + RECORDS])
@pytest.mark.parametrize("zipped", [False, True])
def test_every_format_of_a_run_gives_the_same(eval_: Run, tmp_path: Path, run: str, zipped: bool) -> None:
    (tmp_path / "given").write_bytes(gzip.compress(run.encode()) if zipped else run.encode())
    (row,) = objects(eval_(tmp_path, "--qrels", "qrels", "given", "-m", "MRR"))
    assert row["measures"] == {"MRR": 0.75}


BEIR = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td1\t2\nq2\td3\t1\n"


@pytest.mark.parametrize("qrels", [QRELS, QRELS.replace(" ", "\t"), QRELS.replace("\n", "\r\n"), BEIR, QRELS + QRELS])
def test_every_format_of_qrels_gives_the_same(eval_: Run, tmp_path: Path, qrels: str) -> None:
    (row,) = objects(eval_(tmp_path, "--qrels", "given", "run", "-m", "nDCG@10", given=qrels))
    assert row["measures"] == {"nDCG@10": pytest.approx((1 + (1 / 1.5849625) / (2 + 1 / 1.5849625)) / 2)}


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_a_run_on_standard_input(eval_: Run, tmp_path: Path, arguments: list[str]) -> None:
    (row,) = objects(eval_(tmp_path, "--qrels", "qrels", *arguments, "-m", "MRR", stdin=TREC))
    assert (row["run"], row["measures"]) == ("<stdin>", {"MRR": 0.75})


def test_qrels_on_standard_input(eval_: Run, tmp_path: Path) -> None:
    (row,) = objects(eval_(tmp_path, "--qrels", "-", "run", "-m", "MRR", stdin=QRELS))
    assert row["measures"] == {"MRR": 0.75}


def test_hits_count_in_the_order_of_scores_and_ids(eval_: Run, tmp_path: Path) -> None:
    """As trec_eval has it: the ranks of the file say nothing, and a tie goes to the greater id."""
    run = "q1 Q0 d1 1 1.0 t\nq1 Q0 d2 2 1.0 t\nq2 Q0 d3 1 1.0 t\nq2 Q0 d9 2 2.0 t\n"
    (row,) = objects(eval_(tmp_path, "--qrels", "qrels", "run", "-m", "MRR", run=run))
    assert row["measures"] == {"MRR": 0.5}


def test_rel_raises_the_least_relevant_grade(eval_: Run, tmp_path: Path) -> None:
    done = eval_(tmp_path, "--qrels", "qrels", "run", "-m", "Hit@10", "--rel", "2")
    assert [(row["queries"], row["measures"]) for row in objects(done)] == [(2, {"Hit@10": 0.0})]
    no = "have no document of grade 2 or more and count as 0, as in trec_eval"
    assert done.stderr == f"xqe: qrels: 1 of 2 queries {no}\n"
    assert done.returncode == 0


def test_rel_is_nothing_to_ndcg_and_averages_are_over_the_qrels_or_the_run(eval_: Run, tmp_path: Path) -> None:
    """The values are those of pytrec_eval and of ir_measures 0.4.3; of trec_eval without -c the mean over q1."""
    qrels = "q1 0 d1 2\nq1 0 d2 1\nq2 0 d3 1\nq2 0 d4 0\nq3 0 d5 0\n"
    found = "q1 Q0 d1 1 9 t\nq1 Q0 d2 2 8 t\n"
    rest = "q2 Q0 d4 1 9 t\nq2 Q0 d3 2 8 t\nq3 Q0 d5 1 5 t\n"
    asked = ("--qrels", "qrels", "run", "-m", "ndcg_cut_10,map", "-l", "2")
    (row,) = objects(done := eval_(tmp_path, *asked, qrels=qrels, run=found + rest))
    assert row["measures"] == pytest.approx({"nDCG@10": 0.5436, "MAP": 0.3333}, abs=5e-5)
    assert row["queries"] == 3
    assert done.stderr.endswith("count as 0, as in trec_eval, but for nDCG, which takes all grades\n")
    (row,) = objects(done := eval_(tmp_path, *asked, "--no-complete", qrels=qrels, run=found))
    assert (row["queries"], row["missing"], row["measures"]) == (1, 0, {"nDCG@10": 1.0, "MAP": 1.0})
    assert "2 of 3 queries are missing from the run and left out, as --no-complete says" in done.stderr


def test_hits_that_are_the_query_itself_can_be_left_out(eval_: Run, tmp_path: Path) -> None:
    """BEIR leaves them out where queries are documents (evaluation.py, ignore_identical_ids)."""
    qrels, run = "a1 0 a2 1\n", "a1 Q0 a1 1 9 t\na1 Q0 a2 2 8 t\n"
    asked = ("--qrels", "qrels", "run", "-m", "MRR")
    (row,) = objects(done := eval_(tmp_path, *asked, qrels=qrels, run=run))
    assert row["measures"] == {"MRR": 0.5}
    own = "1 of 1 queries have a hit of their own id; where that is the query itself, leave it out with --drop-self"
    assert done.stderr == f"xqe: run: {own}\n"
    (row,) = objects(done := eval_(tmp_path, *asked, "--drop-self", qrels=qrels, run=run))
    assert (row["measures"], done.stderr) == ({"MRR": 1.0}, "")


def test_a_relevant_document_that_is_left_out_is_said(eval_: Run, tmp_path: Path) -> None:
    """A topic's documents may have its id, as a translation has."""
    asked = ("--qrels", "qrels", "run", "-m", "MRR", "--drop-self")
    done = eval_(tmp_path, *asked, qrels="q1 0 q1 1\n", run="q1 Q0 q1 1 2 t\nq1 Q0 d2 2 1 t\n")
    assert objects(done)[0]["measures"] == {"MRR": 0.0}
    assert "1 of 1 queries have a relevant hit of their own id, which --drop-self leaves out" in done.stderr


def test_what_is_missing_left_out_and_ignored_is_said(eval_: Run, tmp_path: Path) -> None:
    done = eval_(
        tmp_path,
        "--qrels", "qrels", "run", "-m", "MRR",
        qrels=QRELS + "q3 0 d1 0\nq4 0 d1 1\nq5 0 d1 -1\n",
        run=TREC + "q3 Q0 d1 1 1 t\nq9 Q0 d1 1 1 t\n",
    )  # fmt: skip
    (row,) = objects(done)
    assert (row["queries"], row["missing"], row["measures"]) == (5, 2, {"MRR": 0.3})
    assert done.stderr.splitlines() == [
        "xqe: qrels: 2 of 5 queries have no relevant document and count as 0, as in trec_eval",
        "xqe: run: 2 of 5 expected queries are missing from the run and count as 0",
        "xqe: run: 1 of 4 queries of the run are not in the qrels and are ignored",
    ]
    assert done.returncode == 0


def test_failed_records_are_evaluated_as_they_are_and_make_the_status_1(eval_: Run, tmp_path: Path) -> None:
    error = {"step": "translate", "message": "empty answer"}
    run = records({"id": "q1", "hits": hits("d1"), "error": error}, {"id": "q2", "error": error})
    done = eval_(tmp_path, "--qrels", "qrels", "run", "-m", "MRR", run=run)
    (row,) = objects(done)
    assert (row["queries"], row["missing"], row["measures"]) == (2, 0, {"MRR": 0.5})
    assert done.stderr == "xqe: run: 2 of 2 records failed before the evaluation, and count with the hits they have\n"
    assert done.returncode == 1


PAIRS = records(
    {"id": "q1", "source": {"lang": "de"}, "index": {"lang": "en"}, "hits": hits("d1")},
    {"id": "q2", "source": {"lang": "de"}, "index": {"lang": "en"}, "hits": hits("d9", "d3")},
    {"id": "q1", "source": {"lang": "ar"}, "index": {"lang": "en"}, "hits": hits("d2", "d1")},
)


def test_groups_and_the_whole(eval_: Run, tmp_path: Path) -> None:
    done = eval_(tmp_path, "--qrels", "qrels", "run", "-m", "MRR", "--by", "source.lang,source.script", run=PAIRS)
    assert [(row["group"], row["queries"], row["missing"], row["measures"]) for row in objects(done)] == [
        ({"source.lang": "ar", "source.script": "non-Latin"}, 2, 1, {"MRR": 0.25}),
        ({"source.lang": "de", "source.script": "Latin"}, 2, 0, {"MRR": 0.75}),
        ({}, 4, 1, {"MRR": 0.5}),
    ]
    apart = {"languages": 2, "mean": 0.5, "best": "de", "best_value": 0.75, "worst": "ar", "worst_value": 0.25}
    apart |= {"gap": 0.5, "deviation": 0.25}
    assert [row.get("spreads") for row in objects(done)] == [None, None, {"source.lang": {"MRR": apart}}]
    assert done.stderr == "xqe: run: 1 of 4 expected queries are missing from the run and count as 0\n"
    assert done.returncode == 0


def test_a_group_is_averaged_over_its_language_pairs(eval_: Run, tmp_path: Path) -> None:
    done = eval_(tmp_path, "--qrels", "qrels", "run", "-m", "MRR", "--by", "index.lang", run=PAIRS)
    assert [(row["group"], row["queries"], row["missing"], row["measures"]) for row in objects(done)] == [
        ({"index.lang": "en"}, 4, 1, {"MRR": 0.5}),
        ({}, 4, 1, {"MRR": 0.5}),
    ]


def test_groups_that_hide_something_are_said(eval_: Run, tmp_path: Path) -> None:
    one = records({"id": "q1", "topic": "a", "hits": hits("d1")}, {"id": "q2", "topic": "b", "hits": hits("d1")})
    two = records({"id": "q1", "topic": "a", "hits": hits("d1")})
    done = eval_(tmp_path, "--qrels", "qrels", "one", "two", "-m", "MRR", "--by", "topic,tpoic", one=one, two=two)
    assert [(row["run"], list(row["group"].values()), row["queries"], row["difference"]) for row in objects(done)] == [  # type: ignore[attr-defined]
        ("one", ["a", "-"], 1, None),
        ("two", ["a", "-"], 2, None),
        ("one", ["b", "-"], 1, None),
        ("one", [], 2, None),
        ("two", [], 2, None),
    ]
    assert done.stderr.splitlines() == [
        'xqe: one: no record has the field "tpoic" of --by',
        "xqe: two: 1 of 2 expected queries are missing from the run and count as 0",
        "xqe: two: 1 of 2 groups are not in the run; it has no row for them",
        'xqe: two: no record has the field "tpoic" of --by',
    ]


def test_a_query_that_no_group_can_be_told_for_counts_in_the_whole_and_is_said(eval_: Run, tmp_path: Path) -> None:
    run = records({"id": "q1", "topic": "a", "hits": hits("d1")}, {"id": "q2", "topic": "b", "hits": hits("d1")})
    done = eval_(
        tmp_path, "--qrels", "qrels", "run", "-m", "MRR", "--by", "topic", run=run, qrels=QRELS + "q3 0 d1 1\nq4 0 d1 1"
    )
    assert [(row["queries"], row["measures"]) for row in objects(done)] == [
        (1, {"MRR": 1.0}),
        (1, {"MRR": 1.0}),
        (4, {"MRR": 0.5}),
    ]
    assert done.stderr.splitlines() == [
        "xqe: run: 2 of 4 expected queries are missing from the run and count as 0",
        "xqe: run: 2 of the missing queries belong to no known group, and count as 0 in the whole run only",
    ]


def test_runs_are_compared_with_the_first(eval_: Run, tmp_path: Path) -> None:
    better = TREC.replace("d9", "d1")
    done = eval_(tmp_path, "--qrels", "qrels", "run", "better", "-m", "MRR", better=better)
    assert [(row["run"], row["measures"], row["difference"]) for row in objects(done)] == [
        ("run", {"MRR": 0.75}, None),
        ("better", {"MRR": 1.0}, {"MRR": 0.25}),
    ]


# ---- significance ----

MANY = "".join(f"q{number} 0 good 1\n" for number in range(40))


def ranked(*ranks: int, **fields: object) -> str:
    """Records of one query for each rank, which is that of its relevant document; 0 for none."""
    return records(
        *(
            {
                "id": f"q{number}",
                **fields,
                "hits": hits(*(f"bad{place}" for place in range(rank - 1)), *(["good"] if rank else [])),
            }
            for number, rank in enumerate(ranks)
        )
    )


OLD, NEW = ranked(*[1] * 40), ranked(*[1] * 28, *[2] * 12)  # 12 of 40 fall from rank 1 to 2: MRR 1 to 0.85


def test_a_difference_says_how_sure_it_is(eval_: Run, tmp_path: Path) -> None:
    """Twelve of twelve queries that differ have lost: 2 of 4,096 ways to swap them are as extreme."""
    done = eval_(tmp_path, "--qrels", "qrels", "old", "new", "-m", "MRR,Hit@5", qrels=MANY, old=OLD, new=NEW)
    old, new = objects(done)
    assert (old["comparison"], old["interval"], new["interval"]) == (None, None, None)
    assert new["comparison"] == {
        "MRR": {
            "test": "randomization",
            "p": pytest.approx(2 / 4096),
            "p_holm": pytest.approx(4 / 4096),
            "interval": pytest.approx([-0.221975, -0.063740], abs=1e-6),  # scipy, of 0.5 and -0.5 more
            "wins": 0,
            "ties": 28,
            "losses": 12,
        },
        "Hit@5": {
            "test": "randomization",
            "p": 1.0,
            "p_holm": 1.0,
            "interval": pytest.approx([-0.068826, 0.068826], abs=1e-6),
            "wins": 0,
            "ties": 40,
            "losses": 0,
        },
    }


def test_the_table_marks_what_is_significant_and_shows_intervals(eval_: Run, tmp_path: Path) -> None:
    arguments = ("--qrels", "many", "old", "new", "-m", "MRR,Hit@5", "--format", "table")
    done = eval_(tmp_path, *arguments, many=MANY, old=OLD, new=NEW)
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["run", "queries", "missing", "MRR", "Hit@5"],
        ["old", "40", "0", "100.00", "100.00"],
        ["new", "40", "0", "85.00", "-15.00*", "100.00", "+0.00"],
        note(2),
    ]
    done = eval_(tmp_path, *arguments, "--ci", "--test", "t")
    assert done.stdout.splitlines()[2].split()[3:7] == ["85.00", "[75.14,91.53]", "-15.00*", "[-22.20,-6.37]"]
    assert done.stdout.splitlines()[3] == "* p < 0.05 in a paired t-test, adjusted for 2 differences (Holm)"
    done = eval_(tmp_path, *arguments, "--test", "none")
    assert done.stdout.splitlines()[2:] == ["new       40        0   85.00 -15.00  100.00 +0.00"]


def test_the_baseline_is_the_first_row_and_each_run_stands_once(eval_: Run, tmp_path: Path) -> None:
    done = eval_(
        tmp_path, "--qrels", "qrels", "new", "old", "--baseline", "old", "-m", "MRR", qrels=MANY, old=OLD, new=NEW
    )
    assert [(row["run"], row["difference"]) for row in objects(done)] == [
        ("old", None),
        ("new", {"MRR": pytest.approx(-0.15)}),
    ]
    piped = eval_(tmp_path, "--qrels", "qrels", "--baseline", "old", "-m", "MRR", stdin=NEW)
    assert [row["run"] for row in objects(piped)] == ["old", "<stdin>"]


# ---- a matrix, and single queries ----

CROSSED_OLD = "".join(
    ranked(*[rank] * 10, source={"lang": source}, index={"lang": target})
    for (source, target), rank in {("de", "en"): 1, ("de", "fr"): 1, ("ar", "en"): 2, ("ar", "fr"): 4}.items()
)
CROSSED_NEW = CROSSED_OLD.replace("bad0", "good0").replace('"lang": "de"', '"lang": "de" ')
TEN = "".join(f"q{number} 0 good 1\nq{number} 0 good0 1\n" for number in range(10))
CROSSED = ("--by", "source.lang,index.lang", "--matrix", "-m", "MRR")


BETWEEN = "between languages: gap of the best and the worst, and standard deviation (SD), in points"


def test_a_matrix_has_lines_columns_and_margins(eval_: Run, tmp_path: Path) -> None:
    done = eval_(
        tmp_path, "--qrels", "qrels", "old", "new", *CROSSED, "--format", "table",
        qrels=TEN, old=CROSSED_OLD, new=CROSSED_NEW,
    )  # fmt: skip
    assert [line.split() for line in done.stdout.splitlines()] == [
        title("MRR of old: 40 queries"),
        ["source.lang", "en", "fr", "all"],
        ["ar", "50.00", "25.00", "37.50"],
        ["de", "100.00", "100.00", "100.00"],
        ["all", "75.00", "62.50", "68.75"],
        [],
        title("MRR of new, beside old: 40 queries"),
        ["source.lang", "en", "fr", "all"],
        ["ar", "100.00", "+50.00*", "100.00", "+75.00*", "100.00", "+62.50*"],
        ["de", "100.00", "+0.00", "100.00", "+0.00", "100.00", "+0.00"],
        ["all", "100.00", "+25.00*", "100.00", "+37.50*", "100.00", "+31.25*"],
        [],
        note(9),
        [],
        f"MRR {BETWEEN}".split(),
        ["by", "run", "languages", "best", "worst", "gap", "SD"],
        ["source.lang", "old", "2", "de", "100.00", "ar", "37.50", "62.50", "31.25"],
        ["index.lang", "old", "2", "en", "75.00", "fr", "62.50", "12.50", "6.25"],
        ["source.lang", "new", "2", "ar", "100.00", "de", "100.00", "0.00", "0.00"],
        ["index.lang", "new", "2", "en", "100.00", "fr", "100.00", "0.00", "0.00"],
    ]


def test_a_matrix_as_jsonl_has_its_margins_as_rows(eval_: Run, tmp_path: Path) -> None:
    done = eval_(tmp_path, "--qrels", "qrels", "old", *CROSSED, qrels=TEN, old=CROSSED_OLD)
    assert [(row["group"], row["queries"], row["measures"]["MRR"]) for row in objects(done)] == [  # type: ignore[index]
        ({"source.lang": "ar", "index.lang": "en"}, 10, 0.5),
        ({"source.lang": "ar", "index.lang": "fr"}, 10, 0.25),
        ({"source.lang": "de", "index.lang": "en"}, 10, 1.0),
        ({"source.lang": "de", "index.lang": "fr"}, 10, 1.0),
        ({"source.lang": "ar"}, 20, 0.375),
        ({"source.lang": "de"}, 20, 1.0),
        ({"index.lang": "en"}, 20, 0.75),
        ({"index.lang": "fr"}, 20, 0.625),
        ({}, 40, 0.6875),
    ]


def test_queries_one_by_one(eval_: Run, tmp_path: Path) -> None:
    arguments = ("--qrels", "three", "old", "new", "-m", "MRR", "--per-query")
    one, other = ranked(1, 2, 4, index={"lang": "en"}), ranked(2, 1, index={"lang": "en"})
    done = eval_(tmp_path, *arguments, three="".join(MANY.splitlines(True)[:3]), old=one, new=other)
    keys = ("run", "group", "id", "missing", "measures", "difference")
    expected: list[tuple[object, ...]] = [
        ("old", {}, "q0", False, {"MRR": 1.0}, None),
        ("old", {}, "q1", False, {"MRR": 0.5}, None),
        ("old", {}, "q2", False, {"MRR": 0.25}, None),
        ("new", {}, "q0", False, {"MRR": 0.5}, {"MRR": -0.5}),
        ("new", {}, "q1", False, {"MRR": 1.0}, {"MRR": 0.5}),
        ("new", {}, "q2", True, {"MRR": 0.0}, {"MRR": -0.25}),
    ]
    assert objects(done) == [dict(zip(keys, values, strict=True)) for values in expected]
    table = eval_(tmp_path, *arguments, "--format", "table")
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["run", "query", "MRR"],
        ["new", "q0", "50.00", "-50.00"],
        ["new", "q2", "0.00", "-25.00"],
        ["new", "q1", "100.00", "+50.00"],
    ]
    named = eval_(tmp_path, *arguments, "--by", "index.lang")
    assert [row["group"] for row in objects(named)] == [{"index.lang": "en"}] * 6


def test_queries_one_by_one_say_what_was_asked_and_how_to_look_at_the_worst(eval_: Run, tmp_path: Path) -> None:
    def record(name: str, asked: str, hits: list[str]) -> dict[str, Any]:
        found = [{"id": hit, "score": float(-rank)} for rank, hit in enumerate(hits)]
        return {"id": name, "query": f"{asked} now", "source": {"query": asked, "lang": "fr"}, "hits": found}

    def written(run: list[dict[str, Any]]) -> str:
        """As xqe search writes it."""
        return "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in run)

    old = [record("q0", "une chose", ["d1"]), record("q1", "l'autre", ["d1"])]
    new = [record("q0", "une chose", ["d1"]), record("q1", "l'autre", ["d2", "d1"])]
    files = {"three": "q0 0 d1 1\nq1 0 d1 1\n", "old": written(old), "new": written(new)}
    arguments = ("--qrels", "three", "old", "new", "-m", "MRR", "--per-query")
    rows = objects(eval_(tmp_path, *arguments, **files))
    assert [(row["id"], row["asked"]) for row in rows[2:]] == [("q0", "une chose"), ("q1", "l'autre")]
    shown = eval_(tmp_path, *arguments, "--format", "table").stdout.splitlines()
    assert shown[1].split() == ["new", "q1", "50.00", "-50.00", "l'autre"]
    command = shown[-1].partition("way: ")[2]
    assert command == """grep -F '"id":"q1"' new | xqe trace --index DIR --qrels three"""
    found = subprocess.run(["bash", "-c", command.partition(" |")[0]], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(found.stdout)["id"] == "q1"


# ---- limits ----


@pytest.fixture
def judged(eval_: Run) -> Judged:
    def run(directory: Path, *arguments: str, **files: str) -> tuple[int, list[str]]:
        given = {"qrels": MANY, "old": OLD, "new": NEW, **files}
        done = eval_(directory, "--qrels", "qrels", "-m", "MRR", *arguments, **given)
        assert done.stdout
        return done.returncode, done.stderr.splitlines()

    return run


def test_a_drop_is_one_line_and_status_1(judged: Judged, tmp_path: Path) -> None:
    fell = "xqe: MRR fell by 15.00 points, from 100.00 to 85.00 (p < 0.001, 40 queries); --max-drop allows 1.00"
    assert judged(tmp_path, "--baseline", "old", "new", "--max-drop", "MRR=0.01") == (1, [fell])
    assert judged(tmp_path, "old", "new", "--max-drop", "MRR=1%", "-q", "--format", "table") == (1, [fell])
    rose = "xqe: MRR rose by 15.00 points, from 85.00 to 100.00 (p < 0.001, 40 queries); --max-drop allows 1.00; kept"
    assert judged(tmp_path, "--baseline", "new", "old", "--max-drop", "MRR=0.01") == (0, [rose])
    assert judged(tmp_path, "--baseline", "new", "old", "--max-drop", "MRR=0.01", "--quiet") == (0, [])


def test_a_drop_that_may_be_chance_is_said_and_fails_if_strict(judged: Judged, tmp_path: Path) -> None:
    new = ranked(*[1] * 35, *[2] * 5)
    line = (
        "xqe: MRR fell by 6.25 points, from 100.00 to 93.75 (p 0.062, 40 queries), which may be chance; "
        "--max-drop allows 1.00"
    )
    arguments = ("--baseline", "old", "new", "--max-drop", "MRR=0.01")
    assert judged(tmp_path, *arguments, new=new) == (0, [line])
    assert judged(tmp_path, *arguments, "--fail-under", "MRR=0.5", new=new) == (
        0,
        [line, "xqe: 2 limits kept, 1 of them in doubt"],
    )
    assert judged(tmp_path, *arguments, "--strict", new=new) == (1, [line])
    # the t-test is surer of five equal drops
    status, (line,) = judged(tmp_path, *arguments, "--test", "t", new=new)
    assert (status, "(p 0.023, 40 queries)" in line) == (1, True)


def test_values_below_their_limits(judged: Judged, tmp_path: Path) -> None:
    assert judged(tmp_path, "new", "--fail-under", "MRR=0.9,Hit@1=60%") == (
        1,
        ["xqe: MRR is 85.00 (40 queries); --fail-under asks for 90.00"],
    )
    assert judged(tmp_path, "new", "--fail-under", "MRR=0.85") == (
        0,
        ["xqe: MRR is 85.00 (40 queries); --fail-under asks for 85.00; kept"],
    )
    # several runs are named; a run given as the baseline is not asked
    assert judged(tmp_path, "old", "new", "--fail-under", "MRR=0.9") == (
        1,
        ["xqe: new: MRR is 85.00 (40 queries); --fail-under asks for 90.00"],
    )
    assert judged(tmp_path, "--baseline", "new", "old", "--fail-under", "MRR=0.9") == (
        0,
        ["xqe: MRR is 100.00 (40 queries); --fail-under asks for 90.00; kept"],
    )


def test_limits_of_each_group(eval_: Run, tmp_path: Path) -> None:
    arguments = ("--qrels", "qrels", "--baseline", "new", "old", "-m", "MRR", "--by", "source.lang,index.lang")
    files = {"qrels": TEN, "old": CROSSED_OLD, "new": CROSSED_NEW}
    whole = eval_(tmp_path, *arguments, "--max-drop", "MRR=40%", **files)
    assert (whole.returncode, whole.stderr[:60]) == (
        0,
        "xqe: MRR fell by 31.25 points, from 100.00 to 68.75 (p < 0.001, "[:60],
    )
    groups = eval_(tmp_path, *arguments, "--max-drop", "MRR=40%", "--each-group", **files)
    assert groups.returncode == 1
    assert [line.split(" points")[0] for line in groups.stderr.splitlines()] == [
        "xqe: source.lang=ar index.lang=en: MRR fell by 50.00",
        "xqe: source.lang=ar index.lang=fr: MRR fell by 75.00",
    ]


def test_failed_records_of_the_baseline_do_not_make_the_status_1(eval_: Run, tmp_path: Path) -> None:
    failed = records({"id": "q1", "hits": [], "error": {"step": "translate"}}, {"id": "q2", "hits": hits("d3")})
    assert eval_(tmp_path, "--qrels", "qrels", "--baseline", "old", "run", old=failed).returncode == 0
    assert eval_(tmp_path, "--qrels", "qrels", "old", "run", old=failed).returncode == 1


# ---- the table ----


def test_the_table_in_a_file_is_percent_and_unfolded(eval_: Run, tmp_path: Path) -> None:
    name = "a-long-name-" * 12
    done = eval_(
        tmp_path, "--qrels", "qrels", "run", name, "[red]b", "-m", "MRR,Hit@1", "--format", "table",
        **{name: TREC.replace("d9", "d1"), "[red]b": TREC.replace("q1 Q0 d1", "q1 Q0 d7")},
    )  # fmt: skip
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["run", "queries", "missing", "MRR", "Hit@1"],
        ["run", "2", "0", "75.00", "50.00"],
        [name, "2", "0", "100.00", "+25.00", "100.00", "+50.00"],
        ["[red]b", "2", "0", "25.00", "-50.00", "0.00", "-50.00"],
        note(4),
    ]


def test_the_table_of_groups(eval_: Run, tmp_path: Path) -> None:
    done = eval_(
        tmp_path, "--qrels", "qrels", "run", "-m", "MRR", "--by", "source.lang,index.lang", "--format", "table",
        run=PAIRS,
    )  # fmt: skip
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["source.lang", "index.lang", "run", "queries", "missing", "MRR"],
        ["ar", "en", "run", "2", "1", "25.00"],
        ["de", "en", "run", "2", "0", "75.00"],
        ["all", "all", "run", "4", "1", "50.00"],
        [],
        f"MRR {BETWEEN}".split(),
        ["by", "run", "languages", "best", "worst", "gap", "SD"],
        ["source.lang", "run", "2", "de", "75.00", "ar", "25.00", "50.00", "25.00"],
    ]


def on_a_terminal(directory: Path, columns: int, *arguments: str, **environment: str) -> str:
    (directory / "qrels").write_text(QRELS)
    (directory / "run").write_text(TREC)
    (directory / "a-rather-long-name-of-a-run").write_text(TREC.replace("d9", "d1"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    kept = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}}
    done = subprocess.run(
        [sys.executable, "-m", "xqe", "eval", "--qrels", "qrels", "run", "a-rather-long-name-of-a-run", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        cwd=directory,
        env={**kept, "TERM": "xterm-256color", **environment},
        check=True,
    )
    assert done.returncode == 0
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 1 << 16):
            shown += block
    except OSError:  # Linux ends the reading of a closed terminal so
        pass
    os.close(ours)
    return shown.decode()


def test_a_terminal_shows_the_table_in_colour_unless_told_not_to(tmp_path: Path) -> None:
    assert re.search(r"\x1b\[32m\s*\+25\.00", on_a_terminal(tmp_path, 80, "-m", "MRR"))
    assert not re.search(r"\x1b\[3[0-7]m", on_a_terminal(tmp_path, 80, "-m", "MRR", NO_COLOR="1"))
    assert on_a_terminal(tmp_path, 80, "-m", "MRR", "--format", "jsonl").startswith('{"run":"run","group":{}')


def test_a_narrow_terminal_shortens_names_and_no_number(tmp_path: Path) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal(tmp_path, 44, "-m", "MRR,Hit@1"))
    assert max(len(line.rstrip("\r")) for line in shown.split("\n")) <= 44
    assert re.findall(r"[+-]?\d+\.\d\d+", shown) == ["75.00", "100.00", "+25.00", "50.00", "100.00", "+50.00", "0.05"]
    assert shown.count("…") == 3  # of the longer name, in each block


# ---- errors: one line, status 2, nothing on standard output ----

BAD_QRELS = {
    "": f"qrels: empty qrels; {QRELS_SHAPE}",
    "\n\n": f"qrels: empty qrels; {QRELS_SHAPE}",
    "q1 0 d1\n": f"qrels:1: 3 columns without a header; {QRELS_SHAPE}; an MS MARCO run is no qrels",
    "query-id corpus-id score\n": f"qrels: qrels with a header and no judgements; {QRELS_SHAPE}",
    "query-id corpus-id score\nq1 0 d1 1\n": f"qrels:2: 4 columns where 3 are needed; {QRELS_SHAPE}",
    "q1 0 d1 1\n\nq1 0 d2\n": f"qrels:3: 3 columns where 4 are needed; {QRELS_SHAPE}",
    "q1\n": f"qrels:1: 1 column where 4 are needed; {QRELS_SHAPE}",
    "q1 0 d1 1.0\n": f'qrels:1: relevance "1.0" is not an integer; {QRELS_SHAPE}',
    "q1 0 d1 high\n": f'qrels:1: relevance "high" is not an integer; {QRELS_SHAPE}',
    "q1 0 1 7187158\n": f"qrels:1: relevance 7187158 is above 10000; {QRELS_SHAPE}",
    "q1 0 d1 1\nq1 0 d1 2\n": 'qrels:2: document "d1" of query "q1" is judged 2 here and 1 before; '
    "keep one of the two lines",
    "q1 0 d1 0\n": "qrels: no query has a relevant document; check the relevance column, and --rel",
    TREC: "qrels:1: 6 columns, so a TREC run and not qrels; give it as an argument: xqe eval --qrels QRELS RUN",
    RECORDS: "qrels:1: a JSON record, so a run and not qrels; give it as an argument: xqe eval --qrels QRELS RUN",
}
BAD_RUNS = {
    "": f"run: empty run; {RUN_SHAPE}; xqe search writes records with hits",
    "q1 Q0 d1 1 9.5\n": f"run:1: 5 columns; {RUN_SHAPE}",
    TREC + "q3 Q0 d1 1 9.5\n": f"run:5: 5 columns where the lines before have 6; {RUN_SHAPE}",
    TREC + "q3\td1\t1\n": f"run:5: 3 columns where the lines before have 6; {RUN_SHAPE}",
    "q1 Q0 d1 1 high t\n": f'run:1: score "high" is not a number; {RUN_SHAPE}',
    "q1 Q0 d1 1 nan t\n": f'run:1: score "nan" is not a number; {RUN_SHAPE}',
    "q1\td1\t1.5\n": f'run:1: rank "1.5" is not an integer; {RUN_SHAPE}',
    "q1 Q0 d1 1 9 t\nq1 Q0 d1 2 8 t\n": 'run:2: document "d1" twice for query "q1"; keep its best score only',
    TREC + "q1 Q0 d3 1 9 t\n": 'run:5: query "q1" again, after other queries (first at run:1); '
    "sort the lines of one run by query, and keep two runs in two files",
    "x1 Q0 d1 1 9 t\n": 'run: shares no query id with the qrels (the run has "x1", the qrels "q1"); '
    "use those of one collection",
    QRELS: "run:1: 4 columns, so qrels and not a run; give it to --qrels, and the run as an argument",
    BEIR: "run:1: the header of BEIR qrels, so not a run; give it to --qrels, and the run as an argument",
    "{\n": "run:1: broken JSON (expected object or value); each line must be one JSON object; jq -c . FILE makes it so",
    "[1]\n": "run:1: a JSON array; jq -c '.[]' FILE makes lines of it",
    records({"query": "x"}): f'run:1: missing "id"; {RECORD_SHAPE}',
    records({"id": None, "hits": []}): 'run:1: "id" is not a string; for example "id": "q1"',
    records({"id": "q1", "query": "x"}): 'run:1: query "q1" has no "hits"; search first: xqe search DIR',
    records({"id": "q1", "hits": {}}): f'run:1: "hits" is not a list; {HIT_SHAPE}',
    records({"id": "q1", "hits": ["d1"]}): f'run:1: hit 1 has no "id"; {HIT_SHAPE}',
    records({"id": "q1", "hits": [{"id": "d1"}]}): f'run:1: the score of hit 1 ("d1") is not a number; {HIT_SHAPE}',
    records({"id": "q1", "hits": [{"id": "d1", "score": "9"}]}): 'run:1: the score of hit 1 ("d1") is not a number; '
    + HIT_SHAPE,
    records({"id": "q1", "hits": hits("d1", "d1")}): 'run:1: document "d1" twice for query "q1"; '
    "keep its best score only",
    RECORDS + records({"id": "q1", "hits": []}): 'run:3: query "q1" again (first at run:1); '
    "a run of several language pairs needs --by, for example --by source.lang,index.lang",
}
BAD_ARGUMENTS = {
    ("--qrels", "qrels", "run", "--baseline", "run"): "the only RUN is the --baseline itself; "
    "give another to compare with it",
    ("--qrels", "qrels", "run", "--max-drop", "MRR=0.1"): "--max-drop: there is no run to compare with; "
    "give --baseline RUN",
    ("--qrels", "qrels", "run", "--fail-under", "MRR=30"): '--fail-under: "MRR=30" is not from 0 to 1; '
    "for example MRR=0.30 or MRR=30%",
    ("--qrels", "qrels", "run", "--strict"): "--strict: there is no drop to be strict about; give --max-drop",
    ("--qrels", "qrels", "run", "--each-group"): "--each-group: there are no groups; name their fields with --by",
    ("--qrels", "qrels", "run", "--by", "lang", "--each-group"): "--each-group: there are no limits; "
    "give --fail-under or --max-drop",
    ("--qrels", "qrels", "run", "--baseline", "b", "--max-drop", "MRR=0.1", "--test", "none"):
    "--max-drop: without a test, a drop cannot be told from chance; leave --test none out, or give --strict",
    ("--qrels", "qrels", "run", "--by", "lang", "--matrix"): "--matrix needs two fields; "
    "for example --by source.lang,index.lang",
    ("--qrels", "qrels", "run", "--per-query", "--ci"): "--per-query has no averages, so there is no --ci; "
    "give one of them",
    ("--qrels", "qrels", "run", "--baseline", "none"): "none: no such file or directory; check the path",
    ("run",): "missing option '--qrels'; judgements are named by it: xqe eval --qrels QRELS RUN",
    ("--qrels", "none", "run"): "none: no such file or directory; check the path",
    ("--qrels", "qrels", "none"): "none: no such file or directory; check the path",
    ("--qrels", "qrels", "-", "-"): "standard input can be read once only; give the others, qrels or runs, as files",
    ("--qrels", "-"): "standard input can be read once only; give the others, qrels or runs, as files",
    ("--qrels", "qrels", "run", "-m", "Hits@10"): '--measure: unknown measure "Hits@10"; '
    "did you mean Hit@10? xqe knows Hit@k Recall@k P@k MRR MRR@k nDCG nDCG@k MAP MAP@k Rprec",
    ("--qrels", "qrels", "run", "-m", "Hit"): '--measure: "Hit" needs a cutoff; for example Hit@10',
    ("--qrels", "qrels", "run", "--by", "lang"): "run: a run of columns has no fields to group by; "
    "give the JSONL of xqe search, or leave --by out",
    ("--qrels", "qrels", "run", "--by", "lang,"): '--by: "lang," does not name one or more fields; '
    "for example source.lang,index.lang",
    ("--qrels", "qrels", "run", "-m", ","): '--measure: unknown measure ","; '
    "xqe knows Hit@k Recall@k P@k MRR MRR@k nDCG nDCG@k MAP MAP@k Rprec",
    ("--qrels", "qrels", "run", "--rel", "0"): "invalid value for '--rel' / '-l': 0 is not in the range x>=1; "
    "see xqe eval --help",
    ("--qrels", "qrels", "run", "--rel", "9"): "qrels: no query has a document of grade 9 or more; "
    "check the relevance column, and --rel",
}  # fmt: skip


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.stdout, done.returncode) == ("", 2)
    return done.stderr


@pytest.mark.parametrize(("text", "line"), BAD_QRELS.items())
def test_bad_qrels(eval_: Run, tmp_path: Path, text: str, line: str) -> None:
    assert refused(eval_(tmp_path, "--qrels", "qrels", "run", qrels=text)) == f"xqe: {line}\n"


@pytest.mark.parametrize(("text", "line"), BAD_RUNS.items())
def test_bad_runs(eval_: Run, tmp_path: Path, text: str, line: str) -> None:
    assert refused(eval_(tmp_path, "--qrels", "qrels", "run", run=text)) == f"xqe: {line}\n"


@pytest.mark.parametrize(("arguments", "line"), BAD_ARGUMENTS.items())
def test_bad_arguments(eval_: Run, tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    assert refused(eval_(tmp_path, *arguments)) == f"xqe: {line}\n"


def test_runs_over_other_questions_are_not_compared(eval_: Run, tmp_path: Path) -> None:
    half, rest = ranked(*[1] * 20), "".join(ranked(*[1] * 40).splitlines(True)[20:])
    done = eval_(tmp_path, "--qrels", "qrels", "--baseline", "half", "rest", qrels=MANY, half=half, rest=rest)
    assert refused(done).splitlines()[-1] == (
        "xqe: rest, half: they answer 20 and 20 queries and share 0, and are not compared; "
        "give two runs over the same queries"
    )
    pairs = ranked(1, 1, source={"lang": "de"}, index={"lang": "en"})
    others = ranked(1, 1, source={"lang": "fr"}, index={"lang": "en"})
    done = eval_(
        tmp_path, "--qrels", "qrels", "pairs", "others", "--by", "index.lang", "--max-drop", "MRR=0",
        qrels="q0 0 good 1\nq1 0 good 1\n", pairs=pairs, others=others,
    )  # fmt: skip
    assert refused(done) == (
        "xqe: others, pairs: they cover other queries or language pairs, and are not compared; "
        "give two runs over the same\n"
    )


def test_a_query_twice_in_a_group(eval_: Run, tmp_path: Path) -> None:
    done = eval_(tmp_path, "--qrels", "qrels", "run", "--by", "index.lang", run=PAIRS + PAIRS)
    assert refused(done) == (
        'xqe: run:4: query "q1" again in index.lang=en source.lang=de (first at run:1); '
        "keep one of them, or add the field in which they differ to --by\n"
    )


def test_a_terminal_on_standard_input_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text(QRELS)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "xqe", "eval", "--qrels", "qrels"]
    done = subprocess.run(command, stdin=theirs, capture_output=True, encoding="utf-8", cwd=tmp_path, timeout=60)
    os.close(ours)
    os.close(theirs)
    assert refused(done) == (
        "xqe: no RUN given; give run files, or pipe one in: xqe search ... | xqe eval --qrels FILE\n"
    )


def test_a_closed_pipe_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text(QRELS)
    (tmp_path / "run").write_text(TREC)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "xqe", "eval", "--qrels", "qrels", "run"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    os.close(writer)
    assert (done.stderr, done.returncode) == (b"", 141)
