"""The table of commands: it says what the commands say, it has all of them, and help and completion are made of it."""

from __future__ import annotations

import ast
import os
import re
import shutil
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
    for path in [*folder.rglob("*.py"), SOURCE / "verbs.py"]:
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
        ("gridd", "xqe: no such command 'gridd'. Did you mean 'grid'?; see xqe --help\n"),
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
        ("xqe s", ["strategies", "search", "store", "serve"]),
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
    assert completed("xqe sea", "fish") == ["search\tSearch indexes by words, by meaning, or by both."]
    assert completed("xqe sea", "zsh") == [
        """_arguments '*: :(("search":"Search indexes by words, by meaning, or by both."))'"""
    ]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("xqe translate --to e", ["el", "en", "es", "et", "eu"]),
        ("xqe inspect --lang de,f", ["de,fa", "de,fi", "de,fr"]),
        ("xqe expand -m gemma-3-4", ["gemma-3-4b"]),
        ("xqe embed english --encoder e5-s", ["e5-small"]),
        ("xqe expand -s query", ["query2doc"]),
        ("xqe fuse --method r", ["rrf"]),
        ("xqe eval -m nD", ["nDCG", "nDCG@10"]),
        ("xqe data fetch mm", ["mmarco"]),
        ("xqe data convert clir", ["clirmatrix"]),
        ("xqe models pull tiny-", ["tiny-aya"]),
        ("xqe search e", ["english"]),
        ("xqe search folder/", ["folder/german"]),
        ("xqe trace --index f", ["folder/german"]),
    ],
)
def test_values_are_completed(
    typed: str, words: list[str], tmp_path: Path, xqe: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("english", "folder/german", "empty"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("english", "folder/german"):
        (tmp_path / folder / "xqe.json").write_text("{}")
    monkeypatch.setenv("_XQE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split(" ")) - 1))
    assert xqe(cwd=tmp_path).stdout.splitlines() == words


@pytest.mark.parametrize(
    ("shell", "line"),
    [("bash", "complete -o default -F _xqe_completion xqe"), ("zsh", "compdef _xqe_completion xqe"), ("fish", "")],
)
def test_a_completion_script_is_printed_by_the_name_of_its_shell(shell: str, line: str, xqe: Run) -> None:
    script = xqe("completion", shell).stdout
    assert f"_XQE_COMPLETE=complete_{shell}" in script
    assert line in script


# ---------------------------------------------------------------- short help, panels


def test_the_short_help_has_the_own_options_and_names_the_others(xqe: Run) -> None:
    short, long = xqe("search", "-h").stdout, xqe("search", "--help").stdout
    assert "\n  --by <bm25|dense|hybrid>" in short
    assert "\n  --k1 X" in long
    assert "\n  --k1 X" not in short
    assert "Search by words: " in short
    assert " --k1 " in short
    assert short.count("\n") < long.count("\n") / 2
    assert "\n    xqe search english" in short


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_no_name_in_a_help_is_broken(columns: int, xqe: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for asked in ("-h", "--help"):
        words = xqe("trace", asked).stdout.split()
        assert [word for word in words if word.startswith("--") and word.endswith("-")] == []


def test_options_stand_under_their_headings(xqe: Run) -> None:
    parts = dict(part.split(":\n", 1) for part in xqe("expand", "--help").stdout.split("\n\n") if ":\n" in part)
    assert "--to LANG" in parts["Options"]
    assert "--threads N" in parts["Hardware"]
    assert "--base-url URL" in parts["Servers"]
    assert "--seed N" in parts["Generation"]


# ---------------------------------------------------------------- the manual, the environment


def test_man_reads_the_pages_without_a_complaint(tmp_path: Path, xqe: Run) -> None:
    xqe("man", "--dir", tmp_path / "man")
    names = {"xqe", *("-".join(("xqe", *typed)) for typed in TYPED)}
    assert {path.stem for path in (tmp_path / "man").iterdir()} == names
    groff = shutil.which("groff")
    if groff is None:
        return
    for page in (tmp_path / "man").iterdir():
        done = subprocess.run(
            [groff, "-K", "utf8", "-man", "-Tutf8", "-ww", page], capture_output=True, text=True, check=True
        )
        assert done.stderr == "", page.name
        assert "NAME" in re.sub(r"\x1b\[[0-9]*m|.\x08", "", done.stdout)


def test_a_page_says_what_the_help_says(xqe: Run) -> None:
    page = xqe("man", "data", "fetch").stdout
    assert page.startswith('.TH "XQE-DATA-FETCH" "1"')
    assert "\n.B \\-\\-again\n" in page
    assert "XQE_DATA" in page
    assert xqe("man", "nothing").stderr == 'xqe: "nothing" is no command; see xqe help\n'


def test_the_variables_that_options_read_are_listed(xqe: Run) -> None:
    shown = xqe("help", "environment").stdout
    named = set(re.findall(r"^(XQE_\w+|OPENAI_\w+)", shown, re.MULTILINE))
    sources = "".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py"))
    assert named == set(re.findall(r'"(XQE_[A-Z_]+|OPENAI_[A-Z_]+)"', sources))
