"""Runs xqe commands in children of one process (see `forking`), in a tenth of the time of starting Python for each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import forking

_FIXED = ("PYTHON", "LD_", "LC_", "LANG")  # variables that a Python, or what it loads, reads when it starts


@dataclass(frozen=True)
class Ended:
    """A command that ended. status: -9 for one that was killed; events: its steps, if it was to record them."""

    status: int
    stdout: str
    stderr: str
    events: list[list[str]]


class Forks:
    def __init__(self) -> None:
        self._fixed = _fixed()
        self._lock = Lock()
        self._process = subprocess.Popen(
            [sys.executable, forking.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # as all three are in the children: Python asks what they are once
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )

    def __call__(
        self,
        *arguments: str | Path,
        stdin: str = "",
        cwd: str | Path | None = None,
        record: bool = False,
        at: int | None = None,
        after: float | None = None,
        sent: int = signal.SIGKILL,
        file_size: int | None = None,
        timeout: float = 300,
    ) -> Ended:
        """Run a command in the environment of now; `forking` says what the options are.

        Raises TimeoutExpired as subprocess.run does.
        """
        assert _fixed() == self._fixed, "what a test changes here takes a Python of its own; use xqe_alone"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {
            "arguments": list(map(str, arguments)),
            "stdin": stdin,
            "cwd": str(cwd or Path.cwd()),
            "environment": dict(os.environ),
            "record": record,
            "at": at,
            "after": after,
            "signal": sent,
            "file_size": file_size,
            "timeout": timeout,
        }
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        assert line, self._process.communicate()[1]
        answer = json.loads(line)
        if answer["status"] is None:
            raise subprocess.TimeoutExpired(["xqe", *map(str, arguments)], timeout, answer["stdout"], answer["stderr"])
        return Ended(**answer)

    def close(self) -> None:
        self._process.communicate(timeout=60)


def _fixed() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_FIXED)}
