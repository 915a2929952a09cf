"""scripts/install.py: what it makes of pip's output, and how it ends. pip is a script of the test's own here."""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "install.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Copy:
    """The script in a folder of its own, where `python -m pip install` is `pip` and llama-cpp-python is missing."""

    def __init__(self, folder: Path, pip: str, version: str = "9.9.9") -> None:
        (folder / "scripts").mkdir()
        shutil.copy(SCRIPT, folder / "scripts")
        (folder / "pyproject.toml").write_text(f'[project]\ndependencies = ["llama-cpp-python=={version}"]\n')
        (folder / "pip").mkdir()
        (folder / "pip" / "__init__.py").touch()
        listing = "import os, sys, time\nif 'cache' in sys.argv:\n    sys.exit(1)\n"
        (folder / "pip" / "__main__.py").write_text(listing + pip)
        self.log = folder / "build" / "install.log"
        self._command = [sys.executable, str(folder / "scripts" / "install.py")]
        self._path = str(folder)

    def start(self, *arguments: str, cmake: str | None = None) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": self._path}
        environment.pop("CMAKE_ARGS", None)
        if cmake is not None:
            environment["CMAKE_ARGS"] = cmake
        return subprocess.Popen(
            [*self._command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # so that a signal for all of them reaches no one else
        )


def test_the_version_is_the_one_of_pyproject(script: ModuleType) -> None:
    assert f'"llama-cpp-python=={script.wanted()}"' in (ROOT / "pyproject.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("line", "news"),
    [
        ("  [7/61] /usr/bin/g++ -DX -o a.o -c a.cpp\n", ("compiling llama.cpp, 7 of 61", 1)),
        ("  [61/61] : && /usr/bin/g++ -shared\n", ("compiling llama.cpp, 61 of 61", 10)),
        (
            "  Downloading numpy-2.4.6-cp311-x86_64.whl (16.9 MB)\n",
            ("fetching numpy-2.4.6-cp311-x86_64.whl (16.9 MB)", 0),
        ),
        ("Downloading https://example.org/a/b.whl (1.2 GB)\n", ("fetching b.whl (1.2 GB)", 0)),
        ("  Downloading numpy-2.4.6.whl.metadata (62 kB)\n", None),
        ("  *** Configuring CMake...\n", ("configuring llama.cpp", 0)),
        ("Installing collected packages: numpy, xqe\n", ("installing", 0)),
        ("  Installing collected packages: packaging, scikit-build-core\n", None),  # for a build alone
        ("  -- Installing: [1/2] somewhere\n", None),
        ("\n", None),
    ],
)
def test_what_a_line_of_pip_says(script: ModuleType, line: str, news: tuple[str, int] | None) -> None:
    assert script.news(line) == news


def test_a_log_gets_a_line_for_every_tenth_and_a_terminal_one_line(script: ModuleType) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    log, terminal = io.StringIO(), Terminal()
    for stream in (log, terminal):
        progress = script.Progress(stream)
        for step in range(1, 1001):
            progress.hear(f"  [{step}/1000] g++\n")
            progress.tick()
        progress.end("done")
    lines = log.getvalue().splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        *(f"compiling llama.cpp, {step} of 1000" for step in (1, *range(100, 1001, 100))),
        "done",
    ]
    assert terminal.getvalue().count("\n") == 1
    assert all(len(shown) <= 79 for shown in terminal.getvalue().rstrip("\n").split("\r"))


def test_the_first_line_says_how_long_it_will_take(script: ModuleType) -> None:
    assert "about 7 minutes on 1 core " in script.announcement(["."], True, 1)
    assert "about 1 minute on 64 cores " in script.announcement(["."], True, 64)
    assert "compiles" not in script.announcement(["."], False, 2)


PRINTS_WHAT_IT_GOT = """
print("  *** Configuring CMake...", flush=True)
print("  [1/2] g++", flush=True)
print("  [2/2] g++", flush=True)
print("arguments", sys.argv[1:])
print("options", os.environ["CMAKE_ARGS"], os.environ["CMAKE_BUILD_PARALLEL_LEVEL"])
"""


@pytest.mark.parametrize("cmake", [None, "-DGGML_CUDA=on -DLLAVA_BUILD=ON"])
def test_pip_gets_the_options_and_those_of_the_user_last(tmp_path: Path, cmake: str | None) -> None:
    copy = Copy(tmp_path, PRINTS_WHAT_IT_GOT)
    process = copy.start("--editable", ".[tiny]", cmake=cmake)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("pip install --editable '.[tiny]': compiles llama.cpp, about ")
    assert [line.split(maxsplit=1)[1] for line in lines[1:]] == [
        "configuring llama.cpp",
        "compiling llama.cpp, 1 of 2",
        "compiling llama.cpp, 2 of 2",
        "done",
    ]
    log = copy.log.read_text("utf-8")
    assert ("'--no-cache-dir'" in log) == (cmake is not None)  # a wheel with other options may lie there
    assert "'--editable', '.[tiny]']" in log
    options = next(line for line in log.splitlines() if line.startswith("options")).split()
    assert options[1:3] == ["-DLLAVA_BUILD=OFF", f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={tmp_path}/scripts/llama.cmake"]
    assert options[3:-1] == (cmake or "").split()
    assert int(options[-1]) >= 1


def test_a_failure_shows_the_end_of_the_log_and_is_one(tmp_path: Path) -> None:
    copy = Copy(tmp_path, "for n in range(99):\n    print('line', n)\nprint('no compiler')\nsys.exit(7)\n")
    process = copy.start(".")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert out.splitlines()[-1].endswith("failed")
    assert "no compiler" in err and str(copy.log) in err and "line 5\n" not in err
    assert "line 5\n" in copy.log.read_text("utf-8")


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    copy = Copy(tmp_path, "print('  [1/9] g++', flush=True)\ntime.sleep(60)\n")
    process = copy.start(".")
    deadline = time.monotonic() + 30
    while not (copy.log.exists() and "[1/9]" in copy.log.read_text("utf-8")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.splitlines()[-1].endswith("interrupted") and err == ""


def test_nothing_is_announced_where_it_is_installed(tmp_path: Path, script: ModuleType) -> None:
    process = Copy(tmp_path, "", version=script.wanted()).start("--editable", ".")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[0] == "pip install --editable ."
