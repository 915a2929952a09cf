"""xqe analyze: the terms of texts, from arguments, lines and records, for a person and for a program."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from conftest import Run, command, jsonl, records

from xqe.text.analysis import analyzer

SHIPS = [
    {"word": "the", "form": "the", "stem": "", "terms": []},
    {"word": "ship's", "form": "ship", "stem": "ship", "terms": ["ship", "=ship", "ship*"]},
]


def test_a_text_as_an_argument(xqe: Run) -> None:
    done = xqe("analyze", "--lang", "EN", "The ship's")
    assert (done.returncode, done.stderr) == (0, "")
    assert records(done) == [{"lang": "en", "text": "The ship's", "words": SHIPS}]


def test_the_terms_are_those_that_are_indexed(xqe: Run) -> None:
    text = "サーバの性能を比較しました。 ffmpeg_2 node.js"
    [row] = records(xqe("analyze", "--lang", "ja", text))
    assert [term for word in row["words"] for term in word["terms"]] == analyzer("ja").terms(text)


def test_lines_and_records_in_their_own_languages(xqe: Run, tmp_path: Path) -> None:
    lines = jsonl({"id": "1", "query": "Häuser", "lang": "de"}, {"id": "2", "text": "ships"}) + "two ships\n"
    (tmp_path / "in").write_text(lines, "utf-8")
    from_file = records(xqe("analyze", "--lang", "en", "--input", str(tmp_path / "in")))
    assert [(row["lang"], row["text"]) for row in from_file] == [("de", "Häuser"), ("en", "ships"), ("en", "two ships")]
    assert records(xqe("analyze", "--lang", "en", stdin=lines)) == from_file
    assert records(xqe("analyze", "-", "--lang", "en", stdin=lines)) == from_file


def test_the_language_of_an_index(xqe: Run, tmp_path: Path) -> None:
    done = xqe("index", str(tmp_path / "i"), "--lang", "de", stdin=jsonl({"id": "1", "text": "Häuser"}))
    assert done.returncode == 0, done.stderr
    [row] = records(xqe("analyze", "--index", str(tmp_path / "i"), "Häuser"))
    assert (row["lang"], row["words"][0]["terms"]) == ("de", ["haus", "=häuser", "haus*"])


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["ships"], "", "TEXT: no language"),
        ([], "ships\n", "<stdin>:1: no language"),
        (["--lang", "xx", "ships"], "", '--lang: unknown language "xx"'),
        (["--lang", "en"], '{"id": "1"}\n', '<stdin>:1: neither "query" nor "text"'),
        (["--lang", "en"], '{"text": \n', "<stdin>:1: broken JSON"),
        (["--lang", "en"], '{"text": "a", "lang": "xx"}\n', '<stdin>:1: unknown language "xx"'),
        (["--lang", "en", "--index", ".", "ships"], "", "both --lang and --index"),
        (["--lang", "en", "--input", "x", "ships"], "", "both a TEXT and --input"),
        (["--index", "nowhere", "ships"], "", "nowhere: holds no index"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(xqe: Run, arguments: list[str], stdin: str, message: str) -> None:
    done = xqe("analyze", *arguments, stdin=stdin)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"language": "xx"}'])
def test_a_damaged_index(xqe: Run, tmp_path: Path, manifest: str) -> None:
    (tmp_path / "xqe.json").write_text(manifest)
    done = xqe("analyze", "--index", str(tmp_path), "ships")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def on_a_terminal(*arguments: str) -> str:
    """What the command writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80"}
    with subprocess.Popen(
        command("analyze", *arguments), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment
    ):
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # Linux ends the reading of a closed terminal so
            pass
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")


def test_a_terminal_shows_a_table() -> None:
    shown = on_a_terminal("--lang", "en", "The ship's [bold]")
    assert [line.split() for line in shown.splitlines()] == [
        ["word", "form", "stem", "beside", "it"],
        ["the", "(stop", "word)"],
        ["ship's", "ship", "ship", "=ship", "ship*"],
        ["bold", "bold", "=bold", "bold*"],
    ]
    assert on_a_terminal("--lang", "en", "--format", "jsonl", "The").startswith('{"lang":"en"')


def test_a_table_off_a_terminal(xqe: Run) -> None:
    assert xqe("analyze", "--lang", "en", "--format", "text", "The").stdout.split() == [
        *("word", "form", "stem", "beside", "it"),
        *("the", "(stop", "word)"),
    ]


def test_any_text_is_analysed(xqe: Run) -> None:
    done = xqe("analyze", "--lang", "en", stdin=b'{"text": "\\ud800 a\\u0000b"}\n\n  \n...\n')
    assert done.returncode == 0
    assert [[word["word"] for word in row["words"]] for row in records(done)] == [["a", "b"], []]
