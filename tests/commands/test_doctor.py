"""xqe doctor: its facts against other sources, what it says where something is broken, and what it keeps to itself."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Run
from gguf_files import gguf
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import xqe as package
from xqe import cli, machine
from xqe.cli import command
from xqe.commands.doctor.doctor import _variables
from xqe.doctor import facts
from xqe.doctor.facts import Facts, examine
from xqe.doctor.findings import CHECKS, Finding, findings, worst
from xqe.doctor.hardware import Cores, Memory
from xqe.doctor.llama import Llama, library_here
from xqe.doctor.models import Chosen, ModelFile
from xqe.doctor.packages import Extra, Package, fits, packages_here
from xqe.doctor.places import Place
from xqe.doctor.store import StoreState, store_path
from xqe.doctor.variables import VARIABLES, Variable, public
from xqe.errors import XqeError
from xqe.models import lookup, registry
from xqe.models.store.generation import Asked, Generation
from xqe.models.store.place import file_of
from xqe.models.store.run import Store

SOURCES = str(Path(package.__file__).parent.parent)
NAME = "owner/repo/little.gguf"
CONTENT = gguf()
SECRET = "hunter2"


@pytest.fixture(scope="module")
def library() -> Llama:
    return library_here()


@pytest.fixture
def here(no_settings: None, library: Llama, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run xqe in this process, where llama.cpp has said once what it is: it takes most of the time of a diagnosis."""
    monkeypatch.setattr(facts, "library_here", lambda: library)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        status = cli.run(list(arguments))
        said = capsys.readouterr()
        return subprocess.CompletedProcess(["xqe", *arguments], status, said.out, said.err)

    return run


@pytest.fixture
def own(no_settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the caches and nothing in it; returns xqe's one in it, which is not there yet."""
    for name in ("XQE_MODELS", "XQE_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "xqe"


@pytest.fixture
def little(own: Path) -> Path:
    """A model file with its recorded sha256, as a download leaves it, in a cache that has never read it."""
    path = own / "models" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    Path(f"{path}.sha256").write_text(f"{hashlib.sha256(CONTENT).hexdigest()}  {path.name}\n")
    return path


def diagnosis(run: Run, *arguments: str) -> dict[str, Any]:
    """What --format jsonl says; that the exit status is as the findings say is checked for each."""
    done = run("doctor", "--format", "jsonl", *arguments)
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    told: dict[str, Any] = json.loads(line)
    levels = {finding["level"] for finding in told["findings"]}
    assert told["status"] == next(level for level in ("problem", "warning", "ok") if level in levels)
    assert done.returncode == (1 if "problem" in levels else 0)
    return told


def found(told: dict[str, Any], check: str) -> list[tuple[str, str]]:
    return [(each["level"], each["message"]) for each in told["findings"] if each["check"] == check]


def meminfo(field: str) -> int:
    (line,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024


# The facts


def test_the_facts_are_those_of_other_sources(xqe: Run, own: Path) -> None:
    told = diagnosis(xqe)
    assert (told["xqe"], told["executable"]) == (package.__version__, sys.executable)
    assert told["python"].split() == [platform.python_implementation(), platform.python_version()]
    cores, memory = told["cores"], told["memory"]
    assert cores["affinity"] == len(os.sched_getaffinity(0))
    assert cores["machine"] == os.cpu_count()
    assert 1 <= cores["usable"] == cores["threads"] <= cores["affinity"]
    assert memory["machine"] == pytest.approx(meminfo("MemTotal"), rel=0.01)
    assert 0 < memory["available"] <= memory["total"] <= memory["machine"]
    assert told["llama"]["build"]["llama_cpp_python"] == metadata.version("llama-cpp-python")
    assert "cpu" in {device["kind"] for device in told["llama"]["devices"]}
    assert found(told, "llama.cpp")[0][0] != "problem"
    assert told["store"]["path"] == os.environ["XQE_STORE"]


def test_packages_and_extras_are_those_of_the_project(here: Run, own: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    told = diagnosis(here)
    needed = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert {canonicalize_name(each["name"]) for each in told["packages"]} == needed
    for each in told["packages"]:
        assert each["version"] == metadata.version(each["name"])
        assert each["fits"] == SpecifierSet(each["requires"]).contains(each["version"])
    assert {each["name"] for each in told["extras"]} == project["optional-dependencies"].keys() - {"dev"}
    of_tests = Requirement(project["optional-dependencies"]["dev"][0]).extras  # the others may be there or not
    installed = {each["name"] for each in told["extras"] if each["installed"]}
    assert installed >= of_tests
    assert all(each["installed"] == (each["install"] is None) for each in told["extras"])


def test_the_requirements_of_an_installed_package_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "xqe-9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: xqe\nVersion: 9\nRequires-Dist: numpy>=2\nRequires-Dist: pytest[toml] (>=9999)\n"
        "Provides-Extra: dev\nRequires-Dist: mypy; extra == 'dev'\n"
        'Provides-Extra: moon\nRequires-Dist: no-such-package-here==1.0; extra == "moon"\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    packages, extras = packages_here()
    assert [(each.name, each.requires, each.fits) for each in packages] == [
        ("numpy", ">=2", True),
        ("pytest", ">=9999", False),
    ]
    (moon,) = extras
    assert (moon.name, moon.installed, moon.install) == ("moon", False, 'pip install "xqe[moon]"')
    assert [(each.name, each.version) for each in moon.packages] == [("no-such-package-here", None)]


@pytest.mark.parametrize("version", ["0.3.36", "0.3.36.0", "0.3.36+cu124", "0.3.9", "1.0", "2", "2.0.1", "3.0"])
@pytest.mark.parametrize("requires", ["==0.3.36", ">=1,<2", ">=2.0,<3", ">0.3", "<=2", "!=2.0", ""])
def test_versions_compare_as_pip_has_it(version: str, requires: str) -> None:
    assert fits(version, requires) == SpecifierSet(requires).contains(version)


def test_limits_of_a_cgroup_count(here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    told = examine([])
    assert (told.cores.quota, told.cores.usable, told.cores.threads) == (1.5, 1, 1)
    assert (told.memory.total, told.memory.available) == (1_000_000, 600_000)
    assert told.memory.machine > 1_000_000


def test_places_and_their_sizes(here: Run, little: Path) -> None:
    own = little.parents[3]
    (own / "other").write_bytes(b"12345")
    places = {place["name"]: place for place in diagnosis(here)["places"]}
    beside = Path(f"{little}.sha256").stat().st_size
    assert places["models"]["path"] == str(own / "models")
    assert places["models"]["size"] == len(CONTENT) + beside
    assert places["cache"]["size"] == len(CONTENT) + beside + 5
    assert places["cache"]["writable"] is places["cache"]["exists"] is True
    assert places["store"]["exists"] is False
    available = os.statvfs(own).f_bavail * os.statvfs(own).f_frsize
    assert places["cache"]["free"] == pytest.approx(available, rel=0.2)
    assert os.stat(places["cache"]["disk"]).st_dev == own.stat().st_dev  # noqa: PTH116


def test_it_leaves_nothing_behind(xqe: Run, own: Path, store: Path) -> None:
    told = diagnosis(xqe)
    assert not own.exists()
    assert not store.exists()
    assert told["store"]["state"] == "none"
    assert {place["exists"] for place in told["places"]} == {False}
    assert found(told, "folders") == [("ok", "all can be written")]


def test_the_store_is_looked_for_where_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "~/here.sqlite", "/somewhere/else"):
        monkeypatch.setenv("XQE_STORE", value)
        assert store_path() == file_of(value or None)


# Models


def test_a_model_is_known_once_it_was_read(here: Run, little: Path) -> None:
    def state(*arguments: str) -> tuple[str, str | None]:
        (model,) = diagnosis(here, *arguments)["models"]
        assert (model["name"], model["path"], model["size"]) == (NAME, str(little), len(CONTENT))
        return model["state"], model["against"]

    assert state() == ("unknown", None)
    assert state("--verify") == ("ok", "record")
    assert state() == ("ok", "record")
    os.utime(little)
    assert state() == ("ok", "record")
    Path(f"{little}.sha256").unlink()
    assert state() == state("--verify") == ("unknown", None)


def flipped(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


@pytest.mark.parametrize("change", [flipped, lambda content: content[:-1000]], ids=["flipped", "cut"])
def test_a_changed_model_is_a_problem(here: Run, little: Path, change: Callable[[bytes], bytes]) -> None:
    diagnosis(here, "--verify")
    little.write_bytes(change(CONTENT))
    told = diagnosis(here)
    assert [model["state"] for model in told["models"]] == ["changed"]
    ((level, message),) = found(told, "files")
    assert level == "problem"
    assert str(little) in message
    assert f"xqe models pull --force {NAME}" in json.dumps(told["findings"])


def test_a_model_of_the_table_has_its_size(here: Run, own: Path) -> None:
    path = own / "models" / registry.find("gemma-3-4b").repository / registry.find("gemma-3-4b").file
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    told = diagnosis(here)
    assert [(model["name"], model["state"]) for model in told["models"]] == [("gemma-3-4b", "changed")]
    assert "instead of 3155051328" in found(told, "files")[0][1]


def test_the_model_of_xqe_model_is_looked_at(here: Run, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own.parent.parent / "elsewhere.gguf"
    path.write_bytes(CONTENT)
    monkeypatch.setenv("XQE_MODEL", str(path))
    told = diagnosis(here)
    assert (told["model"]["path"], told["model"]["size"]) == (str(path), len(CONTENT))
    assert [model["path"] for model in told["models"]] == [str(path)]
    monkeypatch.setenv("XQE_MODEL", "gemma-3-4b")
    ((level, message),) = found(diagnosis(here), "model")
    assert level == "problem"
    assert "not downloaded" in message


def test_a_models_folder_that_cannot_be_read(here: Run, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[lookup.ResolvedModel]:
        raise PermissionError(13, "Permission denied", "/some/models")

    monkeypatch.setattr(lookup, "installed", refuse)
    told = examine([])
    assert told.models_error == "/some/models: permission denied"
    assert [(each.level, each.message) for each in findings(told) if each.check == "files"] == [
        ("problem", "/some/models: permission denied")
    ]


# What is broken


def test_a_file_where_the_cache_should_be(here: Run, own: Path) -> None:
    own.parent.mkdir()
    own.write_text("in the way")
    told = diagnosis(here)
    places = {place["name"]: place["writable"] for place in told["places"]}
    assert places == {"cache": False, "models": False, "store": True}
    assert found(told, "folders") == [("problem", f"cache: {own} is not a folder")]


def keep(path: Path, count: int) -> None:
    with Store(path) as store:
        for number in range(count):
            asked = Asked({"sha256": "ab"}, {}, 9, f"Query: {number}\n")
            store.put(asked, Generation(f"the text of {number}", "stop", 3, "tiny"))


def test_a_store_is_counted(here: Run, own: Path, store: Path) -> None:
    keep(store, 5)
    told = diagnosis(here)["store"]
    assert (told["state"], told["generations"], told["tokens"], told["checked"]) == ("ok", 5, 15, True)
    assert told["size"] >= store.stat().st_size > 0


def change_a_text(content: bytes) -> bytes:
    assert content.count(b"the text of 3") == 1
    return content.replace(b"the text of 3", b"the text of 4")


@pytest.mark.parametrize(
    "damage",
    [change_a_text, lambda content: content[:-4096], lambda content: b"x" * 5000],
    ids=["text", "cut", "overwritten"],
)
def test_a_damaged_store_is_reported_and_left_alone(
    here: Run, own: Path, store: Path, damage: Callable[[bytes], bytes]
) -> None:
    keep(store, 5)
    content = damage(store.read_bytes())
    store.write_bytes(content)
    told = diagnosis(here)
    assert told["store"]["state"] == "unusable"
    ((level, message),) = found(told, "store")
    assert level == "problem"
    assert message.startswith(f"{store}: ")
    assert store.read_bytes() == content
    assert [path.name for path in store.parent.iterdir()] == [store.name]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise OSError('libcuda.so.1: cannot open shared object file')", "OSError: libcuda.so.1: cannot open shared"),
        ("raise ImportError('no ggml here')", "ImportError: no ggml here"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "ends with SIGILL"),
        ("import os; os._exit(3)", "it says nothing"),
        ("__version__ = '0.1'", "ImportError"),
    ],
)
def test_a_library_that_does_not_load(
    xqe_alone: Run, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    (tmp_path / "first" / "llama_cpp").mkdir(parents=True)
    (tmp_path / "first" / "llama_cpp" / "__init__.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "first"), SOURCES]))
    told = diagnosis(xqe_alone)
    ((level, message),) = found(told, "llama.cpp")
    assert level == "problem"
    assert reason in message
    assert told["llama"]["devices"] == []
    assert {each["check"] for each in told["findings"]} == {check.name for check in CHECKS}


def test_no_home_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(XqeError, match=r"could not determine home directory; set HOME"):
        examine([])


def test_a_gpu_that_the_build_cannot_use(here: Run, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    told = diagnosis(here)
    assert told["gpus"][0] == "NVIDIA"
    sees_gpu = "gpu" in {device["kind"] for device in told["llama"]["devices"]}
    assert [level for level, _ in found(told, "gpu")] == ["ok" if sees_gpu else "warning"]


# What is said of facts


@pytest.fixture(scope="module")
def healthy() -> Facts:
    """Facts of a machine with which nothing is wrong."""
    cache = Place("cache", "/c", True, True, None, 0, 1 << 40, "/")
    llama = {"llama_cpp_python": "0.3.36", "features": "CPU : AVX = 1 | AVX2 = 1 | FMA = 1 | F16C = 1"}
    return Facts(
        xqe="1",
        python="CPython 3.11.7",
        executable="/usr/bin/python3",
        platform="Linux",
        packages=[Package("llama-cpp-python", "==0.3.36", "0.3.36", True)],
        extras=[Extra("server", True, [], None)],
        llama=Llama(llama, False, [{"name": "CPU", "kind": "cpu", "free": 8 << 30, "total": 8 << 30}]),
        gpus=[],
        cores=Cores("a processor", ["AVX", "AVX2"], 8, 4, 2.5, 2, 2, 0.5),
        memory=Memory(16 << 30, 8 << 30, 6 << 30),
        places=[cache, replace(cache, name="models", path="/c/models"), replace(cache, name="store", path="/c/s")],
        model=Chosen("aya-expanse-8b", True, "file", "/c/models/a/b/aya.gguf", 5_056_982_720),
        models=[ModelFile("aya-expanse-8b", "/c/models/a/b/aya.gguf", 5_056_982_720, "ok", "record")],
        models_error=None,
        store=StoreState("/c/s", "none"),
        server=None,
        variables=[],
    )


def variable(name: str, value: str) -> dict[str, Any]:
    return {"variables": [Variable(name, value)]}


GPU = {"name": "CUDA0", "kind": "gpu", "free": 4 << 30, "total": 8 << 30}
TINY = Chosen("tiny", False, "file", None, 253_113_024)
CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "no support": ({"gpus": ["NVIDIA"]}, "gpu", "warning", 'CMAKE_ARGS="-DGGML_CUDA=on" pip install'),
    "another maker": ({"gpus": ["AMD"]}, "gpu", "warning", "-DGGML_HIP=on"),
    "OMP threads": (variable("OMP_NUM_THREADS", "3,2"), "threads", "warning", "OMP_NUM_THREADS is 3"),
    "threads": (variable("XQE_THREADS", "64"), "threads", "warning", "may use 2 cores"),
    "no number": (variable("XQE_THREADS", "all"), "threads", "problem", 'XQE_THREADS is "all"'),
    "memory": (
        {"memory": Memory(16 << 30, 8 << 30, 4 << 30)}, "memory", "warning",
        "aya-expanse-8b is 5.06 GB, and 4.29 GB",
    ),
    "only tiny": ({"model": TINY, "models": []}, "model", "warning", "xqe models pull NAME"),
    "no model": (
        {"model": replace(TINY, error="not installed", hint='pip install "xqe[tiny]"')}, "model", "problem",
        'pip install "xqe[tiny]"',
    ),
    "other version": (
        {"packages": [Package("tantivy", "==0.27.0", "0.26.0", False)]}, "packages", "problem",
        'tantivy 0.26.0 is installed, and xqe needs ==0.27.0; run: pip install "tantivy==0.27.0"',
    ),
    "out of range": (
        {"packages": [Package("numpy", ">=2", "1.26", False)]}, "packages", "warning", "numpy>=2",
    ),
    "no package": ({"packages": [Package("rich", ">=14", None, False)]}, "packages", "problem", "not installed"),
    "another llama_cpp": (
        {"packages": [Package("llama-cpp-python", "==0.3.40", "0.3.40", True)]}, "llama.cpp", "problem",
        "llama_cpp is version 0.3.36, and the installed llama-cpp-python is 0.3.40",
    ),
    "no extra": (
        {
            "server": "http://h/v1",
            "extras": [Extra("server", False, [], 'pip install "xqe[server]"')],
            "model": Chosen("openai:m", True, "server"),
        },
        "server", "problem", 'pip install "xqe[server]"',
    ),
    "no server": ({"model": Chosen("openai:m", True, "server")}, "server", "warning", "XQE_BASE_URL"),
    "no model of a server": ({"server": "http://h/v1", "model": TINY}, "server", "warning", "openai:NAME"),
    "misspelt": (
        {"variables": [Variable("XQE_MODLE", None, False, "XQE_MODEL")]}, "variables", "warning",
        "did you mean XQE_MODEL?",
    ),
    "not writable": (
        {"places": [Place("models", "/m", True, False, "/m cannot be written", 0, 1 << 40, "/")]}, "folders",
        "warning", "XQE_MODELS",
    ),
}  # fmt: skip


def lines(found: list[Finding]) -> list[tuple[str, str, str]]:
    return [(each.check, each.level, f"{each.message}; {each.hint}") for each in found if each.level != "ok"]


def test_nothing_is_said_against_a_healthy_machine(healthy: Facts) -> None:
    assert lines(findings(healthy)) == []
    assert worst(findings(healthy)) == "ok"
    assert lines(findings(replace(healthy, extras=[Extra("hub", False, [], "pip")]))) == []


@pytest.mark.parametrize("case", CASES)
def test_what_is_off_is_said_with_the_next_step(healthy: Facts, case: str) -> None:
    changes, check, level, text = CASES[case]
    found = findings(replace(healthy, **changes))
    (line,) = lines(found)
    assert line[:2] == (check, level)
    assert text in line[2]
    assert worst(found) == level


def test_a_full_disk_is_said_once(healthy: Facts) -> None:
    places = [replace(place, free=1000) for place in healthy.places]
    ((check, level, line),) = lines(findings(replace(healthy, places=places)))
    assert (check, level) == ("disk", "warning")
    assert "1 kB free, for cache, models, store" in line


def test_a_gpu_counts(healthy: Facts) -> None:
    seeing = replace(healthy, gpus=["NVIDIA"], llama=replace(healthy.llama, gpu=True, devices=[GPU]))
    assert lines(findings(replace(seeing, memory=Memory(16 << 30, 8 << 30, 4 << 30)))) == []
    blind = replace(seeing, llama=replace(healthy.llama, gpu=True))
    ((check, _, line),) = lines(findings(blind))
    assert (check, "sees none" in line) == ("gpu", True)


def test_a_build_for_another_processor_is_slow(healthy: Facts) -> None:
    old = {**healthy.llama.build, "features": "CPU : SSE3 = 1 | AVX = 1 | LLAMAFILE = 1"}
    ((check, level, line),) = lines(findings(replace(healthy, llama=replace(healthy.llama, build=old))))
    assert (check, level) == ("llama.cpp", "warning")
    assert "without AVX2, which" in line


# What is written


def test_the_text_is_for_people(xqe_alone: Run, little: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("XQE_MODEL", "\x1b[31mrød\udcff")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = xqe_alone("doctor")
    assert (done.returncode, done.stderr) == (1, "")
    assert f"xqe        {package.__version__}\n" in done.stdout
    assert (
        f"{NAME}, generator, {len(CONTENT) / 1000:.0f} kB: unknown (not read here before; --verify reads it), "
        f"{little}\n" in done.stdout
    )
    assert "OMP_NUM_THREADS=1\n" in done.stdout
    assert re.search(r"numpy\s+" + re.escape(metadata.version("numpy")), done.stdout)
    assert "\x1b" not in done.stdout
    assert "XQE_MODEL=\\x1b[31mrød\\xdcff\n" in done.stdout
    report, _, conclusions = done.stdout.partition("\n\n")
    assert len(report.splitlines()) > 20
    words = [line.split()[0] for line in conclusions.splitlines()]
    assert words == sorted(words, key=["ok", "warning", "problem"].index)
    assert words[-1] == "problem"


@pytest.mark.parametrize("arguments", [[], ["--format", "jsonl"]])
def test_no_secret_is_written(here: Run, own: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    for name in ("XQE_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "https_proxy", "XQE_APIKEY", "XQE_BASE_ULR"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("XQE_BASE_URL", f"http://me:{SECRET}@host:80/v1?key={SECRET}")
    done = here("doctor", *arguments)
    assert SECRET not in done.stdout + done.stderr
    assert "http://***@host:80/v1?***" in done.stdout
    for text in ("HF_TOKEN is set", "XQE_API_KEY is set") if not arguments else ('"HF_TOKEN","value":null',):
        assert text in done.stdout


@pytest.mark.parametrize(
    "value",
    [f"http://a:{SECRET}@h/v1", f"http://a:x/{SECRET}@h", f"a:{SECRET}@h:80", f"https://h/v1?a=1&k={SECRET}#x"],
)
def test_a_url_is_shown_without_what_may_be_a_key(value: str) -> None:
    shown = public(value)
    assert SECRET not in shown
    assert "h" in shown


@pytest.mark.parametrize("value", ["/models/a.gguf", "http://localhost:8080/v1", "openai:gpt", "3,1", ""])
def test_other_values_are_shown_as_they_are(value: str) -> None:
    assert public(value) == value


def test_every_variable_that_the_code_names_is_known() -> None:
    text = "\n".join(path.read_text("utf-8") for path in Path(package.__file__).parent.rglob("*.py"))
    known = {name for name in _variables(command()) | set(VARIABLES) if name.startswith("XQE_")}
    assert set(re.findall(r'"(XQE_[A-Z_]+)"', text)) == known
    assert "XQE_GPU_LAYERS" in known


def test_a_misspelt_variable_is_noticed(here: Run, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQE_TREADS", "4")
    told = diagnosis(here)
    assert found(told, "variables") == [("warning", "XQE_TREADS is set, and xqe reads no such variable")]
    assert "did you mean XQE_THREADS?" in json.dumps(told["findings"])


def test_its_help_loads_nothing(own: Path) -> None:
    code = (
        "import sys\nfrom xqe.cli import run\nassert run(['doctor', '--help']) == 0\n"
        "print([name for name in ('llama_cpp', 'sqlite3', 'numpy', 'rich', 'xqe.doctor') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Exit status: 0" in done.stdout


def test_the_keys_of_json_are_the_fields(here: Run, own: Path, healthy: Facts) -> None:
    told = diagnosis(here)
    assert told.keys() == {"status", "findings", *asdict(healthy)}
