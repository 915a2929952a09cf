"""The model that is used, and the model files that are here."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from xqe.doctor.packages import Extra
from xqe.errors import ModelError, why
from xqe.files.hashes import cached_sha256, is_remembered
from xqe.models import lookup, registry
from xqe.models.engines import FAKE, SERVER
from xqe.models.folder import models_folder
from xqe.models.gguf import DamagedError
from xqe.models.purposes import kind_of
from xqe.models.split import parts_of, size_of
from xqe.models.verification import check_structure, known_of, remedy, verify


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model on the disk. path: of its first file. size: bytes of all. state: "ok", "changed", "unreadable", or
    "unknown" where nothing can be said without reading it or nothing says what it should be. against: what knew its
    sha256, "record" or "table". detail: why. hint: the next step. kind: what it is for, None where nobody knows."""

    name: str
    path: str
    size: int
    state: str
    against: str | None = None
    detail: str | None = None
    hint: str = ""
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The model that is used where --model names none. given: by XQE_MODEL. kind: "file", "server" or "fake".

    path: None where it is not there, size: None where it is not known. error, hint: why it cannot be used.
    """

    name: str
    given: bool
    kind: str
    path: str | None = None
    size: int | None = None
    error: str | None = None
    hint: str = ""


def model_chosen(extras: list[Extra]) -> Chosen:
    """The model that XQE_MODEL names, else the default. extras: which are installed, and which are not."""
    given = os.environ.get("XQE_MODEL", "")
    name = given or registry.default_model()
    if name == FAKE or name.startswith(SERVER):
        return Chosen(name, True, "fake" if name == FAKE else "server")
    chosen = Chosen(name, bool(given), "file")
    installed = {extra.name for extra in extras if extra.installed}
    try:
        model = registry.named().get(name)
        if model is None or not model.chunks or model.path.is_file():
            path = lookup.locate(name).path
            return replace(chosen, path=str(path), size=size_of(path))
        if registry.EXTRA in installed:
            return replace(chosen, size=model.size)  # assembled when it is used
        return replace(
            chosen, error=f'the model "{name}" is not installed', hint=f'pip install "xqe[{registry.EXTRA}]"'
        )
    except ModelError as error:
        return replace(chosen, error=error.message, hint=error.hint)
    except OSError as error:
        return replace(chosen, error=f"{error.filename or name}: {why(error)}", hint="give access to it")


def models_here(chosen: Chosen, reads_all: bool) -> tuple[list[ModelFile], str | None]:
    """The model files that are there, the chosen one with them, and why they cannot be listed."""
    problem = None
    found: list[lookup.ResolvedModel] = []
    try:
        found = lookup.installed()
    except OSError as error:
        problem = f"{error.filename or models_folder()}: {why(error)}"
    if chosen.path is not None and Path(chosen.path) not in [each.path for each in found]:
        found.append(lookup.ResolvedModel(chosen.name, Path(chosen.path)))
    return [_model_file(each, reads_all) for each in found], problem


def _model_file(found: lookup.ResolvedModel, reads_all: bool) -> ModelFile:
    size, hint = 0, ""
    try:
        size = size_of(found.path)
        state, against, detail = (_read if reads_all else _glance)(found.path)
    except DamagedError as error:
        state, against, detail, hint = "changed", None, error.message, error.hint
    except ModelError as error:
        state, against, detail, hint = "unreadable", None, error.message, error.hint
    except OSError as error:
        state, against, detail, hint = "unreadable", None, f"{found.path}: {why(error)}", "give access to it"
    return ModelFile(found.name, str(found.path), size, state, against, detail, hint, kind_of(found.path))


_State = tuple[str, str | None, str | None]  # state, against, detail
_UNKNOWN: _State = ("unknown", None, "nothing says what its sha256 should be")


def _read(path: Path) -> _State:
    """The state of a model file, all of it read."""
    against = verify(path).against
    return ("ok", against, None) if against else _UNKNOWN


def _glance(path: Path) -> _State:
    """The state of a model file from its size, its header and its cached sha256.

    It is read only where it has changed since it was hashed, which is then known for the next time. A file that was
    never hashed here stays unknown: hashing takes a second for each gigabyte or two.
    """
    states = [_glance_at_file(part, remedy(path, part)) for part in parts_of(path)]
    return next((state for state in states if state[0] != "ok"), states[0])


def _glance_at_file(path: Path, hint: str) -> _State:
    check_structure(path, hint)
    known = known_of(path)
    known.check_size(path, hint)
    if known.sha256 is None:
        return _UNKNOWN
    if not is_remembered(path):
        return "unknown", None, "not read here before; --verify reads it"
    known.check_sha256(path, cached_sha256(path), hint)
    return "ok", known.against, None
