"""The sha256 of files, in hex. That of a large file is remembered in the cache folder, by its size and its time."""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from xqe.errors import XqeError
from xqe.files.atomic import replace
from xqe.files.cache import cache_folder

_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256(path: Path) -> str:
    """The sha256 of a file, all of it read. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached_sha256(path: Path) -> str:
    """The sha256 of a file, cached by absolute path, size and time of modification.

    Raises OSError. A cache that is damaged or cannot be written costs time, never an error.
    """
    path = path.absolute()
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        entry = _cached().get(str(path))
        if isinstance(entry, list) and entry[:2] == [state.st_size, state.st_mtime_ns] and is_sha256(entry[-1]):
            return str(entry[-1])
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(file.fileno())
    if (after.st_size, after.st_mtime_ns) == (state.st_size, state.st_mtime_ns):
        remember(path, digest)
    return digest


def is_remembered(path: Path) -> bool:
    """True for a file whose sha256 is cached, as the file is now or as it was."""
    return str(path.absolute()) in _cached()


def remember(path: Path, digest: str) -> None:
    """Cache what the sha256 of a file is found to be. path: absolute."""
    state = path.stat()
    hashes = {known: entry for known, entry in _cached().items() if Path(known).exists()}
    hashes[str(path)] = [state.st_size, state.st_mtime_ns, digest]
    with suppress(OSError, XqeError):  # or a user without a home
        replace(_file(), json.dumps(hashes, indent=1).encode())


def is_sha256(value: object) -> bool:
    """True for 64 hexadecimal digits in lower case."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _cached() -> dict[str, Any]:
    try:
        content = json.loads(_file().read_bytes())
    except (OSError, ValueError, XqeError):
        return {}
    return content if isinstance(content, dict) else {}


def _file() -> Path:
    return cache_folder() / "sha256.json"
