"""The manifest of an index, xqe.json, and the check that the files beside it are those that it was written for.

A build writes a new data folder and then replaces the manifest, which is one atomic rename: whenever a build is
killed, the manifest names a whole index, the old one or the new one.

Every file is hashed when an index is opened for the first time, or with `verify` (see `files.whole`).
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError, why
from xqe.files.atomic import sync, write_synced
from xqe.files.hashes import sha256
from xqe.files.sealed import SEAL, sealed
from xqe.files.whole import check_whole, damaged
from xqe.retrieval.documents import MANIFEST, SEVERAL, SHARDS
from xqe.retrieval.lexical.bm25 import Padding, Parameters
from xqe.retrieval.lexical.candidates import VERSION
from xqe.text.analysis import Analyzer, analyzer

LOCK = "xqe.lock"
FORMAT = 2
WITH_QUESTIONS = 3
"""The format of an index of documents that have questions."""
REBUILD = "build it again with xqe index --force"
DATA = re.compile(r"data-\d+")
OURS = re.compile(rf"xqe\.json(?:\.new)?|xqe\.lock|{DATA.pattern}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents(ABC):
    """What any manifest says of an index, in one piece or in shards.

    documents, empty, terms, distinct: counts over the collection; average_length: terms a document. analyzer: its
    identity. texts: whether the index keeps the texts. data: the folder of its files. questions: language -> of the
    questions in it {"documents", "questions", "bytes", ...}; empty where there are none.
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
    data: str
    questions: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def parameters(self) -> Parameters:
        return Parameters(self.k1, self.b)

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes of all its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Contents):
    """What xqe.json of an index in one piece holds.

    Its last field there is "sha256", of all others: the manifest is checked like the files that it names.

    pad, fillers, excess: see `bm25`. probes: [text, terms] pairs that analysis must reproduce. files: name -> {"size",
    "sha256"}, in the folder `data`. questions: also "sha256", of the manifest of the index of these; joint: see
    `joint`. An index without questions has neither of the two.
    """

    pad: int
    fillers: list[int]
    excess: float
    probes: list[list[Any]]
    files: dict[str, dict[str, Any]]
    joint: dict[str, Any] = field(default_factory=dict)

    @property
    def padding(self) -> Padding:
        return Padding(self.pad, tuple(self.fillers))

    @property
    def size(self) -> int:
        own: int = sum(file["size"] for file in self.files.values())
        of_questions: int = sum(its["bytes"] for its in self.questions.values())
        joint: int = sum(file["size"] for file in self.joint.get("files", {}).values())
        return own + of_questions + joint


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of an index in one piece; raises InputError where there is none, or a damaged one."""
    path = directory / MANIFEST
    try:
        written = path.read_bytes()
        raw = json.loads(written)
    except (FileNotFoundError, NotADirectoryError):
        what = "holds no index" if directory.is_dir() else "no such index"
        raise InputError(f"{directory}: {what}", "build one with xqe index") from None
    except OSError as error:
        raise InputError(f"{path}: {why(error)}", "check the path") from None
    except (RecursionError, ValueError):
        raise InputError(f"{path}: damaged, not JSON", REBUILD) from None
    if isinstance(raw, dict) and raw.get("kind") == SEVERAL:
        raise InputError(f"{directory}: an index of several languages", f"name one of them, such as {directory}/en")
    if isinstance(raw, dict) and raw.get("kind") == SHARDS:
        raise InputError(f"{directory}: an index in shards, and this has to be one in one piece", REBUILD)
    if isinstance(raw, dict) and raw.get("format", FORMAT) not in (FORMAT, WITH_QUESTIONS):
        raise InputError(f"{directory}: an index of format {raw['format']}, this xqe reads {WITH_QUESTIONS}", REBUILD)
    try:
        fields = {name: value for name, value in raw.items() if name != SEAL}
        if sealed(fields) != written:
            raise damaged(path, REBUILD)
        manifest = Manifest(**fields)
        inside = [manifest.data, *manifest.files, *manifest.questions, *manifest.joint.get("files", ())]
        if not DATA.fullmatch(manifest.data) or any(Path(name).name != name for name in inside):
            raise damaged(path, REBUILD)
    except (AttributeError, TypeError):
        raise InputError(f"{path}: damaged, fields are missing", REBUILD) from None
    return manifest


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Put a manifest into the place of the one that is there, in one step."""
    fields = asdict(manifest)
    if not manifest.questions:
        del fields["questions"], fields["joint"]
    put_fields(directory, fields)


def put_fields(directory: Path, fields: Mapping[str, Any]) -> None:
    """Put the fields of a manifest, sealed, into the place of the one that is there, in one step."""
    replacement = directory / f"{MANIFEST}.new"
    try:
        write_synced(replacement, sealed(fields))
        replacement.replace(directory / MANIFEST)
    except BaseException:
        replacement.unlink(missing_ok=True)
        raise
    sync(directory)


def described(folder: Path, data: Path | None = None) -> dict[str, dict[str, Any]]:
    """Bring all files in a data folder, or one within it, to the disk, and return name -> {"size", "sha256"}."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix != ".lock" and path.is_file())
    mode = (data or folder).joinpath("vectors.lengths").stat().st_mode
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
    """Raise InputError that names a file which is missing or not what was written (see `check_whole`)."""
    check_whole(directory / manifest.data, manifest.files, directory, REBUILD, verify)
