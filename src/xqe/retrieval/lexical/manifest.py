"""The manifest of an index, xqe.json, and the check that the files beside it are those that it was written for.

A build writes a new data folder and then replaces the manifest, which is one atomic rename: whenever a build is
killed, the manifest names a whole index, the old one or the new one.

Every file is hashed when an index is opened for the first time (some 1.5 GB a second). That its files were whole is
then noted under xqe's cache folder with their sizes and times, and as long as these stay the same later openings take
it for true; `verify` hashes them again.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError, why
from xqe.files.atomic import sync, write_synced
from xqe.files.cache import cache_folder
from xqe.files.hashes import sha256
from xqe.retrieval.lexical.bm25 import Padding, Parameters
from xqe.retrieval.lexical.candidates import VERSION
from xqe.text.analysis import Analyzer, analyzer

MANIFEST = "xqe.json"
LOCK = "xqe.lock"
FORMAT = 2
REBUILD = "build it again with xqe index --force"
_SEAL = "sha256"
_DATA = re.compile(r"data-\d+")
OURS = re.compile(rf"xqe\.json(?:\.new)?|xqe\.lock|{_DATA.pattern}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What xqe.json holds.

    Its last field there is "sha256", of all others: the manifest is checked like the files that it names.

    documents, empty, terms, distinct: counts over the collection; average_length: terms a document. analyzer: its
    identity. texts: whether the index keeps the texts. pad, fillers, excess: see `bm25`. probes: [text, terms] pairs
    that analysis must reproduce. files: name -> {"size", "sha256"}, in the folder `data`.
    """

    format: int
    xqe: str
    tantivy: str
    language: str
    analyzer: dict[str, Any]
    k1: float
    b: float
    documents: int
    empty: int
    terms: int
    distinct: int
    average_length: float
    texts: bool
    pad: int
    fillers: list[int]
    excess: float
    probes: list[list[Any]]
    data: str
    files: dict[str, dict[str, Any]]

    @property
    def parameters(self) -> Parameters:
        return Parameters(self.k1, self.b)

    @property
    def padding(self) -> Padding:
        return Padding(self.pad, tuple(self.fillers))

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file["size"] for file in self.files.values())


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of an index; raises InputError where there is none, or a damaged one."""
    path = directory / MANIFEST
    try:
        written = path.read_bytes()
        raw = json.loads(written)
    except (FileNotFoundError, NotADirectoryError):
        what = "holds no index" if directory.is_dir() else "no such index"
        raise InputError(f"{directory}: {what}", "build one with xqe index") from None
    except OSError as error:
        raise InputError(f"{path}: {why(error)}", "check the path") from None
    except ValueError:
        raise InputError(f"{path}: damaged, not JSON", REBUILD) from None
    if isinstance(raw, dict) and raw.get("format", FORMAT) != FORMAT:
        raise InputError(f"{directory}: an index of format {raw['format']}, this xqe reads {FORMAT}", REBUILD)
    try:
        fields = {name: value for name, value in raw.items() if name != _SEAL}
        if _sealed(fields) != written:
            raise _damaged(path)
        manifest = Manifest(**fields)
        inside = [manifest.data, *manifest.files]
        if not _DATA.fullmatch(manifest.data) or any(Path(name).name != name for name in inside):
            raise _damaged(path)
    except (AttributeError, TypeError):
        raise InputError(f"{path}: damaged, fields are missing", REBUILD) from None
    return manifest


def _sealed(fields: dict[str, Any]) -> bytes:
    """The bytes of a manifest with these fields: any other bytes are not as they were written."""
    seal = sha256_of(json.dumps(fields).encode()).hexdigest()
    return json.dumps({**fields, _SEAL: seal}, indent=1).encode()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Put a manifest into the place of the one that is there, in one step."""
    replacement = directory / f"{MANIFEST}.new"
    try:
        write_synced(replacement, _sealed(asdict(manifest)))
        replacement.replace(directory / MANIFEST)
    except BaseException:
        replacement.unlink(missing_ok=True)
        raise
    sync(directory)


def described(folder: Path) -> dict[str, dict[str, Any]]:
    """Bring all files in a data folder to the disk, and return name -> {"size", "sha256"}."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")
    mode = (folder / "vectors.lengths").stat().st_mode
    for name in names:
        (folder / name).chmod(mode)  # tantivy keeps some to their owner
        sync(folder / name)
    sync(folder)
    return {name: {"size": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in names}


# ---------------------------------------------------------------- is it whole, and would it be made the same today


def fitting_analyzer(directory: Path, manifest: Manifest) -> Analyzer:
    """Return the analyzer of an index; raises InputError unless it yields the terms that the index was built with."""
    if manifest.tantivy != VERSION:
        raise InputError(f"{directory}: built with tantivy {manifest.tantivy}, {VERSION} is installed", REBUILD)
    try:
        analyze = analyzer(manifest.language)
    except XqeError as error:
        raise InputError(f"{directory}: {error.message}", REBUILD) from None
    for part in sorted(manifest.analyzer.keys() | analyze.identity.keys()):
        then, now = manifest.analyzer.get(part), analyze.identity.get(part)
        if then != now:
            raise InputError(f"{directory}: text was analysed differently ({part} {then}, now {now})", REBUILD)
    if any(analyze.terms(text) != terms for text, terms in manifest.probes):
        raise InputError(f"{directory}: text is analysed differently now than when it was built", REBUILD)
    return analyze


def check_files(directory: Path, manifest: Manifest, verify: bool) -> None:
    """Raise InputError that names a file which is missing or not what was written.

    Files that were found whole before and have not been touched since are not read again, unless with `verify`.
    """
    data = directory / manifest.data
    states: dict[str, list[int]] = {}
    for name, expected in manifest.files.items():
        try:
            state = (data / name).stat()
        except OSError as error:
            raise InputError(f"{data / name}: {why(error)}", REBUILD) from None
        if state.st_size != expected["size"]:
            raise _damaged(data / name)
        states[name] = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
    note = _note(directory)
    found = {"files": manifest.files, "states": states}
    if not verify and _read(note) == found:
        return
    for name, expected in manifest.files.items():
        try:
            whole = sha256(data / name) == expected["sha256"]
        except OSError as error:
            raise InputError(f"{data / name}: {why(error)}", REBUILD) from None
        if not whole:
            with suppress(OSError):
                note.unlink()
            raise _damaged(data / name)
    _write(note, found)


def _damaged(path: Path) -> InputError:
    return InputError(f"{path}: damaged, its contents are not those that were written", REBUILD)


def _note(directory: Path) -> Path:
    place = os.fsencode(directory.resolve())
    try:
        cache = cache_folder()
    except RuntimeError:  # a user without a home
        cache = Path(os.devnull)
    return cache / "verified" / f"{blake2b(place, digest_size=16).hexdigest()}.json"


def _read(note: Path) -> Any:
    try:
        return json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None


def _write(note: Path, found: dict[str, Any]) -> None:
    """Where it cannot be noted, the files are hashed each time."""
    replacement = note.with_suffix(f".{os.getpid()}.new")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        replacement.write_text(json.dumps(found))
        replacement.replace(note)
    except OSError:
        with suppress(OSError):
            replacement.unlink()
