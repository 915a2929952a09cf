"""The hits that a record comes with, for stages that read the documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xqe.errors import XqeError
from xqe.files.records import Record
from xqe.files.trec import hits_of
from xqe.retrieval.fusion import ranking

if TYPE_CHECKING:
    from xqe.retrieval.documents import Numbered


def ordered(record: Record) -> list[dict[str, Any]]:
    """The hits of a record by score, equal scores by descending id, as everything that reads runs has them.

    Raises InputError for what are no hits.
    """
    given = record.get("hits")
    if not given:
        return []
    scores = hits_of(record, f'query "{record["id"]}"', record["id"])
    hits = {str(hit["id"]): hit for hit in given}
    return [hits[name] for _, name in ranking(scores)]


def read(record: Record, documents: Numbered, n: int) -> list[tuple[dict[str, Any], str]]:
    """The best `n` hits of a record, in their order, each with the text of its document. Raises XqeError for what are
    no hits, and for one that is no document of the index."""
    hits = ordered(record)[:n]
    numbers = documents.numbers([str(hit["id"]) for hit in hits]).tolist()
    for hit, number in zip(hits, numbers, strict=True):
        if number < 0:
            raise XqeError(f'document "{hit["id"]}" is not in the index')
    return [(hit, documents.text(number) or "") for hit, number in zip(hits, numbers, strict=True)]
