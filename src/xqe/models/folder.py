"""The folder that models lie in: $XQE_MODELS, by default "models" in the cache folder.

A model lies there as OWNER/REPOSITORY/FILE, the names it has on the hub. Beside a file lies FILE.sha256 with the hash
that was checked when it came to be, in the format of sha256sum. A file that is coming to be is a part beside it (see
`files.parts`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from xqe.errors import ModelError, why
from xqe.files import parts
from xqe.files.atomic import replace
from xqe.files.cache import cache_folder
from xqe.files.hashes import is_sha256, remember


def models_folder() -> Path:
    """$XQE_MODELS, by default "models" in the cache folder."""
    chosen = os.environ.get("XQE_MODELS")
    return Path(chosen).expanduser().absolute() if chosen else cache_folder() / "models"


def record_of(path: Path) -> Path:
    """Where the hash of a file is recorded, or would be."""
    return path.with_name(path.name + ".sha256")


def recorded_sha256(path: Path) -> str | None:
    """The hash in FILE.sha256, if there is one."""
    with suppress(OSError, UnicodeDecodeError):
        words = record_of(path).read_text("utf-8").lower().split()
        if words and is_sha256(words[0]):
            return words[0]
    return None


def put_in_place(part: BinaryIO, target: Path, digest: str) -> None:
    """Make a finished part the file, with its sha256 recorded beside it."""
    replace(record_of(target), f"{digest}  {target.name}\n".encode())
    parts.put_in_place(part, target)
    remember(target, digest)


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{error.filename or path}: {why(error)}", "make room or give access, or set XQE_MODELS to another folder"
        ) from None
