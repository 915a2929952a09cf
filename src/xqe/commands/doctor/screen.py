"""What xqe doctor says to a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap

from xqe.doctor.facts import Facts
from xqe.doctor.findings import LEVELS, Finding
from xqe.messages import amount

LINE = 100  # characters, where a list is wrapped


def screen(facts: Facts, found: list[Finding]) -> str:
    """The facts, an empty line, and what was found."""
    return "\n".join(map(_printable, [*_report(facts), "", *_conclusions(found)]))


def _report(facts: Facts) -> Iterator[str]:
    """The facts, in lines: a heading, then what is under it."""
    sections = {
        "xqe": [facts.xqe, f"{facts.python}, {facts.executable}", facts.platform],
        "llama.cpp": _llama(facts),
        "devices": [
            f"{device['name']} ({device['description']}), {device['kind']}: {_free(device['free'], device['total'])}"
            for device in facts.llama.devices
        ],
        "cores": _cores(facts),
        "memory": [_free(facts.memory.available, facts.memory.total) + _limit(facts)],
        "model": _model(facts),
        "models": _models(facts),
        "places": _places(facts),
        "store": _store(facts),
        "server": [f"{facts.server} (not asked)"] if facts.server else [],
        "extras": [f"{extra.name}: {extra.install or 'installed'}" for extra in facts.extras],
        "packages": _wrapped(f"{package.name} {package.version or 'missing'}" for package in facts.packages),
        "variables": [
            f"{variable.name}{' is set' if variable.value is None else f'={variable.value}'}"
            for variable in facts.variables
        ],
    }
    width = max(map(len, sections)) + 2
    for heading, lines in sections.items():
        for number, line in enumerate(lines or ["none"]):
            yield f"{'' if number else heading:{width}}{line}"


def _conclusions(found: list[Finding]) -> Iterator[str]:
    """The findings, a line each, the worst last, where a person looks first."""
    width = max(map(len, LEVELS)) + 2
    for finding in sorted(found, key=lambda finding: LEVELS.index(finding.level)):
        hint = f"; {finding.hint}" if finding.hint else ""
        yield f"{finding.level:{width}}{finding.check}: {finding.message}{hint}"


def _printable(line: str) -> str:
    """A line with what could move a terminal's cursor, or has no UTF-8 form, as an escape."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in line)


def _wrapped(items: Iterable[str]) -> list[str]:
    return wrap(", ".join(items), LINE, break_long_words=False, break_on_hyphens=False)


def _free(free: int, total: int) -> str:
    return f"{amount(free)} of {amount(total)} available"


def _llama(facts: Facts) -> list[str]:
    llama, build = facts.llama, facts.llama.build
    if llama.error is not None:
        return [f"cannot be loaded: {llama.error}"]
    python, itself, ggml, commit = (build[key] for key in ("llama_cpp_python", "llama_cpp", "ggml", "commit"))
    return [
        f"llama-cpp-python {python}, llama.cpp {itself}, ggml {ggml} (commit {commit})",
        *_wrapped(feature.strip() for feature in build["features"].replace(" = 1", "").split("|")),
        "built with support for GPUs" if llama.gpu else "built without support for GPUs",
    ]


def _cores(facts: Facts) -> list[str]:
    cores = facts.cores
    quota = "no quota" if cores.quota is None else f"a quota of {cores.quota:g}"
    load = "" if cores.load is None else f"; load {cores.load:g}"
    return [
        cores.processor,
        f"{cores.usable} of {cores.machine} can be used (affinity {cores.affinity}, {quota}){load}",
        f"{cores.threads} threads are started",
    ]


def _limit(facts: Facts) -> str:
    memory = facts.memory
    return f", by a limit; the machine has {amount(memory.machine)}" if memory.total < memory.machine else ""


def _model(facts: Facts) -> list[str]:
    model = facts.model
    origin = "XQE_MODEL" if model.given else "the default"
    assembled = ", assembled when it is first used" if model.kind == "file" and not model.path else ""
    return [f"{model.name} ({origin}){'' if model.error else assembled}"]


def _models(facts: Facts) -> list[str]:
    states = {"record": "sha256 as recorded", "table": "sha256 as known"}
    lines = []
    for model in facts.models:
        why = states.get(model.against or "", model.detail if model.state == "unknown" else "see below")
        kind = f", {model.kind}" if model.kind else ""
        lines.append(f"{model.name}{kind}, {amount(model.size)}: {model.state} ({why}), {model.path}")
    return lines


def _places(facts: Facts) -> list[str]:
    lines = []
    for place in facts.places:
        there = amount(place.size) if place.exists else "not there yet"
        access = "writable" if place.writable else "not writable"
        room = "" if place.free is None else f", {amount(place.free)} free on {place.disk}"
        lines.append(f"{place.name} {place.path}: {there}, {access}{room}")
    return lines


def _store(facts: Facts) -> list[str]:
    store = facts.store
    if store.state == "none":
        return ["not there yet"]
    if store.error is not None:
        return ["cannot be used, see below"]
    read = "all of them read" if store.checked else "not read; --verify does"
    return [f"{store.generations} generations, {store.tokens} tokens ({read})"]
