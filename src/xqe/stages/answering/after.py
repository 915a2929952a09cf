"""Citations that are found afterwards: for each sentence the document, among those offered, that a search for it finds
first (post-hoc citation, as ALCE's post_hoc_cite.py, princeton-nlp/ALCE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xqe.files.records import Record
from xqe.retrieval.retriever import QueryError, Retriever


class After:
    """retriever: of all indexes that documents were found in. By vectors it finds across languages, by words only where
    some are shared, such as names."""

    def __init__(self, retriever: Retriever[Any]) -> None:
        self._retriever = retriever
        self.by = ""  # what it finds by, once it has: see `By`

    def first(self, sentences: Sequence[str], ids: Sequence[str], lang: str | None = None) -> list[str | None]:
        """The id of the document, of these, that ranks first for each sentence; None where nothing finds any. lang: of
        the sentences, None where that is not known."""
        retriever = self._retriever
        spoken = {"lang": lang} if lang is not None else {}
        records: list[tuple[Record, str]] = [
            ({"id": f"s{number}", "query": text, **spoken}, "answer") for number, text in enumerate(sentences, 1)
        ]
        queries = retriever.queries(records)
        able = [query for query in queries if not isinstance(query, QueryError)]
        pool, _ = retriever.documents.pool(ids)
        best = iter(retriever.found(able, 1, [pool] * len(able)) if able else [])
        found: list[str | None] = []
        for query in queries:
            names: list[str] = []
            if not isinstance(query, QueryError):
                self.by = str(retriever.described(query, 1)["by"])
                names = retriever.documents.ids(next(best).numbers)
            found.append(names[0] if names else None)
        return found
