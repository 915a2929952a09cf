"""The whole way of a question, and glosses of snippets, with the fake engine: it says a prompt's subject again, so that
a text is glossed rightly where it is in the asker's language and its collection says that it is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import jsonl

from xqe import cli
from xqe.commands.ask import _alone
from xqe.commands.options.common import Switch
from xqe.commands.options.generation import Generation
from xqe.errors import XqeError
from xqe.files import jsonl as files_jsonl

FRENCH_TEXT = "Le prix du zinc monte toujours dans tous les pays de l'est."
ENGLISH = [
    {"id": "e1", "title": "On zinc", "text": FRENCH_TEXT, "lang": "en"},
    {"id": "e2", "text": "Copper falls in Vienna, and nobody knows why it does.", "lang": "en"},
]
GERMAN = [
    {"id": "g1", "text": "Zinc steigt wieder im Osten.", "lang": "de"},
    {"id": "g2", "text": "Kupfer sinkt in Wien.", "lang": "de"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The indexes "en", with vectors, and "mixed", of English and German documents."""
    folder = tmp_path_factory.mktemp("asking")
    (folder / "en.jsonl").write_text(jsonl(*ENGLISH))
    (folder / "mixed.jsonl").write_text(jsonl(*ENGLISH, *GERMAN))
    for name, language in (("en", "en"), ("mixed", "record")):
        documents = str(folder / f"{name}.jsonl")
        assert cli.run(["index", str(folder / name), "--lang", language, "-i", documents]) == 0
    assert cli.run(["embed", str(folder / "en"), "--encoder", "fake"]) == 0
    return folder


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch, no_settings: None) -> None:
    monkeypatch.setenv("XQE_MODEL", "fake")


def ran(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert cli.run(list(map(str, arguments))) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def asked(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> dict[str, Any]:
    out, _ = ran(capsys, "ask", *arguments, status=status)
    record: dict[str, Any] = json.loads(out)
    return record


def test_a_question_is_translated_found_answered_and_glossed(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    record = asked(capsys, folder / "en", "prix du zinc", "--lang", "fr", "-n", 2)
    assert [step["step"] for step in record["steps"]] == ["translate", "answer"]
    assert record["lang"] == "en"
    assert record["query"].startswith("prix du zinc ")  # and what the fake engine adds
    assert record["source"] == {"query": "prix du zinc", "lang": "fr"}
    assert record["index"]["by"] == "hybrid"
    first = record["hits"][0]
    assert (first["id"], first["title"]) == ("e1", "On zinc")
    assert first["snippet"]["text"] == f"On zinc · {FRENCH_TEXT}"
    matches = [first["snippet"]["text"][start:end] for start, end in first["snippet"]["matches"]]
    assert matches == ["zinc", "prix", "du", "zinc"]
    assert first["gloss"]["of"] == FRENCH_TEXT
    assert first["gloss"]["text"].startswith(FRENCH_TEXT)
    assert "gloss" not in record["hits"][1], "the answer does not cite it"
    assert record["answer"]["lang"] == "fr"
    assert [one["sources"] for one in record["answer"]["sentences"]] == [["e1"]]
    assert len(record["hits"]) == 2


def test_each_index_is_searched_in_its_language_and_hits_are_fused(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    record = asked(
        capsys, folder / "mixed", "prix du zinc", "--lang", "fr", "--rerank", 3, "-n", 3, "--gloss", "snippets"
    )
    assert [(step["step"], step.get("to")) for step in record["steps"]] == [
        ("translate", "de"),
        ("translate", "en"),
        ("rerank", None),
        ("answer", "fr"),
    ]
    assert {hit["id"]: hit["lang"] for hit in record["hits"]} == {"e1": "en", "g1": "de"}
    assert all(hit["snippet"] and hit["reranked"] for hit in record["hits"])
    assert {hit["id"]: bool(hit["gloss"]["text"]) for hit in record["hits"]} == {"e1": True, "g1": False}
    assert record["hits"][0]["gloss"]["of"] == record["hits"][0]["snippet"]["text"]
    assert sorted(record["searched"]) == ["de", "en"]
    assert (record["query"], record["lang"]) == ("prix du zinc", "fr")
    assert record["fusion"]["method"] == "rrf"


def test_a_question_in_the_language_of_the_index_needs_no_translation(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    record = asked(capsys, folder / "en", "price of zinc", "--lang", "en", "--cite", "both")
    assert [step["step"] for step in record["steps"]] == ["answer"]
    assert all("gloss" not in hit for hit in record["hits"])
    record = asked(capsys, folder / "mixed", "zinc price", "--lang", "en", "--gloss", "none")
    assert [(step["step"], step.get("to")) for step in record["steps"]] == [("translate", "de"), ("answer", "en")]
    assert all("gloss" not in hit for hit in record["hits"])
    assert record["searched"]["en"] == "zinc price"


def test_a_person_reads_the_answer_and_always_the_sources(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    question = "Quel est le prix du zinc à Vienna ?"
    out, err = ran(capsys, "ask", folder / "en", question, "--format", "text")
    assert "the question is taken for French; --lang LANG says otherwise" in err
    lines = [line for line in out.splitlines() if line]
    assert lines[0].split() == ["question", *question.split()]
    headings = [line.split()[0] for line in lines if not line.startswith((" ", "en "))]
    assert headings == ["question", "sources", "[1]", "[2]", "answer", "glosses", "[1]"]
    at = lines.index("[1]        e1  On zinc")
    assert lines[at + 1].strip() == FRENCH_TEXT, "without the title, which stands above"
    assert " [1]" in next(line for line in lines if line.startswith("answer"))
    assert lines[-2].split(maxsplit=1) == ["[1]", FRENCH_TEXT]
    assert lines[-1].strip().startswith(f"→ {FRENCH_TEXT}")
    out, _ = ran(capsys, "ask", folder / "en", question, "--format", "text", "--gloss", "sentences")
    assert "the model does not say it in French" in out
    out, _ = ran(capsys, "ask", folder / "en", "zinc fake:error", "--lang", "en", "--format", "text", status=1)
    assert "none: the fake engine was asked to fail" in out
    assert "On zinc" in out


@pytest.mark.parametrize(
    ("options", "alone"),
    [
        ({}, True),
        ({"model": "fakes.gguf"}, True),
        ({"model": "fake"}, False),
        ({"model": "openai:x"}, False),
        ({"batch": 8}, False),
        ({"gpu_sampling": Switch.ON}, False),
    ],
)
def test_the_texts_of_one_question_are_generated_one_at_a_time(options: dict[str, Any], alone: bool) -> None:
    generation = Generation(**options, gpu_layers=0)
    assert _alone(generation) == replace(generation, deterministic=alone)


def test_many_questions_come_out_in_their_order_and_a_bad_one_stops_none(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text(
        jsonl(
            {"id": "a", "query": "prix du zinc", "lang": "fr"},
            {"id": "b", "query": "fake:empty zinc", "lang": "de"},
            {"id": "a", "query": "Wien Kupfer Vienna", "lang": "de"},
            {"id": "c", "query": "xyz 1"},
        )
    )
    out, err = ran(capsys, "ask", folder / "mixed", "-i", questions, status=1)
    records = [json.loads(line) for line in out.splitlines()]
    assert [(record["id"], "answer" in record) for record in records] == [
        ("a", True),
        ("b", False),
        ("a", True),
        ("c", False),
    ]
    assert records[2]["hits"][0]["id"] in ("e2", "g2"), "its own hits, though another has its id"
    assert [record["error"]["step"] for record in records if "error" in record] == ["translate", "ask"]
    assert [bool(record["hits"]) for record in records] == [True, True, True, False]
    assert "ask: 4 records" in err and "2 failed" in err


def test_what_an_earlier_ask_searched_with_is_not_of_this_one(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    asked_before = tmp_path / "asked.jsonl"
    asked_before.write_text(jsonl({"id": "a", "query": "prix du zinc", "lang": "fr", "searched": {"de": "Zinkpreis"}}))
    out, _ = ran(capsys, "ask", folder / "en", "-i", asked_before, "--gloss", "none", "--format", "text")
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["question", "en"]
    assert "Zinkpreis" not in out


@pytest.mark.parametrize(
    ("stopped", "status"), [(KeyboardInterrupt(), 130), (XqeError("no space left", "make some"), 2)]
)
def test_what_was_generated_is_said_however_it_ends(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped: BaseException,
    status: int,
) -> None:
    def full(line: str) -> None:
        raise stopped

    monkeypatch.setattr(files_jsonl, "write", full)
    _, err = ran(capsys, "ask", folder / "en", "prix", "--lang", "fr", status=status)
    assert "ask: 1 records, 3 generated" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "en", " ", "--lang", "fr"], "the question is empty"),
        (["ask", "en", "prix", "zinc"], '"prix" is not an index, and a question is one argument, the last'),
        (["ask", "en", "./", "--lang", "fr"], "./: a folder, and no index; build one with xqe index"),
        (["ask", "en", "xyz"], "the language of the question is not certain; name it with --lang"),
        (["ask", "en", "zinc", "--lang", "xx"], '--lang: unknown language "xx"'),
        (["ask", "en", "zinc", "--lang", "de", "--to", "xx"], '--to: unknown language "xx"'),
        (["ask", "nowhere", "zinc", "--lang", "de"], "nowhere"),
        (["answer", "en", "--cite", "model", "--encoder", "fake"], "--encoder has no effect on --cite model"),
        (["answer", "en", "--encoder", "fake", "-i", "q.jsonl"], "--encoder has no effect on --cite model"),
        (["answer", "en", "--prompt", "en.jsonl"], "en.jsonl"),
        (["answer", "mixed", "--cite", "after", "--encoder", "fake", "-i", "q.jsonl"], "no vectors"),
        (["answer", "en", "-i", "unsearched.jsonl"], 'unsearched.jsonl:1: query "q" has no "hits"; search first'),
        (["answer", "en", "-i", "failed.jsonl"], 'failed.jsonl:1: an "error" that is none of a stage'),
    ],
)
def test_what_means_nothing_is_said_at_once(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    unsearched = {"id": "q", "query": "zinc", "lang": "en"}
    Path("q.jsonl").write_text(jsonl({**unsearched, "hits": [{"id": "e1", "score": 1}]}))
    Path("unsearched.jsonl").write_text(jsonl(unsearched))
    Path("failed.jsonl").write_text(jsonl({**unsearched, "error": "404"}))
    out, err = ran(capsys, *arguments, status=2)
    assert out == ""
    assert message in err.splitlines()[-1]


def test_answers_of_a_pipe_are_shown_to_a_person(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    found, _ = ran(capsys, "search", folder / "en", "zinc", "-k", 2)
    hits = tmp_path / "hits.jsonl"
    hits.write_text(found)
    out, err = ran(capsys, "answer", folder / "en", "-i", hits, "--to", "fr", "--cite", "after", "--format", "text")
    assert "answer: 1 records, 1 generated" in err
    assert [line.split()[0] for line in out.splitlines() if line] == ["question", "answer", "[1]"]
    refusal = tmp_path / "prompt.toml"
    refusal.write_text(
        '[chat]\nuser = "{documents} {query} {refusal}"\n[completion]\ntext = "{documents} {query}"\nstop = ["x"]\n'
    )
    prompt, _ = ran(capsys, "answer", folder / "en", "-i", hits, "--to", "fr", "--prompt", refusal, "--show-prompt")
    assert "Les documents ne le disent pas." in prompt


def test_trace_glosses_its_snippets(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    words = ("trace", "--index", folder / "mixed", "zinc Vienna", "--lang", "fr", "--gloss", "-k", 3)
    out, _ = ran(capsys, *words)
    record = json.loads(out)
    glossed = {hit["id"]: "gloss" in hit for hit in record["hits"]}
    first = next(hit for hit in record["hits"] if hit["id"] == "e1")
    assert first["gloss"]["of"] == first["snippet"]["text"]
    assert glossed == {"e1": True, "e2": False, "g1": False}
    assert record["trace"]["steps"] == []
    out, _ = ran(capsys, *words, "--format", "text")
    assert "→ On zinc · Le prix" in out
    _, err = ran(capsys, "trace", "--index", folder / "en", "zinc", "--gloss", status=2)
    assert 'missing "lang"' in err
