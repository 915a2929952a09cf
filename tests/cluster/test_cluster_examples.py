"""The files of examples/cluster are what Bash and YAML read, and their commands are xqe's."""

from __future__ import annotations

import re
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from test_docs import parsed

FOLDER = ROOT / "examples" / "cluster"
FILES = sorted(FOLDER.iterdir())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_can_be_read(path: Path) -> None:
    if path.suffix == ".sh":
        subprocess.run(["bash", "-n", path], check=True)
        return
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    assert {"kind", "cluster_name"} & found.keys()


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "machines.yaml"], ids=lambda path: path.name)
def test_its_commands_are_those_of_xqe(path: Path) -> None:
    text = re.sub(r"\\?\n +", " ", path.read_text("utf-8"))
    (command,) = re.findall(r"\bxqe (translate [^>]+)>", text)
    words = shlex.split(command.replace("$address:$port", "head:6379").replace("$SLURM_JOB_NUM_NODES", "4"))
    assert {"--on", "--workers", "--store"} <= {*words}
    with suppress(SystemExit):
        parsed(words)
