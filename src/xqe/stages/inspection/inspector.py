"""Inspecting records: each of their texts, held to the query and to the worked examples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from xqe.files.records import Record, has_failed, passages_lang
from xqe.stages.inspection.anchors import anchors, kept
from xqe.stages.inspection.drift import Shown, drift
from xqe.stages.inspection.echo import echoes
from xqe.stages.inspection.history import History, history, row_of, source
from xqe.stages.inspection.measures import in_order, means
from xqe.stages.inspection.texts import Text, letters
from xqe.text.languages import Language, code_of

_ENDS_SENTENCE = re.compile(r"[.!?…。！？।؟][\"'”’»)\]）」』]*$")


class Inspector:
    """Inspects records. examples: the file that --examples named when they were made, None for the built-in ones.
    any_query: queries that no step of xqe's has translated, too."""

    def __init__(self, examples: str | None = None, any_query: bool = False) -> None:
        self._shown = Shown(examples)
        self._any_query = any_query

    def __call__(self, record: Record) -> dict[str, Any] | None:
        """What is added to a record:

            {"lang", "order", "strategy", "model", the mean of each measure, "flagged", "passages": [...] or "query"}

        None for a record that failed, and for one that has neither passages nor a translated query.
        """
        told = history(record)
        passages = record.get("passages") or []
        if has_failed(record) or not (passages or told.making or self._any_query):
            return None
        code = passages_lang(record) if passages else str(record.get("lang", ""))
        row = row_of(code)
        values = self._of_passages(record, told, passages, row) if passages else [_of_query(record, told, row)]
        return {
            "lang": code_of(code),
            "order": told.order,
            "strategy": told.first.get("strategy"),
            "model": told.first.get("model"),
            **means(values),
            **({"passages": values} if passages else {"query": values[0]}),
        }

    def _of_passages(
        self, record: Record, told: History, passages: Sequence[str], row: Language | None
    ) -> list[dict[str, Any]]:
        asked = source(record, "query")
        query = _query_in(record, row)
        wanted = anchors(asked, row_of(source(record, "lang")))
        terms = Text(query, row).stems if query is not None else frozenset()
        of_query = Text(query or "", row).content | Text(asked, row).content
        examples = self._shown.words(told, row)
        queries = {text for text in (query, asked, record["query"]) if text}
        made = []
        for passage in passages:
            text = Text(passage, row)
            values = {
                "faithfulness": len(terms & text.stems) / len(terms) if terms else None,
                "kept": kept(wanted, passage),
                "drift": drift(text.content, examples, of_query) if examples else None,
                "echo": any(echoes(passage, one) for one in queries),
                "cut": told.was_cut and (len(passages) == 1 or not _ENDS_SENTENCE.search(passage.strip())),
            }
            made.append(in_order({**text.values(), **values}))
        return made


def inspected(records: Iterable[Record], examples: str | None = None, any_query: bool = False) -> Iterator[Record]:
    """Yield each record with "inspection" (see `Inspector`), in order, and with all else as it was."""
    inspect = Inspector(examples, any_query)
    for record in records:
        yield {**record, "inspection": inspect(record)}


def _of_query(record: Record, told: History, row: Language | None) -> dict[str, Any]:
    query, asked = record["query"], source(record, "query")
    spoken = row_of(source(record, "lang"))
    # a name stays what it is
    is_same = letters(query) == letters(asked) and spoken is not row and len(Text(asked, spoken).words) > 1
    values = {"kept": kept(anchors(asked, spoken), query), "echo": is_same, "cut": told.was_cut}
    return in_order({**Text(query, row).values(), **values})


def _query_in(record: Record, row: Language | None) -> str | None:
    """The query in a language, where the record has it."""
    for query, code in ((record["query"], record.get("lang")), (source(record, "query"), source(record, "lang"))):
        if row is not None and row_of(code) is row:
            return query
    return None
