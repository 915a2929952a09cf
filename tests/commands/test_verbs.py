"""The table of commands: it says what the commands say, it has all of them, and help and completion are made of it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

import xqe as package
from xqe.cli import COMMANDS, command
from xqe.verbs import Group, Verb

SOURCE = Path(package.__file__).parent
WIDTH = 80 - 2  # what a help has of a terminal


def rows() -> Iterator[tuple[tuple[str, ...], Verb | Group]]:
    """Every row of the table with what is typed for it."""
    for row in chain.from_iterable(COMMANDS.values()):
        yield (row.name,), row
        if isinstance(row, Group):
            yield from (((row.name, verb.name), verb) for verb in row.verbs)


def named(typed: tuple[str, ...]) -> Any:
    """The command that is typed so."""
    found = command()
    for name in typed:
        found = found.commands[name]
    return found


TYPED = dict(rows())


@pytest.mark.parametrize("typed", TYPED, ids=" ".join)
def test_a_line_is_what_the_command_says_of_itself(typed: tuple[str, ...]) -> None:
    assert named(typed).get_short_help_str(limit=1000) == TYPED[typed].help


@pytest.mark.parametrize("names", [(), *(typed for typed, row in TYPED.items() if isinstance(row, Group))], ids=str)
def test_a_line_of_help_is_one_line(names: tuple[str, ...]) -> None:
    below = [row for typed, row in TYPED.items() if typed[:-1] == names]
    assert below
    beside = 2 + max(len(row.name) for row in below) + 2
    assert [row.name for row in below if beside + len(row.help) > WIDTH] == []


def test_every_module_of_the_commands_is_in_the_table_or_imported_by_another() -> None:
    folder = SOURCE / "commands"
    names = {".".join(path.relative_to(folder).with_suffix("").parts) for path in folder.rglob("*.py")}
    used = {row.place.partition(":")[0] for row in TYPED.values() if isinstance(row, Verb)}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                used |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    used = {name.removeprefix("xqe.commands.") for name in used}
    assert {name for name in names if not name.endswith("__init__")} - used == set()


def test_the_help_has_every_command_under_its_heading(xqe: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = xqe("--help").stdout
    for heading, group in COMMANDS.items():
        lines = shown.split(f"\n{heading}:\n")[1].split("\n\n")[0].splitlines()
        assert [line.split(maxsplit=1) for line in lines] == [[row.name, row.help] for row in group]


# ---------------------------------------------------------------- xqe help


@pytest.mark.parametrize("about", ["", "help", "eval", "data", "data fetch"])
def test_help_is_what_the_option_shows(about: str, xqe: Run) -> None:
    asked, shown = xqe("help", *about.split()), xqe(*about.split(), "--help")
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, shown.stdout, "")
    assert shown.stdout.startswith(f"Usage: xqe {about}".rstrip())


@pytest.mark.parametrize(
    ("about", "line"),
    [
        ("serch", "xqe: no such command 'serch'. Did you mean 'search'?; see xqe --help\n"),
        ("data fech", "xqe: no such command 'fech'. Did you mean 'fetch'?; see xqe data --help\n"),
        ("nothing", "xqe: no such command 'nothing'; see xqe --help\n"),
    ],
)
def test_help_on_what_is_no_command_fails_as_that_does(about: str, line: str, xqe: Run) -> None:
    asked, run = xqe("help", *about.split()), xqe(*about.split())
    assert (asked.returncode, asked.stdout, asked.stderr) == (2, "", line)
    assert (run.returncode, run.stdout, run.stderr) == (2, "", line)


@pytest.mark.parametrize("above", ["search", "data sample"])
def test_help_on_a_command_of_one_that_has_none(above: str, xqe: Run) -> None:
    done = xqe("help", *above.split(), "more")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f'xqe: "more" is no command of xqe {above}; see xqe help {above}\n'


@pytest.mark.parametrize("typed", ["", "data", "store"])
def test_a_command_that_lacks_its_command_shows_its_help_as_an_error(typed: str, xqe: Run) -> None:
    done = xqe(*typed.split())
    assert (done.returncode, done.stdout, done.stderr) == (2, "", xqe(*typed.split(), "--help").stdout)


# ---------------------------------------------------------------- completion


def completed(typed: str, shell: str) -> list[str]:
    """What a shell is given to complete the last word that is typed, as it asks for it."""
    environment = {
        **os.environ,
        "_XQE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": typed,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    program = [sys.executable, "-m", "xqe"]
    # bash goes on to list files where there is nothing, and no other output may stand in its way
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("xqe ", [row.name for row in chain.from_iterable(COMMANDS.values())]),
        ("xqe s", ["strategies", "search", "store"]),
        ("xqe data f", ["fetch"]),
        ("xqe help data s", ["sample"]),
        ("xqe help search ", []),
        ("xqe search --feedback-d", ["--feedback-docs"]),
        ("xqe eval --test ", ["randomization", "t", "none"]),
    ],
)
def test_what_bash_completes(typed: str, words: list[str]) -> None:
    assert completed(typed, "bash") == [*words, *([] if words else [""])]


def test_what_other_shells_complete() -> None:
    assert completed("xqe se", "fish") == ["search\tSearch indexes by words, by meaning, or by both."]
    assert completed("xqe se", "zsh") == [
        """_arguments '*: :(("search":"Search indexes by words, by meaning, or by both."))'"""
    ]


def test_completion_can_be_shown(xqe_alone: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # there may be no shell to detect
    shown = xqe_alone("--show-completion", "bash")
    assert "_XQE_COMPLETE=complete_bash" in shown.stdout
