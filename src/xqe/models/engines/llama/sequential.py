"""Decoding one text at a time, so that its bits depend on nothing but itself.

A prompt is decoded in chunks that begin at multiples of CHUNK and are batches of their own, so that the cache of a
chunk is the same whether it was decoded for this prompt or for an earlier one with the same beginning: what the
earlier one left is kept up to the first chunk that differs. Cells are filled in order of position, so that sums run
in the same order, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from xqe.models.engines.llama.cached import CELL_PADDING, CachedContext
from xqe.models.engines.llama.context import ABORTED
from xqe.models.engines.llama.kept_prefixes import LEAST_KEPT, KeptPrefixes
from xqe.models.engines.llama.library import log
from xqe.models.engines.llama.pending import NO_NUMBERS, Counts, Pending, does_not_fit, next_token
from xqe.models.engines.llama.vocabulary import Tokens, Vocabulary, common

CHUNK = 64
_NOTHING: Tokens = np.empty(0, dtype=np.int32)

OpenContext = Callable[[int, int, bool], CachedContext]
"""(cells, sequences, whether the context may pick tokens itself) -> Context."""


class Sequential:
    """Decodes pending texts in the order in which they came.

    open_context: makes the context. cells: its size, None to fit the prompts. most_cells: the longest sequence that
    the model and the memory allow. share_prefixes: False for recurrent models, whose state cannot be cut back. kept:
    beginnings that earlier processes have read.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        open_context: OpenContext,
        cells: int | None,
        most_cells: int,
        share_prefixes: bool,
        kept: KeptPrefixes | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._open_context = open_context
        self._fixed_cells = cells
        self._most_cells = min(most_cells, cells or most_cells)
        self._share_prefixes = share_prefixes
        self._kept = kept if share_prefixes else None
        self._context: CachedContext | None = None
        self._waiting: deque[Pending] = deque()
        self._cached = _NOTHING  # what the whole chunks in the cache were decoded from
        self._firm = 0  # which cannot be cut back below that
        self.counts = Counts()

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    def add(self, pending: Pending) -> None:
        if pending.most_cells > self._most_cells:
            pending.fail(does_not_fit(pending, self._most_cells, "there is room for"))
            return
        self.counts.prompt += len(pending.prompt)
        self._waiting.append(pending)

    def step(self, input_ended: bool) -> None:
        """Generate the first of the waiting texts."""
        pending = self._waiting.popleft()
        context = self._context_for(pending)
        status = self._read(context, pending.prompt, pending.head)
        while status == 0:
            context.take_logits(1)
            token = next_token(pending, context, 0, 0)
            if token is None:
                pending.fail(NO_NUMBERS)
                return
            self.counts.generated += 1
            if pending.accept(token, self._vocabulary):
                return
            status = self._decode(context, np.asarray([token], dtype=np.int32), pending.last_position, True)
        self._forget()
        context.clear()
        if status != ABORTED:  # what is given up is not a failure of this text
            pending.fail(f"llama.cpp could not decode the text (status {status}: {log.reason()})")

    def close(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None

    def _context_for(self, pending: Pending) -> CachedContext:
        """The context, made anew where this text is longer than all before it."""
        if self._context is None or self._context.cells < pending.most_cells:
            self.close()
            self._forget()
            cells = -(-pending.most_cells // CELL_PADDING) * CELL_PADDING
            self._context = self._open_context(self._fixed_cells or cells, 1, False)
        return self._context

    def _forget(self) -> None:
        self._cached, self._firm = _NOTHING, 0

    def _read(self, context: CachedContext, prompt: Tokens, head: int) -> int:
        """Decode a prompt from the first chunk on that is not in the cache; return llama_decode's status."""
        last = (len(prompt) - 1) // CHUNK * CHUNK  # the chunk of the last token is always decoded: its logits count
        begun = prompt[: min(head // CHUNK * CHUNK, last)]
        store = self._kept if len(begun) >= LEAST_KEPT else None
        there = self._there(prompt, last)
        if store is not None and there < len(begun) and store.has(begun):
            self._forget()
            if store.restore(context, 0, begun):
                self._cached, self._firm = begun, len(begun) if store.is_windowed else 0
            there = len(self._cached)
        if there == 0:
            self._firm = 0
        context.clear_sequence(0, there)
        status = 0
        for start in range(there, len(prompt), CHUNK):
            if status == 0:
                status = self._decode(context, prompt[start : start + CHUNK], start, start == last)
            if store is not None and status == 0 and start + CHUNK == len(begun) and store.lacks(begun):
                store.save(context, 0, begun)
        self._cached = prompt[: len(prompt) // CHUNK * CHUNK]
        self.counts.prompt_decoded += len(prompt) - there
        return status

    def _there(self, prompt: Tokens, last: int) -> int:
        """How much of a prompt's whole chunks is in the cache."""
        shared = min(common(self._cached, prompt) // CHUNK * CHUNK, last) if self._share_prefixes else 0
        return shared if shared >= self._firm else 0

    def _decode(self, context: CachedContext, tokens: Tokens, start: int, wants_logits: bool) -> int:
        count = len(tokens)
        context.token[:count] = tokens
        context.position[:count] = np.arange(start, start + count, dtype=np.int32)
        context.sequence[:count] = 0
        context.wants_logits[:count] = 0
        context.wants_logits[count - 1] = wants_logits
        return context.decode(count)
