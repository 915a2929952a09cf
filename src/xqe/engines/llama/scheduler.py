"""Continuous batching with shared prefixes: which tokens are decoded in which step.

Every step decodes one token for each sequence that is generating and fills the batch with the prompts of sequences
that have just been admitted. A prompt that begins like one already decoded starts from a copy of its cells, which
costs only metadata. Prefixes are found, not declared: after a prompt is decoded it is kept in a *holder* sequence if
others can profit from it, and the least recently used holder is dropped. Of several waiting prompts with a prefix
that no holder has, the first is decoded and the others wait one step for it.

Admission reserves the cells that a sequence may come to need, so that llama_decode never runs out of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xqe.engines.llama.binding import (
    ABORTED,
    CELL_PADDING,
    MAX_SEQUENCES,
    N_BATCH,
    Context,
    Tokens,
    Vocabulary,
    common,
)
from xqe.engines.llama.library import log
from xqe.engines.llama.pending import Counts, Pending, does_not_fit
from xqe.errors import ModelError

HOLDERS = 8
MAX_BATCH = MAX_SEQUENCES - HOLDERS
LEAST_SHARED = 16  # tokens; a shorter common prefix is not worth a wait
MAX_FAILURES = 3

OpenContext = Callable[[int, int], Context]
"""(cells, sequences) -> Context."""


@dataclass(slots=True, eq=False)
class Holder:
    """A sequence that keeps a decoded prompt for others to start from."""

    sequence: int
    tokens: Tokens
    users: int = 0
    last_use: int = 0


@dataclass(slots=True, eq=False)
class Slot:
    """A sequence that is being decoded: first its input, then what it generates."""

    sequence: int
    pending: Pending
    input: Tokens  # the prompt, and what was generated before a restart
    decoded: int  # tokens of this sequence in the cache
    reserved: int  # cells set aside for it
    holder: Holder | None

    @property
    def is_reading(self) -> bool:
        return self.decoded < len(self.input)


class Scheduler:
    """Decodes pending requests, at most `batch` sequences at a time.

    open_context: makes the context once the first prompts are known. cells: its size, or None to choose it from the
    prompts (and to enlarge it when later prompts need more), up to `most_cells`, which the memory allows. trained_on:
    the longest sequence the model knows. share_prefixes: False for recurrent models, whose state can only be copied
    whole.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        open_context: OpenContext,
        batch: int,
        cells: int | None,
        most_cells: int,
        trained_on: int,
        share_prefixes: bool,
    ) -> None:
        self._vocabulary = vocabulary
        self._open_context = open_context
        self._batch = batch
        self._fixed_cells = cells
        self._most_cells = cells or most_cells
        self._trained_on = trained_on
        self._share_prefixes = share_prefixes
        self._context: Context | None = None
        self._waiting: deque[Pending] = deque()
        self._slots: dict[int, Slot] = {}
        self._free: list[int] = []
        self._holders: list[Holder] = []
        self._dropped: list[Holder] = []  # holders whose cells are still in use by slots
        self._free_holders: list[int] = []
        self._clock = 0
        self._failures = 0
        self._draining = False
        self._outputs: list[Slot] = []
        self.counts = Counts()

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._slots

    def add(self, pending: Pending) -> None:
        """Queue a request; one that can never fit gets its error at once."""
        for limit, whose in (
            (self._trained_on, "the model was trained on"),
            (self._most_cells, "the context (--ctx) has" if self._fixed_cells else "the memory has room for"),
        ):
            if pending.most_cells > limit:
                pending.fail(does_not_fit(pending, limit, whose))
                return
        self.counts.prompt += len(pending.prompt)
        self._waiting.append(pending)

    def close(self) -> None:
        self._slots.clear()
        if self._context is not None:
            self._context.close()
            self._context = None

    def step(self, input_ended: bool) -> None:
        """Admit what can be admitted and decode one batch; completions are handed to their tickets.

        input_ended: no more requests will come than those waiting, so the context need not be larger than for them.
        """
        context = self._prepare_context(input_ended)
        if context is None:
            return
        if not self._draining and (not self._slots or len(self._free) >= max(1, self._batch // 8)):
            self._admit(context)
        entries = self._fill(context)
        status = context.decode(entries) if entries else 0
        if status != 0:
            self._start_anew(context, status)
            return
        self._failures = 0
        self._sample(context)

    # -- the context -------------------------------------------------------------------------------------------

    def _prepare_context(self, input_ended: bool) -> Context | None:
        """The context, made or enlarged where needed; None if there is nothing to decode."""
        if not self._waiting or (self._context is not None and (self._slots or not self._draining)):
            return self._context
        self._draining = False
        cells = self._fixed_cells or self._cells_needed(input_ended)
        if self._context is not None:
            cells = max(cells, self._context.cells * 3 // 2)
            self._context.close()
            self._context = None
        self._context = self._open(min(cells, self._most_cells))
        self._reset()
        return self._context

    def _open(self, cells: int) -> Context:
        """A context of `cells`, or of fewer where memory has less to give than it seemed."""
        least = max(pending.most_cells for pending in self._waiting)
        while True:
            try:
                return self._open_context(cells, self._batch + HOLDERS)
            except ModelError:
                if self._fixed_cells or cells <= least:
                    raise
                cells = self._most_cells = max(least, cells // 2)

    def _cells_needed(self, input_ended: bool) -> int:
        """Cells for a full batch of prompts like those waiting, and for the prefixes they share."""
        waiting = list(self._waiting)[: 4 * self._batch]
        first = waiting[0].prompt
        rest = max(
            p.most_cells - (common(p.prompt, first) if self._share_prefixes else 0) for p in waiting[1:] or waiting
        )
        longest = max(p.most_cells for p in waiting)
        sequences = min(self._batch, len(waiting)) if input_ended else self._batch
        headroom = 1.0 if input_ended else 1.25
        cells = int(sequences * max(rest, 1) * headroom) + HOLDERS // 2 * longest
        return -(-max(cells, longest) // CELL_PADDING) * CELL_PADDING

    def _reset(self) -> None:
        """Begin with an empty cache: no slot in use, no prefix held."""
        self._slots.clear()
        self._free = list(range(self._batch - 1, -1, -1))
        self._holders, self._dropped = [], []
        self._free_holders = list(range(self._batch + HOLDERS - 1, self._batch - 1, -1))

    def _cells_reserved(self) -> int:
        return sum(slot.reserved for slot in self._slots.values()) + sum(
            len(holder.tokens) for holder in (*self._holders, *self._dropped)
        )

    # -- admission ---------------------------------------------------------------------------------------------

    def _admit(self, context: Context) -> None:
        """Give free slots to waiting prompts, in their order but for those that wait for a prefix."""
        room = context.cells - self._cells_reserved()
        reading = [slot for slot in self._slots.values() if slot.is_reading]
        deferred: list[Pending] = []
        while self._waiting and self._free and len(deferred) < self._batch:
            pending = self._waiting.popleft()
            tokens = _input(pending)
            holder, shared = self._best_holder(tokens)
            if any(common(slot.input, tokens) >= shared + LEAST_SHARED for slot in reading) and self._share_prefixes:
                deferred.append(pending)
                continue
            needed = pending.most_cells - shared
            while needed > room and (idle := self._least_recent(unused=True, keep=holder)):
                self._drop(context, idle)
                room += len(idle.tokens)
            if needed > room and not self._slots and holder is not None:  # its own prefix holder is in the way
                self._drop(context, holder)
                room, holder, shared, needed = context.cells, None, 0, pending.most_cells
            if needed > room:
                deferred.append(pending)
                # Little fits beside each other: let the active ones end, then make a larger context.
                few = len(self._slots) < max(1, self._batch // 2)
                self._draining = few and context.cells < self._most_cells
                break
            room -= needed
            slot = self._start(context, pending, tokens, holder, shared, needed)
            reading.append(slot)
        self._waiting.extendleft(reversed(deferred))

    def _best_holder(self, tokens: Tokens) -> tuple[Holder | None, int]:
        """The holder with the longest common prefix, and its length; at least one token is left to decode."""
        best: Holder | None = None
        shared = 0
        for holder in self._holders:
            shared_here = min(common(holder.tokens, tokens), len(tokens) - 1)
            if shared_here > shared:
                best, shared = holder, shared_here
        return (best, shared) if shared >= LEAST_SHARED else (None, 0)

    def _start(
        self, context: Context, pending: Pending, tokens: Tokens, holder: Holder | None, shared: int, reserved: int
    ) -> Slot:
        sequence = self._free.pop()
        if holder is not None:
            self._clock += 1
            holder.last_use = self._clock
            holder.users += 1
            context.copy_prefix(holder.sequence, sequence, shared)
        slot = Slot(sequence, pending, tokens, shared, reserved, holder)
        self._slots[sequence] = slot
        return slot

    # -- holders -----------------------------------------------------------------------------------------------

    def _keep(self, context: Context, slot: Slot) -> None:
        """Keep a decoded prompt for others, if they would gain by it over the holder it came from."""
        shared = common(slot.holder.tokens, slot.input) if slot.holder is not None else 0
        new = len(slot.input) - shared
        if not self._share_prefixes or new < LEAST_SHARED:
            return
        wanted = new >= shared or any(common(p.prompt, slot.input) >= shared + LEAST_SHARED for p in self._waiting)
        if not wanted or context.cells - self._cells_reserved() < len(slot.input):
            return
        if not self._free_holders:
            self._drop(context, self._least_recent(unused=False, keep=None))
        self._clock += 1
        holder = Holder(self._free_holders.pop(), slot.input, last_use=self._clock)
        context.copy_prefix(slot.sequence, holder.sequence, len(slot.input))
        self._holders.append(holder)

    def _least_recent(self, unused: bool, keep: Holder | None) -> Holder | None:
        candidates = [h for h in self._holders if h is not keep and not (unused and h.users)]
        return min(candidates, key=lambda holder: holder.last_use, default=None)

    def _drop(self, context: Context, holder: Holder | None) -> None:
        if holder is None:
            return
        self._holders.remove(holder)
        self._free_holders.append(holder.sequence)
        context.clear_sequence(holder.sequence)
        if holder.users:  # its cells live on in the slots that began with them
            self._dropped.append(holder)

    # -- one batch ---------------------------------------------------------------------------------------------

    def _fill(self, context: Context) -> int:
        """Write the batch: a token for each generating slot, then as much of the new prompts as there is room for."""
        generating = [slot for slot in self._slots.values() if not slot.is_reading]
        count = len(generating)
        self._outputs = list(generating)
        if count:
            context.token[:count] = [slot.pending.generated[-1] for slot in generating]
            context.position[:count] = [slot.decoded for slot in generating]
            context.sequence[:count] = [slot.sequence for slot in generating]
            context.wants_logits[:count] = 1
        for slot in generating:
            slot.decoded += 1
        for slot in [slot for slot in self._slots.values() if slot.is_reading]:
            length = min(len(slot.input) - slot.decoded, N_BATCH - count)
            if length <= 0:
                break
            entries = slice(count, count + length)
            context.token[entries] = slot.input[slot.decoded : slot.decoded + length]
            context.position[entries] = np.arange(slot.decoded, slot.decoded + length, dtype=np.int32)
            context.sequence[entries] = slot.sequence
            context.wants_logits[entries] = 0
            slot.decoded += length
            count += length
            self.counts.prompt_decoded += length
            if not slot.is_reading:
                context.wants_logits[count - 1] = 1
                self._outputs.append(slot)
        return count

    def _sample(self, context: Context) -> None:
        """Draw the next token of every slot whose logits the batch computed, and end those that are complete."""
        if not self._outputs:
            return
        logits = context.logits(len(self._outputs))
        for row, slot in enumerate(self._outputs):
            if slot.decoded == len(slot.input):
                self._keep(context, slot)
            pending = slot.pending
            token = pending.picker.pick(logits[row], pending.generated) if pending.picker else int(logits[row].argmax())
            self.counts.generated += 1
            if pending.accept(token, self._vocabulary):
                self._release(context, slot)

    def _release(self, context: Context, slot: Slot) -> None:
        """Free the sequence of a text that is complete."""
        del self._slots[slot.sequence]
        context.clear_sequence(slot.sequence)
        self._free.append(slot.sequence)
        if slot.holder is not None:
            slot.holder.users -= 1
            if not slot.holder.users and slot.holder in self._dropped:
                self._dropped.remove(slot.holder)

    def _start_anew(self, context: Context, status: int) -> None:
        """llama_decode failed: clear the cache and queue every active text again with what it has so far."""
        self._failures += status != ABORTED
        active = sorted(self._slots.values(), key=lambda slot: slot.sequence)
        context.clear()
        self._reset()
        if self._failures >= MAX_FAILURES:
            self._failures = 0
            for slot in active:
                slot.pending.fail(f"llama.cpp could not decode the batch (status {status}: {log.reason()})")
        else:
            self._waiting.extendleft(slot.pending for slot in reversed(active))


def _input(pending: Pending) -> Tokens:
    if not pending.generated:
        return pending.prompt
    return np.concatenate([pending.prompt, np.asarray(pending.generated, dtype=np.int32)])
