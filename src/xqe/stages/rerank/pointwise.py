"""Re-ranking by a score for each document by itself: the likelihood of the query, a yes against a no, or the score that
a cross-encoder gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from xqe.files.records import Record, advanced
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request
from xqe.models.prompts import Template
from xqe.stages import hits
from xqe.stages.fitting import beginning, room_for_texts
from xqe.stages.generation import Answer, Tally, made_by, run
from xqe.stages.rerank.kinds import Kind
from xqe.stages.rerank.mixing import mixed
from xqe.stages.rerank.reading import Reader
from xqe.text.answers.parting import Wanted


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked of a query and a document, and what its answer is worth.

    score: of what was measured. continuation: the query is what would have to follow. choices: what may follow, each in
    its spellings.
    """

    score: Callable[[Sequence[float]], float]
    continuation: bool = False
    choices: tuple[tuple[str, ...], ...] = ()


def share_of_first(measured: Sequence[float]) -> float:
    """p(first) / (p(first) + p(second)), from their logarithms."""
    first, second = measured
    return 1 / (1 + math.exp(min(second - first, 700)))  # beyond, a double overflows


def spellings(word: str) -> tuple[str, ...]:
    """How an answer may say a word: in small letters, in capitals, after a space or not."""
    return tuple(f"{space}{form}" for space in ("", " ") for form in (word, word.capitalize(), word.upper()))


LIKELIHOOD = Question(lambda measured: measured[0], continuation=True)
"""UPR (arXiv 2204.07496): the logarithm of the query's probability after the document, summed over its tokens."""
YES_NO = Question(share_of_first, choices=(spellings("yes"), spellings("no")))
"""Pointwise relevance, as of RankLLM and Qwen3-Reranker: p(yes) / (p(yes) + p(no)) at the answer's first token."""

CROSS = Question(lambda measured: measured[0])
"""A cross-encoder reads the query and the document (`prompts.PAIR`); its score is taken as it gives it."""

QUESTIONS = {Kind.LIKELIHOOD: LIKELIHOOD, Kind.YES_NO: YES_NO, Kind.CROSS: CROSS}


class Pointwise:
    """Gives the best hits of each record new scores, mixed with those that they have.

    first_weight: of the first stage's score, from 0 to 1.
    """

    name = "rerank"
    fell_back = 0

    def __init__(self, engine: Engine, kind: Kind, template: Template, reader: Reader, first_weight: float) -> None:
        self._engine = engine
        self._kind = kind
        self._question = QUESTIONS[kind]
        self._template = template
        self._reader = reader
        self._first_weight = first_weight

    def requests(self, record: Record) -> list[Request]:
        candidates = self._reader.candidates(record)
        tokens = self._tokens(record) if candidates else 0
        return [self._request(record, beginning(one.text, tokens, self._engine), tokens) for one in candidates]

    def wanted(self, record: Record) -> Sequence[Wanted | None]:
        return [None] * min(self._reader.n, len(record["hits"]))

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        completions = [answer.completion for answer in answers]
        scores = [self._question.score(completion.measured) for completion in completions]
        step = {
            "step": self.name,
            "kind": self._kind.value,
            "prompt": self._template.name,
            "query": self._reader.asked.value,
            "n": len(scores),
            "document_tokens": answers[0].request.noted,
            "first_weight": self._first_weight,
            **made_by(self._engine, completions[0]),
            "tokens": sum(completion.tokens for completion in completions),
        }
        return advanced(record, step, hits=mixed(hits.ordered(record), scores, self._first_weight))

    def run(self, records: Iterable[Record], tally: Tally) -> Iterator[Record]:
        return run(self, self._engine, records, tally)

    def _tokens(self, record: Record) -> int:
        """The most tokens that are read of a document: fewer than are asked for where the context has no room."""
        empty = self._request(record, "", 0)
        answer = (self._engine.count(empty.continuation) or 0) + 1
        room = room_for_texts(self._engine, empty.prompt, answer)
        return self._reader.tokens if room is None else min(room, self._reader.tokens)

    def _request(self, record: Record, document: str, tokens: int) -> Request:
        """tokens: the most of the document, which the request notes."""
        question, query = self._question, self._reader.query(record)
        variables = {"query": query, "document": document, "language": self._reader.language(record)}
        prompt = self._template.render(self._engine.is_chat, variables)
        continuation = (query if self._engine.is_chat else f" {query}") if question.continuation else ""
        return Request(prompt, query, 0, continuation=continuation, choices=question.choices, noted=tokens)
