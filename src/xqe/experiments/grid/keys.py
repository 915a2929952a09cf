"""What decides a text or a value of the grid, as a key: what has the same key need not be done again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from xqe.experiments.grid.settings import EncoderRow, ModelRow
from xqe.files.hashes import cached_sha256
from xqe.models.encoders import SENTENCE_TRANSFORMERS
from xqe.models.engines import FAKE, SERVER
from xqe.models.lookup import resolve
from xqe.models.split import size_of
from xqe.models.verification import model_sha256
from xqe.retrieval.choices import TEXT_TOKENS

Identity = dict[str, Any]


def digest(*parts: object) -> str:
    """The sha256 of some JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def identity(row: ModelRow) -> Identity:
    """What a text depends on in a model: the hash of its file and of its adapters, or its name on a server.

    Raises XqeError for a model or an adapter that is not there.
    """
    if row.model == FAKE:
        return {"model": FAKE}
    if row.model.startswith(SERVER):
        return {"model": row.model, "base_url": row.base_url}
    found = resolve(row.model)
    adapters = []
    if row.lora:
        from xqe.models.engines.llama.adapters import adapter

        adapters = [(one.sha256, one.scale) for one in map(adapter, row.lora)]
    return {
        "model": row.model,
        "file": found.path.name,
        "size": size_of(found.path),
        "sha256": model_sha256(found.path),
        "lora": adapters,
    }


def encoder_identity(row: EncoderRow) -> Identity:
    """What a vector depends on in an encoder: the hash of its weights, or its name elsewhere, and how much of a text it
    reads. Raises XqeError for one that is not there."""
    if row.model == FAKE:
        return {"encoder": FAKE}
    if row.model.startswith(SERVER):
        return {"encoder": row.model, "base_url": row.base_url}
    if row.model.startswith(SENTENCE_TRANSFORMERS):
        folder = Path(row.model.removeprefix(SENTENCE_TRANSFORMERS))
        weights = sorted([*folder.rglob("*.safetensors"), *folder.rglob("*.bin")]) if folder.is_dir() else []
        return {"encoder": row.model, "sha256": [cached_sha256(file) for file in weights], "limit": TEXT_TOKENS}
    found = resolve(row.model)
    return {
        "encoder": row.model,
        "file": found.path.name,
        "size": size_of(found.path),
        "sha256": model_sha256(found.path),
        "limit": TEXT_TOKENS,
    }
