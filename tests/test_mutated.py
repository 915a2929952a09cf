"""Two thousand damaged inputs to all commands: no traceback, no other status than 0, 1 and 2, no record lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mutated
import pytest

CASES = 2000
PARTS = 2  # as many as there are workers


@pytest.mark.parametrize("part", range(PARTS))
def test_no_damaged_input_is_an_internal_error_or_loses_a_record(tmp_path: Path, part: int) -> None:
    first, last = (CASES * bound // PARTS for bound in (part, part + 1))
    done = subprocess.run(
        [sys.executable, mutated.__file__, tmp_path / "here", "1", str(first), str(last)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *faults, end = map(json.loads, done.stdout.splitlines())
    assert faults == []
    assert set(end["ended"]) == {"0", "1", "2"}
    assert sum(end["ended"].values()) == last - first
