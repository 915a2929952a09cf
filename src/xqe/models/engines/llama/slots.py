"""What a sequence of the scheduler's context holds, and the shape of its calls."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xqe.models.engines.llama.cached import N_UBATCH
from xqe.models.engines.llama.pending import Pending
from xqe.models.engines.llama.vocabulary import Tokens, common

NOTHING: Tokens = np.empty(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the calls are like. rows: their number of rows is a multiple of this. least: and not less. piece: the most
    rows of one sequence in one call. bulk: the most, and tile the least, where a sequence reads what its prompt says
    that others begin with, too; 0 where there is no other way for that.
    """

    rows: int
    least: int
    piece: int
    bulk: int = 0
    tile: int = 0

    def filled(self, number: int) -> int:
        """The rows of a call that needs `number`."""
        return max(self.least, padded(number, self.rows))

    def piece_length(self, left: int) -> int:
        """The rows of a prompt's next piece, filled up, where `left` tokens of it are to be decoded."""
        return min(self.piece, self.filled(left))

    def bulk_length(self, left: int) -> int:
        """The same in bulk, in pieces of about equal length."""
        return max(self.tile, padded(-(-left // -(-left // self.bulk)), self.rows))


CPU_SHAPE = Shape(rows=4, least=8, piece=60, bulk=256, tile=64)  # from 64 rows on, attention goes another way
GPU_SHAPE = Shape(rows=1, least=1, piece=N_UBATCH)


@dataclass(slots=True, eq=False)
class Slot:
    """A sequence: what its cells hold, and the text that is being generated in it, if any.

    cached: tokens whose cells are there, from position 0, without those that were generated. decoded: cells in use.
    head: positions that are read in bulk. firm: it cannot be cut back below that, but for nothing. pause: where to stop
    reading, to keep what is read.
    """

    sequence: int
    pending: Pending | None = None
    input: Tokens = field(default_factory=lambda: NOTHING)  # the prompt, and what was generated before a restart
    cached: Tokens = field(default_factory=lambda: NOTHING)
    decoded: int = 0
    head: int = 0
    firm: int = 0
    pause: int = 0

    @property
    def is_reading(self) -> bool:
        """True while there is more to read than the last token, after which the first one is generated."""
        return self.pending is not None and self.decoded < len(self.input) - 1

    @property
    def reads_in_bulk(self) -> bool:
        return self.decoded < self.head

    @property
    def left(self) -> int:
        """How many tokens are to be read in the same way, until it pauses or to the end."""
        ends = (self.pause, self.head, len(self.input) - 1)
        return next(end for end in ends if self.decoded < end) - self.decoded

    @property
    def latest(self) -> int:
        """The token that is decoded next, when all before it are."""
        if self.pending is None:
            return 0
        return self.pending.generated[-1] if self.pending.generated else int(self.pending.prompt[-1])

    def shared(self, tokens: Tokens, head: int) -> int:
        """How much it has of a prompt's beginning; at least one token is left to decode. head: of the prompt. What one
        reads in bulk and the other does not has other bits, and so has what is read in bulk after cells that were
        restored, where windows have no others."""
        length = min(common(self.cached, tokens), len(tokens) - 1)
        if head != self.head:
            length = 0 if self.firm else min(length, head, self.head)
        return length if length >= self.firm else 0

    def hold(self, tokens: Tokens, head: int, firm: int = 0) -> None:
        """Note that the cells are those of these tokens."""
        self.cached, self.decoded, self.head, self.firm = tokens, len(tokens), head, firm if len(tokens) else 0


def padded(number: int, to: int) -> int:
    return -(-number // to) * to
