"""xqe trace: what the pipe of commands does, with what was asked, answered, searched and found at each stage."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import termios
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, command, jsonl
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import SAID, SAID_TOKENS

from xqe import cli
from xqe.commands import screens
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.settings import Settings as LlamaSettings
from xqe.models.engines.recorded import RecordingEngine
from xqe.retrieval.bm25 import BM25
from xqe.retrieval.choices import Method
from xqe.retrieval.feedback import Feedback
from xqe.retrieval.lexical import open_index
from xqe.retrieval.weighting import Weighting
from xqe.stages.expand import Expand
from xqe.stages.generation import Stage
from xqe.stages.strategies import Strategy
from xqe.stages.tracing import Found, Step, traced
from xqe.stages.translate import Translate
from xqe.text.analysis import analyzer, is_added
from xqe.text.languages import language

ASKED = "what is the mercury symbol"
RECORD: dict[str, Any] = {
    "id": "chem",
    "query": "chemical symbol of mercury",
    "lang": "en",
    "source": {"query": "symbole du mercure Hg", "lang": "fr"},
    "passages": ["Mercury is a liquid metal; its symbol Hg comes from Greek.", "A planet near the sun."],
    "steps": [{"step": "translate", "from": "fr", "to": "en", "model": "some"}],
    "mine": [1],
}


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = str(tmp_path_factory.mktemp("trace") / "english")
    assert cli.run(["index", directory, "--lang", "en", "-i", str(FIXTURES / "documents" / "en.jsonl")]) == 0
    return directory


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "records.jsonl"
    path.write_text(jsonl(RECORD))
    return str(path)


def output(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert cli.run(list(arguments)) == status
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def trace(capsys: pytest.CaptureFixture[str], directory: str, *arguments: str, status: int = 0) -> dict[str, Any]:
    [record] = output(capsys, "trace", "--index", directory, *arguments, status=status)
    return record


def test_hits_that_are_the_query_itself_have_no_place(
    english: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the document of the query's id, the others have their order, and each is as high as its place there."""
    whole = trace(capsys, english, "mercury planet", "-k", "4")
    first, *others = [hit["id"] for hit in whole["hits"]]
    path = tmp_path / "query.jsonl"
    path.write_text(jsonl({"id": first, "query": "mercury planet"}))
    relevant = [option for name in (first, *others) for option in ("--relevant", name)]
    dropped = trace(capsys, english, "-i", str(path), *relevant, "-k", "3", "--drop-self")
    assert [hit["id"] for hit in dropped["hits"]] == others
    ranks = [document["standings"][-1]["rank"] for document in dropped["trace"]["relevant"]]
    assert ranks == [None, 1, 2, 3]
    assert dropped["trace"]["relevant"][2]["behind"] == others[0]


# ---------------------------------------------------------------- the same as the pipe

TRANSLATE = ("translate", "--to", "en")
EXPAND = ("expand", "--strategy", "rar", "-n", "2")
FAKE = ("--model", "fake")
DRAWN = (*FAKE, "--temperature", "1", "--seed", "7")


@pytest.mark.parametrize(
    ("steps", "options"),
    [
        ((TRANSLATE, EXPAND), ("--order", "te")),
        ((EXPAND, TRANSLATE), ("--order", "et")),
        ((TRANSLATE,), ()),
        ((EXPAND,), ()),
    ],
    ids=["te", "et", "t", "e"],
)
def test_the_record_is_that_of_the_pipe(
    english: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    steps: tuple[tuple[str, ...], ...],
    options: tuple[str, ...],
) -> None:
    searching = ("--source-weight", "0.5", "--feedback", "rm3", "--feedback-docs", "2", "--k1", "1.1", "-k", "3")
    path = tmp_path / "queries.jsonl"
    path.write_text(jsonl({"id": "q1", "query": ASKED, "lang": "fr", "mine": 1}))
    given_options = [option for name, *rest in steps for option in rest]
    traced_record = trace(capsys, english, "-i", str(path), *given_options, *options, *searching, *DRAWN)
    for step in steps:
        path.write_text(jsonl(*output(capsys, *step, "-i", str(path), *DRAWN)))
    [record] = output(capsys, "search", english, "-i", str(path), *searching)
    shown = traced_record.pop("trace")
    assert [step["step"] for step in shown["steps"]] == [name for name, *_ in steps]
    assert {**traced_record, "hits": [{"id": hit["id"], "score": hit["score"]} for hit in traced_record["hits"]]} == (
        record
    )


def test_a_query_in_several_translations_is_that_of_the_pipe(
    english: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(jsonl({"id": "q1", "query": ASKED, "lang": "fr"}))
    shown = trace(capsys, english, "-i", str(path), "--to", "en", "--translations", "3", *FAKE)
    [translated] = output(capsys, "translate", "--to", "en", "--samples", "3", "-i", str(path), *FAKE)
    assert shown["translations"] == translated["translations"]
    assert [text["text"] for text in shown["trace"]["steps"][0]["texts"]].count(translated["query"]) >= 1
    assert len(shown["trace"]["steps"][0]["texts"]) == 3


def test_records_are_traced_one_by_one_without_generation(
    english: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(jsonl(RECORD, {"id": "q2", "query": "rose"}))
    first, second = output(capsys, "trace", "--index", english, "-i", str(path), "-k", "2")
    assert first["mine"] == [1]
    assert first["trace"]["steps"] == second["trace"]["steps"] == []
    assert (first["passages"], len(first["hits"])) == (RECORD["passages"], 2)


# ---------------------------------------------------------------- re-ranking


@pytest.mark.parametrize("kind", ["likelihood", "listwise"])
def test_a_re_ranked_trace_is_the_record_of_the_pipe_and_says_where_documents_stand(
    english: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tmp_path / "query.jsonl"
    path.write_text(jsonl({"id": "q1", "query": "the ice of mercury and the sun", "lang": "en"}))
    [found] = output(capsys, "search", english, "-i", str(path), "-k", "9")
    relevant = [hit["id"] for hit in found["hits"][2:7]]  # of which the last two are not re-ranked
    options = [option for name in relevant for option in ("--relevant", name)]
    again = ("--rerank", kind, "--rerank-n", "5", *FAKE)
    shown = trace(capsys, english, "-i", str(path), "-k", "9", *options, *again)
    path.write_text(jsonl(found))
    [record] = output(
        capsys, "rerank", english, "-i", str(path), "--kind", kind, "-n", "5", *FAKE, status=kind == "listwise"
    )
    said = shown.pop("trace")
    assert [hit["terms"] for hit in shown["hits"]] and all(
        hit.pop("snippet") and hit.pop("terms") for hit in shown["hits"]
    )
    assert shown == record
    places = {hit["id"]: rank for rank, hit in enumerate(record["hits"], 1)}
    scores = {hit["id"]: hit["score"] for hit in record["hits"] if "reranked" in hit}
    for document in said["relevant"]:
        last = document["standings"][-1]
        assert (last["stage"], last["rank"]) == ("reranked", places[document["document"]])
        assert last["score"] == scores.get(document["document"])
    fields = [text["field"] for text in said["rerank"]["texts"]]
    assert fields == ([hit["id"] for hit in found["hits"][:5]] if kind == "likelihood" else ["window"])
    assert [cost["stage"] for cost in said["costs"]] == ["search", "rerank"]
    assert said["costs"][1]["tokens"] == sum(text["tokens"] for text in said["rerank"]["texts"])
    # fewer hits may be shown than are re-ranked
    assert trace(capsys, english, "-i", str(path), "-k", "2", *again)["hits"][1]["id"] == record["hits"][1]["id"]


def test_what_cannot_be_re_ranked_is_said(english: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("trace", "mercury fake:error", "--lang", "en", "--index", english)
    for options, said in {
        ("--rerank-n", "5"): "--rerank-n has no effect, since nothing is re-ranked; add --rerank KIND",
        ("--rerank", "listwise", "--first-weight", "0.1", *FAKE): "--first-weight has no effect on listwise",
        (
            "--rerank",
            "likelihood",
            "--max-tokens",
            "5",
            *FAKE,
        ): "--max-tokens has no effect, since nothing is generated",
    }.items():
        assert cli.run([*asked, *options]) == 2
        assert said in capsys.readouterr().err
    assert cli.run([*asked, "--rerank", "likelihood", *FAKE, "--format", "text"]) == 1
    out = capsys.readouterr().out
    assert "failed     the fake engine was asked to fail; hits stay as they were found" in out and "cost" in out
    assert "from the store" not in out
    unasked = (asked[0], "mercury", *asked[2:])
    assert cli.run([*unasked, "--rerank", "listwise", *FAKE, "--format", "text"]) == 0
    assert "note       windows that stayed as they were: 1; the answer names no document" in capsys.readouterr().out


# ---------------------------------------------------------------- generation


def test_prompts_outputs_and_texts(english: str, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = []
    assert cli.run([*TRANSLATE, ASKED, "--from", "fr", *FAKE, "--show-prompt"]) == 0
    prompts.append(capsys.readouterr().out.rstrip("\n"))
    record = trace(capsys, english, ASKED, "--lang", "fr", "--to", "en", "-s", "cot", *FAKE)
    assert cli.run(["expand", record["query"], "--lang", "en", "-s", "cot", *FAKE, "--show-prompt"]) == 0
    prompts.append(capsys.readouterr().out.rstrip("\n"))
    first, second = record["trace"]["steps"]
    assert [step["texts"][0]["prompt"] for step in (first, second)] == prompts
    assert [(step["texts"][0]["field"], step["texts"][0]["text"]) for step in (first, second)] == [
        ("query", record["query"]),
        ("passage", record["passages"][0]),
    ]
    assert first["texts"][0]["raw"] == record["query"]
    assert (first["texts"][0]["finish"], first["texts"][0]["tokens"]) == ("stop", len(record["query"].split()))


def test_e_then_t_shows_the_translation_of_the_query_and_of_every_passage(
    english: str, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = trace(capsys, english, "-i", source, "--to", "de", *FAKE)
    [step] = record["trace"]["steps"]
    assert [text["field"] for text in step["texts"]] == ["query", "passage", "passage"]
    assert [text["text"] for text in step["texts"]] == [record["query"], *record["passages"]]


def test_what_comes_from_the_store_says_so(english: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = (ASKED, "--lang", "en", "-s", "rar", *FAKE, "--store", str(tmp_path / "store.sqlite"))
    for reused in (False, True):
        [step] = trace(capsys, english, *options)["trace"]["steps"]
        assert [text["reused"] for text in step["texts"]] == [reused]


def test_a_failed_step_is_the_last_and_the_search_is_made_with_what_there_is(
    english: str, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "chemical symbol fake:error"
    record = trace(capsys, english, query, "--lang", "fr", "--to", "en", "-s", "rar", *FAKE, status=1)
    [step] = record["trace"]["steps"]
    assert step["error"] == "the fake engine was asked to fail"
    assert "fake:error" in step["texts"][0]["prompt"]
    assert record["error"] == {"step": "translate", "message": step["error"]}
    assert (record["query"], record["hits"][0]["id"]) == (query, "chem1")


def test_an_answer_that_is_empty_is_shown(english: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = trace(capsys, english, "mercury fake:empty", "--lang", "en", "-s", "rar", *FAKE, status=1)
    [step] = record["trace"]["steps"]
    assert (step["error"], step["texts"][0]["raw"]) == ("the model answered nothing", "")


def test_nothing_to_translate_is_a_step_without_texts(english: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = trace(capsys, english, ASKED, "--lang", "en", "--to", "en", *FAKE)
    assert [step["texts"] for step in record["trace"]["steps"]] == [[]]
    assert "steps" not in record


def test_a_model_of_llama_cpp(english: str, certain_path: Path) -> None:
    with LlamaEngine("certain", str(certain_path), settings=LlamaSettings(threads=1)) as model:
        engine = RecordingEngine(model)
        stages: list[Stage] = [
            Translate(engine, language("en"), max_tokens=5),
            Expand(engine, Strategy.RAR.template, max_tokens=16),
        ]
        record = {"id": "q1", "query": "planète la plus proche du soleil", "lang": "fr"}
        pieces = list(traced(record, stages, engine, BM25(open_index(Path(english))), [], "here"))
    steps = [piece for piece in pieces if isinstance(piece, Step)]
    asked = (record["query"], steps[0].record["query"])
    for step, query, said, tokens in zip(steps, asked, (SAID[:5], SAID), (5, SAID_TOKENS), strict=True):
        [text] = step.texts
        assert text.prompt is not None
        assert text.prompt.startswith("<s>")
        assert query in text.prompt
        assert (text.tokens, text.raw, text.text) == (tokens, said, said)
        assert step.seconds > 0
    assert steps[0].record["query"] == SAID[:5]
    assert pieces[-1].record["passages"] == [SAID]


# ---------------------------------------------------------------- terms


WEIGHTS = st.one_of(st.none(), st.floats(0.125, 20, width=16))


@settings(max_examples=25)
@given(
    query_weight=WEIGHTS,
    source_weight=st.sampled_from([0.0, 0.5]),
    passage_terms=st.sampled_from([None, 3]),
    feedback=st.sampled_from([None, Feedback(Method.RM3), Feedback(Method.ROCCHIO, 3, 5, 0.4)]),
)
def test_what_the_terms_have_from_where_sums_to_their_weights(
    english: str,
    query_weight: float | None,
    source_weight: float,
    passage_terms: int | None,
    feedback: Feedback | None,
) -> None:
    index = open_index(Path(english))
    weighting = Weighting(query_weight=query_weight, source_weight=source_weight, passage_terms=passage_terms)
    [_, found] = traced(RECORD, [], None, BM25(index, weighting, feedback=feedback), [], "here", k=5)
    assert isinstance(found, Found)
    for term in found.terms:
        assert sum(term.parts.values()) == pytest.approx(term.weight)
    assert found.terms == sorted(found.terms, key=lambda term: (-term.weight, -term.idf, term.term))
    parts = {part: {t.term for t in found.terms if part in t.parts} for part in ("query", "passages", "source")}
    terms_of = analyzer("en").terms
    assert parts["query"] == set(terms_of(RECORD["query"]))
    assert parts["source"] == (set(terms_of("symbole du mercure Hg")) if source_weight else set())
    of_passages = {
        term for term in terms_of(" ".join(RECORD["passages"])) if query_weight is not None or not is_added(term)
    }
    assert parts["passages"] == of_passages if passage_terms is None else len(parts["passages"]) == passage_terms
    if query_weight is not None:  # mercury and symbol are once in the query and once in one of two passages
        both = [term.parts for term in found.terms if {"query", "passages"} <= {*term.parts}]
        assert [part["query"] / part["passages"] for part in both] == pytest.approx([2 * query_weight] * len(both))
    assert any("feedback" in term.parts for term in found.terms) == (feedback is not None)
    for hit in found.hits:
        assert sum(term.score for term in hit.terms) == pytest.approx(hit.score, rel=1e-6)
        assert [term.score for term in hit.terms] == sorted((term.score for term in hit.terms), reverse=True)


def test_terms_say_in_how_many_documents_they_are(english: str, capsys: pytest.CaptureFixture[str]) -> None:
    terms_of = analyzer("en").terms
    record = trace(capsys, english, "mercury gazpacho")
    lines = (FIXTURES / "documents" / "en.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    df = {term["term"]: term["df"] for term in record["trace"]["terms"]}
    assert df == {term: sum(term in terms_of(text) for text in texts) for term in terms_of("mercury gazpacho")}
    assert {term["term"]: term["word"] for term in record["trace"]["terms"]} == {
        **dict.fromkeys(terms_of("mercury"), "mercury"),
        **dict.fromkeys(terms_of("gazpacho"), "gazpacho"),
    }
    assert all(term["idf"] == 0 for term in record["trace"]["terms"] if not term["df"])


# ---------------------------------------------------------------- relevant documents


def test_ranks_at_each_stage_are_those_of_searches(
    english: str, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feedback = ("--feedback", "rocchio")
    names = ["chem1", "astro1", "astro2"]
    options = [option for name in names for option in ("--relevant", name)]
    record = trace(capsys, english, "-i", source, *options, *feedback)
    searches = {
        "source": output(capsys, "search", english, "symbole du mercure Hg"),
        "query": output(capsys, "search", english, RECORD["query"]),
        "searched": output(capsys, "search", english, "-i", source),
        "feedback": output(capsys, "search", english, "-i", source, *feedback),
    }
    assert [document["document"] for document in record["trace"]["relevant"]] == names
    for document in record["trace"]["relevant"]:
        assert [standing["stage"] for standing in document["standings"]] == list(searches)
        for standing in document["standings"]:
            ranks = {hit["id"]: rank for rank, hit in enumerate(searches[standing["stage"]][0]["hits"], 1)}
            scores = {hit["id"]: hit["score"] for hit in searches[standing["stage"]][0]["hits"]}
            assert standing["rank"] == ranks.get(document["document"])
            assert standing["score"] == pytest.approx(scores.get(document["document"], 0.0), rel=1e-6)
            assert sum(term["score"] for term in standing["terms"]) == pytest.approx(standing["score"], rel=1e-6)
    pool = tmp_path / "pool"
    pool.write_text("chem1\nastro2\n")
    pooled = trace(capsys, english, "-i", source, *options, "--pool", str(pool))
    ranks = {hit["id"]: rank for rank, hit in enumerate(pooled["hits"], 1)}
    for document in pooled["trace"]["relevant"]:
        assert document["standings"][-1]["rank"] == ranks.get(document["document"])
        assert document["in_pool"] == (document["document"] != "astro1")
    assert pooled["trace"]["documents"] == 2


def test_what_the_first_hit_has_more_is_the_difference_of_the_scores(
    english: str, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = trace(capsys, english, "-i", source, "--relevant", "astro1", "--relevant", "chem1")
    other, first = record["trace"]["relevant"]
    assert first["behind"] is None
    assert first["ahead"] == []
    assert other["behind"] == record["hits"][0]["id"] == "chem1"
    more = {term["term"]: term["score"] for term in other["ahead"]}
    theirs = {term["term"]: term["score"] for term in record["hits"][0]["terms"]}
    own = {term["term"]: term["score"] for term in other["standings"][-1]["terms"]}
    difference = {term: theirs.get(term, 0.0) - own.get(term, 0.0) for term in {*theirs, *own}}
    assert more == pytest.approx({term: value for term, value in difference.items() if value > 0})
    assert set(other["standings"][-1]["missing"]) == {t["term"] for t in record["trace"]["terms"]} - set(own)


def test_a_query_that_was_not_translated_or_expanded_has_one_stage(
    english: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = trace(capsys, english, "mercury", "--relevant", "astro1")
    assert [standing["stage"] for standing in record["trace"]["relevant"][0]["standings"]] == ["query"]


# ---------------------------------------------------------------- what is odd


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        (("mercury", "--lang", "fr"), "the query is in French, the documents are in English"),
        (("the of",), "nothing is left to search with"),
        (("gazpacho",), "no document has any of the terms"),
        (("mercury",), None),
        (("mercury", "--lang", "EN-gb"), None),
    ],
)
def test_notes(english: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], note: str | None) -> None:
    notes = trace(capsys, english, *arguments)["trace"]["notes"]
    assert notes == [] if note is None else notes[0].startswith(note)


def test_without_texts_there_are_no_snippets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = tmp_path / "documents.jsonl"
    documents.write_text(jsonl({"id": "d1", "text": "mercury"}))
    directory = str(tmp_path / "bare")
    assert cli.run(["index", directory, "--lang", "en", "-i", str(documents), "--no-texts"]) == 0
    record = trace(capsys, directory, "mercury")
    assert record["hits"][0]["snippet"] is None
    assert record["trace"]["notes"] == ["the index was built without texts, so there are no snippets"]
    assert cli.run(["trace", "--index", directory, "mercury", "--format", "text"]) == 0
    assert "without texts" in capsys.readouterr().out


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--relevant nobody", 'holds no document "nobody"; an id is written as in the documents'),
        ("--to en", 'QUERY: missing "lang"; add it, or name the language of all with --lang'),
        ("--to xx --lang fr", '--to: unknown language "xx"'),
        ("--samples 2", "--samples has no effect, since nothing is expanded; add --strategy NAME"),
        ("--to en --lang fr --shots 2", "--shots has no effect, since nothing is expanded"),
        ("--to en --lang fr --order te", "--order has no effect, since nothing is put in order"),
        ("--model tiny", "--model has no effect, since nothing is generated; add --to LANG or --strategy NAME"),
        ("--max-tokens 5", "--max-tokens has no effect, since nothing is generated"),
        ("--translations 3", "--translations has no effect, since nothing is translated; add --to LANG"),
        ("--translations 3 --to en -s cot --order direct", "--translations has no effect with --order direct"),
        ("--feedback-weight 0.5", "--feedback-weight without --feedback"),
        ("--use doc", 'QUERY: no "passages" to search with'),
        ("--index nowhere", "nowhere"),
    ],
)
def test_errors_are_one_line_with_status_2(
    english: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: str, message: str
) -> None:
    monkeypatch.setenv("XQE_MODEL", str(Path(english) / "no-model.gguf"))  # so that loading one would be seen
    capsys.readouterr()
    assert cli.run(["trace", ASKED, "--index", english, *shlex.split(options)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_ctrl_c_ends_it_with_status_130(english: str, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    slow = [{"id": f"q{number}", "query": "fake:slow", "lang": "en"} for number in range(40)]
    path.write_text(jsonl({"id": "q", "query": "mercury", "lang": "en"}, *slow))
    process = subprocess.Popen(
        command("trace", "--index", english, "-i", str(path), "--strategy", "rar", *FAKE),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["id"] == "q"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == b""
    assert len(out.splitlines()) < 40


# ---------------------------------------------------------------- the screen


def width(line: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in line)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_screen_keeps_to_its_width(
    english: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(screens, "_UNFOLDED", columns)
    path = tmp_path / "records.jsonl"
    record = {**RECORD, "query": "mercury [bold] \x1b[31m水銀の元素記号は何ですか" + "長" * 50, "lang": "ja"}
    path.write_text(jsonl(record))
    options = ("--to", "en", *FAKE, "--relevant", "chem1", "--relevant", "earth1", "--feedback", "rm3")
    capsys.readouterr()
    assert cli.run(["trace", "--index", english, "-i", str(path), *options, "--format", "text", "-k", "3"]) == 0
    shown = capsys.readouterr().out
    assert max(map(width, shown.splitlines())) <= columns
    assert "\x1b" not in shown
    assert "[bold]" in shown
    headings = [line.split()[0] for line in shown.splitlines() if line and not line.startswith((" ", "prompt"))]
    order = ["query", "translate", "search", "hits", "relevant", "relevant"]
    assert [heading for heading in headings if heading in order] == ["query", "translate", "query", *order[2:]]


def test_long_prompts_are_shortened_unless_told(english: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = " ".join(f"word{number}" for number in range(400))
    options = ("trace", "--index", english, words, "--lang", "en", "-s", "rar", *FAKE, "--format", "text")
    shown = []
    for full in ((), ("--full",)):
        capsys.readouterr()
        assert cli.run([*options, *full]) == 0
        text = capsys.readouterr().out
        shown.append(text[text.index("prompt") : text.index("\npassage ")])
    assert "word200" not in shown[0]
    left_out = re.search(r"… ([0-9,]+) characters", shown[0])
    assert left_out is not None
    assert int(left_out[1].replace(",", "")) == pytest.approx(len(shown[1]) - len(shown[0]), abs=60)
    assert "word200" in shown[1]


def test_a_terminal_is_shown_text_in_its_width_with_matches_in_bold(english: str) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 72, 0, 0))
    kept = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}}
    subprocess.run(
        command("trace", "--index", english, "mercury", "-k", "2", "--relevant", "astro1"),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        env={**kept, "TERM": "xterm-256color"},
        check=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 1 << 16):
            shown += block
    except OSError:  # Linux ends the reading of a closed terminal so
        pass
    os.close(ours)
    text = shown.decode()
    assert "\x1b[1mMercury\x1b[0m is the smallest planet" in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(len(line) for line in plain.splitlines()) <= 72


# ---------------------------------------------------------------- another setting, judgements, flags


def test_two_settings_side_by_side_are_two_traces(english: str, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["trace", ASKED, "--index", english, "-k", "5", "--format", "jsonl", "-r", "chem1"]
    other = [*own, "--b", "0", "--k1", "3"]
    alone = []
    for arguments in (own, other):
        assert cli.run(arguments) == 0
        alone.append([hit["id"] for hit in json.loads(capsys.readouterr().out)["hits"]])
    assert cli.run([*own, "--against", "--b 0 --k1 3"]) == 0
    record = json.loads(capsys.readouterr().out)
    against = record["trace"]["against"]
    assert [hit["id"] for hit in record["hits"]] == alone[0]
    assert [hit["id"] for hit in against["record"]["hits"]] == alone[1]
    for move in against["moves"]:
        for rank, ids in zip((move["rank"], move["against"]), alone, strict=True):
            assert rank == (ids.index(move["id"]) + 1 if move["id"] in ids else None)
    assert {move["id"] for move in against["moves"]} == {*alone[0], *alone[1]}
    assert against["relevant"]["chem1"] == [ids.index("chem1") + 1 for ids in alone]
    assert cli.run(["trace", ASKED, "--index", english, "--format", "text", "--against", "--b 0"]) == 0
    assert re.search(r"\nagainst +--b 0 · \d+ of \d+ documents in both\n", capsys.readouterr().out)
    assert cli.run(["trace", "xyzzy", "--index", english, "--format", "text", "--against", "--b 0"]) == 0
    assert re.search(r"\nagainst +--b 0 · nothing found by either\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--against", "--b 2"],
            "xqe: invalid value for '--b': 2.0 is not in the range 0.0<=x<=1.0; see xqe trace --help",
        ),
        (["--against", "'"], "xqe: --against ': no closing quotation; put what belongs together into quotes"),
        (["--against", "--nope"], "xqe: no such option: --nope"),
    ],
)
def test_settings_that_there_are_none_of_are_said_first(
    arguments: list[str], line: str, english: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["trace", ASKED, "--index", english, *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith(line)) == ("", True), err


def test_judged_documents_are_looked_up_for_each_query(
    english: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "qrels").write_text("q1 0 chem1 1\nq1 0 astro1 0\nq1 0 elsewhere 1\nq2 0 hist1 1\n")
    assert cli.run(["trace", ASKED, "--index", english, "--qrels", str(tmp_path / "qrels")]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [document["document"] for document in record["trace"]["relevant"]] == ["chem1"]


def test_what_is_wrong_with_a_text_stands_beside_it(english: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The fake engine answers with the query, which here says one thing thirteen times."""
    arguments = [
        "trace",
        "la poire " * 13,
        "--lang",
        "fr",
        "--to",
        "en",
        "--index",
        english,
        "-m",
        "fake",
        "--no-store",
    ]
    assert cli.run([*arguments, "--format", "jsonl"]) == 0
    [text] = json.loads(capsys.readouterr().out)["trace"]["steps"][0]["texts"]
    assert "loop" in text["flags"]
    assert cli.run([*arguments, "--format", "text"]) == 0
    assert re.search(r"tokens\] +(.*, )?loop", " ".join(capsys.readouterr().out.split()))
