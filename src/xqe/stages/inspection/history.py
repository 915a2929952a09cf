"""What a record says of how its texts came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xqe.text.languages import Language, code_of, known


@dataclass(slots=True)
class History:
    """How the texts of a record came about, read from its steps.

    order: a letter a step: t (translation), e (expansion), d (expansion directly into another language). making: the
    steps that made the texts there are now, one expansion and what translated it, or the translations of a query.
    spoken, written: the languages of the query and of the passages when an expansion wrote them.
    """

    order: str = ""
    making: tuple[Mapping[str, Any], ...] = ()
    expansion: Mapping[str, Any] | None = None
    spoken: str = ""
    written: str = ""

    @property
    def first(self) -> Mapping[str, Any]:
        """The step whose model and strategy the texts are known by: the expansion, where there was one."""
        return self.expansion or (self.making[-1] if self.making else {})

    @property
    def was_cut(self) -> bool:
        return any(step.get("finish") == "length" for step in self.making)


def history(record: Mapping[str, Any]) -> History:
    """Read the steps of a record; those that neither translate nor expand say nothing of its texts."""
    told = History()
    lang = code_of(source(record, "lang"))
    for step in record.get("steps", ()):
        name = step.get("step") if isinstance(step, Mapping) else None
        if name not in ("translate", "expand"):
            continue
        target = code_of(str(step.get("to") or lang))
        if name == "expand":
            told.order += "e" if target == lang else "d"
            told.expansion, told.making, told.spoken, told.written = step, (step,), lang, target
            continue
        told.order, lang = told.order + "t", target
        if told.expansion is None or target != told.written:  # passages that are in that language already stay
            told.making = (*told.making, step)
    return told


def source(record: Mapping[str, Any], key: str) -> str:
    """The query or its language, "query" or "lang", as it first arrived."""
    first = record.get("source", record)
    return str(first.get(key, record.get(key, "")))


def row_of(code: str | None) -> Language | None:
    """The language of a code, None where there is no such language."""
    return known(code or "")
