"""Manifests that carry their own hash: any other bytes than those written are known for damage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

SEAL = "sha256"
"""The last field, of all others."""


def sealed(fields: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest with these fields."""
    seal = sha256(json.dumps(fields).encode()).hexdigest()
    return json.dumps({**fields, SEAL: seal}, indent=1).encode()


def unsealed(written: bytes) -> dict[str, Any] | None:
    """The fields of a manifest; None for bytes that are not as they were written."""
    try:
        fields = {name: value for name, value in json.loads(written).items() if name != SEAL}
    except (AttributeError, ValueError):
        return None
    return fields if sealed(fields) == written else None
