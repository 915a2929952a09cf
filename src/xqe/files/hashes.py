"""The sha256 of files, in hex. That of a large file is remembered in the cache folder until it is touched."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from xqe.errors import XqeError
from xqe.files.atomic import replace
from xqe.files.cache import cache_folder

_CHANGED = 2  # where the time of change is in what `_state` returns
_TICK = 20_000_000  # nanoseconds: written again within so many, a file may be left with the same times
_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256(path: Path) -> str:
    """The sha256 of a file, all of it read. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached_sha256(path: Path, anew: bool = False) -> str:
    """The sha256 of a file, cached by absolute path, size, inode and times of modification and of change.

    anew: read it although its hash is cached. Raises OSError. A cache that is damaged or cannot be written costs time,
    never an error.
    """
    path = path.absolute()
    with path.open("rb") as file:
        state = _state(os.fstat(file.fileno()))
        entry = None if anew else _cached().get(str(path))
        if isinstance(entry, list) and entry[:-1] == state and is_sha256(entry[-1]):
            return str(entry[-1])
        is_settled = time.time_ns() - state[_CHANGED] > _TICK
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if is_settled and _state(os.fstat(file.fileno())) == state:
            _remember(path, state, digest)
    return digest


def _state(said: os.stat_result) -> list[int]:
    """What changes when a file is written or replaced: the time of change also where that of modification is put back,
    as by cp -p, rsync -t and tar."""
    return [said.st_size, said.st_mtime_ns, said.st_ctime_ns, said.st_ino]


def is_remembered(path: Path) -> bool:
    """True for a file whose sha256 is cached, as the file is now or as it was."""
    return str(path.absolute()) in _cached()


def remember(path: Path, digest: str) -> None:
    """Cache what the sha256 of a file is found to be. path: absolute."""
    _remember(path, _state(path.stat()), digest)


def _remember(path: Path, state: list[int], digest: str) -> None:
    hashes = {known: entry for known, entry in _cached().items() if Path(known).exists()}
    hashes[str(path)] = [*state, digest]
    with suppress(OSError, XqeError):  # or a user without a home
        replace(_file(), json.dumps(hashes, indent=1).encode())


def is_sha256(value: object) -> bool:
    """True for 64 hexadecimal digits in lower case."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _cached() -> dict[str, Any]:
    try:
        content = json.loads(_file().read_bytes())
    except (OSError, ValueError, RecursionError, XqeError):
        return {}
    return content if isinstance(content, dict) else {}


def _file() -> Path:
    return cache_folder() / "sha256.json"
