"""Whether a model's file is whole: its size, its structure and its content, held to what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xqe.files.hashes import remember, sha256
from xqe.models.folder import file_errors, models_folder, recorded_sha256
from xqe.models.gguf import DamagedError, check_gguf
from xqe.models.registry import known_at, name_at


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


@dataclass(frozen=True, slots=True)
class Verified:
    """A file that was found whole. size: bytes. against: what knew the sha256, as in `Known`."""

    size: int
    sha256: str
    against: str | None


def verify(path: Path) -> Verified:
    """Check a model file's size, structure and content, reading all of it anew.

    The sha256 is compared to the one recorded at download, else to the table's. Raises DamagedError; ModelError where
    the file cannot be read.
    """
    known = known_of(path)
    again = "copy or download it again"
    if path.is_relative_to(models_folder()):
        again = f"run: xqe models pull --force {name_at(path)}"
    with file_errors(path):
        known.check_size(path, again)
        try:
            check_gguf(path)
        except DamagedError as error:
            raise DamagedError(error.message, again) from None
        digest = sha256(path)
        known.check_sha256(path, digest, again)
        remember(path, digest)
        return Verified(path.stat().st_size, digest, known.against)
