"""Topics for other search engines: a line for each query, its id, a tab and one text, as Pyserini and Anserini read.

Their queries are bags of words, in which a word counts as often as it stands there. So a query is put together with its
passages as published methods do it: repeated, and the passages behind it (`retrieval.combining`), as often as the
record's "combine" says, or the weight that is asked for. What search does beyond that needs an index: automatic
weights, several translations, words of the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xqe.files.records import has_failed
from xqe.retrieval.combining import EACH, combination_of

SEPARATOR = "\t"


def topic_text(record: Mapping[str, Any], weight: float | None = None) -> str:
    """The query of a record with its passages, in one line. weight: how often the query stands before them, at least
    once; None for what the record says, else once, as the paper joins them. Raises InputError for a "combine" that is
    none."""
    query, passages = str(record["query"]), [str(one) for one in record.get("passages") or ()]
    combination = combination_of(record, f'query "{record["id"]}"')
    if not passages:
        texts = [query]
    elif weight is None and combination.query == EACH:
        texts = [text for passage in passages for text in (query, passage)]
    else:
        times = round(combination.repeats(query, passages) if weight is None else weight)
        texts = [*[query] * max(1, times), *passages]
    return " ".join(" ".join(texts).split())


def topics_line(record: Mapping[str, Any], weight: float | None = None) -> str:
    """The line of a record: its id, a tab, its text. A record that failed has its query as it is; raises as
    `topic_text` does."""
    if has_failed(record):
        record = {"id": record["id"], "query": record["query"]}
    return f"{record['id']}{SEPARATOR}{topic_text(record, weight)}"
