"""What a GGUF file is for, by what it says of itself and has: a model that generates, makes vectors or ranks, or no
model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from xqe.errors import ModelError, XqeError
from xqe.models.families import family_of
from xqe.models.folder import file_errors
from xqe.models.gguf import Metadata, read_description, read_header, whole_number
from xqe.models.heads import HEADS, Found, Head, find_head
from xqe.models.registry import MODELS, known_at
from xqe.models.split import parts_of

ARCHITECTURE, TYPE = "general.architecture", "general.type"
UNSPECIFIED, RANK = -1, 4  # llama_pooling_type
_MODEL, _SEEING = "model", "mmproj"
_HINTS = {
    "adapter": "it goes to --lora, beside the model that it was made for",
    _SEEING: "it is what a model sees with; give the model's other GGUF file",
}
_OF_IMAGES = "clip"
_RERANK, _EMBED = "rerank", "embed"
"""Words in the names of files, of which older ones do not say within what they do."""

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


class Purpose(StrEnum):
    """What a model is for. HEADLESS: it was to rank, and what it ranks with is missing."""

    GENERATES = "generator"
    ENCODES = "encoder"
    RANKS = "reranker"
    HEADLESS = "reranker without its head"


_DOES = {
    Purpose.GENERATES: "generates text",
    Purpose.ENCODES: "makes vectors",
    Purpose.RANKS: "ranks passages",
    Purpose.HEADLESS: "ranks passages",
}


def purpose_of(path: Path) -> Purpose:
    """What the file of a model is for. Raises ModelError for one of something else."""
    return _seen(path).purpose


def kind_of(path: Path) -> str | None:
    """The same in a word or two; None for what is no model, or cannot be read."""
    try:
        return purpose_of(path).value
    except (XqeError, OSError):
        return None


def check_generates(name: str, path: Path, measures: bool = False) -> None:
    """Raise ModelError for a file that makes vectors, or ranks, and generates no text. measures: it need not write, but
    only say how likely a text is, as a decoder that was made to rank does without its head."""
    seen = _seen(path)
    if seen.purpose is not Purpose.GENERATES and not (measures and seen.can_measure):
        raise _no_generator(name, seen.purpose)


def check_ranks(name: str, path: Path) -> Head:
    """Return the head that a file ranks with. Raises ModelError for one without it, or with a part of it."""
    seen = _seen(path)
    found = seen.found
    if seen.purpose not in (Purpose.RANKS, Purpose.HEADLESS):
        raise ModelError(
            f"{name}: {_DOES[seen.purpose]} and is no re-ranker", f"take {RERANKER}, or re-rank by another kind"
        )
    otherwise = f"{'re-rank with it by yes-no, or ' if seen.can_measure else ''}take {RERANKER}"
    if found is None:
        raise ModelError(f"{name}: llama.cpp knows no head of the architecture {seen.architecture}", otherwise)
    if not found.is_whole:
        missing = " and ".join(found.missing)
        raise ModelError(f"{name}: lacks the head that it was made to rank with ({missing})", otherwise)
    if found.outputs != found.head.outputs:
        raise ModelError(
            f"{name}: its head has {found.outputs} outputs, and a score is made of {found.head.outputs}",
            f"take {RERANKER}",
        )
    return found.head


def check_pools_nothing(name: str, pooling: int) -> None:
    """Raise ModelError for a model that says how it pools, which one that generates has no use for."""
    if pooling > 0:
        raise _no_generator(name, Purpose.RANKS if pooling == RANK else Purpose.ENCODES)


RERANKER = "a GGUF file of bge-reranker-v2-m3, or of Qwen3-Reranker with its head"


class _Seen(NamedTuple):
    """What is seen of a file. found: of a head, None where it is of no matter."""

    architecture: object
    pooling: int
    purpose: Purpose
    found: Found | None

    @property
    def can_measure(self) -> bool:
        """Whether it says how likely a text is, although it was made to rank."""
        return self.purpose is Purpose.HEADLESS and self.architecture not in _ENCODERS and self.pooling <= 0


def _seen(path: Path) -> _Seen:
    said = describe_model(path)
    architecture, name = said[ARCHITECTURE], path.name.lower()
    row = known_at(path)
    if row is not None:
        return _Seen(architecture, UNSPECIFIED, Purpose.ENCODES if row.encoding else Purpose.GENERATES, None)
    found = None
    if architecture in HEADS:
        with file_errors(path):
            headers = [read_header(part) for part in parts_of(path)]
        said, found = headers[0].metadata, find_head(headers, architecture)
    pooling = whole_number(said, pooling_key(architecture), path, UNSPECIFIED)
    purpose = Purpose.GENERATES
    if found is not None and found.is_whole:
        purpose = Purpose.RANKS
    elif pooling == RANK or _RERANK in name or (found is not None and found.is_any):
        purpose = Purpose.HEADLESS
    elif architecture in _ENCODERS or family_of(path.name) or _EMBED in name or pooling > 0:
        purpose = Purpose.ENCODES
    return _Seen(architecture, pooling, purpose, found)


def _no_generator(name: str, purpose: Purpose) -> ModelError:
    generators = ", ".join(model.name for model in MODELS if not model.encoding)
    other = "" if purpose is Purpose.ENCODES else ", or re-rank with it: xqe rerank, or --rerank-model"
    return ModelError(f"{name}: {_DOES[purpose]} and generates no text", f"take one of {generators}{other}")
