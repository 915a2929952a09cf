"""Runs a side of a benchmark as a process of its own, on so many cores, and says what it took."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import IO

INTERVAL = 0.1  # seconds between looks at the memory


@dataclass(frozen=True, slots=True)
class Done:
    """seconds: of the whole process. cpu: the seconds that its threads had a core, in user and system mode. largest:
    the most memory that one process of it had, by the kernel's account (ru_maxrss). together: the most that it and its
    children were seen to have, shared pages divided among those that share them (Pss). Both in bytes, with what is
    mapped of files."""

    output: str
    errors: str
    seconds: float
    cpu: float
    largest: int
    together: int


def run(command: Sequence[str], cores: int, text: str = "") -> Done:
    """Run `command` with `text` as its input. It may use the first `cores` of this process's cores."""
    with tempfile.TemporaryFile("w+") as out:
        process = _Process(command, cores, text, out)
        done = process.wait()
        out.seek(0)
        return replace(done, output=out.read())


def clock(command: Sequence[str], cores: int, text: str) -> tuple[float, int, Done]:
    """The same for a command that answers each line with a line: the seconds from its first answer to its last, and the
    answers after the first, so that its start does not count. What it answers is read and left at that."""
    process = _Process(command, cores, text, subprocess.PIPE)
    first = last = 0.0
    count = 0
    for _ in process.lines():
        last = perf_counter()
        first, count = first or last, count + 1
    return last - first, count - 1, process.wait()


class _Process:
    """A command that runs."""

    def __init__(self, command: Sequence[str], cores: int, text: str, out: IO[str] | int) -> None:
        allowed = sorted(os.sched_getaffinity(0))[:cores]
        self._command = command
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed when the process has ended
        self._start = perf_counter()
        with tempfile.TemporaryFile("w+") as given:
            given.write(text)
            given.seek(0)
            self._popen = subprocess.Popen(
                command,
                stdin=given,
                stdout=out,
                stderr=self._errors,
                preexec_fn=lambda: os.sched_setaffinity(0, allowed),
            )
        self._watch = _Watch(self._popen.pid)

    def lines(self) -> Iterator[bytes]:
        assert self._popen.stdout is not None
        yield from self._popen.stdout

    def wait(self) -> Done:
        """Raises SystemExit for a command that failed."""
        _, status, usage = os.wait4(self._popen.pid, 0)
        seconds = perf_counter() - self._start
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        together = self._watch.stop()
        with self._errors as errors:
            errors.seek(0)
            text = errors.read()
        if self._popen.returncode:
            raise SystemExit(f"{' '.join(self._command)}\n{text[-2000:]}")
        return Done("", text, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, together)


class _Watch(threading.Thread):
    """Looks at the memory of a process and its children."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._most = 0
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(INTERVAL):
            self._most = max(self._most, sum(map(_memory, _family(self._pid))))

    def stop(self) -> int:
        self._ended.set()
        self.join()
        return self._most


def _family(pid: int) -> list[int]:
    """The process, its children and theirs."""
    children: list[int] = []
    with suppress(OSError):  # a thread, or all of it, may have ended since
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return [pid, *(member for child in children for member in _family(child))]


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def size_on_disk(path: Path) -> int:
    """Bytes of all files below."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
