"""Inspecting records: each of their texts, held to the query and to the worked examples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from xqe.errors import XqeError
from xqe.files.arriving import together
from xqe.files.records import CLOSENESS, Record, has_failed, passages_lang
from xqe.stages.inspection.anchors import anchors, kept
from xqe.stages.inspection.drift import Shown, drift
from xqe.stages.inspection.echo import echoes
from xqe.stages.inspection.history import History, history, row_of, source
from xqe.stages.inspection.measures import in_order, means
from xqe.stages.inspection.texts import Text, letters
from xqe.stages.judging.closeness import STRAYED
from xqe.stages.judging.judge import AT_A_TIME, Judge
from xqe.text.languages import Language, code_of
from xqe.text.sentences import OWN_MARKS

_ENDS_SENTENCE = re.compile(rf"[.!?…{OWN_MARKS}][\"'”’»)\]）」』]*$")


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
        for passage, close in zip(passages, _closeness(record, passages), strict=True):
            text = Text(passage, row)
            values = {
                "faithfulness": len(terms & text.stems) / len(terms) if terms else None,
                "kept": kept(wanted, passage),
                **_straying(close),
                "drift": drift(text.content, examples, of_query) if examples else None,
                "echo": any(echoes(passage, one) for one in queries),
                "cut": told.was_cut and (len(passages) == 1 or not _ENDS_SENTENCE.search(passage.strip())),
            }
            made.append(in_order({**text.values(), **values}))
        return made


def inspected(
    records: Iterable[Record], examples: str | None = None, judge: Judge | None = None, any_query: bool = False
) -> Iterator[Record]:
    """Yield each record with "inspection" (see `Inspector`), in order, and with all else as it was.

    judge: says how close texts are to their query; None for what the records say. Where it cannot, that is not known.
    """
    inspect = Inspector(examples, any_query)
    for record, looked_at in _judged(records, judge):
        yield {**record, "inspection": inspect(looked_at)}


def _judged(records: Iterable[Record], judge: Judge | None) -> Iterator[tuple[Record, Record]]:
    """Each record, and the same with what a judge says of it."""
    if judge is None:
        yield from ((record, record) for record in records)
        return
    for group in together(records, AT_A_TIME):
        for record, judged in zip(group, judge.judged(group), strict=True):
            said = {} if isinstance(judged, XqeError) else judged.said(record)
            yield record, {**record, CLOSENESS: said}


def _closeness(record: Record, passages: Sequence[str]) -> list[float | None]:
    """What a record says of how close each of its passages is to its query, None where it does not."""
    said = record.get(CLOSENESS)
    values = said.get("passages") if isinstance(said, dict) else None
    return list(values) if isinstance(values, list) and len(values) == len(passages) else [None] * len(passages)


def _straying(closeness: object) -> dict[str, Any]:
    """How close a text is, and whether it strayed."""
    if not isinstance(closeness, int | float):
        return {}
    return {"closeness": closeness, "strayed": closeness < STRAYED}


def _of_query(record: Record, told: History, row: Language | None) -> dict[str, Any]:
    query, asked = record["query"], source(record, "query")
    spoken = row_of(source(record, "lang"))
    # a name stays what it is
    is_same = letters(query) == letters(asked) and spoken is not row and len(Text(asked, spoken).words) > 1
    said = record.get(CLOSENESS)
    close = said.get("query") if isinstance(said, dict) else None
    values = {"kept": kept(anchors(asked, spoken), query), "echo": is_same, "cut": told.was_cut, **_straying(close)}
    return in_order({**Text(query, row).values(), **values})


def _query_in(record: Record, row: Language | None) -> str | None:
    """The query in a language, where the record has it."""
    for query, code in ((record["query"], record.get("lang")), (source(record, "query"), source(record, "lang"))):
        if row is not None and row_of(code) is row:
            return query
    return None
