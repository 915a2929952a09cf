"""Pools: the only documents that a search may find, the same for all queries or others for each.

| a line of the file                                          | whose pool  |
| ----------------------------------------------------------- | ----------- |
| document                                                    | all         |
| query document                                              | its query's |
| query document rank (MS MARCO run), or BEIR qrels           | its query's |
| query 0 document relevance (TREC qrels)                     | its query's |
| query Q0 document rank score tag (TREC run)                 | its query's |
| {"id": query, "hits": [{"id": document}, ...]} (xqe's run)  | its query's |

Columns are separated by tabs or spaces, and only the first line is asked which they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from xqe.errors import InputError, XqeError
from xqe.files import jsonl, trec
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.files.names import Numbers
    from xqe.retrieval.documents import Numbered

_PLACES: dict[int, tuple[int | None, int]] = {1: (None, 0), 2: (0, 1), 3: (0, 1), 4: (0, 2), 6: (0, 2)}
"""Of the query and the document in a line of so many columns."""
_SHAPE = "a pool has a document id a line, or a query id and a document id, or is a run or qrels"


class Pools:
    """The pool of each query, as numbers of an index."""

    def __init__(self, everyone: Numbers | None, own: Mapping[str, Numbers]) -> None:
        self._everyone, self._own = everyone, own
        self.lacking: list[str] = []
        """The queries that were asked for and have no pool, and so no hits."""

    def of(self, query: str) -> Numbers | None:
        """The sorted numbers of the documents that a query may find."""
        if self._everyone is not None:
            return self._everyone
        if query not in self._own:
            self.lacking.append(query)
        return self._own.get(query, self._own[""])


def read_pools(path: str, documents: Numbered) -> Pools:
    """Read a file of pools. Documents that the index does not hold are counted in one line on standard error.

    Raises InputError for a malformed line, and XqeError if the index holds none of the documents.
    """
    members: dict[str, list[str]] = {}
    for query, ids in _members(path):
        members.setdefault(query, []).extend(ids)
    name = trec.file_name(path)
    pools: dict[str, Numbers] = {"": documents.pool([])[0]}
    total = missing = 0
    for query, ids in members.items():
        pools[query], absent = documents.pool(ids)
        total += len(ids)
        missing += absent
    if total == missing:
        raise XqeError(
            f"{name}: none of the {total} documents is in the index", "is it the pool of another collection?"
        )
    if missing:
        say(f"{name}: {missing} of {total} documents are not in the index")
    return Pools(pools[""] if "" in members else None, pools)


def _members(path: str) -> Iterator[tuple[str, list[str]]]:
    """Queries and documents of theirs; the query "" stands for all."""
    source = jsonl.lines(path)
    where, head = next(source, ("", ""))
    if not head:
        raise InputError(f"{trec.file_name(path)}: empty pool", _SHAPE)
    if trec.header(head.split()):
        where, head = next(source, (where, head))
    lines = chain([(where, head)], source)
    yield from _of_records(lines) if head[0] in "{[" else _of_columns(lines, len(head.split()))


def _of_columns(lines: Iterable[tuple[str, str]], count: int) -> Iterator[tuple[str, list[str]]]:
    for where, text in lines:
        columns = text.split()
        if count not in _PLACES or len(columns) != count:
            raise InputError(f"{where}: {len(columns)} columns", _SHAPE)
        query, document = _PLACES[count]
        yield (columns[query] if query is not None else "", [columns[document]])


def _of_records(lines: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    for where, text in lines:
        record = jsonl.value(text, where)
        hits = record.get("hits") if isinstance(record, dict) else None
        if not isinstance(hits, list) or not all(isinstance(hit, dict) and "id" in hit for hit in hits):
            raise InputError(f'{where}: no "id" with "hits" that have ids', _SHAPE)
        yield str(record.get("id")), [str(hit["id"]) for hit in hits]
