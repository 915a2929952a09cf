"""xqe embed, and xqe index with an encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import FIXTURES, Run, jsonl

DOCUMENTS = str(FIXTURES / "documents" / "en.jsonl")


@pytest.fixture
def index(xqe: Run, tmp_path: Path) -> str:
    assert xqe("index", str(tmp_path / "ix"), "--lang", "en", "-i", DOCUMENTS).returncode == 0
    return str(tmp_path / "ix")


def test_it_sums_up_what_it_made(xqe: Run, xqe_alone: Run, index: str) -> None:
    done = xqe_alone("embed", index, "--encoder", "fake")
    assert (done.returncode, done.stderr) == (0, "")
    line = json.loads(done.stdout)
    assert line.pop("seconds") >= 0
    assert line.pop("bytes") >= 40 * 64 * 2
    assert line == {
        "index": index,
        "name": "ix",
        "encoder": "fake",
        "dimension": 64,
        "dtype": "f16",
        "windows": "none",
        "window_tokens": None,
        "overlap": None,
        "documents": 40,
        "rows": 40,
        "truncated": 0,
        "approximate": None,
        "resumed": 0,
    }
    verified = json.loads(xqe("embed", index, "--verify").stdout)
    assert (verified["verified"], verified["rows"]) == (2, 40)


def test_vectors_of_questions_that_are_not_made_are_said(xqe: Run, tmp_path: Path) -> None:
    index = str(tmp_path / "ix")
    document = {"id": "d", "text": "zinc", "questions": {"de": ["Zink?"], "fr": ["Du zinc ?"]}}
    xqe("index", index, "--lang", "en", "--encoder", "fake", stdin=jsonl(document))
    [made] = tmp_path.glob("ix/data-1/dense-*/questions-fr/dense.json")
    made.unlink()  # as by a run that was stopped
    done = xqe("embed", index, "--verify")
    assert done.returncode == 2 and "has no vectors of fake of its questions in fr; make them: xqe embed" in done.stderr


def test_windows_and_what_is_cut(xqe: Run, tmp_path: Path) -> None:
    texts = jsonl({"id": "long", "text": "word " * 1200}, {"id": "short", "text": "word"}, {"id": "blank", "text": " "})
    index = str(tmp_path / "ix")
    done = json.loads(xqe("index", index, "--lang", "en", "--encoder", "fake", stdin=texts).stdout)
    assert (done["documents"], done["vectors"]["rows"], done["vectors"]["truncated"]) == (3, 3, 1)
    options = ("--encoder", "fake", "--window-tokens", "500", "--overlap", "100", "--force")
    done = json.loads(xqe("embed", index, *options, "--windows", "max").stdout)
    assert (done["rows"], done["truncated"], done["window_tokens"], done["overlap"]) == (5, 0, 500, 100)
    done = json.loads(xqe("embed", index, *options, "--windows", "mean").stdout)
    assert (done["rows"], done["truncated"]) == (3, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--encoder", "openai:NAME"], "names no server"),
        (["--encoder", "fake", "--max-text-tokens", "100"], "--max-text-tokens has no effect on the fake encoder"),
        (["--encoder", "fake", "--overlap", "3"], "--windows"),
        (["--encoder", "fake", "--windows", "max", "--window-tokens", "8", "--overlap", "8"], "--overlap 8"),
        (["--encoder", "fake", "--windows", "max", "--window-tokens", "1000"], "the 512 tokens that fake takes"),
        (["--verify"], "has no vectors"),
        (["--verify", "--encoder", "other"], "has no vectors of other"),
    ],
)
def test_what_cannot_be_done_is_one_line(xqe: Run, index: str, options: list[str], said: str) -> None:
    done = xqe("embed", index, *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_without_an_index_is_one_line(xqe: Run, tmp_path: Path) -> None:
    done = xqe("embed", str(tmp_path), "--encoder", "fake")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "holds no index" in done.stderr


def test_texts_are_needed(xqe: Run, tmp_path: Path) -> None:
    done = xqe("index", str(tmp_path / "ix"), "--lang", "en", "-i", DOCUMENTS, "--encoder", "fake", "--no-texts")
    assert done.returncode == 2 and "--no-texts" in done.stderr
    assert not (tmp_path / "ix").exists()


def test_an_index_with_vectors_is_searched_and_replaced_as_ever(xqe: Run, index: str) -> None:
    assert xqe("embed", index, "--encoder", "fake").returncode == 0
    assert xqe("index", index, "--verify").returncode == 0
    assert json.loads(xqe("search", index, "mercury").stdout)["hits"]
    assert xqe("index", index, "--lang", "en", "-i", DOCUMENTS, "--force").returncode == 0
    assert [path.name for path in Path(index).iterdir() if path.is_dir()] == ["data-2"]
    assert not list(Path(index).glob("data-2/*/"))
