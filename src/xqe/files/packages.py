"""Which version of a package is installed, for records of what something was made with."""

from __future__ import annotations

import os
import re
import sys
from functools import cache

_SUFFIX = ".dist-info"


@cache
def version(package: str) -> str:
    """The version of an installed package, as the name of its folder of metadata has it.

    importlib.metadata, which reads the same from a file in that folder, takes half as long to import as numpy; it is
    asked where there is no such folder, and raises PackageNotFoundError where it knows nothing either.
    """
    wanted = _plain(package)
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - names are enough
        except OSError:  # a zip file, or nothing
            continue
        for name in names:
            of, _, number = name.removesuffix(_SUFFIX).partition("-")
            if name.endswith(_SUFFIX) and _plain(of) == wanted:
                return number
    from importlib import metadata

    return metadata.version(package)


def _plain(name: str) -> str:
    """A name as all its spellings have it in common (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
