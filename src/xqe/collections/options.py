"""What a reader is told besides the path: which languages and splits, and where the rest lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xqe.files.fields import Fields


@dataclass(frozen=True, slots=True)
class Options:
    """languages: of formats that hold several, those that are wanted, None for all; else the one of the documents.
    query_language: of queries in another language than the documents, for formats that do not say.
    splits: those that are wanted; of formats without splits, what the one is called.
    topic: which fields of a TREC topic make the query, None for its title.
    fields, query_fields: what those of documents and of queries are called, None for as usual."""

    languages: tuple[str, ...] | None = None
    query_language: str | None = None
    splits: tuple[str, ...] | None = None
    documents: Path | None = None
    queries: Path | None = None
    qrels: Path | None = None
    topic: str | None = None
    fields: Fields | None = None
    query_fields: Fields | None = None
