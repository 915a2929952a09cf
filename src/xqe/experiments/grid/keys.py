"""What decides a text or a value of the grid, as a key: what has the same key need not be done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from xqe.errors import XqeError
from xqe.experiments.grid.settings import EncoderRow, ModelRow
from xqe.files.hashes import cached_sha256, is_remembered
from xqe.models.encoders import SENTENCE_TRANSFORMERS
from xqe.models.engines import FAKE, SERVER
from xqe.models.lookup import locate, resolve
from xqe.models.registry import find
from xqe.models.split import parts_of, size_of
from xqe.models.verification import model_sha256
from xqe.retrieval.choices import TEXT_TOKENS

Identity = dict[str, Any]


def digest(*parts: object) -> str:
    """The sha256 of some JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def identity(row: ModelRow, before: Identity | None = None) -> Identity:
    """What a text depends on in a model: the hash of its file and of its adapters, or its name on a server and what
    that tells of it. before: that of an earlier run, of which a server that is not there now told its part.

    Raises XqeError for a model or an adapter that is not there.
    """
    if row.model == FAKE:
        return {"model": FAKE}
    if row.model.startswith(SERVER):
        return _served("model", row, before or {})
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


def encoder_identity(row: EncoderRow, before: Identity | None = None) -> Identity:
    """What a vector depends on in an encoder: the hash of its weights, or its name elsewhere, and how much of a text it
    reads. before: as of a model. Raises XqeError for one that is not there."""
    if row.model == FAKE:
        return {"encoder": FAKE}
    if row.model.startswith(SERVER):
        return _served("encoder", row, before or {})
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


Row = TypeVar("Row", ModelRow, EncoderRow)


def at_once(identify: Callable[[Row, Identity | None], Identity], row: Row, before: Identity | None) -> Identity:
    """The identity of a model, where none is read and no server is asked for it; else that of an earlier run.

    Raises ModelError for a name that means no model.
    """
    if row.model == FAKE or row.model.startswith(SENTENCE_TRANSFORMERS) or is_read(row):
        return identify(row, before)
    if not row.model.startswith(SERVER) and "/" not in row.model and not row.model.endswith(".gguf"):
        find(row.model)
    return before or {"model": row.model, "known": False}


def is_read(row: ModelRow | EncoderRow) -> bool:
    """Whether the file of a model is there, and its hash known."""
    try:
        return not row.model.startswith(SERVER) and all(map(is_remembered, parts_of(locate(row.model).path)))
    except XqeError:
        return False


def agree(before: Identity, now: Identity) -> bool:
    """Whether two identities of an encoder are of one, as far as the earlier says: a server may tell more by now."""
    known = {name: value for name, value in now.items() if name != "listed" or "listed" in before}
    return {**before, **_place(before.get("base_url"))} == known


def _served(kind: str, row: ModelRow | EncoderRow, before: Identity) -> Identity:
    """The identity of a model of a server; without the credentials in its URL, which may change."""
    from xqe.models.engines.client import listed

    assert row.base_url is not None  # or it is no model of a server
    named = {kind: row.model, **_place(row.base_url)}
    told = listed(row.model.removeprefix(SERVER), row.base_url)
    if told is None and named.items() <= {**before, **_place(before.get("base_url"))}.items():
        told = before.get("listed")
    return {**named, **({"listed": told} if told else {})}


def _place(base_url: str | None) -> Identity:
    from xqe.models.engines.exchange import shown_url

    return {} if base_url is None else {"base_url": shown_url(base_url)}
