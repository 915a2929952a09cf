"""xqe search, explain and trace over an index with vectors: what is searched unless told, and what makes no sense."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, jsonl, records
from forks import Forks

from xqe.commands.options.encoding import Encoding
from xqe.commands.options.searching import Searching
from xqe.commands.searching import check_searching, given, open_retriever
from xqe.commands.streams import Queries
from xqe.errors import XqeError
from xqe.retrieval.choices import By, Use

DOCUMENTS = [
    {"id": "d1", "text": "the planet mercury is nearest to the sun"},
    {"id": "d2", "text": "mercury once called quicksilver is a metal"},
    {"id": "d3", "text": "a harbour in winter"},
]
QUERY = {"id": "q1", "query": "mercury metal", "lang": "en", "source": {"query": "quicksilver", "lang": "de"}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Path:
    """Two indexes, of which "both" has the vectors of the fake encoder."""
    folder = tmp_path_factory.mktemp("searching")
    for name, more in (("words", []), ("both", ["--encoder", "fake"])):
        done = forks("index", str(folder / name), "--lang", "en", *more, stdin=jsonl(*DOCUMENTS))
        assert done.status == 0, done.stderr
    return folder


def searched(xqe: Run, directory: Path, *options: str, query: dict[str, Any] = QUERY) -> dict[str, Any]:
    done = xqe("search", str(directory), *options, stdin=jsonl(query))
    assert (done.returncode, done.stderr) == (0, "")
    [record] = records(done)
    return record


@pytest.mark.parametrize("query", ["Quecksilber " * 30, f"{'Quecksilber ' * 30}.json"])
def test_a_query_may_be_longer_than_the_name_of_a_file(made: Path, query: str) -> None:
    assert given([str(made / "words"), str(made / "both"), query]) == ([made / "words", made / "both"], query)
    assert [record["query"] for record in Queries(query, None)] == [query]


def test_an_index_with_vectors_is_searched_by_both_unless_told(xqe: Run, made: Path) -> None:
    assert searched(xqe, made / "words")["index"]["by"] == "bm25"
    assert searched(xqe, made / "both")["index"]["by"] == "hybrid"
    for by in ("bm25", "dense", "hybrid"):
        assert searched(xqe, made / "both", "--by", by)["index"]["by"] == by


def test_the_record_says_how_words_and_vectors_were_searched_and_fused(xqe: Run, made: Path) -> None:
    assert searched(xqe, made / "both", "-k", "2")["index"] == {
        "name": "both", "lang": "en", "by": "hybrid", "fusion": "combsum", "norm": "min-max", "dense_weight": "auto",
        "k": 2,
        "sides": {
            "bm25": {"use": "query+doc", "query_weight": 1.0, "source_weight": "auto", "k1": 0.82, "b": 0.68},
            "dense": {"encoder": "fake", "encode": "both", "use": "query+doc", "query_weight": 5.0},
        },
    }  # fmt: skip


def test_each_way_of_encoding_finds_what_is_like_its_text(xqe: Run, made: Path) -> None:
    query = {"id": "q", "query": "winter harbour", "source": {"query": "planet sun"}}
    first = {
        encode: searched(xqe, made / "both", "--by", "dense", "--encode", encode, query=query)["hits"][0]["id"]
        for encode in ("source", "query")
    }
    assert first == {"source": "d1", "query": "d3"}


def test_options_change_the_fusion(xqe: Run, made: Path) -> None:
    by_rank = searched(xqe, made / "both", "--fusion", "rrf")
    assert (by_rank["index"]["fusion"], by_rank["index"]["rrf_k"]) == ("rrf", 60)
    alone = searched(xqe, made / "both", "--by", "dense", "--feedback", "mean", "--feedback-docs", "1")
    assert alone["index"]["feedback"] == {"method": "mean", "documents": 1}
    both = searched(xqe, made / "both", "--feedback", "rocchio")["index"]["sides"]
    assert both["bm25"]["feedback"]["documents"] == 10
    assert both["dense"]["feedback"]["documents"] == 3


def test_pools_hold_for_vectors(xqe: Run, made: Path, tmp_path: Path) -> None:
    (tmp_path / "pool").write_text("d1\nd3\n")
    for by in ("dense", "hybrid"):
        hits = searched(xqe, made / "both", "--by", by, "--pool", str(tmp_path / "pool"))["hits"]
        assert sorted(hit["id"] for hit in hits) == ["d1", "d3"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "dense", "--k1", "1"], "--k1 has no effect on a search by dense"),
        (["--by", "dense", "--source-weight", "1"], "--source-weight has no effect on a search by dense"),
        (["--by", "bm25", "--encode", "both"], "--encode has no effect on a search by bm25"),
        (["--by", "bm25", "--encoder", "fake"], "--encoder has no effect on a search by bm25"),
        (["--by", "bm25", "--encode", "source"], "--encode has no effect on a search by bm25"),
        (["--by", "dense", "--fusion", "rrf"], "--fusion has no effect on a search by dense"),
        (["--by", "bm25", "--dense-weight", "1"], "--dense-weight has no effect on a search by bm25"),
        (["--by", "dense", "--feedback", "rm3"], "--feedback rm3 has no effect on a search by dense"),
        (["--by", "bm25", "--feedback", "mean"], "--feedback mean has no effect on a search by bm25"),
        (["--norm", "none"], "--norm none takes scores at face value"),
        (["--fusion", "rrf", "--norm", "sum"], "--norm has no effect on --fusion rrf"),
        (["--fusion", "sum"], '--fusion: unknown method "sum"'),
        (["--by", "dense", "--encoder", "e5-small"], "e5-small"),
    ],
)
def test_what_makes_no_sense_is_one_line(xqe: Run, made: Path, options: list[str], said: str) -> None:
    done = xqe("search", str(made / "both"), *options, stdin=jsonl(QUERY))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert said in done.stderr


def test_an_index_without_vectors_says_how_to_make_them(xqe: Run, made: Path) -> None:
    for options in (("--by", "dense"), ("--by", "hybrid"), ("--encoder", "fake")):
        done = xqe("search", str(made / "words"), *options, stdin=jsonl(QUERY))
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert "xqe embed" in done.stderr


def test_another_encoder_than_the_one_of_the_vectors_is_refused(xqe: Run, made: Path, tmp_path: Path) -> None:
    """As a model file that was replaced would be: the manifest is sealed, and its contract is compared."""
    shutil.copytree(made / "both", tmp_path / "both")
    [manifest] = tmp_path.glob("both/data-*/dense-*/dense.json")
    said = json.loads(manifest.read_text())
    said["contract"]["dimension"] = 65
    manifest.write_text(json.dumps(said))
    done = xqe("search", str(tmp_path / "both"), "--by", "dense", stdin=jsonl(QUERY))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_explain_gives_the_score_of_the_search(xqe: Run, made: Path) -> None:
    for by in ("dense", "hybrid"):
        hits = {hit["id"]: hit["score"] for hit in searched(xqe, made / "both", "--by", by)["hits"]}
        done = xqe("explain", str(made / "both"), "-", *hits, "--by", by, stdin=jsonl(QUERY))
        rows = records(done)
        assert {row["document"]: row["score"] for row in rows} == pytest.approx(hits, abs=1e-6)
        assert [row["rank"] for row in rows] == [1, 2, 3]
        shown = xqe("explain", str(made / "both"), "-", "d2", "--by", by, "--format", "text", stdin=jsonl(QUERY))
        assert shown.returncode == 0
        assert "rank 1 of 3" in shown.stdout


def test_trace_finds_what_search_finds_and_tells_the_sides_apart(xqe: Run, made: Path) -> None:
    for by in ("dense", "hybrid"):
        found = searched(xqe, made / "both", "--by", by)
        done = xqe("trace", "--index", str(made / "both"), "-", "--by", by, "-r", "d3", stdin=jsonl(QUERY))
        [traced] = records(done)
        assert [(hit["id"], hit["score"]) for hit in traced["hits"]] == [
            (hit["id"], hit["score"]) for hit in found["hits"]
        ]
        assert traced["index"] == {**found["index"], "k": 10}
        assert traced["trace"]["relevant"][0]["document"] == "d3"
        for hit in traced["hits"]:
            assert sum(term["score"] for term in hit["terms"]) == pytest.approx(hit["score"], abs=1e-5)
    assert all(set(hit["from"]) <= {"bm25", "dense"} for hit in found["hits"])
    shown = xqe("trace", "--index", str(made / "both"), "-", "--format", "text", stdin=jsonl(QUERY))
    assert "vectors of fake, of the query as asked and as it is now, fused by combsum of min-max" in shown.stdout


# ---------------------------------------------------------------- questions of documents


QUESTIONS = [
    {"id": "d1", "text": "zinc rises", "questions": {"de": ["Was kostet Zink?"], "fr": ["le zinc ?", "du zinc ?"]}},
    {"id": "d2", "text": "tin falls", "questions": {"de": ["Wird Zinn billiger?"]}},
    {"id": "d3", "text": "a harbour"},
]
ASKED = {"id": "q1", "query": "tin", "lang": "en", "source": {"query": "zink", "lang": "de"}}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Path:
    """An index of documents with questions, with the vectors of the fake encoder."""
    index = tmp_path_factory.mktemp("asked") / "ix"
    done = forks("index", str(index), "--lang", "en", "--encoder", "fake", stdin=jsonl(*QUESTIONS))
    assert done.status == 0, done.stderr
    line = json.loads(done.stdout)
    assert line["questions"] == {"de": {"documents": 2, "questions": 2}, "fr": {"documents": 1, "questions": 2}}
    assert line["vectors"]["questions"]["fr"] == {"documents": 1, "questions": 2, "truncated": 0}
    return index


def test_questions_count_where_that_is_asked_for(xqe: Run, asked: Path) -> None:
    quiet = xqe("search", str(asked), "--by", "bm25", stdin=jsonl(ASKED))
    assert "the questions in de, fr count nothing without --question-weight" in quiet.stderr
    assert [hit["id"] for hit in json.loads(quiet.stdout)["hits"]] == ["d2"]
    words = searched(xqe, asked, "--by", "bm25", "--question-weight", "1", query=ASKED)
    assert {hit["id"] for hit in words["hits"]} == {"d1", "d2"}
    assert (words["index"]["question_weight"], words["index"]["questions"]) == (1.0, ["de"])
    options = ("--question-weight", "1", "--question-share", "0.4", "--questions-of", "DE,fr")
    both = searched(xqe, asked, *options, query=ASKED)["index"]["sides"]
    assert (both["dense"]["question_share"], both["dense"]["questions"]) == (0.4, ["de", "fr"])
    done = xqe("explain", str(asked), "-", "d1", "--format", "text", *options, stdin=jsonl(ASKED))
    assert (done.returncode, done.stderr) == (0, "")
    assert "in German add" in done.stdout and "passage and questions, with a share of 0.4" in done.stdout


def test_a_command_without_options_of_questions_speaks_of_none(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_retriever(Searching(by=By.BM25), Encoding(), [asked]):
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("index", "options", "said"),
    [
        ("asked", Searching(questions_of=["de"]), "--questions-of has no effect while questions count nothing"),
        ("asked", Searching(questions_of=["ru"], question_weight=1.0), "has no questions in ru, only in de, fr"),
        ("asked", Searching(questions_of=["xx"], question_weight=1.0), '--questions-of: unknown language "xx"'),
        ("asked", Searching(questions_of=[""], question_weight=1.0), "--questions-of names no language"),
        ("asked", Searching(by=By.BM25, question_share=0.1), "--question-share has no effect on a search by bm25"),
        ("asked", Searching(by=By.DENSE, question_weight=1.0), "--question-weight has no effect on a search by dense"),
        ("asked", Searching(use=Use.DOC, question_weight=1.0), "--use doc searches with none"),
        ("asked", Searching(approximate=True, question_share=0.1), "the graph is of passages alone"),
        ("words", Searching(question_weight=1.0), "--question-weight has no effect"),
    ],
)
def test_options_about_questions_that_mean_nothing_are_refused(
    made: Path, asked: Path, index: str, options: Searching, said: str
) -> None:
    directory = asked if index == "asked" else made / index

    def check() -> None:
        check_searching(options)
        with open_retriever(options, Encoding(), [directory]):
            pass

    with pytest.raises(XqeError, match=re.escape(said)) as raised:
        check()
    assert raised.value.hint
