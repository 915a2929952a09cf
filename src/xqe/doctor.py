"""What is true of this machine as far as it makes xqe slow or fail: facts, and findings about them.

`examine` gathers the facts: it asks no server, assembles, repairs and downloads nothing, and goes on where something
is broken. `findings` says what is off. Sizes are in bytes; values that are secret are never part of a fact.
"""

from __future__ import annotations

import json
import operator
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from xqe import __version__, machine
from xqe.errors import ModelError, XqeError
from xqe.files.cache import cache_folder
from xqe.files.hashes import cached_sha256, is_remembered
from xqe.messages import amount
from xqe.models import lookup, registry
from xqe.models.folder import models_folder
from xqe.models.gguf import DamagedError, check_gguf
from xqe.models.verification import known_of, verify

OK, WARNING, PROBLEM = LEVELS = ("ok", "warning", "problem")

VARIABLES = ("XQE_API_KEY", "XQE_DEBUG", "XQE_MODELS")  # that are read and belong to no option
LITTLE_SPACE = 1 << 30  # bytes free on a disk
READ_STORE = 128 << 20  # bytes; a store up to that is read through unasked, which takes a second

_LLAMA = "llama-cpp-python"
_SERVER, _FAKE = "openai:", "fake"  # how --model begins that names a model of a server, and the one that is none
_FOR_DEVELOPERS = "dev"
_PROBE_SECONDS = 120.0  # a GPU's driver may take long for the first process after a start
_CPU_INFO = Path("/proc/cpuinfo")

_SHOWN = re.compile(
    r"(XQE|OMP|GOMP|KMP|GGML|LLAMA|CUDA|HIP|ROCR|HF)_.+|OPENAI_API_KEY|XDG_CACHE_HOME|(LD_LIBRARY|PYTHON)PATH"
    r"|(HTTPS?|ALL|NO)_PROXY"
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|PROXY")


class Feature(NamedTuple):
    """Something a processor can do, without which llama.cpp is much slower: llama.cpp's name, and Linux's."""

    name: str
    flag: str


_FEATURES = (Feature("AVX", "avx"), Feature("AVX2", "avx2"), Feature("FMA", "fma"), Feature("F16C", "f16c"))


class Vendor(NamedTuple):
    """Who makes GPUs: what shows that one is here, and the option to build llama.cpp with."""

    name: str
    device: Path
    program: str
    option: str


_VENDORS = (
    Vendor("NVIDIA", Path("/dev/nvidia0"), "nvidia-smi", "-DGGML_CUDA=on"),
    Vendor("AMD", Path("/dev/kfd"), "rocm-smi", "-DGGML_HIP=on"),
)


# Facts


@dataclass(frozen=True, slots=True)
class Package:
    """A package that xqe needs. requires: as pip reads it. version: None where it is not installed."""

    name: str
    requires: str
    version: str | None
    fits: bool


@dataclass(frozen=True, slots=True)
class Extra:
    """Packages that one feature needs. install: the command that installs them, None where they are there."""

    name: str
    installed: bool
    packages: list[Package]
    install: str | None


@dataclass(frozen=True, slots=True)
class Llama:
    """llama.cpp, as it says itself. build, devices: see `models.engines.llama.library`. error: why it does not load."""

    build: dict[str, str]
    gpu: bool
    devices: list[dict[str, Any]]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Cores:
    """CPU cores. quota: of the cgroup, None for none. threads: what xqe starts. load: processes that want a core, on
    average over a minute. features: those of the processor that make llama.cpp fast."""

    processor: str
    features: list[str]
    machine: int
    affinity: int
    quota: float | None
    usable: int
    threads: int
    load: float | None


@dataclass(frozen=True, slots=True)
class Memory:
    """machine: what is built in. total, available: what this process may have, under the limits of its cgroup."""

    machine: int
    total: int
    available: int


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder of xqe's. obstacle: why it cannot be written. disk: where its file system is mounted."""

    name: str
    path: str
    exists: bool
    writable: bool
    obstacle: str | None
    size: int
    free: int | None
    disk: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model on the disk. state: "ok", "changed", "unreadable", or "unknown" where nothing can be said without reading
    it or nothing says what it should be. against: what knew its sha256, "record" or "table". detail: why."""

    name: str
    path: str
    size: int
    state: str
    against: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The model that is used where --model names none. given: by XQE_MODEL. kind: "file", "server" or "fake".

    path: None where it is not there, size: None where it is not known. error, hint: why it cannot be used.
    """

    name: str
    given: bool
    kind: str
    path: str | None = None
    size: int | None = None
    error: str | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class StoreState:
    """The store of generations. state: "ok", "none" or "unusable". checked: everything in it was read."""

    path: str
    state: str
    size: int = 0
    generations: int = 0
    tokens: int = 0
    checked: bool = False
    error: str | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment. value: None for a secret. known: False for one like xqe's that it does not read;
    near: the name that was meant, perhaps."""

    name: str
    value: str | None
    known: bool = True
    near: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it. gpus: makers of GPUs of which one seems to be in this machine."""

    xqe: str
    python: str
    executable: str
    platform: str
    packages: list[Package]
    extras: list[Extra]
    llama: Llama
    gpus: list[str]
    cores: Cores
    memory: Memory
    places: list[Place]
    model: Chosen
    models: list[ModelFile]
    models_error: str | None
    store: StoreState
    server: str | None
    variables: list[Variable]


def examine(known: Collection[str], verify: bool = False) -> Facts:
    """Gather the facts. known: the variables that options read. verify: read all models and the whole store.

    Raises XqeError where there is no folder that anything could lie in.
    """
    variables = _variables({*known, *VARIABLES})  # before anything sets its own
    try:
        cache, models, store = cache_folder(), models_folder(), _store_path()
    except RuntimeError as error:  # no HOME, and a user that no file knows
        raise XqeError(str(error).rstrip(".").lower(), "set HOME, or XDG_CACHE_HOME, to a folder") from None
    packages, extras = _packages()
    chosen = _chosen(extras)
    files, models_error = _models(chosen, verify)
    return Facts(
        xqe=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        executable=sys.executable,
        platform=platform.platform(),
        packages=packages,
        extras=extras,
        llama=_llama(),
        gpus=[vendor.name for vendor in _VENDORS if vendor.device.exists() or shutil.which(vendor.program)],
        cores=_cores(),
        memory=Memory(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), machine.total_memory(), machine.available_memory()
        ),
        places=[_place("cache", cache), _place("models", models), _place("store", store, is_file=True)],
        model=chosen,
        models=files,
        models_error=models_error,
        store=_store(store, verify),
        server=_public(url) if (url := os.environ.get("XQE_BASE_URL")) else None,
        variables=variables,
    )


def _variables(known: Collection[str]) -> list[Variable]:
    found = []
    for name, value in sorted(os.environ.items()):
        if not _SHOWN.fullmatch(name.upper()):
            continue
        shown = None if value and _SECRET.search(name.upper()) else _public(value)
        if name in known or not name.startswith("XQE_"):
            found.append(Variable(name, shown))
        else:
            near = get_close_matches(name, sorted(known), n=1, cutoff=0.7)
            found.append(Variable(name, None, known=False, near=near[0] if near else None))
    return found


def _public(value: str) -> str:
    """A value without the name, the password and the query of a URL in it, which may hold a key."""
    value = re.sub(r"(?<=://)\S*@|^[^\s/:@]+:(?!//)\S*@", "***@", value)
    return re.sub(r"(://[^?#\s]*\?)[^#\s]+", r"\1***", value)


# Packages


def _packages() -> tuple[list[Package], list[Extra]]:
    """What xqe needs, and what its extras need, those for developers left out."""
    base, optional = _requirements()
    extras = []
    for name, texts in optional.items():
        packages = [_package(text) for text in texts]
        there = all(package.version for package in packages)
        extras.append(Extra(name, there, packages, None if there else f'pip install "xqe[{name}]"'))
    return [_package(text) for text in base], extras


def _requirements() -> tuple[list[str], dict[str, list[str]]]:
    """The requirements of xqe and of each extra: of the installed package, else of the source tree this is in."""
    try:
        about = metadata.metadata("xqe")
    except metadata.PackageNotFoundError:
        return _source_requirements()
    base: list[str] = []
    extras: dict[str, list[str]] = {name: [] for name in about.get_all("Provides-Extra") or []}
    for text in about.get_all("Requires-Dist") or []:
        requirement, _, marker = text.partition(";")
        extra = re.search(r"""\bextra\s*==\s*['"]([^'"]+)""", marker)
        (extras.setdefault(extra[1], []) if extra else base).append(requirement.strip())
    extras.pop(_FOR_DEVELOPERS, None)
    return base, extras


def _source_requirements() -> tuple[list[str], dict[str, list[str]]]:
    try:
        project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return [], {}
    extras = project.get("optional-dependencies", {})
    return project.get("dependencies", []), {name: extras[name] for name in extras if name != _FOR_DEVELOPERS}


def _package(requirement: str) -> Package:
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    requires = re.sub(r"^\s*\[[^]]*\]", "", requirement.removeprefix(name)).strip("() ")
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Package(name, requires, None, False)
    return Package(name, requires, version, fits(version, requires))


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def fits(version: str, requires: str) -> bool:
    """True if a version's numbers are as a requirement such as ">=1,<2" says; what is not understood counts as met."""
    for clause in requires.split(","):
        found = re.fullmatch(r"\s*(==|!=|>=|<=|>|<)\s*([\d.]+)\s*", clause)
        if found and not _COMPARISONS[found[1]](_numbers(version), _numbers(found[2])):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers a version begins with, without zeros at the end."""
    found = re.match(r"[\d.]*", version)
    numbers = [int(part) for part in (found[0] if found else "").split(".") if part]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


# The library

_PROBE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from xqe import doctor
sys.stdout.write("\\n" + json.dumps(doctor.ask_library()))
"""


def _llama() -> Llama:
    """Ask the library in a process of its own: one built for another processor ends the process that loads it."""
    command = [sys.executable, "-P", "-c", _PROBE, json.dumps(sys.path)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_SECONDS)
        if done.returncode < 0:
            return _broken(f"the process that loads it ends with {signal.Signals(-done.returncode).name}")
        return Llama(**json.loads(done.stdout.decode().splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return _broken(f"it does not answer within {_PROBE_SECONDS:.0f} seconds")
    except OSError as error:
        return _broken(f"{sys.executable}: {error.strerror or error}")
    except (ValueError, IndexError):
        return _broken((done.stderr.decode("utf-8", "replace").splitlines() or ["it says nothing"])[-1])


def _broken(reason: str) -> Llama:
    return Llama({}, False, [], " ".join(reason.split()))


def ask_library() -> dict[str, Any]:
    """The fields of `Llama`, from loading the library into this process."""
    try:
        from xqe.models.engines.llama import library

        devices = [asdict(device) for device in library.devices()]
        return asdict(Llama(library.build(), library.supports_gpu(), devices))
    except Exception as error:  # a missing library, a function that another version does not have: anything
        return asdict(_broken(f"{type(error).__name__}: {error}"))


# The machine


def _cores() -> Cores:
    usable = machine.available_cores()
    given = os.environ.get("XQE_THREADS", "")
    processor, flags = _processor()
    load = None
    with suppress(OSError):
        load = round(os.getloadavg()[0], 2)
    return Cores(
        processor=processor,
        features=[feature.name for feature in _FEATURES if feature.flag in flags],
        machine=os.cpu_count() or 1,
        affinity=machine.affinity(),
        quota=machine.cpu_quota(),
        usable=usable,
        threads=int(given) if given.isdecimal() and int(given) else usable,
        load=load,
    )


def _processor() -> tuple[str, set[str]]:
    """The name of the processor and its flags, as far as Linux says."""
    lines: dict[str, str] = {}
    with suppress(OSError):
        for line in _CPU_INFO.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            lines.setdefault(name.strip(), value.strip())
    return lines.get("model name") or platform.processor() or platform.machine(), set(lines.get("flags", "").split())


def _store_path() -> Path:
    """The file that `store.file_of` means, also where that cannot be imported."""
    given = os.environ.get("XQE_STORE")
    return (Path(given).expanduser() if given else cache_folder() / "generations.sqlite").resolve()


def _place(name: str, path: Path, is_file: bool = False) -> Place:
    folder = path.parent if is_file else path
    standing = next(each for each in (folder, *folder.parents) if os.path.lexists(each) or each == each.parent)
    exists, is_folder = os.access(path, os.F_OK), os.path.isdir(path)  # noqa: PTH112 - Path.is_dir may raise
    obstacles = (
        (not os.path.isdir(standing), f"{standing} is not a folder"),  # noqa: PTH112
        (not os.access(standing, os.W_OK | os.X_OK), f"{standing} cannot be written"),
        (is_file and is_folder, f"{path} is a folder"),
        (is_file and exists and not os.access(path, os.R_OK | os.W_OK), f"{path} cannot be read and written"),
    )
    obstacle = next((text for holds, text in obstacles if holds), None)
    disk = standing
    while not os.path.ismount(disk) and disk != disk.parent:
        disk = disk.parent
    free = None
    with suppress(OSError):
        free = shutil.disk_usage(disk).free
    return Place(name, str(path), exists, obstacle is None, obstacle, _size(path), free, str(disk))


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    total = 0
    with suppress(OSError):
        total = path.stat().st_size if path.is_file() else 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += Path(folder, name).lstat().st_size
    return total


# Models and the store


def _chosen(extras: list[Extra]) -> Chosen:
    given = os.environ.get("XQE_MODEL", "")
    name = given or registry.default_model()
    if name == _FAKE or name.startswith(_SERVER):
        return Chosen(name, True, "fake" if name == _FAKE else "server")
    chosen = Chosen(name, bool(given), "file")
    installed = {extra.name for extra in extras if extra.installed}
    try:
        model = registry.named().get(name)
        if model is None or not model.chunks or model.path.is_file():
            path = lookup.locate(name).path
            return replace(chosen, path=str(path), size=path.stat().st_size)
        if name in installed:
            return replace(chosen, size=model.size)  # assembled when it is used
        return replace(chosen, error=f'the model "{name}" is not installed', hint=f'pip install "xqe[{name}]"')
    except ModelError as error:
        return replace(chosen, error=error.message, hint=error.hint)
    except OSError as error:
        return replace(chosen, error=f"{error.filename or name}: {_reason(error)}", hint="give access to it")


def _models(chosen: Chosen, verify: bool) -> tuple[list[ModelFile], str | None]:
    """The model files that are there, the chosen one with them, and why they cannot be listed."""
    problem = None
    found: list[lookup.ResolvedModel] = []
    try:
        found = lookup.installed()
    except OSError as error:
        problem = f"{error.filename or models_folder()}: {_reason(error)}"
    if chosen.path is not None and Path(chosen.path) not in [each.path for each in found]:
        found.append(lookup.ResolvedModel(chosen.name, Path(chosen.path)))
    return [_model_file(each, verify) for each in found], problem


def _model_file(found: lookup.ResolvedModel, verify: bool) -> ModelFile:
    size = 0
    try:
        size = found.path.stat().st_size
        state, against, detail = (_read if verify else _glance)(found.path)
    except DamagedError as error:
        state, against, detail = "changed", None, error.message
    except ModelError as error:
        state, against, detail = "unreadable", None, error.message
    except OSError as error:
        state, against, detail = "unreadable", None, f"{found.path}: {_reason(error)}"
    return ModelFile(found.name, str(found.path), size, state, against, detail)


_State = tuple[str, str | None, str | None]  # state, against, detail
_UNKNOWN: _State = ("unknown", None, "nothing says what its sha256 should be")


def _read(path: Path) -> _State:
    """The state of a model file, all of it read."""
    against = verify(path).against
    return ("ok", against, None) if against else _UNKNOWN


def _glance(path: Path) -> _State:
    """The state of a model file from its size, its header and its cached sha256.

    It is read only where it has changed since it was hashed, which is then known for the next time. A file that was
    never hashed here stays unknown: hashing takes a second for each gigabyte or two.
    """
    check_gguf(path)
    known = known_of(path)
    known.check_size(path)
    if known.sha256 is None:
        return _UNKNOWN
    if not is_remembered(path):
        return "unknown", None, "not read here before; --verify reads it"
    known.check_sha256(path, cached_sha256(path))
    return "ok", known.against, None


def _store(path: Path, verify: bool) -> StoreState:
    try:
        from xqe.models.store.access import opened
    except ImportError as error:  # a Python that was built without SQLite
        return StoreState(str(path), "unusable", error=f"no store can be used: {error}", hint="use --no-store")
    try:
        with opened(path) as database:
            if database is None:
                return StoreState(str(path), "none")
            size, summaries = database.size(), database.summaries()
            if checked := verify or size <= READ_STORE:
                for _ in database.export():
                    pass
            generations, tokens = (sum(getattr(each, name) for each in summaries) for name in ("generations", "tokens"))
            return StoreState(str(path), "ok", size, generations, tokens, checked)
    except XqeError as error:
        return StoreState(str(path), "unusable", _size(path), error=error.message, hint=error.hint)
    except OSError as error:
        return StoreState(str(path), "unusable", error=f"{path}: {_reason(error)}", hint="give access to it")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


# Findings


class Trouble(NamedTuple):
    """Something that is off: how bad it is, what it is, the next step."""

    level: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. level: "ok", "warning" or "problem". hint: the next step, "" where there is none."""

    check: str
    level: str
    message: str
    hint: str = ""


def findings(facts: Facts) -> list[Finding]:
    """What every check found: its troubles, or one "ok"."""
    found = []
    for check in CHECKS:
        troubles = list(check.look(facts)) or [Trouble(OK, check.fine)]
        found += [Finding(check.name, *trouble) for trouble in troubles]
    return found


def worst(found: list[Finding]) -> str:
    """The level of all findings together."""
    return max((finding.level for finding in found), key=LEVELS.index, default=OK)


def _look_at_packages(facts: Facts) -> Iterator[Trouble]:
    needed = [*facts.packages, *(package for extra in facts.extras if extra.installed for package in extra.packages)]
    for package in needed:
        if package.version is None:
            yield Trouble(PROBLEM, f"{package.name} is not installed", _install(package))
        elif not package.fits:
            level = PROBLEM if package.requires.startswith("==") else WARNING  # pinned: binary interfaces, file formats
            message = f"{package.name} {package.version} is installed, and xqe needs {package.requires}"
            yield Trouble(level, message, _install(package))


def _install(package: Package) -> str:
    return f'run: pip install "{package.name}{package.requires}"'


def _look_at_llama(facts: Facts) -> Iterator[Trouble]:
    package = next((package for package in facts.packages if package.name == _LLAMA), None)
    again = f"run: {_rebuild(facts)}"
    if facts.llama.error is not None:
        hint = "install it as the packages say" if package and not package.version else again
        yield Trouble(PROBLEM, f"llama.cpp cannot be loaded: {facts.llama.error}", hint)
        return
    loaded = facts.llama.build["llama_cpp_python"]
    if package and package.version and _numbers(loaded) != _numbers(package.version):
        message = f"llama_cpp is version {loaded}, and the installed {_LLAMA} is {package.version}"
        yield Trouble(PROBLEM, message, "take the other one out of PYTHONPATH")
    built_with = set(re.findall(r"(\w+) = 1", facts.llama.build["features"]))
    if missing := [name for name in facts.cores.features if name not in built_with]:
        message = (
            f"llama.cpp was built without {', '.join(missing)}, which this processor has: it is slower than need be"
        )
        yield Trouble(WARNING, message, f"build it on this machine: {_rebuild(facts)}")


def _rebuild(facts: Facts, option: str = "") -> str:
    """The command that builds the library anew."""
    requires = next((package.requires for package in facts.packages if package.name == _LLAMA), "")
    arguments = f'CMAKE_ARGS="{option}" ' if option else ""
    return f'{arguments}pip install --force-reinstall --no-deps --no-cache-dir "{_LLAMA}{requires}"'


def _look_at_gpus(facts: Facts) -> Iterator[Trouble]:
    sees_gpu = any(device["kind"] in ("gpu", "integrated gpu") for device in facts.llama.devices)
    if facts.llama.error is not None or sees_gpu or not facts.gpus:
        return
    vendor = next(vendor for vendor in _VENDORS if vendor.name == facts.gpus[0])
    here = f"this machine seems to have a GPU of {vendor.name}"
    if facts.llama.gpu:
        yield Trouble(WARNING, f"{here}, and llama.cpp sees none", f"check {vendor.program} and CUDA_VISIBLE_DEVICES")
    else:
        again = f"with its development kit installed, build it anew: {_rebuild(facts, vendor.option)}"
        yield Trouble(WARNING, f"{here}, and llama.cpp was built without support for GPUs", again)


def _look_at_threads(facts: Facts) -> Iterator[Trouble]:
    values = {variable.name: variable.value or "" for variable in facts.variables}
    given = values.get("XQE_THREADS")
    if given and not (given.isdecimal() and int(given)):
        yield Trouble(PROBLEM, f'XQE_THREADS is "{given}", which is no number of threads', "unset it")
    for name in ("XQE_THREADS", "OMP_NUM_THREADS"):
        value = values.get(name, "").split(",")[0]
        if value.isdecimal() and int(value) > facts.cores.usable:
            message = (
                f"{name} is {value}, and this process may use {facts.cores.usable} cores: threads wait for each other"
            )
            yield Trouble(WARNING, message, f"unset {name}; xqe takes the cores that there are")


def _look_at_memory(facts: Facts) -> Iterator[Trouble]:
    room = facts.memory.available + sum(gpu["free"] for gpu in facts.llama.devices if gpu["kind"] == "gpu")
    if facts.model.size is not None and facts.model.size > room:
        need, there = amount(facts.model.size), amount(room)
        message = f"the model {facts.model.name} is {need}, and {there} of memory are available: it will be very slow"
        yield Trouble(WARNING, message, "take a smaller model, or end what uses the memory")


def _look_at_model(facts: Facts) -> Iterator[Trouble]:
    if facts.model.error is not None:
        if not facts.model.given and facts.server is not None:
            return  # what is missing then is said of the server
        what = "XQE_MODEL: " if facts.model.given else "no model can be used: "
        yield Trouble(PROBLEM, f"{what}{facts.model.error}", facts.model.hint)
    elif (
        not facts.model.given and facts.server is None and {model.name for model in facts.models} <= {facts.model.name}
    ):
        message = f'there is no model but "{facts.model.name}", which is only for trying xqe'
        yield Trouble(WARNING, message, "see xqe models list, and run: xqe models pull NAME")


def _look_at_files(facts: Facts) -> Iterator[Trouble]:
    if facts.models_error is not None:
        yield Trouble(PROBLEM, facts.models_error, "give access to it, or set XQE_MODELS to another folder")
    folder = next(place.path for place in facts.places if place.name == "models")
    for model in facts.models:
        if model.state == "changed":
            ours = Path(model.path).is_relative_to(folder)
            again = f"run: xqe models pull --force {model.name}" if ours else "copy or download it again"
            yield Trouble(PROBLEM, str(model.detail), again)
        elif model.state == "unreadable":
            yield Trouble(PROBLEM, str(model.detail), "give access to it")


def _look_at_folders(facts: Facts) -> Iterator[Trouble]:
    hints = {
        "cache": (PROBLEM, "give access to it, or set XDG_CACHE_HOME to another folder"),
        "models": (WARNING, "no model can be downloaded or assembled; set XQE_MODELS to another folder for that"),
        "store": (PROBLEM, "give access to it, or set XQE_STORE to another file"),
    }
    told = set()
    for place in facts.places:
        if place.obstacle is not None and place.obstacle not in told:
            told.add(place.obstacle)
            level, hint = hints[place.name]
            yield Trouble(level, f"{place.name}: {place.obstacle}", hint)


def _look_at_disks(facts: Facts) -> Iterator[Trouble]:
    for disk in dict.fromkeys(place.disk for place in facts.places):
        there = [place for place in facts.places if place.disk == disk]
        free = there[0].free
        if free is not None and free < LITTLE_SPACE:
            names = ", ".join(place.name for place in there)
            yield Trouble(WARNING, f"the disk at {disk} has {amount(free)} free, for {names}", "make room")


def _look_at_store(facts: Facts) -> Iterator[Trouble]:
    if facts.store.error is not None:
        yield Trouble(PROBLEM, facts.store.error, facts.store.hint)


def _look_at_server(facts: Facts) -> Iterator[Trouble]:
    names_server = facts.model.kind == "server"
    if facts.server is None and not names_server:
        return
    missing = next((extra for extra in facts.extras if extra.name == "server" and not extra.installed), None)
    if missing is not None:
        yield Trouble(PROBLEM, "a model on a server needs packages that are missing", f"run: {missing.install}")
    if facts.server is None:
        message = f"XQE_MODEL is {facts.model.name}, and XQE_BASE_URL names no server"
        yield Trouble(WARNING, message, "set it, or give --base-url with every command")
    elif not facts.model.given:
        message = "XQE_BASE_URL names a server, and XQE_MODEL no model of it"
        yield Trouble(WARNING, message, f"set it to {_SERVER}NAME, or give --model {_SERVER}NAME with every command")


def _look_at_variables(facts: Facts) -> Iterator[Trouble]:
    for variable in facts.variables:
        if not variable.known:
            hint = f"did you mean {variable.near}?" if variable.near else "unset it"
            yield Trouble(WARNING, f"{variable.name} is set, and xqe reads no such variable", hint)


class Check(NamedTuple):
    """A check: its name, which stays the same from release to release, what is so where nothing is off, and itself."""

    name: str
    fine: str
    look: Callable[[Facts], Iterator[Trouble]]


CHECKS = (
    Check("packages", "all are there, in versions that fit", _look_at_packages),
    Check("llama.cpp", "it loads, and was built for this processor", _look_at_llama),
    Check("gpu", "no GPU is left unused", _look_at_gpus),
    Check("threads", "no more threads than cores", _look_at_threads),
    Check("memory", "there is memory for the model", _look_at_memory),
    Check("model", "there is a model to use", _look_at_model),
    Check("files", "no model file is known to be damaged", _look_at_files),
    Check("folders", "all can be written", _look_at_folders),
    Check("disk", "there is room", _look_at_disks),
    Check("store", "it can be read", _look_at_store),
    Check("server", "nothing is missing for one", _look_at_server),
    Check("variables", "xqe reads all that are called like its own", _look_at_variables),
)
