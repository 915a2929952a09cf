"""The engine that asks a server for the scores of pairs: all documents of a query in one request.

| who | path | asked | answers |
| --- | --- | --- | --- |
| Jina, Cohere, llama-server, vLLM, Infinity | /rerank | query, documents | results: index, relevance_score |
| SGLang | /rerank | query, documents | a list: index, score |
| Voyage | /rerank | query, documents | data: index, relevance_score |
| text-embeddings-inference | /rerank, not below /v1 | query, texts | a list: index, score |
| vLLM before it had /rerank | /score | text_1, text_2 | data: index, score |

Sources: the references of Jina, Cohere and Voyage; llama-server's server-context.cpp; vLLM's pooling/score/protocol.py;
docs/openapi.json of text-embeddings-inference; SGLang's serving_rerank.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

from xqe.errors import ModelError
from xqe.models.engines.client import Client, Connection
from xqe.models.engines.exchange import Answer, FailedError
from xqe.models.engines.flight import in_flight
from xqe.models.engines.jobs import Job, Ticket
from xqe.models.engines.refusals import TRUNCATING, RefusedError, check_refusal
from xqe.models.engines.requests import Sampling, measurement
from xqe.models.engines.served import AnswerError, check_error, made_by, said, valid
from xqe.models.engines.witness import Witness, Witnessed
from xqe.models.heads import LOGIT
from xqe.models.prompts import Pair, Prompt

T = TypeVar("T")

IN_FLIGHT = 8
READ_AHEAD = 4  # jobs read for each request in flight
DOCUMENTS = 100  # of a request; a server that wants fewer says so
API = "rerank"
SERVED = "served"
"""What the scores of a server are that does not say it: most make probabilities of logits, and some do not."""

_PROBE = ("What do cats eat?", "Cats eat mice and birds.")
_HINT = "does the server rank, and has it this model? llama-server ranks with --reranking"
_NO_PATH = {404, 405}
_MISSING = {400, 422}
_ROWS = ("results", "data")
_SCORES = ("relevance_score", "score")


@dataclass(frozen=True, slots=True)
class Form:
    """A way to ask. path: behind the URL, or where it is the server's own interface, beside /v1. query, documents: what
    the two are called. more: what is sent besides. score: what the scores are."""

    path: str
    query: str
    documents: str
    more: Mapping[str, Any]
    score: str
    own: bool = False


_FORMS = (
    Form("/rerank", "query", "documents", {}, SERVED),
    Form("/rerank", "query", "texts", {"raw_scores": True, "truncate": True}, LOGIT),
    Form("/score", "text_1", "text_2", {}, SERVED),
)


class Reranker(Witnessed):
    """A model of a server, which `Client` asks.

    check: ask the server for its models, and for the score of a pair, first. Raises ModelError where it is not there,
    refuses the key, has not this model, or ranks in none of the ways that are known.
    """

    is_chat = False

    def __init__(self, name: str, connection: Connection, check: bool = True) -> None:
        self.name = name
        self._client = Client(name, connection)
        self._batch = connection.in_flight
        self._documents = DOCUMENTS
        self._forms: tuple[Form, ...] = _FORMS
        if self._client.ends_in_version:
            self._forms += tuple(replace(form, own=True) for form in _FORMS)
        told: Mapping[str, Any] | None = None
        if check:
            try:
                self._client.start(self._client.check()).result()
                told = self._probed()
            except BaseException:
                self.close()
                raise
        named = {"model": name, "server": self._client.shown, "api": API}
        self._witness = Witness(named, self._client.listed, lambda: told)

    def rendered(self, prompt: Prompt) -> str:
        return prompt.text if isinstance(prompt, Pair) else ""

    def show(self, prompt: Prompt) -> str:
        return json.dumps(self._body(self._forms[0], *_texts([prompt])), ensure_ascii=False, indent=2)

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        return in_flight(
            jobs, READ_AHEAD * self._batch, lambda tickets: [self._client.start(work) for work in self._work(tickets)]
        )

    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        return {}

    def making(self) -> dict[str, Any]:
        return {"score": self._forms[0].score, **self._witness.told}

    def close(self) -> None:
        self._client.close()

    def _work(self, tickets: Sequence[Ticket]) -> Iterator[Coroutine[Any, Any, None]]:
        """What is to be done, a part for some documents of a job with the same query."""
        for _, together in groupby(tickets, lambda ticket: (id(ticket.job), ticket.request.subject)):
            some = list(together)
            for start in range(0, len(some), self._documents):
                yield self._answer(some[start : start + self._documents])

    def _probed(self) -> Mapping[str, Any]:
        """What the server tells when it is asked for a score, after which only the form that it knows is left."""
        try:
            _, told = self._client.start(self._asked(*_texts([Pair(*_PROBE)]))).result()
        except (FailedError, RefusedError) as failure:
            raise ModelError(f"{self._client.shown}: {failure}", _HINT) from None
        return told

    def _body(self, form: Form, query: str, documents: Sequence[str]) -> dict[str, Any]:
        return {"model": self.name, form.query: query, form.documents: list(documents), **form.more}

    # What follows runs in the thread of the network.

    async def _answer(self, tickets: Sequence[Ticket]) -> None:
        try:
            scores, told = await self._asked(*_texts([ticket.request.prompt for ticket in tickets]))
        except RefusedError as refusal:
            await self._answer_in_parts(tickets, refusal)
        except FailedError as failure:
            for ticket in tickets:
                ticket.failed(f"{self._client.shown}: {failure}")
        else:
            self._fill(tickets, scores, told)

    async def _answer_in_parts(self, tickets: Sequence[Ticket], refusal: RefusedError) -> None:
        """After a refusal: each half by itself, and a single document cut by the server, if it does that."""
        if len(tickets) > 1:
            half = len(tickets) // 2
            if refusal.is_too_many:
                self._documents = min(self._documents, half)
            await self._answer(tickets[:half])
            await self._answer(tickets[half:])
            return
        if refusal.is_too_long:
            try:
                scores, told = await self._asked(*_texts([tickets[0].request.prompt]), cutting=True)
            except (FailedError, RefusedError):  # of which the first refusal says more
                pass
            else:
                self._fill(tickets, scores, told)
                return
        tickets[0].failed(f"{self._client.shown}: {refusal}")

    def _fill(self, tickets: Sequence[Ticket], scores: Sequence[float], told: Mapping[str, Any]) -> None:
        self._witness.heard(told)
        made = {"score": self._forms[0].score, **told}
        for ticket, score in zip(tickets, scores, strict=True):
            ticket.done(replace(measurement([score], 0), made_by=made))

    async def _asked(
        self, query: str, documents: Sequence[str], cutting: bool = False
    ) -> tuple[list[float], dict[str, str]]:
        """The scores of documents, and what the server tells of its model. Raises FailedError, RefusedError, and
        ModelError."""

        async def attempt() -> tuple[list[float], dict[str, str]]:
            response = await self._sent(query, documents, cutting)
            check_refusal(response, self._client)
            return self._client.read(
                response, lambda answer: (scores_of(answer, len(documents)), made_by(answer, self.name))
            )

        return await self._client.answered(attempt)

    async def _sent(self, query: str, documents: Sequence[str], cutting: bool) -> Answer:
        """What a server answers in the first form that it knows. Raises ModelError where it knows none."""
        first: Answer | None = None
        for form in self._forms:
            body = self._body(form, query, documents) | (TRUNCATING if cutting else {})
            response = await self._client.post(form.path, body, own=form.own)
            first = first or response
            if not _is_unknown(form, response):
                if response.is_success:
                    self._forms = (form,)
                return response
        assert first is not None
        raise ModelError(f"{self._client.shown}: {self._client.failure(first)}", _HINT)


def scores_of(answer: Any, number: int) -> list[float]:
    """The scores of an answer, in the order of the documents.

    Raises AnswerError for what has not one score for each of so many documents.
    """
    check_error(answer)
    rows = answer
    if isinstance(answer, dict):
        rows = next((answer[name] for name in _ROWS if isinstance(answer.get(name), list)), None)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise AnswerError(f"the answer has no results: {said(answer)}", is_final=True)
    scores: dict[Any, Any] = {}
    for row in rows:
        index = row.get("index")
        if type(index) is not int or index in scores or not 0 <= index < number:
            raise AnswerError(
                f"the answer has a result of document {json.dumps(index)}, of {number}, or two", is_final=True
            )
        scores[index] = next((row[name] for name in _SCORES if name in row), None)
    if len(scores) != number:
        raise AnswerError(f"the answer has {len(scores)} results for {number} documents", is_final=True)
    ordered = [scores[index] for index in range(number)]
    if not all(type(score) in (int, float) and math.isfinite(score) for score in ordered):
        raise AnswerError(f"the answer has a score that is no number: {said(answer)}", is_final=True)
    return [float(score) for score in ordered]


def _is_unknown(form: Form, response: Answer) -> bool:
    """Whether a server does not know a form: there is nothing at its path, or it misses what another one calls the
    documents."""
    if response.status in _NO_PATH:
        return True
    others = {other.documents for other in _FORMS} - {form.documents}
    return response.status in _MISSING and any(
        f"{mark}{name}{mark}" in response.text for name in others for mark in "`'\""
    )


def _texts(prompts: Sequence[Prompt]) -> tuple[str, list[str]]:
    """The query of some pairs, and their documents, as a server takes them: some refuse a blank one."""
    pairs = [prompt for prompt in prompts if isinstance(prompt, Pair)]
    return valid(pairs[0].query), [valid(pair.document) or " " for pair in pairs]
