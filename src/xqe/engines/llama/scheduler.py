"""Continuous batching with shared prefixes: which tokens are decoded in which call.

Every sequence has cells of its own, in order of position, and keeps what it decoded after its text is complete. A
prompt goes to the free sequence that has most of its beginning already; where another sequence has more, that one's
cells are copied first. Prefixes are found, not declared. Of several waiting prompts with a beginning that no sequence
has yet, the first is decoded and the others wait for it.

What a text becomes does not depend on what is decoded beside it, as far as llama.cpp's CPU kernels allow. They have
one way for four rows and another for what is left, and one for many rows of a sequence and another for few, whose last
bits differ; a difference in the last bit is enough for another token some words later. So each call has a multiple of
ROWS rows of each kind, filled up with rows that are thrown away, and at most `piece` rows of a sequence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from xqe.engines.llama.binding import (
    ABORTED,
    CELL_PADDING,
    N_BATCH,
    Context,
    Tokens,
    Vocabulary,
    common,
)
from xqe.engines.llama.library import log
from xqe.engines.llama.pending import Counts, Pending, does_not_fit
from xqe.errors import ModelError
from xqe.messages import say

ROWS = 4
PIECE = 60  # rows of one sequence in one call, a multiple of ROWS; from 64 on the attention goes another way
LEAST_SHARED = 16  # tokens; a shorter common beginning is worth neither a copy nor a wait
MAX_FAILURES = 3

_NOTHING: Tokens = np.empty(0, dtype=np.int32)

OpenContext = Callable[[int, int], Context]
"""(cells, sequences) -> Context."""


@dataclass(slots=True, eq=False)
class Slot:
    """A sequence: what its cells hold, and the text that is being generated in it, if any.

    cached: tokens whose cells are there, from position 0, without those that were generated. decoded: cells in use.
    """

    sequence: int
    pending: Pending | None = None
    input: Tokens = field(default_factory=lambda: _NOTHING)  # the prompt, and what was generated before a restart
    cached: Tokens = field(default_factory=lambda: _NOTHING)
    decoded: int = 0
    last_use: int = 0

    @property
    def is_reading(self) -> bool:
        return self.pending is not None and self.decoded < len(self.input)


class Scheduler:
    """Decodes pending texts, at most `batch` at a time.

    open_context: makes the context once the first prompts are known. cells: tokens for all sequences together, or
    None to choose it from the prompts (and anew when later prompts need more), up to `most_cells`, which the memory
    allows. trained_on: the longest sequence the model knows. share_prefixes: False for recurrent models, whose state
    can be neither cut back nor filled up. piece: the most rows of one sequence in one call.
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
        piece: int = PIECE,
    ) -> None:
        self._vocabulary = vocabulary
        self._open_context = open_context
        self._batch = batch
        self._fixed_cells = cells
        self._most_cells = cells or most_cells
        self._trained_on = trained_on
        self._shares = share_prefixes
        self._rows = ROWS if share_prefixes else 1
        self._piece = piece
        self._context: Context | None = None
        self._cells_each = 0
        self._waiting: deque[Pending] = deque()
        self._slots: list[Slot] = []
        self._clock = 0
        self._failures = 0
        self._draining = False
        self.counts = Counts()

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._active()

    def _active(self) -> list[Slot]:
        return [slot for slot in self._slots if slot.pending is not None]

    def add(self, pending: Pending) -> None:
        """Queue a text; one that can never fit fails at once."""
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
        """Admit what can be admitted, read its prompts, and decode a token for every text that is under way.

        input_ended: no more texts will come than those waiting, so no sequences are needed for others.
        """
        context = self._prepare_context(input_ended)
        if context is None:
            return
        free = sum(slot.pending is None for slot in self._slots)
        if self._waiting and not self._draining and free >= max(1, min(self._batch, len(self._slots)) // 8):
            self._admit(context)
        status = self._read(context) or self._generate(context)
        if status:
            self._start_anew(context, status)
        else:
            self._failures = 0

    # -- the context -------------------------------------------------------------------------------------------

    def _prepare_context(self, input_ended: bool) -> Context | None:
        """The context, made anew where the waiting prompts need another; None if there is nothing to decode."""
        active = self._active()
        if self._context is not None and self._waiting and not self._suits():
            self._draining = True
        if not self._waiting or active and (self._context is not None):
            return self._context
        if self._context is not None:
            if not self._draining:
                return self._context
            self._context.close()
            self._context = None
        self._draining = False
        self._open(input_ended)
        return self._context

    def _suits(self) -> bool:
        """False if the next prompt is too long for the sequences, or if they are few only because they are long."""
        if self._needed(self._waiting[0]) > self._cells_each:
            return False
        few = len(self._slots) < self._batch and len(self._slots) < len(self._waiting)
        return not few or 2 * self._longest() > self._cells_each or self._places(self._longest()) <= len(self._slots)

    def _open(self, input_ended: bool) -> None:
        """Make a context for prompts like those waiting; a smaller one where memory has less than it seemed."""
        longest = self._longest()
        while True:
            each = _padded(longest, CELL_PADDING)
            if not input_ended:  # others may be longer
                each = max(each, min(_padded(longest * 5 // 4, CELL_PADDING), self._most_cells // self._batch))
            places = self._places(each)
            if input_ended:
                places = min(places, _padded(len(self._waiting), self._rows))
            try:
                self._context = self._open_context(places * each, places)
            except ModelError:
                if self._fixed_cells or places <= self._rows:
                    raise
                self._most_cells = places * each // 2
                continue
            self._cells_each = each
            self._slots = [Slot(sequence) for sequence in range(places)]
            return

    def _needed(self, pending: Pending) -> int:
        return pending.most_cells + self._rows

    def _longest(self) -> int:
        return max(self._needed(pending) for pending in list(self._waiting)[: 4 * self._batch])

    def _places(self, each: int) -> int:
        """How many sequences of `each` cells there may be: a multiple of the rows of a call."""
        return max(
            self._rows, min(_padded(self._batch, self._rows), self._most_cells // each // self._rows * self._rows)
        )

    # -- admission ---------------------------------------------------------------------------------------------

    def _admit(self, context: Context) -> None:
        """Give free sequences to waiting prompts, in their order but for those that wait for a beginning."""
        free = [slot for slot in self._slots if slot.pending is None]
        room = self._batch - (len(self._slots) - len(free))
        reading: list[Slot] = []
        deferred: list[Pending] = []
        while self._waiting and free and room and len(deferred) < self._batch:
            pending = self._waiting.popleft()
            if self._needed(pending) > self._cells_each:
                deferred.append(pending)
                break
            tokens = _input(pending)
            source, shared = self._best_source(tokens)
            if self._shares and any(common(slot.input, tokens) >= shared + LEAST_SHARED for slot in reading):
                deferred.append(pending)
                continue
            slot = self._place(context, free, tokens, source, shared)
            free.remove(slot)
            room -= 1
            slot.pending, slot.input = pending, tokens
            reading.append(slot)
        self._waiting.extendleft(reversed(deferred))

    def _best_source(self, tokens: Tokens) -> tuple[Slot | None, int]:
        """The sequence that has most of a prompt's beginning, and how much; at least one token is left to decode."""
        best: Slot | None = None
        most = 0
        for slot in self._slots if self._shares else ():
            shared = min(common(slot.cached, tokens), len(tokens) - 1)
            if shared > most:
                best, most = slot, shared
        return best, most

    def _place(self, context: Context, free: Sequence[Slot], tokens: Tokens, source: Slot | None, shared: int) -> Slot:
        """The free sequence for a prompt, cut back to the beginning that it has, or made to have."""
        self._clock += 1
        own = {slot.sequence: min(common(slot.cached, tokens), len(tokens) - 1) if self._shares else 0 for slot in free}
        target = max(free, key=lambda slot: (own[slot.sequence], -slot.last_use, -slot.sequence))
        kept = own[target.sequence]
        if source is not None and shared >= kept + LEAST_SHARED:
            target = min(free, key=lambda slot: (slot.last_use, slot.sequence))
            context.copy_sequence(source.sequence, target.sequence)
            source.last_use = self._clock
            kept = shared
        target.last_use = self._clock
        context.clear_sequence(target.sequence, kept)
        target.cached = tokens[:kept]
        target.decoded = kept
        return target

    # -- decoding ----------------------------------------------------------------------------------------------

    def _read(self, context: Context) -> int:
        """Decode the prompts of new sequences and pick their first tokens; return the first bad status, else 0."""
        while reading := [slot for slot in self._slots if slot.is_reading]:
            for slots, length in self._calls(reading):
                status = self._read_pieces(context, slots, length)
                if status:
                    return status
        return 0

    def _calls(self, reading: Sequence[Slot]) -> Iterator[tuple[list[Slot], int]]:
        """The sequences whose next pieces are of equal length, filled up, and go into one call together."""

        def length(slot: Slot) -> int:
            return min(self._piece, _padded(len(slot.input) - slot.decoded, self._rows))

        for size, slots in groupby(sorted(reading, key=lambda slot: (length(slot), slot.sequence)), length):
            together = list(slots)
            most = max(1, min(N_BATCH // size, len(self._slots) // self._rows))
            for start in range(0, len(together), most):
                yield together[start : start + most], size

    def _read_pieces(self, context: Context, slots: Sequence[Slot], length: int) -> int:
        """Decode one piece of `length` rows of each sequence; the last ROWS rows of a prompt's end want logits."""
        places: list[tuple[Slot, int]] = []
        filled_up: list[Slot] = []
        outputs = 0
        for number, slot in enumerate(slots):
            real = min(length, len(slot.input) - slot.decoded)
            rows = slice(number * length, (number + 1) * length)
            piece = slot.input[slot.decoded : slot.decoded + real]
            context.token[rows] = np.concatenate([piece, np.full(length - real, piece[-1])])
            context.position[rows] = np.arange(slot.decoded, slot.decoded + length, dtype=np.int32)
            context.sequence[rows] = slot.sequence
            context.wants_logits[rows] = 0
            slot.decoded += real
            slot.cached = slot.input[: slot.decoded]
            if real < length:
                filled_up.append(slot)
            self.counts.prompt_decoded += real
            if not slot.is_reading:
                context.wants_logits[rows.stop - self._rows : rows.stop] = 1
                places.append((slot, outputs + self._rows - 1 - (length - real)))
                outputs += self._rows
        status = context.decode(len(slots) * length)
        if status:
            return status
        for slot in filled_up:
            context.clear_sequence(slot.sequence, slot.decoded)
        if places:
            logits = context.logits(outputs)
            for slot, row in places:
                self._pick(context, slot, logits[row])
        return 0

    def _generate(self, context: Context) -> int:
        """Decode the latest token of every text and pick the next; return llama_decode's status."""
        width = self._width(context)
        slots = self._slots[:width] if self._shares else self._active()
        if not width:
            return 0
        count = len(slots)
        context.token[:count] = [slot.pending.generated[-1] if slot.pending else 0 for slot in slots]
        context.position[:count] = [slot.decoded for slot in slots]
        context.sequence[:count] = [slot.sequence for slot in slots]
        context.wants_logits[:count] = 1
        status = context.decode(count)
        if status:
            return status
        logits = context.logits(count)
        for row, slot in enumerate(slots):
            if slot.pending is None:
                context.clear_sequence(slot.sequence, slot.decoded)
            else:
                slot.decoded += 1
                self._pick(context, slot, logits[row])
        return 0

    def _width(self, context: Context) -> int:
        """How many sequences a call must hold: a multiple of the rows up to the last one with a text. Texts are moved
        down into free sequences where that saves rows."""
        active = self._active()
        if not active or not self._shares:
            return len(active)
        wanted = _padded(len(active), self._rows)
        if self._waiting and not self._draining:  # the free ones will soon be taken
            return _padded(active[-1].sequence + 1, self._rows)
        for slot in reversed(active):
            if slot.sequence < wanted:
                break
            free = next(other for other in self._slots if other.pending is None)
            context.copy_sequence(slot.sequence, free.sequence)
            free.pending, free.input, free.cached, free.decoded = slot.pending, slot.input, slot.cached, slot.decoded
            self._end(context, slot)
        return wanted

    def _pick(self, context: Context, slot: Slot, logits: NDArray[np.float32]) -> None:
        """Pick a text's next token from its logits; end the text if it is complete."""
        pending = slot.pending
        assert pending is not None
        token = pending.picker.pick(logits, pending.generated) if pending.picker else int(logits.argmax())
        self.counts.generated += 1
        if pending.accept(token, self._vocabulary):
            self._end(context, slot)

    def _end(self, context: Context, slot: Slot) -> None:
        """Free a sequence; what it has of the prompt stays, for others to begin from."""
        slot.pending = None
        slot.cached = slot.cached if self._shares else _NOTHING
        slot.decoded = len(slot.cached)
        context.clear_sequence(slot.sequence, slot.decoded)

    def _start_anew(self, context: Context, status: int) -> None:
        """llama_decode failed: clear the cache and queue every active text again with what it has so far."""
        if status != ABORTED:
            self._failures += 1
            say(f"llama.cpp could not decode a batch (status {status}: {log.reason()}); its texts are started again")
        unfinished = [slot.pending for slot in self._slots if slot.pending is not None]
        context.clear()
        self._slots = [Slot(sequence) for sequence in range(len(self._slots))]
        if self._failures >= MAX_FAILURES:
            self._failures = 0
            for pending in unfinished:
                pending.fail(f"llama.cpp could not decode the batch (status {status}: {log.reason()})")
        else:
            self._waiting.extendleft(reversed(unfinished))


def _padded(number: int, to: int) -> int:
    return -(-number // to) * to


def _input(pending: Pending) -> Tokens:
    if not pending.generated:
        return pending.prompt
    return np.concatenate([pending.prompt, np.asarray(pending.generated, dtype=np.int32)])
