"""pip install, with llama.cpp compiled faster and with progress to look at. The Makefile installs everything by it.

    python scripts/install.py [ARGUMENT OF pip install ...]

PyPI has no wheel of llama-cpp-python, so that pip compiles llama.cpp the first time. OPTIONS leave out of it what
llama_cpp does not load, which is more than half of the work. CMAKE_ARGS of the environment come after them and win:

    CMAKE_ARGS=-DGGML_CUDA=on python scripts/install.py ".[tiny]"

They also make pip go without its cache: it tells wheels apart by version alone, and has one without CUDA perhaps.

Progress is one line that changes on a terminal, and elsewhere a line for every stage and every tenth of the
compilation, one a minute at least. build/install.log has all that pip says; the end of it is shown if pip fails.
Exit status: pip's, or 130 after Ctrl-C. This runs before anything is installed and needs Python 3.11 and pip alone.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / "build" / "install.log"
LLAMA = "llama-cpp-python"
OPTIONS = (
    "-DLLAVA_BUILD=OFF",  # libmtmd, for pictures and sound, which xqe has nothing to do with
    f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={ROOT / 'scripts' / 'llama.cmake'}",  # says itself what it changes
)
CPU_MINUTES = 7  # of compiling, on an AMD EPYC of 2021
SHOWN_LINES = 25  # of the log, when pip fails
LONGEST_SILENCE = 60  # seconds, where there is no terminal

STEP = re.compile(r" *\[(\d+)/(\d+)\] ")  # Ninja's
DOWNLOAD = re.compile(r" *Downloading (?:\S*/)?(\S+) \(([\d.]+ [MG]B)\)")  # the small ones are not worth a line
STAGES = {  # how lines of pip begin, and what goes on from there
    "  Running command pip subprocess to install build dependencies": "fetching what a build needs",
    "  *** Configuring CMake": "configuring llama.cpp",
    "  *** Making wheel": "packing llama.cpp",
    "Installing collected packages": "installing",
}


def wanted() -> str:
    """The version of llama-cpp-python in pyproject.toml, the one place that states it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pinned = (name for name in project["dependencies"] if name.startswith(f"{LLAMA}=="))
    return str(next(pinned).removeprefix(f"{LLAMA}=="))


def is_installed(version: str) -> bool:
    try:
        return metadata.version(LLAMA) == version
    except metadata.PackageNotFoundError:
        return False


def is_cached(version: str) -> bool:
    """True if pip has kept a wheel that it built on this machine earlier."""
    project = LLAMA.replace("-", "_")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "cache", "list", project]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # fails where there is no cache
    return f"{project}-{version}-" in listed.stdout


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def announcement(arguments: list[str], compiles: bool, cores: int) -> str:
    line = f"pip install {shlex.join(arguments)}"
    if not compiles:
        return line
    minutes = max(1, round(CPU_MINUTES / cores))
    count = f"{minutes} minute{'s' if minutes > 1 else ''} on {cores} core{'s' if cores > 1 else ''}"
    return f"{line}: compiles llama.cpp, about {count} besides what is fetched; pip keeps the result"


def news(line: str) -> tuple[str, int] | None:
    """What a line of pip's says of how far it is, if anything: in words, and in tenths of the compilation."""
    if step := STEP.match(line):
        done, steps = int(step[1]), int(step[2])
        return f"compiling llama.cpp, {done} of {steps}", 10 * done // steps
    if download := DOWNLOAD.match(line):
        return f"fetching {download[1]} ({download[2]})", 0
    return next(((stage, 0) for beginning, stage in STAGES.items() if line.startswith(beginning)), None)


class Progress:
    """Says how far it is, with minutes and seconds since the start, in the way the stream wants it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._terminal = stream, stream.isatty()
        self._words, self._said = "starting", ("starting", 0)  # what was heard last; the stage and tenth said last
        self._start = self._said_at = time.monotonic()

    def hear(self, line: str) -> None:
        if heard := news(line):
            self._words, tenth = heard
            if (now := (self._words.partition(",")[0], tenth)) != self._said:
                self._said = now
                self._say()

    def tick(self) -> None:
        """To be called all the time."""
        if time.monotonic() - self._said_at >= (1 if self._terminal else LONGEST_SILENCE):
            self._say()

    def _say(self) -> None:
        self._said_at = time.monotonic()
        minutes, seconds = divmod(int(self._said_at - self._start), 60)
        text = f"{minutes:3}:{seconds:02} {self._words}"
        self._stream.write(f"\r{text[:79]:79}" if self._terminal else f"{text}\n")
        self._stream.flush()

    def end(self, words: str) -> None:
        self._words = words
        self._say()
        self._stream.write("\n" if self._terminal else "")


def install(arguments: list[str]) -> int:
    """Run pip and tell of its progress. Returns its exit status."""
    given = os.environ.get("CMAKE_ARGS", "")
    environment = {
        "CMAKE_BUILD_PARALLEL_LEVEL": str(available_cores()),
        **os.environ,
        "CMAKE_ARGS": f"{shlex.join(OPTIONS)} {given}".strip(),
        "NINJA_STATUS": "[%f/%t] ",  # what STEP reads
    }
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--verbose"]
    command += [*(["--no-cache-dir"] if given else []), *arguments]
    progress = Progress(sys.stdout)
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("wb") as log, LOG.open(encoding="utf-8", errors="replace") as written:
        pip = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            status = None
            while status is None:
                time.sleep(0.2)
                status = pip.poll()  # before what is left is read, so that nothing of the end is missed
                for line in written:
                    progress.hear(line)
                progress.tick()
        except KeyboardInterrupt:  # the terminal has sent it to pip and the compilers, too
            pip.wait()
            status = 130
    progress.end({0: "done", 130: "interrupted"}.get(status, "failed"))
    return status


def main() -> int:
    arguments, version = sys.argv[1:], wanted()
    has_wheel = "CMAKE_ARGS" not in os.environ and is_cached(version)
    compiles = not has_wheel and ("--force-reinstall" in arguments or not is_installed(version))
    print(announcement(arguments, compiles, available_cores()), flush=True)
    status = install(arguments)
    if status not in (0, 130):
        end = LOG.read_text("utf-8", "replace").splitlines()[-SHOWN_LINES:]
        print(*(line[:200] for line in end), f"pip failed; all that it said is in {LOG}", sep="\n", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
