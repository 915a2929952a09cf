"""Which languages the first hits are in, beside counts by hand; and xqe eval --languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import Run, jsonl, records

from xqe.evaluation.languages import language_shares
from xqe.files.trec import Answer

COUNTS = {"languages": {"de": 30, "en": 60, "sw": 10}, "lang": "de,en,sw"}


def record(name: str, lang: str, *languages: str, **more: Any) -> dict[str, Any]:
    """A record whose hits are in these languages, the best first."""
    hits = [{"id": f"d{at}", "score": 100.0 - at, "lang": its} for at, its in enumerate(languages)]
    return {"id": name, "query": "x", "lang": lang, "index": COUNTS, "hits": hits, **more}


def test_each_query_counts_the_same(xqe: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.write_text(jsonl(record("q1", "en", *["en"] * 3, "de"), record("q2", "sw", "sw", "en"), record("q3", "sw")))
    rows = records(xqe("eval", str(run), "--languages", "--by", "lang"))
    documents = {"de": 0.3, "en": 0.6, "sw": 0.1}
    assert rows == [
        {"run": str(run), "group": {}, "at": 10, "queries": 2, "languages": {"de": 0.125, "en": 0.625, "sw": 0.25},
         "documents": documents},
        {"run": str(run), "group": {"lang": "en"}, "at": 10, "queries": 1, "languages": {"de": 0.25, "en": 0.75},
         "documents": documents},
        {"run": str(run), "group": {"lang": "sw"}, "at": 10, "queries": 1, "languages": {"en": 0.5, "sw": 0.5},
         "documents": documents},
    ]  # fmt: skip
    [row] = records(xqe("eval", str(run), "--languages", "--at", "1"))
    assert row["languages"] == {"en": 0.5, "sw": 0.5}


def test_hits_count_in_the_order_of_their_scores(xqe: Run) -> None:
    hits = [{"id": "a", "score": 1.0, "lang": "en"}, {"id": "b", "score": 2.0, "lang": "de"}]
    tied = [{"id": "a", "score": 1.0, "lang": "en"}, {"id": "b", "score": 1.0, "lang": "sw"}]
    run = jsonl({"id": "q1", "hits": hits}, {"id": "q2", "hits": tied})
    [row] = records(xqe("eval", "--languages", "--at", "1", stdin=run))
    assert (row["languages"], row["documents"]) == ({"de": 0.5, "sw": 0.5}, {})


def test_hits_of_one_index_are_in_its_language(xqe: Run) -> None:
    run = jsonl({"id": "q1", "index": {"lang": "nl"}, "hits": [{"id": "a", "score": 1.0}]})
    [row] = records(xqe("eval", "--languages", stdin=run))
    assert row["languages"] == {"nl": 1.0}


def test_a_language_is_one_however_it_is_spelled() -> None:
    index = {"languages": {"pt": 30, "pt-BR": 10, "en": 60}}
    hits = [{"id": "1", "score": 2.0, "lang": "pt_BR"}, {"id": "2", "score": 1.0, "lang": "pt"}]
    made = {"id": "q1", "lang": "PT", "index": index, "hits": hits}
    answers = [Answer("q1", {"1": 2.0, "2": 1.0}, "run:1", made)]
    for shares in language_shares("run", answers, 10, ["lang"]):
        assert (shares.languages, shares.documents) == ({"pt": 1.0}, {"en": 0.6, "pt": 0.4})
        assert shares.group in ({}, {"lang": "pt"})
    [own] = language_shares("run", [Answer("2", {"1": 2.0, "2": 1.0}, "run:1", {**made, "id": "2"})], 10, drop_own=True)
    assert own.languages == {"pt": 1.0}


@pytest.mark.parametrize("count", [float("nan"), float("inf"), 10**400, "x", -1, True])
def test_counts_of_documents_that_are_no_counts_are_not_known(count: object) -> None:
    made = {
        "id": "q1",
        "index": {"languages": {"en": 6, "de": count}},
        "hits": [{"id": "1", "score": 2.0, "lang": "en"}],
    }
    [shares] = language_shares("run", [Answer("q1", {"1": 2.0}, "run:1", made)], 10)
    assert (shares.languages, shares.documents) == ({"en": 1.0}, {})


def test_a_table_has_the_languages_across(xqe: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.write_text(jsonl(record("q1", "en", *["en"] * 3, "de")))
    done = xqe("eval", "run", "--languages", "--format", "table", cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "% of the first 10 hits",
        "run               queries    de    en    sw",
        "run                     1  25.0  75.0   0.0",
        "of the documents           30.0  60.0  10.0",
    ]


@pytest.mark.parametrize(
    ("options", "run", "said"),
    [
        (["--languages", "--qrels", "q"], "", "--languages looks at no judgements"),
        (["--languages", "--ci"], "", "--languages looks at no judgements"),
        (["--at", "3"], "", "--at has no effect without --languages"),
        (["--languages"], "q1 Q0 d1 1 2.0 tag\n", "a run of columns says no languages"),
        (["--languages"], jsonl({"id": "q1", "hits": [{"id": "d1", "score": 1.0}]}), 'document "d1" of query "q1"'),
        (
            ["--languages"],
            jsonl({"id": "q1", "index": COUNTS, "hits": [{"id": "d1", "score": 1.0}]}),
            'document "d1" of query "q1"',
        ),
    ],
)
def test_what_cannot_be_said_is_one_line(xqe: Run, options: list[str], run: str, said: str) -> None:
    done = xqe("eval", *options, stdin=run)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_runs_of_several_languages_are_fused_by_the_ids_of_queries(xqe: Run, tmp_path: Path) -> None:
    """Each index searched with a translation of its own, or with a human one."""
    one = {"id": "q1", "query": "water", "lang": "en", "source": {"query": "maji", "lang": "sw"}}
    other = {"id": "q1", "query": "Wasser", "lang": "de"}
    (tmp_path / "en").write_text(
        jsonl(
            {
                **one,
                "index": {"name": "e", "lang": "en"},
                "hits": [{"id": "a", "score": 3.0}, {"id": "b", "score": 2.0}],
            }
        )
    )
    (tmp_path / "de").write_text(
        jsonl({**other, "index": {"name": "d", "lang": "de"}, "hits": [{"id": "c", "score": 9.0}]})
    )
    assert xqe("fuse", "en", "de", cwd=tmp_path).returncode == 2
    fused = xqe("fuse", "en", "de", "--languages", cwd=tmp_path)
    [record] = records(fused)
    assert [(hit["id"], hit["lang"]) for hit in record["hits"]] == [("c", "de"), ("a", "en"), ("b", "en")]
    assert record["query"] == "water"
    [row] = records(xqe("eval", "--languages", stdin=fused.stdout))
    assert row["languages"] == {"de": 1 / 3, "en": 2 / 3}
