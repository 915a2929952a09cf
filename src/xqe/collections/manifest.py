"""The manifest of a collection, collection.json: written with a seal, and read only if all that it says has its shape.

Those of earlier versions, format 1, have no seal. What is wrong with one of them may pass, but never as far as to lead
out of the folder, or to a field that is not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError, why
from xqe.files.hashes import is_sha256
from xqe.files.sealed import SEAL, unsealed

MANIFEST = "collection.json"
FORMAT = 2
_UNSEALED = 1
AGAIN = "convert it again with xqe data convert, or copy all of it"

Json = dict[str, Any]

_COUNTS = {
    "documents": ("documents",),
    "queries": ("queries",),
    "qrels": ("queries", "judgements"),
    "examples": ("examples",),
}
"""Kind of files -> what is counted of each. Documents are by language, the others by split and then by name."""
KINDS = tuple(_COUNTS)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_NAMED = "take letters of ASCII, digits, - and _, and dots but at the beginning"


def is_name(text: object) -> bool:
    """Whether this can be what a split or a collection is called: one component of a path, and no way out of it."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def check_name(text: str, what: str) -> None:
    """Raise XqeError for what cannot be a name. what: where it was given."""
    if not is_name(text):
        raise XqeError(f"{what}: {text!r} cannot be part of a path", _NAMED)


def read_manifest(path: Path) -> Json:
    """The fields of a manifest. Raises InputError where there is none, or it is damaged."""
    try:
        written = path.read_bytes()
        manifest = json.loads(written)
    except (FileNotFoundError, NotADirectoryError):
        folder = path.parent
        what = f"holds no {path.name}" if folder.is_dir() else "no such folder"
        raise InputError(f"{folder}: {what}", "make a collection with xqe data convert or build") from None
    except OSError as error:
        raise InputError(f"{path}: {why(error)}", "check the path") from None
    except (RecursionError, ValueError):
        raise InputError(f"{path}: damaged, not JSON", AGAIN) from None
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if form not in (FORMAT, _UNSEALED):
        raise InputError(f"{path}: not a manifest of format {FORMAT}", AGAIN)
    if form == FORMAT or SEAL in manifest:
        manifest = unsealed(written, path, AGAIN)
    if wrong := next(_wrong(manifest), None):
        raise InputError(f"{path}: damaged, {wrong}", AGAIN)
    return dict(manifest)


def entries(manifest: Json) -> Iterator[Json]:
    """What a manifest says of each file: {"file", "bytes", "sha256", ...}."""
    for kind in KINDS:
        for files in _by_split(manifest, kind).values():
            yield from files.values()


def _by_split(manifest: Json, kind: str) -> Any:
    return {kind: manifest[kind]} if kind == "documents" else manifest.get(kind, {})


def _wrong(manifest: Json) -> Iterator[str]:
    """What is not as it is in every manifest."""
    if missing := {"name", "documents", "queries", "qrels"} - manifest.keys():
        yield f"no {', '.join(sorted(missing))}"
    shapes = (("name", str), ("notes", list), ("source", dict), ("pool", dict | None))
    for field, shape in shapes:
        if field in manifest and not isinstance(manifest[field], shape):
            yield f'"{field}" is of another kind'
    for kind in KINDS:
        splits = _by_split(manifest, kind)
        if not isinstance(splits, dict) or not all(map(is_name, splits)):
            yield f'"{kind}" names no splits'
            continue
        for files in splits.values():
            if not isinstance(files, dict) or not all(map(is_name, files)):
                yield f'"{kind}" names no files'
            elif any(not _is_entry(entry, ("bytes", *_COUNTS[kind])) for entry in files.values()):
                yield f'"{kind}" says of a file what none has'


def _is_entry(entry: Any, counts: tuple[str, ...]) -> bool:
    """Whether this is said of a file: where it lies below the folder, its hash, and these numbers."""
    if not isinstance(entry, dict) or not is_sha256(entry.get("sha256")):
        return False
    file = entry.get("file")
    is_below = isinstance(file, str) and all(map(is_name, file.split("/")))
    return is_below and all(type(entry.get(count)) is int and entry[count] >= 0 for count in counts)
