"""Manifests that carry their own hash: any other bytes than those written are known for damage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from xqe.errors import InputError, why
from xqe.files.whole import damaged

SEAL = "sha256"
"""The last field, of all others."""


def sealed(fields: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest with these fields."""
    seal = sha256(json.dumps(fields).encode()).hexdigest()
    return json.dumps({**fields, SEAL: seal}, indent=1).encode()


def read_sealed(path: Path, remedy: str) -> dict[str, Any]:
    """The fields of a manifest. Raises InputError, with the remedy, for one that is not as it was written."""
    try:
        written = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {why(error)}", remedy) from None
    return unsealed(written, path, remedy)


def unsealed(written: bytes, path: Path, remedy: str) -> dict[str, Any]:
    """The same for the bytes of one that has been read."""
    try:
        fields = {name: value for name, value in json.loads(written).items() if name != SEAL}
    except (AttributeError, RecursionError, ValueError):
        raise damaged(path, remedy) from None
    if sealed(fields) != written:
        raise damaged(path, remedy)
    return fields
