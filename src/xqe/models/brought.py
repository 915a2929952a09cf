"""Model files on a machine of a cluster: found there, or brought from the machine that the command runs on, once.

What is brought lies in the cache folder under its hash: brought/SHA256/NAME. Whatever is found is held to the hash that
the command has computed, so that every worker has the same file, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from xqe.errors import ModelError, XqeError
from xqe.files.cache import cache_folder
from xqe.files.parts import empty, part_of, put_in_place
from xqe.models.folder import file_errors
from xqe.models.lookup import locate
from xqe.models.split import parts_of
from xqe.models.verification import model_sha256

PIECE = 16 << 20  # bytes


class Source(Protocol):
    """Where files can be read from afar: by number, offset and size."""

    def reading(self) -> AbstractContextManager[Callable[[int, int, int], bytes]]: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model, or an adapter, as the command has it. reference: as it was asked for. paths: of its files, in order.
    sha256: of `verification.model_sha256`. source: of these files, None where they are here for sure."""

    reference: str
    paths: tuple[Path, ...]
    sha256: str
    source: Source | None = None

    def here(self) -> Path:
        """The first of its files on this machine. Raises ModelError where it is not here and cannot be brought."""
        for path in self._places():
            with suppress(XqeError, OSError):
                if path.is_file() and model_sha256(path) == self.sha256:
                    return path
        if self.source is None:
            raise ModelError(f"{self.paths[0]}: not the file that the command has", "copy it to each machine")
        return self._bring(self.source)

    def _places(self) -> Iterator[Path]:
        yield self.paths[0]
        with suppress(XqeError):
            yield locate(self.reference).path
        yield self._brought

    @property
    def _brought(self) -> Path:
        return cache_folder() / "brought" / self.sha256 / self.paths[0].name

    def _bring(self, source: Source) -> Path:
        """Read the files from afar; other processes of this machine wait for them meanwhile."""
        for number, path in enumerate(self.paths):
            target = self._brought.with_name(path.name)
            with file_errors(target), part_of(target, "brought") as part:
                if target.is_file():  # brought by the process that this one waited for
                    continue
                empty(part)
                with source.reading() as read:
                    while piece := read(number, part.tell(), PIECE):
                        part.write(piece)
                put_in_place(part, target)
        if (digest := model_sha256(self._brought)) != self.sha256:
            for path in self.paths:
                self._brought.with_name(path.name).unlink(missing_ok=True)
            raise ModelError(f"{self._brought}: sha256 {digest} instead of {self.sha256}", "run the command again")
        return self._brought


def wanted(reference: str, path: Path, sha256: str, source: Source | None = None) -> Wanted:
    """What a file of this machine is elsewhere."""
    return Wanted(reference, tuple(part.absolute() for part in parts_of(path)), sha256, source)
