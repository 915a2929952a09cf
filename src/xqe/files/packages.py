"""Which version of a package is installed, for records of what something was made with."""

from __future__ import annotations

import os
import re
import sys
from functools import cache

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
