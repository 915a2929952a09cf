"""`--strategy auto`: which strategy a query gets, by what is known of it before anything is generated.

The first of the `RULES` that holds decides. They are the paper's finding (section 4.2: zero-shot is best for the short
queries of a collection, few-shot for the long ones) but for queries whose hits were given, with their texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xqe.stages.strategies import SHORT, Strategy

if TYPE_CHECKING:
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.models.engines.requests import Request
    from xqe.stages.expand import Expand
    from xqe.stages.generation import Answer
    from xqe.text.answers.parting import Wanted


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a query. words: how many it has, as the paper counts them (`word_count`). script: ISO 15924.
    is_chat: whether the model is a chat model. has_documents: whether the record has hits with texts."""

    words: int
    script: str
    is_chat: bool
    has_documents: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """strategy: for a query of which `holds` is true. why: what the record's step says."""

    strategy: Strategy
    holds: Callable[[Known], bool]
    why: str


RULES = (
    Rule(
        Strategy.LAMER,
        lambda known: known.has_documents and known.is_chat,
        "its hits have texts, and a chat model reads them",
    ),
    Rule(Strategy.ZEROSHOT, lambda known: known.words < SHORT, f"it has fewer than {SHORT} words"),
    Rule(Strategy.FEWSHOT, lambda known: True, f"it has {SHORT} words or more"),
)


def rule_for(known: Known) -> Rule:
    """The first rule that holds."""
    return next(rule for rule in RULES if rule.holds(known))


class Chosen:
    """Expands each record by the strategy that a rule chooses for it, and says in its step which, and why. stages: of
    each strategy that a rule may choose."""

    name = "expand"
    documents = 0  # those that are there are read, and none is looked for

    def __init__(self, engine: Engine, stages: Mapping[Strategy, Expand]) -> None:
        self._is_chat = engine.is_chat
        self._stages = stages

    def requests(self, record: Record) -> list[Request]:
        return self._of(record).requests(record)

    def wanted(self, record: Record) -> list[Wanted]:
        return self._of(record).wanted(record)

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        done = self._of(record).result(record, answers)
        *before, step = done["steps"]
        return {**done, "steps": [*before, {**step, "why": self._rule(record).why}]}

    def _of(self, record: Record) -> Expand:
        return self._stages[self._rule(record).strategy]

    def _rule(self, record: Record) -> Rule:
        from xqe.stages.feedback_texts import has_texts
        from xqe.text.analysis import word_count
        from xqe.text.languages import language

        spoken = language(record.get("lang", ""))
        words = word_count(record["query"], spoken.code)
        return rule_for(Known(words, spoken.script, self._is_chat, has_texts(record)))
