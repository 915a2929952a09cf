"""The models whose adapters llama.cpp can apply: what both sides call them, and the dimensions of their matrices.

Sources: llama.cpp's src/models (which matrices an adapter is applied to), its conversion/llama.py (the order of rows),
transformers' configurations (names and defaults), docs/gguf.md (metadata).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xqe.errors import InputError, ModelError, XqeError, why
from xqe.models.gguf import DamagedError, Metadata, read_metadata, whole_number
from xqe.models.lookup import resolve

CONFIGURATION = "config.json"


@dataclass(frozen=True, slots=True)
class Architecture:
    """One row of the table.

    name: llama.cpp's. model_types: "model_type" of the checkpoints that become it. rotated_halves: GGUF files have the
    rows of the query and key matrices in another order than checkpoints (see `adapters.reordered`). own_output: there
    can be an output matrix that is not the embeddings. defaults: of transformers, for keys that a configuration may
    leave out.
    """

    name: str
    model_types: tuple[str, ...]
    rotated_halves: bool = False
    own_output: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)


_GEMMA3 = {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "tie_word_embeddings": True}

ARCHITECTURES = (
    Architecture("gemma", ("gemma",), defaults={"head_dim": 256}),
    Architecture("gemma2", ("gemma2",), defaults={"head_dim": 256}),
    Architecture("gemma3", ("gemma3_text", "gemma3"), defaults=_GEMMA3),
    Architecture("command-r", ("cohere",)),
    Architecture("cohere2", ("cohere2",)),
    Architecture("llama", ("llama", "mistral"), rotated_halves=True, own_output=True),
    Architecture("qwen2", ("qwen2",), own_output=True),
    Architecture("qwen3", ("qwen3",), own_output=True, defaults={"head_dim": 128}),
)
BY_TYPE = {kind: row for row in ARCHITECTURES for kind in row.model_types}
_BY_NAME = {row.name: row for row in ARCHITECTURES}

# A layer's matrices: the module in a checkpoint, llama.cpp's name, and the extents of its output and of its input.
MATRICES = {
    "self_attn.q_proj": ("attn_q", "queries", "embedding"),
    "self_attn.k_proj": ("attn_k", "keys", "embedding"),
    "self_attn.v_proj": ("attn_v", "keys", "embedding"),
    "self_attn.o_proj": ("attn_output", "embedding", "queries"),
    "mlp.gate_proj": ("ffn_gate", "feed_forward", "embedding"),
    "mlp.up_proj": ("ffn_up", "feed_forward", "embedding"),
    "mlp.down_proj": ("ffn_down", "embedding", "feed_forward"),
}
OUTPUT = ("output", "vocabulary", "embedding")


@dataclass(frozen=True, slots=True)
class Dimensions:
    """What an adapter's base model is made of.

    name: for people. layers: how many. heads, key_heads: of attention. extents: of the matrices, by the names that
    `MATRICES` has for them, as far as they are known. own_output: whether its output matrix is not the embeddings,
    None where that is not known. file: the GGUF file it was read from, if it was one.
    """

    architecture: Architecture
    name: str
    layers: int
    heads: int
    key_heads: int
    extents: Mapping[str, int]
    own_output: bool | None
    file: Path | None = None


def base_at(base: str | Path, revision: str | None = None) -> Dimensions:
    """Describe a base model; only its configuration is read.

    base: a checkpoint folder with a config.json, a GGUF file, a name of xqe's table, or the hub's OWNER/NAME of a
    checkpoint whose configuration is in the hub's cache on this machine. Raises XqeError for one that is not there,
    cannot be read, or is of another architecture.
    """
    path = Path(base).expanduser()
    if path.is_dir():
        return _checkpoint(path / CONFIGURATION, path.resolve().name)
    if path.is_file():
        return _gguf(path, path.stem)
    text = str(base)
    if "/" not in text or text.endswith(".gguf"):
        found = resolve(text)
        return _gguf(found.path, found.name)
    cached = _cached(text, revision or "main")
    if cached is None:
        raise ModelError(
            f"{text}: neither a folder nor a file, nor a checkpoint in the hub's cache on this machine",
            "give a checkpoint folder or a GGUF file; only its configuration is read",
        )
    return _checkpoint(cached, text)


def _cached(repository: str, revision: str) -> Path | None:
    """The configuration of a checkpoint in the hub's cache; its layout is in huggingface_hub's guide to the cache."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    folder = hub / f"models--{repository.replace('/', '--')}"
    try:
        commit = (folder / "refs" / revision).read_text("ascii").strip()
    except (OSError, ValueError):
        commit = revision
    path = folder / "snapshots" / commit / CONFIGURATION
    return path if path.is_file() else None


# ---------------------------------------------------------------- from a checkpoint


def _checkpoint(path: Path, name: str) -> Dimensions:
    """Read a config.json. Raises InputError."""
    given = read_object(path, "give the folder of a checkpoint, which has one")
    text = given.get("text_config")
    config = {**given, **text} if isinstance(text, dict) else given  # a model of images and text has one for its text
    architecture = BY_TYPE.get(str(given.get("model_type")))
    if architecture is None:
        raise InputError(
            f'{path}: a model of type "{given.get("model_type")}"',
            f"adapters can be exported for the types {', '.join(BY_TYPE)}",
        )
    whole = {**architecture.defaults, **{key: value for key, value in config.items() if value is not None}}

    def number(key: str, default: int | None = None) -> int:
        value = whole.get(key, default)
        if not isinstance(value, int) or value < 1:
            raise InputError(f'{path}: "{key}" is {"missing" if value is None else value}', "it is no configuration")
        return value

    heads, embedding = number("num_attention_heads"), number("hidden_size")
    key_heads = number("num_key_value_heads", heads)
    width = number("head_dim", embedding // heads)
    extents = {
        "embedding": embedding,
        "feed_forward": number("intermediate_size"),
        "queries": heads * width,
        "keys": key_heads * width,
        "vocabulary": number("vocab_size"),
    }
    own_output = architecture.own_output and not whole.get("tie_word_embeddings", False)
    return Dimensions(architecture, name, number("num_hidden_layers"), heads, key_heads, extents, own_output)


def read_object(path: Path, hint: str) -> dict[str, Any]:
    """A file that holds one JSON object. Raises InputError with the hint where there is none."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {why(error)}", hint) from None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object", hint)
    return value


# ---------------------------------------------------------------- from a GGUF file


def _gguf(path: Path, name: str) -> Dimensions:
    """Read the metadata of a GGUF file. Raises XqeError."""
    general = _metadata(path, "general.architecture", "general.type")
    if general.get("general.type", "model") != "model":
        raise XqeError(
            f"{path}: is no model but of the type {general['general.type']}", "give the model it was made for"
        )
    kind = str(general.get("general.architecture"))
    row = _BY_NAME.get(kind)
    if row is None:
        raise InputError(
            f"{path}: a model of architecture {kind}", f"adapters can be exported for {', '.join(_BY_NAME)}"
        )
    keys = {
        key: f"{kind}.{key}"
        for key in (
            "block_count",
            "embedding_length",
            "feed_forward_length",
            "attention.head_count",
            "attention.head_count_kv",
            "attention.key_length",
        )
    }
    found = _metadata(path, *keys.values())
    values = {key: whole_number(found, whole, path) for key, whole in keys.items() if whole in found}
    for key in ("block_count", "embedding_length", "attention.head_count"):
        if values.get(key, 0) < 1:
            raise InputError(f"{path}: {keys[key]} is missing", "it is no whole model")
    heads = values["attention.head_count"]
    key_heads = values.get("attention.head_count_kv", heads)
    width = values.get("attention.key_length", values["embedding_length"] // heads)
    extents = {"embedding": values["embedding_length"], "queries": heads * width, "keys": key_heads * width}
    if "feed_forward_length" in values:
        extents["feed_forward"] = values["feed_forward_length"]
    own_output = None if row.own_output else False
    return Dimensions(row, name, values["block_count"], heads, key_heads, extents, own_output, path)


def _metadata(path: Path, *keys: str) -> Metadata:
    try:
        return read_metadata(path, *keys)
    except OSError as error:
        raise InputError(f"{path}: {why(error)}", "it cannot be read") from None
    except DamagedError as error:
        raise InputError(
            f"{path}: not a whole GGUF file ({error.reason})", "give a checkpoint folder or a GGUF file"
        ) from None
