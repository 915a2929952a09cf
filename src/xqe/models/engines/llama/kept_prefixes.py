"""The states of long beginnings that prompts declare, kept on the disk: whoever needs one restores it, or decodes it
once and saves it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from xqe.models.engines.llama import library
from xqe.models.engines.llama.cached import N_UBATCH, CachedContext
from xqe.models.engines.llama.vocabulary import Tokens
from xqe.models.store.prefixes import Prefixes

LEAST_KEPT = 64
"""Tokens; to restore so many takes a hundredth of decoding them (docs/performance.md). What is shorter is not read in
bulk (`slots.Shape`) either."""


class KeptPrefixes:
    """What a decoder knows of `Prefixes`.

    depends_on: what bits of a state depend on besides the tokens and this build of llama.cpp: the model and its
    adapters, the form of its cache, how prompts are cut into calls. JSON values. model: as people call it. is_windowed:
    some layers see a window of the last tokens only; a state has no more of these, so that it cannot be cut back.
    """

    def __init__(self, prefixes: Prefixes, depends_on: Mapping[str, Any], model: str, is_windowed: bool) -> None:
        self._prefixes = prefixes
        self._model = model
        self.is_windowed = is_windowed
        self._refused: set[str] = set()
        everything = {"build": library.build(), "n_ubatch": N_UBATCH, **depends_on}
        self._depends_on = json.dumps(everything, sort_keys=True).encode()

    def has(self, prefix: Tokens) -> bool:
        """True if `restore` may find the state after a beginning."""
        key = self._key(prefix)
        return key not in self._refused and self._prefixes.has(key)

    def lacks(self, prefix: Tokens) -> bool:
        """True if the state after a beginning should be saved."""
        return self._prefixes.wants(0) and not self.has(prefix)

    def restore(self, context: CachedContext, sequence: int, prefix: Tokens) -> bool:
        """Let a sequence have read a beginning; False if it has not, and has nothing else either."""
        key = self._key(prefix)
        state = self._prefixes.get(key)
        if state is not None and context.restore(sequence, state):
            return True
        self._refused.add(key)
        return False

    def save(self, context: CachedContext, sequence: int, prefix: Tokens) -> None:
        """Keep what a sequence has, which is this beginning and nothing more."""
        state = context.state(sequence)
        if state is not None:
            self._prefixes.put(self._key(prefix), state, model=self._model, tokens=len(prefix))

    def _key(self, prefix: Tokens) -> str:
        digest = hashlib.sha256(self._depends_on)
        digest.update(b"\0" + prefix.astype("<i4").tobytes())
        return digest.hexdigest()
