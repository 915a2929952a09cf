"""What is off, and the next step: the table of checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from xqe.doctor.facts import Facts
from xqe.doctor.hardware import VENDORS
from xqe.doctor.packages import Package, numbers_of
from xqe.messages import amount
from xqe.models.engines import SERVER

OK, WARNING, PROBLEM = LEVELS = ("ok", "warning", "problem")

LITTLE_SPACE = 1 << 30  # bytes free on a disk
_LLAMA = "llama-cpp-python"


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
    if package and package.version and numbers_of(loaded) != numbers_of(package.version):
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
    vendor = next(vendor for vendor in VENDORS if vendor.name == facts.gpus[0])
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
    for model in facts.models:
        if model.state in ("changed", "unreadable"):
            yield Trouble(PROBLEM, str(model.detail), model.hint)


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
        yield Trouble(WARNING, message, f"set it to {SERVER}NAME, or give --model {SERVER}NAME with every command")


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
