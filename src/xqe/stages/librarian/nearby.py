"""The collection's own words: the documents of an index that are nearest to a query, for a prompt that shows how such
things are called there.

They are looked for with the query as it first came, by vectors, so that no translation stands between; or they are the
best hits that a record has already. Of each is shown its title, where it has one, and its first sentence.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from xqe.errors import XqeError
from xqe.files.records import Record, has_failed
from xqe.retrieval.retriever import QueryError
from xqe.stages.answering.offered import offered, titled
from xqe.stages.fitting import beginning
from xqe.stages.generation import one_line
from xqe.stages.librarian.choosing import asked_of
from xqe.text.sentences import sentences

if TYPE_CHECKING:
    from xqe.files.names import Numbers
    from xqe.models.engines.base import Engine
    from xqe.retrieval.retriever import Retriever

MOST = 10_000
"""Queries whose documents are remembered, the latest."""
TOKENS = 40
"""Of a document, at most."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A document that a prompt shows. text: its beginning."""

    id: str
    text: str


class Nearby:
    """Finds the documents to show. retriever: of an index that keeps texts, in one language. count: how many. lang: the
    code of its language. drop_own: no document has the record's id, as where queries are documents."""

    def __init__(self, retriever: Retriever[Any], index: str, lang: str, count: int, drop_own: bool = False) -> None:
        self.index, self.lang = index, lang
        self._retriever, self._count, self._drop_own = retriever, count, drop_own
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], list[Shown] | QueryError] = {}

    def prepare(self, records: Sequence[Record]) -> None:
        """Look for the documents of records together."""
        with self._lock:
            self._find(records)

    def of(self, record: Record, engine: Engine) -> list[Shown]:
        """The documents to show for a record, the nearest first, each so long as the engine's tokens say. Raises
        XqeError where they cannot be found."""
        if record.get("hits"):
            found = self._of_hits(record)
        else:
            key = self._key(record)
            with self._lock:
                if key not in self._known:
                    self._find([record])
                known = self._known[key]
            if isinstance(known, QueryError):
                raise XqeError(str(known))
            found = known
        return [Shown(one.id, beginning(one.text, TOKENS, engine)) for one in found]

    def _of_hits(self, record: Record) -> list[Shown]:
        hits = offered(record, self._retriever.documents, self._count + self._drop_own)
        return [Shown(hit.id, self._called(hit.title, hit.text)) for hit in hits if not self._is_own(hit.id, record)][
            : self._count
        ]

    def _find(self, records: Sequence[Record]) -> None:
        asked: dict[tuple[str, str], Record] = {}
        for record in records:
            if has_failed(record) or record.get("hits"):
                continue
            try:
                query, spoken = asked_of(record)
                asked[self._key(record)] = {"id": record["id"], "query": query, "lang": spoken.code}
            except XqeError:
                continue  # told when its prompt is made
        asked = {key: record for key, record in asked.items() if key not in self._known}
        queries = self._retriever.queries([(record, record["id"]) for record in asked.values()]) if asked else []
        able = [one for one in queries if not isinstance(one, QueryError)]
        found = iter(self._retriever.found(able, self._count + self._drop_own, [None] * len(able)) if able else ())
        for (key, record), one in zip(asked.items(), queries, strict=True):
            self._known[key] = one if isinstance(one, QueryError) else self._read(record, next(found).numbers)
        for old in [*islice(self._known, max(0, len(self._known) - MOST))]:
            if old not in asked:
                del self._known[old]

    def _read(self, record: Record, numbers: Numbers) -> list[Shown]:
        documents = self._retriever.documents
        found = [
            (name, titled(documents.text(number) or ""))
            for name, number in zip(documents.ids(numbers), numbers.tolist(), strict=True)
            if not self._is_own(name, record)
        ]
        return [Shown(name, self._called(title, one_line(text))) for name, (title, text) in found[: self._count]]

    def _is_own(self, name: str, record: Record) -> bool:
        return self._drop_own and name == record["id"]

    def _called(self, title: str, text: str) -> str:
        """What a document is called: its title, where it has one, and the sentence that it begins with."""
        first = self._first(text)
        return f"{title}: {first}" if title and first else title or first

    def _first(self, text: str) -> str:
        spans = sentences(text, self.lang)
        return text[slice(*spans[0])] if spans else text

    def _key(self, record: Record) -> tuple[str, str]:
        query, _ = asked_of(record)
        return query, record["id"] if self._drop_own else ""
