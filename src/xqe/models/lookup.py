"""From the name or the path of a model to a file that is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xqe.errors import ModelError, why
from xqe.models.assembly import assemble
from xqe.models.folder import models_folder
from xqe.models.gguf import check_magic
from xqe.models.purposes import describe_model
from xqe.models.registry import find, name_at, named
from xqe.models.split import named as named_parts
from xqe.models.split import parts_of


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model file that is there, of a model in several files the first. name: of the table, else its place on the hub,
    else its file name without .gguf."""

    name: str
    path: Path


def resolve(name_or_path: str) -> ResolvedModel:
    """Return the model file that --model means: a name of the table, or the path of a GGUF file.

    What holds a path separator or ends in .gguf is a path, with ~ expanded, and is also looked for as
    [hf:]OWNER/REPOSITORY/FILE among the downloaded models. "tiny" is assembled if it is not there yet. Raises
    ModelError for an unknown name, a known one that is not downloaded, a path with no GGUF file, a file of something
    else than a model, and a model of which a part is missing; MissingExtraError for tiny.
    """
    model = named().get(name_or_path)
    if model is not None and model.chunks:
        return ResolvedModel(model.name, assemble(model))
    found = locate(name_or_path)
    try:
        check_magic(found.path)
        for part in parts_of(found.path):
            check_magic(part)
    except OSError as error:
        raise ModelError(f"{error.filename or found.path}: {why(error)}", "give the path of a GGUF file") from None
    describe_model(found.path)
    return found


def locate(name_or_path: str) -> ResolvedModel:
    """Return the file that a name or path means, if it is there; nothing is assembled, and the file is not read."""
    if name_or_path not in named() and ("/" in name_or_path or name_or_path.endswith(".gguf")):
        here = Path(name_or_path).expanduser().absolute()
        path = here if here.exists() else models_folder() / name_or_path.removeprefix("hf:")
        if not path.exists():
            raise ModelError(f"{name_or_path}: no such file", f"check the path, or give one of {', '.join(named())}")
        return ResolvedModel(name_at(path), path)
    model = find(name_or_path)
    if not model.path.is_file():
        raise ModelError(
            f'the model "{model.name}" is not downloaded to {model.path}', f"run: xqe models pull {model.name}"
        )
    return ResolvedModel(model.name, model.path)


def installed() -> list[ResolvedModel]:
    """Every model of which a file is there, by its first file: those of the table, then others of the hub."""
    known = [model.path for model in named().values()]
    there = {named_parts(path)[0] for path in models_folder().rglob("*.gguf") if path.is_file()}
    found = [path for path in known if path in there] + sorted(there.difference(known))
    return [ResolvedModel(name_at(path), path) for path in found]
