"""The packages that xqe needs, and those that its extras need."""

from __future__ import annotations

import operator
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

_FOR_DEVELOPERS = "dev"


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


def packages_here() -> tuple[list[Package], list[Extra]]:
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
        project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
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
        if found and not _COMPARISONS[found[1]](numbers_of(version), numbers_of(found[2])):
            return False
    return True


def numbers_of(version: str) -> tuple[int, ...]:
    """The numbers a version begins with, without zeros at the end."""
    found = re.match(r"[\d.]*", version)
    numbers = [int(part) for part in (found[0] if found else "").split(".") if part]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
