"""What a GGUF file is for, by what it says of itself: a model that generates, one that makes vectors, or no model."""

from __future__ import annotations

from pathlib import Path

from xqe.errors import ModelError
from xqe.models.families import family_of
from xqe.models.folder import file_errors
from xqe.models.gguf import Metadata, read_description, whole_number
from xqe.models.registry import MODELS, known_at

ARCHITECTURE, TYPE = "general.architecture", "general.type"
UNSPECIFIED, RANK = -1, 4  # llama_pooling_type
_MODEL, _SEEING = "model", "mmproj"
_HINTS = {
    "adapter": "it goes to --lora, beside the model that it was made for",
    _SEEING: "it is what a model sees with; give the model's other GGUF file",
}
_OF_IMAGES = "clip"
_MAKES, _RANKS = "makes vectors", "ranks passages"
_NAMED = {"rerank": _RANKS, "embed": _MAKES}
"""What files do that have a word in their names; older ones do not say it within."""

_ENCODERS = {
    *("bert", "jina-bert-v2", "jina-bert-v3", "nomic-bert", "nomic-bert-moe", "neo-bert", "eurobert", "modern-bert"),
    *("gemma-embedding", "llama-embed"),
}
"""Architectures that llama.cpp gives no memory for what is generated, or knows as embedders (llama-model.cpp)."""


def describe_model(path: Path) -> Metadata:
    """What the file of a model says of itself before its vocabulary. Raises ModelError for one of something else."""
    with file_errors(path):
        said = read_description(path)
    check_is_model(path, said.get(ARCHITECTURE), said.get(TYPE))
    if not isinstance(said.get(ARCHITECTURE), str):
        raise ModelError(f"{path}: does not say what model it is ({ARCHITECTURE})", "take another file of it")
    return said


def check_is_model(path: Path | str, architecture: object, kind: object) -> None:
    """Raise ModelError for a file of something else than a model. kind: general.type, None where it is not said."""
    kind = _SEEING if architecture == _OF_IMAGES else kind or _MODEL
    if kind != _MODEL:
        hint = _HINTS.get(str(kind), "give the model that it was made for")
        raise ModelError(f"{path}: is no model but of the type {kind}", hint)


def pooling_key(architecture: object) -> str:
    """The key of the number, of llama_pooling_type, that says how a model makes one vector of a text."""
    return f"{architecture}.pooling_type"


def check_generates(name: str, path: Path) -> None:
    """Raise ModelError for a file that makes vectors, or ranks, and generates no text."""
    said = describe_model(path)
    row = known_at(path)
    encodes = row.encoding is not None if row is not None else family_of(path.name) is not None
    if encodes or said[ARCHITECTURE] in _ENCODERS:
        raise _no_generator(name, _MAKES)
    for word, does in _NAMED.items():
        if word in path.name.lower():
            raise _no_generator(name, does)
    check_pools_nothing(name, whole_number(said, pooling_key(said[ARCHITECTURE]), path, UNSPECIFIED))


def check_pools_nothing(name: str, pooling: int) -> None:
    """Raise ModelError for a model that says how it pools, which one that generates has no use for."""
    if pooling > 0:
        raise _no_generator(name, _RANKS if pooling == RANK else _MAKES)


def _no_generator(name: str, does: str) -> ModelError:
    generators = ", ".join(model.name for model in MODELS if not model.encoding)
    return ModelError(f"{name}: {does} and generates no text", f"take one of {generators}")
