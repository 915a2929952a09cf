"""The check that files are those that a manifest was written for.

Every file is hashed the first time (some 1.5 GB a second). That they were whole is then noted under xqe's cache folder
with their sizes and times, and as long as these stay the same it is taken for true. Who notes something looks at a few
other notes, too, and removes those of what is gone.
"""

from __future__ import annotations

import json
import os
from bisect import bisect
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError, why
from xqe.files.cache import cache_folder
from xqe.files.hashes import sha256

_LOOKED_AT = 32  # other notes, which takes some milliseconds


def check_whole(
    folder: Path, files: Mapping[str, Mapping[str, Any]], place: Path, remedy: str, verify: bool = False
) -> None:
    """Raise InputError, with the remedy, that names a file which is missing or not what was written.

    files: name -> {"size", "sha256"}, in the folder. place: what they are noted by. Files that were found whole before
    and have not been touched since are not read again, unless with `verify`.
    """
    states: dict[str, list[int]] = {}
    for name, expected in files.items():
        try:
            state = (folder / name).stat()
        except OSError as error:
            raise InputError(f"{folder / name}: {why(error)}", remedy) from None
        if state.st_size != expected["size"]:
            raise damaged(folder / name, remedy)
        states[name] = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
    note = _note(place)
    found = {"place": str(place.resolve()), "files": dict(files), "states": states}
    if not verify and _read(note) == found:
        return
    for name, expected in files.items():
        try:
            whole = sha256(folder / name) == expected["sha256"]
        except OSError as error:
            raise InputError(f"{folder / name}: {why(error)}", remedy) from None
        if not whole:
            with suppress(OSError):
                note.unlink()
            raise damaged(folder / name, remedy)
    _write(note, found)


def damaged(path: Path, remedy: str) -> InputError:
    return InputError(f"{path}: damaged, its contents are not those that were written", remedy)


def _note(place: Path) -> Path:
    name = blake2b(os.fsencode(place.resolve()), digest_size=16).hexdigest()
    try:
        cache = cache_folder()
    except XqeError:  # a user without a home
        cache = Path(os.devnull)
    return cache / "verified" / f"{name}.json"


def _read(note: Path) -> Any:
    try:
        return json.loads(note.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _write(note: Path, found: dict[str, Any]) -> None:
    """Where it cannot be noted, the files are hashed each time."""
    replacement = note.with_suffix(f".{os.getpid()}.new")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        replacement.write_text(json.dumps(found))
        replacement.replace(note)
        _tidy(note)
    except OSError:
        with suppress(OSError):
            replacement.unlink()


def _tidy(note: Path) -> None:
    """Remove those of the next notes, in the order of their names, whose place is gone."""
    notes = sorted(note.parent.glob(f"*{note.suffix}"))
    after = bisect(notes, note)
    for other in (notes[after:] + notes[:after])[:_LOOKED_AT]:
        said = _read(other)
        place = said.get("place") if isinstance(said, dict) else None
        if not isinstance(place, str) or not Path(place).exists():
            other.unlink(missing_ok=True)
