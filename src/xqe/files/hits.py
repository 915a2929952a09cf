"""The hits of a record in columns, from a search to whatever writes them.

A dict is made of a hit that somebody looks at; of a thousand that nobody does, making them took as long as finding
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from xqe.files.jsonl import text_of
from xqe.files.records import Record

Hit = dict[str, Any]


class HitList(Sequence[Hit]):
    """Hits, best first. It reads as the list that "hits" of a record is, {"id", "score"} and what else is said of each,
    and has that list's JSON; `plain` makes the list, for what asks for one.

    ids, scores: of one length. more: other fields by their names, a value for each hit.
    """

    __slots__ = ("ids", "more", "scores")

    def __init__(
        self, ids: Sequence[str], scores: Sequence[float], more: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        self.ids, self.scores, self.more = ids, scores, more or {}

    @classmethod
    def of(cls, hits: Sequence[Hit]) -> HitList:
        """The ids and scores of any hits, without what else is said of them."""
        if isinstance(hits, cls):
            return hits
        return cls([hit["id"] for hit in hits], [hit["score"] for hit in hits])

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> Hit: ...
    @overload
    def __getitem__(self, at: slice) -> list[Hit]: ...
    def __getitem__(self, at: int | slice) -> Hit | list[Hit]:
        columns = self._columns
        if isinstance(at, int):
            return {name: column[at] for name, column in columns.items()}
        return _rows({name: column[at] for name, column in columns.items()})

    def __iter__(self) -> Iterator[Hit]:
        return iter(_rows(self._columns))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    def __json__(self) -> str:
        """Its JSON, as `jsonl.dumps` has it for the list."""
        columns = self._columns
        if not self.ids:
            return "[]"
        every = 2 * len(columns)
        pieces = [""] * (every * len(self))
        for place, (name, column) in enumerate(columns.items()):
            label = f"{',' if place else '},{'}{text_of(name)}:"
            pieces[2 * place :: every] = [label] * len(self)
            pieces[2 * place + 1 :: every] = _written(column)
        return f"[{''.join(pieces)[2:]}}}]"

    @property
    def _columns(self) -> dict[str, Sequence[Any]]:
        return {"id": self.ids, "score": self.scores, **self.more}


def plain(record: Record) -> Record:
    """A record with its hits as a list of dicts, for what may ask for just that."""
    hits = record.get("hits")
    return {**record, "hits": list(hits)} if isinstance(hits, HitList) else record


def _rows(columns: Mapping[str, Sequence[Any]]) -> list[Hit]:
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _written(values: Sequence[Any]) -> Sequence[str]:
    """The JSON of each value; of all at once where they are of one kind."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return text_of(values)[1:-1].split(",")
    if kinds == {str}:
        together = "".join(values)
        if text_of(together) == f'"{together}"':  # none has a character that JSON escapes, such as an end of line
            return '"{}"'.format('"\n"'.join(values)).split("\n")
    return [text_of(value) for value in values]
