"""What decides a text or a value of the grid, as a key: what has the same key need not be done again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from xqe.experiments.grid.settings import ModelRow
from xqe.files.hashes import cached_sha256
from xqe.models.engines import FAKE, SERVER
from xqe.models.lookup import resolve

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
        "size": found.path.stat().st_size,
        "sha256": cached_sha256(found.path),
        "lora": adapters,
    }
