"""Two traces of one query, made with different settings, side by side: which documents moved, and how far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xqe.files.records import Record
    from xqe.stages.tracing import Found, Piece, Reranked, TracedHit


@dataclass(frozen=True, slots=True)
class Move:
    """A document that one of the two found. rank, against: its rank in each, None where it is not among the hits that
    are shown."""

    id: str
    rank: int | None
    against: int | None


@dataclass(frozen=True, slots=True)
class Against:
    """options: in which the other differs. record: what it made of the query. moves: in the order of the ranks here,
    then of those there. relevant: by document, its rank here and there, None for one that is not found."""

    options: str
    record: Record
    moves: list[Move]
    relevant: dict[str, tuple[int | None, int | None]]

    @property
    def shared(self) -> int:
        """How many documents both have."""
        return sum(move.rank is not None and move.against is not None for move in self.moves)


def compared(options: str, own: Sequence[Piece], other: Sequence[Piece], k: int) -> Against:
    """The traces of a query, of each the first k hits."""
    last, there = _last(own), _last(other)
    ranks, others = _ranks(last.hits[:k]), _ranks(there.hits[:k])
    moves = [Move(name, ranks.get(name), others.get(name)) for name in {**ranks, **others}]
    stands = {one.document: one.standings[-1].rank for one in there.relevant}
    relevant = {one.document: (one.standings[-1].rank, stands.get(one.document)) for one in last.relevant}
    return Against(options, there.record, moves, relevant)


def _last(pieces: Sequence[Piece]) -> Found | Reranked:
    from xqe.stages.tracing import Found, Reranked

    return [piece for piece in pieces if isinstance(piece, Found | Reranked)][-1]


def _ranks(hits: Sequence[TracedHit]) -> dict[str, int]:
    return {hit.id: rank for rank, hit in enumerate(hits, 1)}
