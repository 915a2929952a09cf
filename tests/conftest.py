"""Fixtures that several test modules share: running the command, and the real models."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
import small_models
from forks import Forks
from gguf_files import with_few_tokens
from hypothesis import HealthCheck, settings
from serving import Server

# A shell that starts the tests in the background lets them ignore interrupts, and so would the commands under test.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A core for each worker: two models with two threads each wait for one another, and take many times as long.
os.environ.setdefault("XQE_THREADS", "1")

# A server that somebody has started beside the tests runs none of their commands.
os.environ["XQE_SERVER"] = "off"

# What is written is brought to the disk, some milliseconds for each file of thousands; memory does as well.
_MEMORY, _ROOM = Path("/dev/shm"), 4 << 30
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# No test fails on a time.
settings.register_profile("xqe", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("xqe")

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"
OF_FIXTURES = sorted(path.stem for path in (FIXTURES / "documents").glob("*.jsonl"))
"""The languages that fixtures are in."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker of pytest-xdist run what generates with a real model, which takes all cores."""
    for item in items:
        if "tiny_path" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("model"))


def command(*arguments: str) -> list[str]:
    """The command line that runs xqe with these arguments."""
    return [sys.executable, "-m", "xqe", *arguments]


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of this test alone: generations of another test are not reused, and the user's store is left alone."""
    path = tmp_path_factory.mktemp("store") / "generations.sqlite"
    monkeypatch.setenv("XQE_STORE", str(path))
    return path


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache folder of the tests: what they note is none of the user's. Models are looked for where they were, and
    so is matplotlib's list of fonts, which takes seconds to make."""
    from xqe.files.cache import cache_folder
    from xqe.models import folder

    own = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XQE_MODELS", str(folder.models_folder()))
        if "MPLCONFIGDIR" not in os.environ:
            patch.setenv("MPLCONFIGDIR", str(cache_folder().with_name("matplotlib")))
        patch.setenv("XDG_CACHE_HOME", str(own))
        yield own / "xqe"


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """The process whose children run commands."""
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user set for xqe does not hold here."""
    for name in list(os.environ):
        if name.startswith("XQE_") and name not in ("XQE_MODELS", "XQE_STORE", "XQE_THREADS"):
            monkeypatch.delenv(name)


@pytest.fixture
def no_keys_or_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user set for servers does not hold here."""
    for name in list(os.environ):
        if name in ("OPENAI_API_KEY", "XQE_API_KEY") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that answers as a test says (`serving`)."""
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def xqe(forks: Forks, no_settings: None) -> Run:
    """Run xqe in a process forked from one that has imported it; returns the finished process, its output as text."""

    def run(*arguments: str, stdin: str | bytes = "", **options: Any) -> subprocess.CompletedProcess[str]:
        given = _bytes(stdin).decode("utf-8", "surrogateescape")
        done = forks(*arguments, stdin=given, **options)
        return subprocess.CompletedProcess(command(*arguments), done.status, _text(done.stdout), _text(done.stderr))

    return run


@pytest.fixture
def xqe_alone(no_settings: None) -> Run:
    """Run xqe as a user does, in a new Python: for what that decides when it starts, and once for each command."""

    def run(*arguments: str, stdin: str | bytes = "", **options: Any) -> subprocess.CompletedProcess[str]:
        data = _bytes(stdin)
        done = subprocess.run(command(*arguments), input=data, capture_output=True, timeout=300, check=False, **options)
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
        )

    return run


def _bytes(stdin: str | bytes) -> bytes:
    return stdin if isinstance(stdin, bytes) else stdin.encode("utf-8", "surrogatepass")


def _text(output: str) -> str:
    """What must be UTF-8, as it is checked to be."""
    return output.encode("utf-8", "surrogateescape").decode("utf-8")


def start(*arguments: str) -> subprocess.Popen[str]:
    """A command that runs beside the test, with a pipe at each of its streams."""
    return subprocess.Popen(
        command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def summary(done: subprocess.CompletedProcess[str] | str) -> str:
    """The one line of stderr that sums a run up, without its speed, which has to be there."""
    (line,) = (done if isinstance(done, str) else done.stderr).splitlines()
    found = re.fullmatch(r"xqe: (.+), \d+ tokens/s", line)
    assert found is not None, line
    return found[1]


def jsonl(*records: Any) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def records(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small-models")


@pytest.fixture(scope="session")
def certain_path(models_folder: Path) -> Path:
    """A model that says SAID and ends, whatever it is asked, and on every CPU."""
    return small_models.bigrams(models_folder / "certain.gguf", small_models.saying(small_models.SAID))


@pytest.fixture(scope="session")
def endless_path(models_folder: Path) -> Path:
    """A model that says the alphabet, again and again, for as long as it is let."""
    return small_models.bigrams(models_folder / "endless.gguf", small_models.saying(ascii_lowercase, after="a"))


@pytest.fixture(scope="session")
def random_path(models_folder: Path) -> Path:
    """A model of random weights, in which everything that it sees counts."""
    return small_models.gemma(models_folder / "random.gguf")


@pytest.fixture(scope="session")
def tiny_path() -> Path:
    """The real model of xqe[tiny], which the development environment always has."""
    from xqe.models.lookup import resolve

    return resolve("tiny").path


@pytest.fixture(scope="session")
def few_path(tiny_path: Path, models_folder: Path) -> Path:
    """The real model with 4,096 of its 262,144 tokens, which loads and runs in a fraction of the time."""
    return with_few_tokens(tiny_path, models_folder / "few.gguf", 4096)


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> Iterator[Any]:
    from xqe.models.engines.llama.engine import LlamaEngine
    from xqe.models.engines.llama.settings import Settings

    with LlamaEngine("tiny", str(tiny_path), settings=Settings(batch=8, threads=1)) as engine:
        yield engine
