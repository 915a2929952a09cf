"""The documentation is what the program says and does."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from launching import Launcher

from xqe import cli
from xqe.verbs import OnDemand


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The text of a program that is xqe."""
    with Launcher(tmp_path_factory.mktemp("launcher")) as launcher:
        yield launcher.program


@pytest.mark.parametrize("page", generator().PAGES)
def test_a_page_is_what_the_generator_writes(program: str, page: str) -> None:
    generate = generator()
    text = generate.generate(page, program)
    kept = (generate.DOCS / generate.PAGES[page]).read_text("utf-8")
    changes = list(unified_diff(kept.splitlines(), text.splitlines(), n=0))  # in a second, where pytest takes minutes
    assert changes == [], f"docs/{generate.PAGES[page]} is stale: run make docs"
    assert text == kept


# ---------------------------------------------------------------- pages that are written by hand

WRITTEN = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    if path.name not in generator().PAGES and (path.parent == ROOT or path.name not in generator().PAGES.values())
)
_BLOCK = re.compile(r"(<!-- not run: [^\n]+ -->\n)?```(sh|console|crontab)\n(.*?)```", re.DOTALL)


def blocks(page: str) -> list[tuple[bool, str]]:
    """Whether each block of commands of a page is to be run, and its commands."""
    found = []
    for mark, kind, text in _BLOCK.findall((ROOT / page).read_text("utf-8")):
        lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")] if kind == "console" else [text]
        found.append((not mark and kind != "crontab", "\n".join(lines)))
    return found


def commands(script: str) -> list[list[str]]:
    """What stands between pipes, semicolons and redirections, in words."""
    found: list[list[str]] = []
    for line in re.sub(r"\\\n|\|\s*\n", lambda one: one[0].replace("\\", "").replace("\n", " "), script).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>()")
        lexer.commenters = "#"
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word[0] in "|;&<>()":
                found.append(words)
                words = []
            else:
                words.append(word)
    return [words for words in found if words]


@pytest.mark.parametrize("page", [page for page in WRITTEN if any(is_run for is_run, _ in blocks(page))])
def test_the_commands_of_a_page_work_as_they_stand(tmp_path: Path, program: str, page: str) -> None:
    """As typed, one block after the other, but for the folder they write to and the model, for speed."""
    script = "\n".join(text for is_run, text in blocks(page) if is_run).replace("/tmp/", f"{tmp_path}/")
    (tmp_path / "xqe").write_text(program)
    (tmp_path / "xqe").chmod(0o755)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={**os.environ, "XQE_MODEL": "fake", "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if page == "README.md":
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"run"')]
        assert [row["queries"] for row in rows] == [16, 16]
        assert rows[0]["measures"].keys() == {"Hit@1", "MRR"}


@pytest.mark.parametrize("page", WRITTEN)
def test_commands_that_are_not_run_could_be(page: str) -> None:
    """Their commands, options and values are there."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for is_run, text in blocks(page):
        for program, *words in [] if is_run else commands(text):
            if program == "make":
                assert words[0] in targets, f"{page}: make {words[0]}"
            if program.rpartition("/")[2] == "xqe":
                with suppress(SystemExit):
                    parsed(words)


def parsed(words: list[str]) -> None:
    """Read a command line as xqe does, and do nothing; raises TyperException for what it would refuse."""
    command, path = cli.command(), "xqe"
    while isinstance(command, OnDemand):
        name, *words = words
        command = command.get_command(None, name)
        assert command is not None, f"{path} {name}"
        path = f"{path} {name}"
    command.make_context(path, list(words))


def test_every_command_has_a_section() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    names = [row.name for rows in cli.COMMANDS.values() for row in rows]
    assert len(names) >= 5
    for name in names:
        assert f"\n## xqe {name}\n" in text


@pytest.mark.parametrize("path", ["CONTRIBUTING.md", "fixtures/README.md", "docs/cli.md", "docs/own-data.md", *WRITTEN])
def test_files_that_the_documentation_names_exist(path: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    for target in re.findall(r"\]\((?!http|#)([^)#]+)\)", text):
        assert ((ROOT / path).parent / target).exists(), f"{path} links to {target}"
