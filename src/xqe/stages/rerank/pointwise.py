"""Re-ranking by a score for each document by itself: the likelihood of the query, a yes against a no, or the score that
a cross-encoder gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xqe.files.records import Record, advanced
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request
from xqe.models.prompts import Template
from xqe.stages.generation import Answer, made_by
from xqe.stages.rerank.kinds import Kind
from xqe.stages.rerank.mixing import mixed
from xqe.stages.rerank.reading import Candidate, Reader, ordered
from xqe.text.answers.parting import Wanted
from xqe.text.languages import language

YES, NO = ("yes", "Yes", "YES"), ("no", "No", "NO")


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked of a query and a document, and what its answer is worth.

    prompt: of models.prompts. continuation: the query is what would have to follow. choices: what may follow. score:
    of what was measured.
    """

    prompt: str
    score: Callable[[Sequence[float]], float]
    continuation: bool = False
    choices: tuple[str, ...] = ()


def probability_of_yes(measured: Sequence[float]) -> float:
    """The probability of the first half of the choices among all of them."""
    shares = [math.exp(number) for number in measured]
    total = sum(shares)
    return sum(shares[: len(YES)]) / total if total else 0.5


LIKELIHOOD = Question("likelihood", lambda measured: measured[0], continuation=True)
"""UPR (arXiv 2204.07496): the logarithm of the query's probability after the document, summed over its tokens."""
YES_NO = Question("relevance", probability_of_yes, choices=(*YES, *NO))
"""Pointwise relevance, as of RankLLM and Qwen3-Reranker: p(yes) / (p(yes) + p(no)) at the answer's first token."""


CROSS = Question("", lambda measured: measured[0])
"""A cross-encoder reads the query and the document (`prompts.PAIR`); its score is taken as it gives it."""


QUESTIONS = {Kind.LIKELIHOOD: LIKELIHOOD, Kind.YES_NO: YES_NO, Kind.CROSS: CROSS}


class Pointwise:
    """Gives the best hits of each record new scores, mixed with those that they have.

    first_weight: of the first stage's score, from 0 to 1.
    """

    name = "rerank"

    def __init__(
        self, engine: Engine, kind: str, question: Question, template: Template, reader: Reader, first_weight: float
    ) -> None:
        self._engine = engine
        self._kind = kind
        self._question = question
        self._template = template
        self._reader = reader
        self._first_weight = first_weight

    def requests(self, record: Record) -> list[Request]:
        query = self._reader.query(record)
        return [self._request(record, query, candidate) for candidate in self._reader.candidates(record)]

    def wanted(self, record: Record) -> Sequence[Wanted | None]:
        return [None] * self._reader.n

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        completions = [answer.completion for answer in answers]
        scores = [self._question.score(completion.measured) for completion in completions]
        step = {
            "step": self.name,
            "kind": self._kind,
            "n": len(scores),
            "query": self._reader.asked.value,
            "first_weight": self._first_weight,
            **made_by(self._engine, completions[0]),
            "tokens": sum(completion.tokens for completion in completions),
        }
        return advanced(record, step, hits=mixed(ordered(record), scores, self._first_weight))

    def _request(self, record: Record, query: str, candidate: Candidate) -> Request:
        question = self._question
        spoken = record.get("source", record).get("lang") or record.get("lang")
        named = {"language": language(spoken).name if isinstance(spoken, str) else "the query's language"}
        prompt = self._template.render(self._engine.is_chat, {"query": query, "document": candidate.text, **named})
        begins = "" if self._engine.is_chat else " "
        continuation = f"{begins}{query}" if question.continuation else ""
        choices = tuple(f"{begins}{choice}" for choice in question.choices)
        return Request(prompt, query, 0, continuation=continuation, choices=choices)
