"""Continuous batching with shared prefixes: which tokens are decoded in which call.

Every sequence has cells of its own, in order of position, and keeps what it decoded after its text is complete. A
prompt begins with what its sequence has of it already; where another sequence has more, that one's cells are copied
first. Prefixes are found, not declared. Of several waiting prompts with a beginning that no sequence
has yet, the first is decoded and the others wait for it.

What a text becomes does not depend on what is decoded beside it, as far as llama.cpp's CPU kernels allow. They have
one way for rows in fours and another for what is left, one for a few rows and another for more, one for many rows of a
sequence and another for few, and their last bits differ; a difference in the last bit is enough for another token some
words later. So every call has a `Shape`: it is filled up with rows that are thrown away.

Many rows of a sequence in a call are the faster way to read. Which way a token is read may depend on its prompt, and on
nothing beside it. So a prompt says how much of it others begin with, too (its head), and that is read in bulk, whoever
reads it; what follows, of which each prompt has little, in small pieces. The last token of a prompt is decoded with
those that are generated, so that no other call needs logits, which take as long as all the rest of a row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice

import numpy as np

from xqe.errors import ModelError
from xqe.messages import say
from xqe.models.engines.llama.cached import CELL_PADDING, N_UBATCH, CachedContext
from xqe.models.engines.llama.context import ABORTED
from xqe.models.engines.llama.kept_prefixes import KeptPrefixes
from xqe.models.engines.llama.library import log
from xqe.models.engines.llama.pending import NO_NUMBERS, Counts, Pending, does_not_fit, next_token
from xqe.models.engines.llama.slots import CPU_SHAPE, GPU_SHAPE, NOTHING, Shape, Slot, padded
from xqe.models.engines.llama.vocabulary import Tokens, Vocabulary, common

LEAST_SHARED = 16  # tokens; a shorter common beginning is worth neither a copy nor a wait
LONG = 2048  # cells of a sequence
MAX_FAILURES = 3
SPARE = 128  # cells of a sequence; all are written when a context is made, which takes time
WORTH_KEEPING = 64  # tokens that only one sequence has; what is asked about, behind a beginning, is shorter

OpenContext = Callable[[int, int, bool], CachedContext]
"""(cells, sequences, all texts are greedy) -> Context."""


class Scheduler:
    """Decodes pending texts, at most `batch` at a time.

    open_context: makes the context once the first prompts are known. cells: tokens for all sequences together, or
    None to choose it from the prompts (and anew when later prompts need more), up to `most_cells`, which the memory
    allows. trained_on: the longest sequence the model knows. share_prefixes: False for recurrent models, whose state
    can be neither cut back nor filled up. shape: of the calls. kept: beginnings that earlier processes have read.
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
        shape: Shape = CPU_SHAPE,
        kept: KeptPrefixes | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._open_context = open_context
        self._batch = batch
        self._fixed_cells = cells
        self._most_cells = cells or most_cells
        self._trained_on = trained_on
        self._shares = share_prefixes
        self._asked = shape if share_prefixes else GPU_SHAPE
        self._shape = self._asked  # another where there is room for fewer sequences
        self._kept = kept
        self._context: CachedContext | None = None
        self._cells_each = 0
        self._waiting: deque[Pending] = deque()
        self._slots: list[Slot] = []
        self._failures = 0
        self._draining = False
        self._takes_fewer: bool | None = None  # whether calls of the fewest rows have the bits of others; not tried yet
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
        status = 0
        while status == 0 and self._may_admit() and self._admit(context):
            status = self._read(context)
        status = status or self._generate(context)
        if status:
            self._start_anew(context, status)
        else:
            self._failures = 0

    def _may_admit(self) -> bool:
        free = sum(slot.pending is None for slot in self._slots)
        return bool(self._waiting) and not self._draining and free >= max(1, min(self._batch, len(self._slots)) // 8)

    # -- the context -------------------------------------------------------------------------------------------

    def _prepare_context(self, input_ended: bool) -> CachedContext | None:
        """The context, made anew where the waiting prompts need another; None if there is nothing to decode."""
        active = self._active()
        if self._context is not None and self._waiting and not self._suits():
            self._draining = True
        if not self._waiting or active or (self._context is not None and not self._draining):
            return self._context
        if self._context is not None:
            self._context.close()
            self._context = None
        self._draining = False
        self._open(input_ended)
        return self._context

    def _suits(self) -> bool:
        """False if the next prompt is too long for the sequences, or if they are few only because they are long, or
        if the context picks tokens itself and this text needs more than that."""
        assert self._context is not None
        if self._needed(self._waiting[0]) > self._cells_each:
            return False
        if self._context.picks and self._waiting[0].picker is not None:
            return False
        few = len(self._slots) < min(self._batch, len(self._waiting))
        return not few or self._places(padded(self._longest(), CELL_PADDING)) <= len(self._slots)

    def _open(self, input_ended: bool) -> None:
        """Make a context for prompts like those waiting; a smaller one where memory has less than it seemed."""
        longest = self._longest()
        greedy = all(pending.picker is None for pending in self._waiting)
        while True:
            each = padded(longest, CELL_PADDING)
            if not input_ended:  # others may be longer
                more = min(longest // 4, SPARE)
                each = max(each, min(padded(longest + more, CELL_PADDING), self._most_cells // self._batch))
            places = self._places(each)
            if input_ended:
                # those of later calls may begin alike and be longer
                each = max(each, min(padded(longest + min(longest // 2, SPARE), CELL_PADDING), LONG))
                places = min(places, self._asked.filled(len(self._waiting)))
                if each > LONG:  # sequences only to fill up calls would take much memory, and time to lay out
                    places = min(places, len(self._waiting))
            try:
                self._context = self._open_context(places * each, places, greedy)
            except ModelError:
                if self._fixed_cells or places == 1:
                    raise
                self._most_cells = places * each // 2
                continue
            self._cells_each = each
            self._shape = self._asked if places >= self._asked.least else GPU_SHAPE
            self._slots = [Slot(sequence) for sequence in range(places)]
            return

    def _needed(self, pending: Pending) -> int:
        return max(pending.most_cells + self._asked.least, pending.head + self._asked.tile)

    def _longest(self) -> int:
        return max(self._needed(pending) for pending in list(self._waiting)[: 4 * self._batch])

    def _places(self, each: int) -> int:
        """How many sequences of `each` cells there may be: a multiple of the rows of a call, where there is room."""
        places = max(1, min(self._asked.filled(self._batch), self._most_cells // each))
        return places if places < self._asked.least else places // self._asked.rows * self._asked.rows

    # -- admission ---------------------------------------------------------------------------------------------

    def _head(self, pending: Pending) -> int:
        """How much of a prompt is read in bulk."""
        return pending.head if self._shares and self._shape.bulk else 0

    def _recall(self, context: CachedContext) -> None:
        """Let free sequences have what is kept of the beginnings of the next prompts, unless copies of them wait."""
        kept, free = self._kept, [slot for slot in self._slots if slot.pending is None]
        if context.copies:
            return
        for pending in list(islice(self._waiting, len(free))):
            head = self._head(pending)
            if kept is None or not head or self._needed(pending) > self._cells_each:
                continue
            tokens = pending.prompt[:head]
            if self._best_source(pending.prompt, head)[1] < head and kept.has(tokens):
                slot = min(free, key=lambda slot: len(slot.cached))
                free.remove(slot)
                if kept.restore(context, slot.sequence, tokens):
                    slot.hold(tokens, head, head if kept.is_windowed else 0)
                else:
                    slot.hold(NOTHING, 0)

    def _admit(self, context: CachedContext) -> bool:
        """Give free sequences to waiting prompts, in their order but for those that wait for a beginning; False if
        none got one.

        The free sequences are brought together and the prompts sorted by what is left to decode of them, so that
        prompts with as much to decode are neighbours: those are decoded in one call.
        """
        self._recall(context)
        active = self._compact(context)
        free = self._slots[active:]
        room = min(len(free), self._batch - active)
        chosen: list[tuple[int, Pending, Tokens]] = []
        deferred: list[Pending] = []
        while self._waiting and len(chosen) < room and len(deferred) < self._batch:
            pending = self._waiting.popleft()
            if self._needed(pending) > self._cells_each or (context.picks and pending.picker is not None):
                deferred.append(pending)  # for another context
                break
            tokens = _input(pending)
            head = self._head(pending)
            shared = self._best_source(tokens, head)[1]
            if self._shares and any(common(other, tokens) >= shared + LEAST_SHARED for _, _, other in chosen):
                deferred.append(pending)
            else:
                chosen.append((self._shape.piece_length(len(tokens) - 1 - max(shared, head)), pending, tokens))
        self._waiting.extendleft(reversed(deferred))
        chosen.sort(key=lambda choice: choice[0])
        for slot, (_, pending, tokens) in zip(free, chosen, strict=False):
            head = self._head(pending)
            self._place(context, slot, tokens, head)
            slot.pending, slot.input = pending, tokens
            is_new = self._kept is not None and slot.decoded < head and self._kept.lacks(tokens[:head])
            slot.pause = head if is_new else 0
        return bool(chosen)

    def _best_source(self, tokens: Tokens, head: int) -> tuple[Slot | None, int]:
        """The sequence that has most of a prompt's beginning, and how much; at least one token is left to decode."""
        best: Slot | None = None
        most = 0
        for slot in self._slots if self._shares else ():
            if (shared := slot.shared(tokens, head)) > most:
                best, most = slot, shared
        return best, most

    def _place(self, context: CachedContext, slot: Slot, tokens: Tokens, head: int) -> None:
        """Cut a free sequence back to what it has of a prompt's beginning, or let it have what another has."""
        self._save(context, slot, tokens)
        source, shared = self._best_source(tokens, head)
        kept, firm = slot.shared(tokens, head) if self._shares else 0, slot.firm
        if source is not None and shared >= kept + LEAST_SHARED:
            context.copy_sequence(source.sequence, slot.sequence)
            kept, firm = shared, source.firm
        context.clear_sequence(slot.sequence, kept)
        slot.hold(tokens[:kept], head, firm)

    def _save(self, context: CachedContext, slot: Slot, tokens: Tokens) -> None:
        """Copy what a sequence is to be cut back from to another that is free, where no other has it: the prompts of
        another step begin so."""
        others = [other for other in self._slots if other is not slot]
        elsewhere = max((common(other.cached, slot.cached) for other in others), default=0)
        if not self._shares or len(slot.cached) - max(elsewhere, common(slot.cached, tokens)) < WORTH_KEEPING:
            return
        least = min(
            (other for other in others if other.pending is None), key=lambda other: len(other.cached), default=None
        )
        if least is not None and len(least.cached) < len(slot.cached):
            context.copy_sequence(slot.sequence, least.sequence)
            least.hold(slot.cached, slot.head, slot.firm)

    def _compact(self, context: CachedContext) -> int:
        """Move texts down into free sequences until there is no gap below them; return how many there are."""
        active = self._active()
        if self._shares:
            free = (slot for slot in self._slots[: len(active)] if slot.pending is None)
            for slot in [slot for slot in active if slot.sequence >= len(active)]:
                target = next(free)
                self._save(context, target, slot.cached)
                context.copy_sequence(slot.sequence, target.sequence)
                target.pending, target.input = slot.pending, slot.input
                target.hold(slot.cached, slot.head, slot.firm)
                target.decoded = slot.decoded
                self._end(context, slot)
        return len(active)

    # -- decoding ----------------------------------------------------------------------------------------------

    def _read(self, context: CachedContext) -> int:
        """Decode the prompts of new sequences but for their last tokens; return the first bad status, else 0."""
        while reading := [slot for slot in self._slots if slot.is_reading]:
            for slots, length in self._calls(reading):
                status = self._read_pieces(context, slots, length)
                if status:
                    return status
        return 0

    def _calls(self, reading: Sequence[Slot]) -> Iterator[tuple[list[Slot], int]]:
        """The sequences whose next pieces are of equal length, filled up, and go into one call together."""
        shape = self._shape

        def way(slot: Slot) -> tuple[bool, int]:
            in_bulk = slot.reads_in_bulk
            return in_bulk, shape.bulk_length(slot.left) if in_bulk else shape.piece_length(slot.left)

        for (_, size), slots in groupby(sorted(reading, key=lambda slot: (way(slot), slot.sequence)), way):
            together = list(slots)
            most = N_UBATCH // size
            for start in range(0, len(together), most):
                yield together[start : start + most], size

    def _read_pieces(self, context: CachedContext, slots: Sequence[Slot], length: int) -> int:
        """Decode one piece of `length` rows of each sequence."""
        filled_up: list[Slot] = []
        for number, slot in enumerate(slots):
            real = min(length, slot.left)
            rows = slice(number * length, (number + 1) * length)
            piece = slot.input[slot.decoded : slot.decoded + real]
            context.token[rows] = np.concatenate([piece, np.full(length - real, piece[-1])])
            context.position[rows] = np.arange(slot.decoded, slot.decoded + length, dtype=np.int32)
            context.sequence[rows] = slot.sequence
            slot.decoded += real
            slot.cached = slot.input[: slot.decoded]
            self.counts.prompt_decoded += real
            if real < length:
                filled_up.append(slot)
        count = len(slots) * length
        context.wants_logits[:count] = 0
        status = context.decode(count)
        if status:
            return status
        for slot in filled_up:
            context.clear_sequence(slot.sequence, slot.decoded)
        for slot in slots:
            if self._kept is not None and slot.decoded == slot.pause:
                self._kept.save(context, slot.sequence, slot.cached)
        return 0

    def _generate(self, context: CachedContext) -> int:
        """Decode the latest token of every text and pick the next; return llama_decode's status."""
        active = self._active()
        if not active:
            return 0
        slots, fewest, decode = active, self._shape.rows, self._decode
        if self._shares:
            if not self._waiting or self._draining:  # otherwise the gaps will soon be filled
                self._compact(context)
            last = max(slot.sequence for slot in self._active())
            are_few = last < fewest < self._shape.least
            slots = self._slots[: fewest if are_few and self._takes_fewer else self._shape.filled(last + 1)]
            if are_few and self._takes_fewer is None:
                decode = self._decode_and_try
        status = decode(context, slots)
        if status:
            return status
        context.take_logits(len(slots))
        for row, slot in enumerate(slots):
            if slot.pending is None:
                context.clear_sequence(slot.sequence, slot.decoded)
            else:
                self.counts.prompt_decoded += not slot.pending.generated
                slot.decoded += 1
                self._pick(context, slot, row, row)
        return 0

    def _decode(self, context: CachedContext, slots: Sequence[Slot]) -> int:
        """Decode the next token of each sequence; return llama_decode's status."""
        count = len(slots)
        context.token[:count] = [slot.latest for slot in slots]
        context.position[:count] = [slot.decoded for slot in slots]
        context.sequence[:count] = [slot.sequence for slot in slots]
        context.wants_logits[:count] = 1
        return context.decode(count)

    def _decode_and_try(self, context: CachedContext, slots: Sequence[Slot]) -> int:
        """The same, and see whether a call of the fewest rows has the same bits, with this build and model: it takes
        less time."""
        few = slots[: self._shape.rows]
        status = self._decode(context, few)
        if status:
            return status
        found = context.logits(len(few)).tobytes()
        for slot in few:
            context.clear_sequence(slot.sequence, slot.decoded)
        status = self._decode(context, slots)
        if status == 0:
            self._takes_fewer = context.logits(len(slots))[: len(few)].tobytes() == found
        return status

    def _pick(self, context: CachedContext, slot: Slot, row: int, entry: int) -> None:
        """Pick a text's next token from a row of logits, those of a batch's entry; end the text if it is complete."""
        pending = slot.pending
        assert pending is not None
        token = next_token(pending, context, row, entry)
        if token is None:
            pending.fail(NO_NUMBERS)
            self._end(context, slot)
            return
        self.counts.generated += 1
        if pending.accept(token, self._vocabulary):
            self._end(context, slot)

    def _end(self, context: CachedContext, slot: Slot) -> None:
        """Free a sequence; what it has of the prompt stays, for others to begin from."""
        slot.pending = None
        slot.cached = slot.cached if self._shares else NOTHING
        slot.decoded = len(slot.cached)
        context.clear_sequence(slot.sequence, slot.decoded)

    def _start_anew(self, context: CachedContext, status: int) -> None:
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


def _input(pending: Pending) -> Tokens:
    if not pending.generated:
        return pending.prompt
    return np.concatenate([pending.prompt, np.asarray(pending.generated, dtype=np.int32)])
