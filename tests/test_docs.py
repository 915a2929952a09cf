"""The documentation is what the program says and does."""

from __future__ import annotations

import importlib.util
import re
import sys
from typing import Any

import pytest
from conftest import ROOT

from xqe import cli


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_cli_md_is_what_the_generator_writes() -> None:
    generate = generator()
    assert generate.generate() == generate.TARGET.read_text("utf-8"), "docs/cli.md is stale: run make docs"


def test_every_command_has_a_section() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    names = [command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback]
    assert len(names) >= 5
    for name in names:
        assert f"\n## xqe {name}\n" in text


@pytest.mark.parametrize("path", ["README.md", "docs/cli.md", "CONTRIBUTING.md", "fixtures/README.md"])
def test_files_that_the_documentation_names_exist(path: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    for target in re.findall(r"\]\((?!http|#)([^)#]+)\)", text):
        assert ((ROOT / path).parent / target).exists(), f"{path} links to {target}"
