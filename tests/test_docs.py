"""The documentation is what the program says and does."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from launching import Launcher

from xqe import cli


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_cli_md_is_what_the_generator_writes(tmp_path: Path) -> None:
    generate = generator()
    with Launcher(tmp_path) as launcher:
        text = generate.generate(launcher.program)
    kept = generate.TARGET.read_text("utf-8")
    changes = list(unified_diff(kept.splitlines(), text.splitlines(), n=0))  # in a second, where pytest takes minutes
    assert changes == [], "docs/cli.md is stale: run make docs"
    assert text == kept


def test_the_pipe_of_the_readme_works_as_it_stands(tmp_path: Path) -> None:
    """As typed, but for the folder it writes to and the model, for speed."""
    text = (ROOT / "README.md").read_text("utf-8")
    block = text.split("## A pipe")[1].split("```sh\n")[1].split("```")[0]
    launcher = tmp_path / "xqe"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m xqe "$@"\n')
    launcher.chmod(0o755)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.replace("/tmp/", f"{tmp_path}/")],
        cwd=ROOT,
        env={**os.environ, "XQE_MODEL": "fake", "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    assert [row["queries"] for row in rows] == [16, 16]
    assert rows[0]["measures"].keys() == {"Hit@1", "MRR"}


def test_every_command_has_a_section() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    names = [row.name for rows in cli.COMMANDS.values() for row in rows]
    assert len(names) >= 5
    for name in names:
        assert f"\n## xqe {name}\n" in text


@pytest.mark.parametrize("path", ["README.md", "docs/cli.md", "CONTRIBUTING.md", "fixtures/README.md"])
def test_files_that_the_documentation_names_exist(path: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    for target in re.findall(r"\]\((?!http|#)([^)#]+)\)", text):
        assert ((ROOT / path).parent / target).exists(), f"{path} links to {target}"
