"""What is trained on: a GGUF file, a Hugging Face checkpoint in a folder, or one of the hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from xqe.errors import InputError, ModelError, XqeError
from xqe.files.hashes import cached_sha256
from xqe.models.lookup import resolve
from xqe.models.purposes import ARCHITECTURE, describe_model
from xqe.models.split import parts_of
from xqe.models.verification import model_sha256
from xqe.training.architectures import BY_TYPE, CONFIGURATION

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")

# A GGUF file's architecture → the class of transformers that its weights are loaded as. Those that llama.cpp applies
# an adapter to and transformers loads from GGUF.
FROM_GGUF = ("gemma2", "gemma3", "llama", "qwen2", "qwen3")


class Kind(StrEnum):
    GGUF = "gguf"
    FOLDER = "folder"
    HUB = "hub"


@dataclass(frozen=True, slots=True)
class Base:
    """A base model. place: the file, the folder, or OWNER/NAME on the hub. architecture: as GGUF calls it for a GGUF
    file, else the model_type of its configuration; empty for one of the hub until it is loaded."""

    name: str
    kind: Kind
    place: str
    architecture: str

    @property
    def path(self) -> Path:
        return Path(self.place)

    def source(self) -> dict[str, Any]:
        """The arguments that make transformers load it."""
        if self.kind is Kind.GGUF:
            return {"pretrained_model_name_or_path": str(self.path.parent), "gguf_file": self.path.name}
        return {"pretrained_model_name_or_path": self.place}

    def hashes(self) -> dict[str, str]:
        """sha256 of each file of weights, by its name; none for one of the hub, which `transformers` keeps."""
        if self.kind is Kind.GGUF:
            return {self.path.name: model_sha256(self.path)}
        if self.kind is Kind.HUB:
            return {}
        files = sorted(file for form in (CONFIGURATION, *_WEIGHTS) for file in self.path.glob(form))
        return {file.name: cached_sha256(file) for file in files}


def find_base(text: str) -> Base:
    """The base that --model means: a folder with a checkpoint, a GGUF file or name as in other commands, or OWNER/NAME
    of the hub. Reads no weights. Raises XqeError for one that is not there or that no adapter can be exported for."""
    folder = Path(text).expanduser()
    if folder.is_dir():
        return _in_folder(text, folder.absolute())
    try:
        found = resolve(text)
    except ModelError:
        if text.count("/") == 1 and not text.startswith((".", "~", "/")) and not text.endswith(".gguf"):
            return Base(text.split("/")[1], Kind.HUB, text, "")
        raise
    if (files := len(parts_of(found.path))) > 1:
        raise XqeError(
            f"{text}: is in {files} files, and transformers reads one",
            "join them with llama-gguf-split --merge, or give the folder of its Hugging Face checkpoint",
        )
    architecture = str(describe_model(found.path)[ARCHITECTURE])
    if architecture not in FROM_GGUF:
        raise XqeError(
            f"{text}: transformers cannot train {architecture or 'it'} from a GGUF file",
            f"give the folder of its Hugging Face checkpoint; from GGUF go {', '.join(FROM_GGUF)}",
        )
    return Base(found.name, Kind.GGUF, str(found.path), architecture)


def _in_folder(text: str, folder: Path) -> Base:
    try:
        config = json.loads((folder / CONFIGURATION).read_text("utf-8"))
        architecture = str(config["model_type"])
    except FileNotFoundError:
        raise InputError(f"{text}: no {CONFIGURATION} in it", "give the folder of a Hugging Face checkpoint") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{folder / CONFIGURATION}: cannot be read ({error})", "copy or download it again") from None
    if not any(next(folder.glob(form), None) for form in _WEIGHTS):
        raise InputError(f"{text}: no weights in it", f"a checkpoint has {' or '.join(_WEIGHTS)}")
    check_architecture(architecture, text)
    return Base(folder.name, Kind.FOLDER, str(folder), architecture)


def check_architecture(architecture: str, where: str) -> None:
    """Raise XqeError for an architecture that no adapter can be exported for, before anything is loaded."""
    if architecture not in BY_TYPE:
        raise XqeError(
            f'{where}: no adapter of "{architecture}" can be made for llama.cpp', f"xqe trains {', '.join(BY_TYPE)}"
        )
