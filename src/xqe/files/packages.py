"""Installed packages, none of them imported: which version there is, and where a file of one lies."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_SUFFIX = ".dist-info"


def version(package: str) -> str:
    """The version of an installed package, as the name of its folder of metadata has it.

    importlib.metadata reads the same from a file in that folder, and takes half as long to import as numpy. It is asked
    where there is no such folder, and raises PackageNotFoundError where it knows of none either.
    """
    found = _installed().get(_plain(package))
    if found is not None:
        return found
    from importlib import metadata

    return metadata.version(package)


def file_in(package: str, file: str) -> Path | None:
    """The path of a file that an installed package carries; None where there is no such package or file in it."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / file
        if path.is_file():
            return path
    return None


@cache
def _installed() -> dict[str, str]:
    """Name -> version of what has a folder of metadata where modules are looked for; the first one counts."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - names are enough
        except OSError:  # a zip file, or nothing
            continue
        for name in names:
            if name.endswith(_SUFFIX):
                package, _, number = name.removesuffix(_SUFFIX).partition("-")
                found.setdefault(_plain(package), number)
    return found


def _plain(name: str) -> str:
    """What all spellings of a name have in common (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
