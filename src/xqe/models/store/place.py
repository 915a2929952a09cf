"""Where the store lies, and what is kept beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from xqe.errors import XqeError, why
from xqe.files.cache import cache_folder
from xqe.files.numbers import decimal

if TYPE_CHECKING:
    from xqe.models.store.prefixes import Prefixes

LIMIT = "XQE_PREFIXES"
"""The environment variable that says how many megabytes beginnings of prompts may take."""

USUAL_LIMIT = 2000.0


def file_of(option: str | None) -> Path:
    """The file that --store means; without it, the one in the cache folder. Raises XqeError where that can be none."""
    path = Path(option) if option else cache_folder() / "generations.sqlite"
    try:
        return path.expanduser().resolve()  # SQLite follows links, too
    except (OSError, RuntimeError) as error:  # the current folder is gone; links in a circle; the home of nobody
        said = why(error) if isinstance(error, OSError) else error
        raise XqeError(f"{path}: is no place for a store ({said})", "name another file with --store") from None


def prefixes_of(option: str | None) -> Path:
    """The folder of what models have read of prompts, beside the store of --store."""
    file = file_of(option)
    return file.with_name(f"{file.name}-prefixes")


def prefixes_limit() -> int:
    """Bytes that these may take. Raises XqeError for a limit that is no number."""
    said = os.environ.get(LIMIT, "").strip()
    try:
        megabytes = decimal(said) if said else USUAL_LIMIT
    except ValueError:
        megabytes = -1.0
    if not 0 <= megabytes < float("inf"):
        raise XqeError(f"{LIMIT}={said} is no number of megabytes", "give one such as 500, or 0 to keep none")
    return int(megabytes * 1_000_000)


def open_prefixes(option: str | None) -> Prefixes | None:
    """These, beside the store of --store; None where the limit leaves no room for any."""
    if not (most := prefixes_limit()):
        return None
    from xqe.models.store.prefixes import Prefixes

    try:
        return Prefixes(prefixes_of(option), most, is_private=not option or file_of(option) == file_of(None))
    except XqeError:  # a user without a home; what it is said for, the store, says so
        return None
