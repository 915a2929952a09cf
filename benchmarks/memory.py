"""Memory of `xqe expand`: its peak beside the model's size, and whether it grows with the input: `make bench-memory`.

    python benchmarks/memory.py [--model tiny] [--queries 96] [--max-tokens 192] [--records 10000] [--json FILE]
                                [--markdown]

The first part generates full texts with 32 sequences. The second sends many records with texts of two tokens, so that
what is kept for each record would show; once without a store and once with one. README.md says how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
from cases import FIXTURES
from sides import SEQUENCES
from tables import table

from xqe.errors import XqeError
from xqe.machine import available_cores
from xqe.models.lookup import resolve

INTERVAL = 0.05  # seconds between looks at the process
FIELDS = ("VmRSS", "RssAnon", "RssFile")  # resident in all; of that private, and of mapped files: the model's weights
MARKS = (0.1, 0.5, 1.0)  # parts of the records
SETTLED = MARKS[0]  # the slope is that of what follows
SHORT_TOKENS = 2
LANGUAGES = ("en", "de", "fr", "es")


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at a process. records: written by then. Memory in bytes; of shared pages all count."""

    seconds: float
    records: int
    resident: int
    private: int
    mapped: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command. peak: the most that was resident ever, by the kernel's account, in bytes."""

    name: str
    records: int
    seconds: float
    peak: int
    samples: list[Sample]

    @property
    def fullest(self) -> Sample:
        return max(self.samples, key=lambda sample: sample.resident)

    @property
    def _working(self) -> list[Sample]:
        """The looks before the last record was written, after which the model is freed."""
        return [sample for sample in self.samples if sample.records < self.records]

    def at(self, part: float) -> Sample:
        """The first look after this part of the records was written, or the last before all were."""
        return next((s for s in self._working if s.records >= part * self.records), self._working[-1])

    def slope(self) -> float:
        """Bytes of private memory that a record adds: a least-squares line after the first tenth."""
        later = [s for s in self._working if s.records >= SETTLED * self.records]
        if len({s.records for s in later}) < 2:
            return float("nan")
        return float(np.polyfit([s.records for s in later], [s.private for s in later], 1)[0])


def observed(name: str, arguments: Sequence[str], records: int) -> Run:
    """Run `xqe` and look at its memory until it ends."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "xqe", *arguments]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        counter = _Counter(process.stdout)
        samples = []
        while (done := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            if (memory := _memory(process.pid)) is not None:
                samples.append(Sample(round(time.perf_counter() - start, 2), counter.lines, *memory))
            time.sleep(INTERVAL)
        _, status, usage = done
        process.returncode = os.waitstatus_to_exitcode(status)
        counter.join()
        if process.returncode not in (0, 1):  # 1: a text came to nothing
            errors.seek(0)
            raise SystemExit(f"{' '.join(command[1:])}\n{errors.read()}")
    return Run(name, records, time.perf_counter() - start, usage.ru_maxrss * 1024, samples)


class _Counter(threading.Thread):
    """Reads the output of a process, so that it never waits, and counts its lines."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.lines = 0
        self._stream = stream
        self.start()

    def run(self) -> None:
        for _ in self._stream:
            self.lines += 1


def _memory(pid: int) -> tuple[int, int, int] | None:
    """What of a process is resident, by FIELDS, in bytes; None once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    values = {name: words.split() for name, _, words in (line.partition(":") for line in lines)}
    if any(name not in values for name in FIELDS):
        return None
    resident, private, mapped = (int(values[name][0]) * 1024 for name in FIELDS)
    return resident, private, mapped


def records(count: int) -> Iterator[str]:
    """Lines of `count` records, no two of them alike: the fixtures' titles in four languages, numbered."""
    titles = [
        json.loads(line)
        for code in LANGUAGES
        for line in (FIXTURES / "titles" / f"{code}.jsonl").read_text("utf-8").splitlines()
    ]
    for number in range(count):
        title = titles[number % len(titles)]
        record = {"id": str(number), "query": f"{title['query']} {number}", "lang": title["lang"]}
        yield json.dumps(record, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--queries", type=int, default=96, help="of the first part")
    parser.add_argument("--max-tokens", type=int, default=192, help="of the first part")
    parser.add_argument("--records", type=int, default=10_000, help="of the second part")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every look at the memory there")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    try:
        size = resolve(options.model).path.stat().st_size
    except XqeError as error:
        raise SystemExit(str(error)) from None
    with tempfile.TemporaryDirectory() as folder:
        full, flat = _runs(options, Path(folder))
    if options.json is not None:
        raw = {"model_bytes": size, "runs": [asdict(run) for run in (full, *flat)]}
        options.json.write_text(json.dumps(raw), "utf-8")
    for title, text in _report(size, full, flat, options.markdown):
        print(f"### {title}\n\n{text}\n" if options.markdown else f"{title}\n{text}\n")


def _runs(options: argparse.Namespace, folder: Path) -> tuple[Run, list[Run]]:
    base = ["expand", "--shots", "1", "--model", options.model, "--threads", str(options.threads)]
    base += ["--batch", str(SEQUENCES), "--quiet"]

    def run(name: str, count: int, tokens: int, *more: str) -> Run:
        file = folder / f"{count}.jsonl"
        file.write_text("".join(records(count)), "utf-8")
        print(f"{name}: {count} records", file=sys.stderr, flush=True)
        return observed(name, [*base, "--input", str(file), "--max-tokens", str(tokens), *more], count)

    full = run("full texts", options.queries, options.max_tokens, "--no-store")
    flat = [
        run("without a store", options.records, SHORT_TOKENS, "--no-store"),
        run("with a store", options.records, SHORT_TOKENS, "--store", str(folder / "store.sqlite")),
    ]
    return full, flat


def _report(size: int, full: Run, flat: list[Run], markdown: bool) -> Iterator[tuple[str, str]]:
    most = full.fullest
    parts = [
        ("peak", full.peak),
        ("at the fullest look", most.resident),
        ("of it private", most.private),
        ("of it mapped files", most.mapped),
    ]
    yield (
        f"{full.records} records, {SEQUENCES} sequences, in a process of its own",
        table(
            ["", "MiB", "times the model file"],
            [
                ["the model file", _mib(size), "1.00"],
                *([name, _mib(amount), f"{amount / size:.2f}"] for name, amount in parts),
            ],
            markdown,
        ),
    )
    yield (
        f"Resident memory over {flat[0].records} records, MiB (of it private)",
        table(
            ["", *(f"after {part:.0%}" for part in MARKS), "peak", "bytes more a record", "records/s"],
            [
                [
                    run.name,
                    *(f"{_mib(s.resident)} ({_mib(s.private)})" for s in map(run.at, MARKS)),
                    _mib(run.peak),
                    f"{run.slope():.0f}",
                    f"{run.records / run.seconds:.0f}",
                ]
                for run in flat
            ],
            markdown,
        ),
    )


def _mib(amount: int) -> str:
    return f"{amount / 2**20:.1f}"


if __name__ == "__main__":
    main()
