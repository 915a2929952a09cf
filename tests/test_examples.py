"""The examples that the help of a command has are lines that work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, ROOT
from launching import Launcher

from xqe.cli import COMMANDS, command
from xqe.files import toml
from xqe.helping import EXAMPLES, examples
from xqe.verbs import Group

ALL: dict[str, dict[str, str]] = toml.load(EXAMPLES, "", "")
NEEDS = ALL.pop("needs")
SETUP = (
    f"cp {FIXTURES}/qrels.txt . && cp {FIXTURES}/documents/en.jsonl docs.jsonl",
    f"cp -r {FIXTURES}/clirmatrix/{{MULTI-8,DOCS}} .",
    f"head -4 {FIXTURES}/questions/fr.jsonl > queries.jsonl && ln -s {FIXTURES}/mmarco mmarco-source",
    """sed 's/}$/, "lang": "en"}/' docs.jsonl > mixed.jsonl""",
    """printf '%s\\n' '{"_id": "d1", "text": "Mercury is a metal."}' > corpus.jsonl""",
    "mkdir -p scifact/qrels && mv corpus.jsonl scifact",
    "printf 'query-id\\tcorpus-id\\tscore\\nq1\\td1\\t1\\n' > scifact/qrels/test.tsv",
    """printf '%s\\n' '{"_id": "q1", "text": "What is mercury?"}' > scifact/queries.jsonl""",
    "xqe index english --lang en -i docs.jsonl && xqe search english -i queries.jsonl > words.jsonl",
    "xqe search english -i queries.jsonl --b 0.1 > meaning.jsonl",
    "xqe expand 'x' --lang en --store kept.sqlite > /dev/null",
    "xqe batch export --strategy zeroshot -m openai:gemma-3-4b -i queries.jsonl > requests.jsonl",
    f"{sys.executable} answer.py < requests.jsonl > results.jsonl",
    """printf '%s\n' '[[models]]' 'model = "fake"' '[[collections]]' 'path = "multi8"' 'split = "test1"' > grid.toml""",
)
"""What makes the files that the examples name."""
ANSWER = """
import json, sys
for line in sys.stdin:
    body = {"choices": [{"finish_reason": "stop", "message": {"content": "a text"}}]}
    print(json.dumps({"custom_id": json.loads(line)["custom_id"], "response": {"status_code": 200, "body": body}}))
"""


def typed() -> Iterator[str]:
    for row in (row for rows in COMMANDS.values() for row in rows):
        yield from ([f"{row.name} {verb.name}" for verb in row.verbs] if isinstance(row, Group) else [row.name])


@pytest.mark.parametrize("name", list(typed()))
def test_every_command_has_two_examples_of_itself(name: str) -> None:
    assert len(examples(name)) >= 2
    assert all(f"xqe {name}" in line for line in examples(name).values())


def test_there_are_no_others() -> None:
    assert ALL.keys() <= set(typed())
    assert NEEDS.keys() <= set(typed())


def test_they_work_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQE_MODEL", "fake")
    monkeypatch.setenv("XQE_ENCODER", "fake")
    (tmp_path / "bin").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    (work / "answer.py").write_text(ANSWER)
    failed = []
    with Launcher(tmp_path) as launcher:
        program = tmp_path / "bin" / "xqe"
        program.write_text(launcher.program)
        program.chmod(0o755)
        environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        first = sorted(ALL, key=["index", "data convert"].__contains__, reverse=True)  # what others read
        lines = [line for name in first if name not in NEEDS for line in ALL[name].values()]
        documented = (ROOT / "docs" / "cli.in.md").read_text("utf-8").splitlines()  # its lines are run, too
        lines = [line for line in lines if f"$ {line}" not in documented]
        for line in [*SETUP, *lines]:
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", line.replace("xqe index english", "xqe index --force english")],
                cwd=work,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                failed.append((line, done.returncode, done.stderr))
    assert failed == [], "\n".join(map(str, failed))


@pytest.mark.parametrize("line", [line for name in NEEDS for line in ALL[name].values()])
def test_those_that_need_more_name_options_that_there_are(line: str) -> None:
    called = re.search(r"xqe [^|>)]*", line)
    assert called is not None
    words = shlex.split(called[0])[1:]
    found: Any = command()
    while hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    found.make_context("xqe", words)
