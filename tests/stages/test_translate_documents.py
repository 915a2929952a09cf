"""Documents in another language: what is asked of a model, what becomes of them, and what an index makes of those that
failed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, jsonl, records, summary

from xqe.errors import InputError
from xqe.files.documents import documents
from xqe.files.records import Record, document_record
from xqe.models.engines.fake import FakeEngine
from xqe.models.prompts import Chat, Text
from xqe.stages.translate_documents import PIECE, TranslateDocuments
from xqe.text.languages import LANGUAGES

TEXT = "Der Preis von Zink steigt.\n\nEr ist im Osten hoch,\nseit Jahren.\n * 42\n * zwei"
DOCUMENT: Record = {"id": "d1", "title": "Zinkpreise", "text": TEXT, "lang": "de", "url": "u"}


def translated(*given: Record, to: str = "en") -> list[Record]:
    engine = FakeEngine()
    return list(TranslateDocuments(engine, LANGUAGES[to]).run(engine, given))


def without_digits(text: str) -> str:
    """A text without those that the fake engine adds."""
    return re.sub(r" [0-9a-f]{8}\b", "", text)


def test_title_and_pieces_are_translated_and_paragraphs_stay() -> None:
    [made] = translated(DOCUMENT)
    assert list(made) == ["id", "title", "text", "lang", "url", "source", "steps"]
    assert without_digits(made["title"]) == "Zinkpreise" != made["title"]
    first, second, items = re.split(r"\n\n|(?<=[0-9a-f])\n(?= \*)", made["text"], maxsplit=2)
    assert without_digits(first) == "Der Preis von Zink steigt." != first
    assert without_digits(second) == "Er ist im Osten hoch, seit Jahren." != second
    assert items.splitlines()[0] == " * 42", "a piece without a letter"
    assert without_digits(items.splitlines()[1]) == " * zwei" != items.splitlines()[1]
    assert made["lang"] == "en" and made["url"] == "u"
    assert made["source"] == {"title": "Zinkpreise", "text": TEXT, "lang": "de"}
    [step] = made["steps"]
    expected = {"step": "translate", "from": "de", "to": "en", "model": "fake", "pieces": 4, "finish": "stop",
                "max_tokens": {"passage": 384, "title": 384}}  # fmt: skip
    assert step.items() >= expected.items()


def test_what_is_asked_of_chat_models_and_of_pretrained_ones() -> None:
    title, piece, *_ = TranslateDocuments(FakeEngine(), LANGUAGES["en"]).requests(DOCUMENT)
    assert isinstance(title.prompt, Chat) and isinstance(piece.prompt, Chat)
    assert title.prompt.user == (
        "Translate the following title of a document from German to English. Keep names, numbers and code as they are."
        "\n\nZinkpreise"
    )
    assert piece.prompt.user.endswith("passage from German to English.\n\nDer Preis von Zink steigt.")
    title, piece, *_ = TranslateDocuments(FakeEngine(is_chat=False), LANGUAGES["ja"]).requests(DOCUMENT)
    assert isinstance(title.prompt, Text) and isinstance(piece.prompt, Text)
    assert title.prompt.text.endswith("\n\nGerman: Zinkpreise\nJapanese:") and title.prompt.text.count("German:") == 11
    assert piece.prompt.text.count("German:") == 4


@pytest.mark.parametrize(("target", "between"), [("fr", " "), ("ja", ""), ("zh", "")])
def test_sentences_of_a_paragraph_are_joined_as_the_language_has_it(target: str, between: str) -> None:
    sentence = f"{'Wort ' * 100}Ende."
    [made] = translated({**DOCUMENT, "text": f"{sentence} {sentence}"}, to=target)
    assert made["steps"][0]["pieces"] == 2 and len(sentence) < PIECE
    assert re.fullmatch(rf"{sentence} [0-9a-f]{{8}}{between}{sentence} [0-9a-f]{{8}}", made["text"])


def test_what_is_in_the_language_already_and_what_has_nothing_to_translate() -> None:
    english = {**DOCUMENT, "lang": "en-GB"}
    numbers, nothing = {"id": "n", "text": "12 – 3", "lang": "de"}, {"id": "e", "title": None, "text": "", "lang": "ja"}
    made = translated(english, numbers, nothing)
    assert made == [
        english,
        {**numbers, "lang": "en", "source": {"text": "12 – 3", "lang": "de"}},
        {**nothing, "lang": "en", "source": {"title": None, "text": "", "lang": "ja"}},
    ]


def test_a_source_of_the_documents_own_is_kept_and_one_of_ours_stays_the_first() -> None:
    [made] = translated({**DOCUMENT, "source": "https://x"})
    assert made["source"] == {"title": "Zinkpreise", "text": TEXT, "lang": "de", "source": "https://x"}
    [again] = translated(made, to="fr")
    assert again["source"] == made["source"] and [step["to"] for step in again["steps"]] == ["en", "fr"]


def test_a_document_of_which_a_piece_fails_stays_as_it_was() -> None:
    failing = {**DOCUMENT, "text": "Gut.\n\nfake:error hier."}
    [made] = translated(failing)
    assert made == {**failing, "error": {"step": "translate", "message": "the fake engine was asked to fail"}}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"_id": 7, "contents": "t", "docid": "x"}, {"id": "7", "text": "t", "docid": "x"}),
        ({"body": "t", "title": "T", "docno": "d", "a": [1]}, {"id": "d", "title": "T", "text": "t", "a": [1]}),
        ({"columns": 1}, 'f:1: missing "id"'),
        ({"id": "d", "text": "t", "steps": "x"}, 'f:1: "steps" is not a list'),
    ],
)
def test_documents_are_records_in_the_spelling_of_ours(raw: Any, expected: Any) -> None:
    try:
        assert document_record(raw, "f:1") == expected
    except InputError as error:
        assert str(error).startswith(f"{expected};")


def test_a_failed_document_is_refused_or_left_out_but_not_for_an_error_of_its_own(tmp_path: Path) -> None:
    failed = {"id": "b", "text": "halb", "error": {"step": "translate", "message": "no room"}}
    (tmp_path / "d").write_text(jsonl({"id": "a", "text": "x", "error": "404"}, failed), "utf-8")
    places: list[str] = []
    assert [one.id for _, one in documents([str(tmp_path / "d")], on_failed=places.append)] == ["a"]
    assert places == [f"{tmp_path}/d:2"]
    with pytest.raises(InputError, match=r"d:2: a document that failed \(translate: no room\); do it again"):
        list(documents([str(tmp_path / "d")]))


def test_the_command_and_an_index_of_what_it_wrote(xqe: Run, tmp_path: Path) -> None:
    given = jsonl(
        {"_id": "d1", "contents": "Zink im Osten.", "lang": "de"}, {"id": "d2", "text": "fake:error", "lang": "fr"}
    )
    done = xqe("translate", "--documents", "--to", "en", "--model", "fake", stdin=given)
    assert done.returncode == 1
    assert summary(done) == "translate: 2 records, 1 generated, 0 reused, 1 failed, 4 tokens"
    first, second = records(done)
    assert first["id"] == "d1" and "contents" not in first and second["error"]["step"] == "translate"
    none = xqe("index", str(tmp_path / "none"), "--lang", "record", stdin=jsonl(second, second))
    assert none.returncode == 2
    assert "xqe: <stdin>:1: a stage failed on this document, as on all of 2; " in none.stderr
    built = xqe("index", str(tmp_path / "ix"), "--lang", "record", stdin=done.stdout)
    assert built.returncode == 1
    assert built.stderr == "xqe: 1 document left out, the first at <stdin>:2: a stage failed on it\n"
    assert json.loads(built.stdout).items() >= {"documents": 1, "lang": "en", "left_out": 1}.items()


def test_a_text_that_was_cut_off_is_said(xqe: Run) -> None:
    done = xqe("translate", "--documents", "--to", "en", "--from", "de", "--model", "fake", "--input-format", "tsv",
               stdin="1\tfake:length hier\n2\tGut so\n")  # fmt: skip
    assert [step["finish"] for record in records(done) for step in record["steps"]] == ["length", "stop"]
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == "xqe: 1 of 2 documents have a text that was cut off; see --max-tokens"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--documents", "hallo"], "a QUERY is no document; leave it out, or leave out --documents"),
        (
            ["--input-format", "text"],
            "--input-format text means nothing to queries; they are jsonl, json",
        ),
        (["--title-field", "nr"], "--title-field has no effect on queries; leave it out, or add --documents"),
        (["--documents", "--max-tokens", "8"], "--max-tokens 8 leaves no room for a sentence; give 32 or more"),
        (["--documents"], '<stdin>:1: missing "lang"; add it, or name the language of all with --from'),
        (["--documents", "--from", "xx"], '--from: unknown language "xx"'),
        (["--documents", "--from", "de"], '<stdin>:2: an "error" that is none of a stage; give that field another'),
    ],
)
def test_what_is_refused(xqe: Run, arguments: list[str], line: str) -> None:
    given = '{"id": "1", "text": "x"}\n{"id": "2", "text": "y", "error": "404"}\n'
    done = xqe("translate", "--to", "en", "--model", "fake", *arguments, stdin=given)
    assert done.returncode == 2
    assert f"xqe: {line}" in done.stderr


def test_through_a_batch_file(xqe: Run, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(jsonl(DOCUMENT), "utf-8")
    options = ("--documents", "--to", "en", "--model", "openai:m", "-i", str(tmp_path / "d.jsonl"))
    asked = records(xqe("batch", "export", *options))
    texts = [request["body"]["messages"][1]["content"].rpartition("\n")[2] for request in asked]
    assert texts == ["Zinkpreise", "Der Preis von Zink steigt.", "Er ist im Osten hoch, seit Jahren.", "zwei"]
    answers = [
        {"custom_id": request["custom_id"], "response": {"status_code": 200, "body": {"choices": [
            {"message": {"content": f"Here is the translation: E{number}"}, "finish_reason": "stop"}]}}}
        for number, request in enumerate(asked)
    ]  # fmt: skip
    (tmp_path / "r.jsonl").write_text(jsonl(*answers), "utf-8")
    [made] = records(xqe("batch", "import", *options, "--results", str(tmp_path / "r.jsonl")))
    assert (made["title"], made["text"]) == ("E0", "E1\n\nE2\n * 42\n * E3")
    refused = xqe("batch", "export", *options, "--strategy", "zeroshot")
    assert refused.stderr.startswith("xqe: --documents has no effect on an expansion; ")
