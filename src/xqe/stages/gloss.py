"""Glosses: what short texts say, in another language, for a person who does not read theirs.

A small model often says a text again in its own language. That is of no use to anybody, and no gloss.
"""

from __future__ import annotations

from collections.abc import Sequence

from xqe.files.records import Record, has_failed
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request
from xqe.stages.generation import Answer, Tally, one_line, run
from xqe.stages.translate import Translator
from xqe.text.answers.parting import Wanted
from xqe.text.detection import language_of
from xqe.text.languages import Language, known, language


def asker_of(record: Record) -> Language | None:
    """The language of a record's query as it first came; None where it is not known."""
    named = record.get("source", {}).get("lang") or record.get("lang")
    return known(str(named or ""))


def glosses(
    texts: Sequence[tuple[str, Language]], target: Language, engine: Engine, tally: Tally | None = None
) -> list[str | None]:
    """What each text, in its language, says in `target`, all generated together; None for one that is in it already,
    where the model does not tell, where it tells in another language, and where it does not come to an end: a
    translation is half as long as what it may have (`most_tokens`)."""
    lacking = [at for at, (text, written) in enumerate(texts) if written != target and text.strip()]
    records: list[Record] = [
        {"id": f"gloss{at}", "query": one_line(texts[at][0]), "lang": texts[at][1].code} for at in lacking
    ]
    found: list[str | None] = [None] * len(texts)
    for at, record in zip(lacking, run(_Gloss(engine, target), engine, records, tally), strict=True):
        if not has_failed(record) and _is_in(record["gloss"], target):
            found[at] = record["gloss"] or None
    return found


def _is_in(text: str, target: Language) -> bool:
    """Whether a text may be in a language: it is, or it is too short to tell."""
    return language_of(text) in (None, target.code)


class _Gloss:
    """Adds "gloss", the translation of a record's text."""

    name = "gloss"

    def __init__(self, engine: Engine, target: Language) -> None:
        self._translator = Translator(engine, target, None, None)

    def requests(self, record: Record) -> list[Request]:
        return [self._translator.request(record, 0, "sentence", record["query"], language(record["lang"]))]

    def wanted(self, record: Record) -> list[Wanted]:
        return [self._translator.wanted("sentence", record["query"], language(record["lang"]))]

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        [answer] = answers
        is_whole = answer.completion.finish != "length"
        return {**record, "gloss": one_line(answer.text) if is_whole else ""}
