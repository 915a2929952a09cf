"""A generation as it is kept, and what finds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Asked:
    """What a text depends on: the same asked again is the same text.

    identity: of the model. parameters: of sampling, those in force. prompt: as it goes to the model. stop: None where
    the model ends by itself. seed: of this text, None where nothing is drawn. Mappings hold JSON values.
    """

    identity: Mapping[str, Any]
    parameters: Mapping[str, Any]
    max_tokens: int
    prompt: str
    stop: tuple[str, ...] | None = None
    seed: int | None = None

    @cached_property
    def key(self) -> bytes:
        """The sha256 of all of it, as JSON in ASCII with sorted keys and no white space."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Generation:
    """A text that is finished. model: as people call it. made_by: how the model was run; JSON values."""

    text: str
    finish: str
    tokens: int
    model: str
    made_by: Mapping[str, Any] = field(default_factory=dict)
