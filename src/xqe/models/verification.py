"""Whether a model is whole, and which: size, structure and content of its files, held to what is known of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xqe.files.hashes import cached_sha256
from xqe.models.folder import file_errors, models_folder, record_of, recorded_sha256
from xqe.models.gguf import DamagedError, check_gguf
from xqe.models.registry import known_at, name_at
from xqe.models.split import parts_of


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a model file. size: bytes. against: what knows the sha256: "record", "table", or None."""

    size: int | None
    sha256: str | None
    against: str | None

    def check_size(self, path: Path, hint: str = "") -> None:
        """Raise DamagedError for a file of another size."""
        size = path.stat().st_size
        if self.size not in (None, size):
            raise DamagedError(f"{path}: {size} bytes instead of {self.size}", hint)

    def check_sha256(self, path: Path, digest: str, hint: str = "") -> None:
        """Raise DamagedError for a file with another sha256."""
        if self.sha256 not in (None, digest):
            raise DamagedError(f"{path}: sha256 {digest} instead of {self.sha256}", hint)


def known_of(path: Path) -> Known:
    """What was recorded of a file when it came to be, else what the table knows of it."""
    recorded = recorded_sha256(path)
    if recorded is not None:
        return Known(None, recorded, "record")
    model = known_at(path)
    if model is None:
        return Known(None, None, None)
    return Known(model.size, model.sha256, "table" if model.sha256 else None)


def model_sha256(path: Path) -> str:
    """What tells a model from every other: the sha256 of its file.

    Of a model in several files it is the sha256 of theirs, in order, each in hex and with a line's end. They are cached
    (see `files.hashes`), and each is held to what is known of its file whenever it is asked for. Raises DamagedError,
    and ModelError where a file cannot be read.
    """
    digests = []
    with file_errors(path):
        for part in parts_of(path):
            known, hint = known_of(part), remedy(path, part)
            known.check_size(part, hint)
            digests.append(cached_sha256(part))
            known.check_sha256(part, digests[-1], hint)
    return _together(digests)


def _together(digests: Sequence[str]) -> str:
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def remedy(path: Path, part: Path) -> str:
    """What to do about a damaged file of a model."""
    if path.is_relative_to(models_folder()):
        return f"run: xqe models pull --force {name_at(path)}"
    if recorded_sha256(part) is not None:
        return f"copy or download it again; if it was replaced on purpose, remove {record_of(part)}"
    return "copy or download it again"


@dataclass(frozen=True, slots=True)
class Verified:
    """A model that was found whole. size: bytes of all its files. sha256: as of `model_sha256`. against: what knew the
    sha256 of its files, as in `Known`."""

    size: int
    sha256: str
    against: str | None


def verify(path: Path) -> Verified:
    """Check size, structure and content of a model's files, reading all of it anew.

    The sha256 is compared to the one recorded at download, else to the table's. Raises DamagedError; ModelError where
    a file cannot be read.
    """
    with file_errors(path):
        found = [_verify_file(part, remedy(path, part)) for part in parts_of(path)]
    unknown = any(one.against is None for one in found)
    digest = _together([one.sha256 for one in found])
    return Verified(sum(one.size for one in found), digest, None if unknown else found[0].against)


def _verify_file(path: Path, hint: str) -> Verified:
    known = known_of(path)
    known.check_size(path, hint)
    check_structure(path, hint)
    digest = cached_sha256(path, anew=True)
    known.check_sha256(path, digest, hint)
    return Verified(path.stat().st_size, digest, known.against)


def check_structure(path: Path, hint: str) -> None:
    """Raise DamagedError, with this hint, for what is no whole GGUF file."""
    try:
        check_gguf(path)
    except DamagedError as error:
        raise DamagedError(error.message, hint) from None
