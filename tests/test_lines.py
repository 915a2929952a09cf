"""What others wrote, on a line of ours."""

from __future__ import annotations

import os
import pty
import sys

import pytest
from conftest import Run, jsonl
from rich.table import Table
from rich.text import Text

from xqe import messages
from xqe.commands.screens import legible, rendered
from xqe.errors import XqeError
from xqe.files.stdout import Output

# Each does something to a terminal or to the lines around it: ECMA-48, UAX 9, and what str.splitlines ends a line at.
HOSTILE = {
    "colour": ("\x1b[31mred", "\\x1b[31mred"),
    "title": ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
    "C1": ("a\x9b31mb\x85c", "a\\x9b31mb c"),
    "delete": ("a\x7fb", "a\\x7fb"),
    "backspace": ("ok\b\bno", "ok\\x08\\x08no"),
    "override": ("a\u202egpj.exe\u202c", "a\\u202egpj.exe\\u202c"),
    "isolate": ("\u2066a\u2069", "\\u2066a\\u2069"),
    "lines": ("one\r\ntwo\vthree\u2028four\x1cfive", "one two three four five"),
    "markup": ("[red]x[/red] :smile:", "[red]x[/red] :smile:"),
    "persian": ("می\u200cخواهم", "می\u200cخواهم"),
    "marks": ("a\u200f(b)\u200e", "a\u200f(b)\u200e"),
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_a_message_steers_no_terminal_and_is_one_line(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    messages.say(f"q.jsonl:1: {text}")
    assert capsys.readouterr().err == f"xqe: q.jsonl:1: {shown}\n"
    messages.show(f"a\t1\n{text}")
    assert capsys.readouterr().err.startswith("a\t1\n")


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_a_screen_shows_what_would_steer_it(text: str, shown: str) -> None:
    table = Table(text, box=None)
    table.add_row(text)
    for part in (text, Text(text), table):
        drawn = rendered(part)
        assert not {*drawn} & {*"\x1b\x07\x08\x7f\x85\x9b\u202e\u2066"}
        assert "[red]" in drawn or "[red]" not in text
        assert "smile" in drawn or "smile" not in text
    assert legible("a\n\tb\x1b\ud800") == "a\n\tb\ufffd\ufffd"


def test_json_on_a_terminal_is_the_same_json() -> None:
    leader, follower = pty.openpty()
    with open(follower, "w") as stream:
        output = Output(stream)
        output.write('{"a": "\u202e\x9b é"}\x1b[1m')
        output.flush()
        assert os.read(leader, 1000).decode() == '{"a": "\\u202e\\u009b é"}\x1b[1m'
    os.close(leader)


LONG = {
    "quoted": ('q.jsonl:1: unknown language "{}"', 'x"y z ' * 20_000, 700),
    "in single quotes": ("invalid value for '--k1': '{}' is not a valid float", "9 1" * 30_000, 300),
    "a word": ("q.jsonl:1: {} is no number", "9" * 100_000, 300),
    "a line": ("q.qrels:1: {}: two columns", "word " * 20_000, 700),
}


@pytest.mark.parametrize(("message", "value", "most"), LONG.values(), ids=LONG)
def test_a_long_value_leaves_room_for_what_is_said_of_it(
    message: str, value: str, most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = message.split("{}")
    messages.say(str(XqeError(message.format(value), "this is the next step")))
    said = capsys.readouterr().err
    assert len(said) < most
    assert said.startswith(f"xqe: {before}")
    assert said.endswith(f"{after}; this is the next step\n")
    assert "…" in said


def test_what_is_not_long_is_said_whole() -> None:
    path = "/".join(["folder of a name"] * 20)
    assert str(XqeError(f'"{"x" * 198}" in {path}', "h" * 190)) == f'"{"x" * 198}" in {path}; {"h" * 190}'


def test_what_a_command_says_of_a_value_is_short_and_plain(xqe: Run) -> None:
    done = xqe("expand", "--model", "fake", stdin=jsonl({"id": "1", "query": "q", "lang": "\x1b[31m" + "x" * 100_000}))
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert done.stderr.startswith('xqe: <stdin>:1: unknown language "\\x1b[31mxxx')
    assert len(done.stderr) < 1500
    done = xqe("search", "index", "q", "--k1", "9" * 100_000 + "\x1b")
    assert done.returncode == 2
    assert done.stderr.endswith("; see xqe search --help\n")
    assert len(done.stderr) < 400
    done = xqe("expand", "--lang", "fr", "--model", "fake", "pr\udce9is")
    assert (done.returncode, done.stderr[:24]) == (2, "xqe: QUERY is not UTF-8;")


def test_a_terminal_of_no_width_shows_what_a_table_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for columns in ("0", "1", "-3", "x"):
        monkeypatch.setenv("COLUMNS", columns)
        table = Table("model", box=None)
        table.add_row("tiny")
        assert "tiny" in rendered(table)
