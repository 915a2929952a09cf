"""What a person reads of the hits of a record: the title of each, and the part of its text that it was found for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from xqe.files.records import Record, has_failed
from xqe.retrieval.retriever import QueryError, Retriever
from xqe.stages.answering.offered import titled
from xqe.text.analysis import analyzer
from xqe.text.languages import known
from xqe.text.snippets import Snippet, snippet

if TYPE_CHECKING:
    from xqe.retrieval.documents import Numbered

HITS = 10
"""How many hits a person is shown, unless told."""

Excerpt = Callable[[int], Snippet | None]
"""Of a document, by its number."""


def found_for(record: Record, retriever: Retriever[Any], n: int) -> Record:
    """A record with "title" and "snippet" of its first `n` hits, of which each was found for what the snippet shows."""
    query = retriever.queries([(record, "a query")])[0] if not has_failed(record) and record["hits"] else None
    if query is None or isinstance(query, QueryError):
        return record
    return _read(record, retriever.documents, n, lambda at: retriever.snippet(at, retriever.explain(query, at)))


def by_words(record: Record, documents: Numbered, n: int = HITS, lang: str = "") -> Record:
    """The same, with snippets of what has the words of the record's query. lang: of the documents; "" for that of the
    index that the record names."""
    lang = lang or str((record.get("index") or {}).get("lang", "")).partition(",")[0] or record.get("lang", "")
    if not record.get("hits") or not documents.has_texts or known(lang) is None:
        return record
    terms_of = analyzer(lang).terms
    wanted = dict.fromkeys(terms_of(record["query"]), 1.0)
    return _read(record, documents, n, lambda at: snippet(documents.text(at) or "", wanted, terms_of))


def _read(record: Record, documents: Numbered, n: int, excerpt: Excerpt) -> Record:
    hits = record["hits"]
    numbers = documents.numbers([hit["id"] for hit in hits[:n]]).tolist()
    shown = [{**hit, **_excerpt(at, documents, excerpt)} for hit, at in zip(hits[:n], numbers, strict=True)]
    return {**record, "hits": [*shown, *hits[n:]]}


def _excerpt(number: int, documents: Numbered, excerpt: Excerpt) -> dict[str, Any]:
    found = excerpt(number) if number >= 0 else None
    if found is None:
        return {}
    title = titled(documents.text(number) or "")[0]
    return {**({"title": title} if title else {}), "snippet": {"text": found.text, "matches": found.matches}}
