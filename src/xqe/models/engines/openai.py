"""The engine that asks an OpenAI-compatible server: llama-server, vLLM, SGLang, llama_cpp.server, a hosted one."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from xqe.errors import ModelError
from xqe.models.engines.client import CHECK_SECONDS, Client, Connection
from xqe.models.engines.exchange import Answer, FailedError
from xqe.models.engines.flight import in_flight
from xqe.models.engines.jobs import Job, Ticket
from xqe.models.engines.measuring import FEW, UntoldError
from xqe.models.engines.requests import Completion, Request
from xqe.models.engines.served import CHAT, PATHS, Dialect, ServedEngine, made_by
from xqe.models.engines.witness import Witness, Witnessed
from xqe.models.prompts import Chat, Prompt, Text

T = TypeVar("T")

# Servers that batch by themselves gain little beyond this on one GPU, and hosted ones begin to refuse.
IN_FLIGHT = 16
READ_AHEAD = 16  # jobs read for each request in flight, so that one that is retried does not hold up the others
_REFUSES = re.compile(r"\becho\b|logprobs", re.IGNORECASE)
PROBE = "."  # what a server is asked for the sake of what it tells of its model


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is asked.

    base_url: with or without a slash at its end; paths are put behind it as it is. batch: the most requests in
    flight, None for IN_FLIGHT. timeout: seconds for a whole answer. retries: of what fails in passing. verbose: say
    when something is tried again.
    """

    base_url: str
    api: str = CHAT
    batch: int | None = None
    timeout: float = 120.0
    retries: int = 5
    verbose: bool = False


class OpenAIEngine(Witnessed, ServedEngine):
    """A model of a server, which `Client` asks.

    check: ask the server for its models first. Raises ModelError where it is not there, refuses the key, or has
    several models and not this one; a server that does not tell its models is believed.
    """

    def __init__(self, name: str, settings: Settings, check: bool = True) -> None:
        super().__init__(name, settings.api)
        self._batch = settings.batch or IN_FLIGHT
        self._client = Client(
            name, Connection(settings.base_url, self._batch, settings.timeout, settings.retries, settings.verbose)
        )
        self._dialect = Dialect()
        self._has_measured = False
        if check:
            try:
                self._client.start(self._client.check()).result()
            except BaseException:
                self.close()
                raise
        named = {"model": name, "server": self._client.shown, "api": self.api}
        self._witness = Witness(named, self._client.listed, lambda: self._client.start(self._probed()).result())

    def show(self, prompt: Prompt) -> str:
        text = self.rendered(prompt)
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2) if self.is_chat else text

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        return in_flight(
            jobs,
            READ_AHEAD * self._batch,
            lambda tickets: [self._client.start(self._answer(ticket)) for ticket in tickets],
        )

    def making(self) -> dict[str, Any]:
        """What the server told of the text that came last."""
        return dict(self._witness.told)

    def close(self) -> None:
        self._client.close()

    # What follows runs in the thread of the network.

    async def _answer(self, ticket: Ticket) -> None:
        try:
            completion = await self._client.answered(lambda: self._adapting(ticket.request))
        except FailedError as failure:
            ticket.failed(f"{self._client.shown}: {failure}")
        else:
            self._witness.heard(completion.made_by)
            ticket.done(completion)

    async def _adapting(self, request: Request) -> Completion:
        response = await self._sent(request)
        if not request.is_measured:
            return self._client.read(response, self.completion)
        if not response.is_success and not self._has_measured and _REFUSES.search(response.text):
            raise self._untold(request, f" ({self._client.failure(response)})")
        try:
            measured = self._client.read(response, lambda answer: self.measured(answer, request))
        except UntoldError:
            if not self._has_measured:
                raise self._untold(request) from None
            raise FailedError("the answer tells no log-probabilities") from None
        self._has_measured = True
        return measured

    def _untold(self, request: Request, said: str = "") -> ModelError:
        """The error that ends the run: the server does not tell what is measured."""
        what, others = ("a prompt", "yes-no or listwise") if request.continuation else ("an answer", "listwise")
        return ModelError(
            f"{self._client.shown}: tells no log-probabilities of {what}{said}",
            f"give --kind {others}, or a server that tells them, such as vLLM's",
        )

    async def _sent(self, request: Request) -> Answer:
        """What comes of one attempt, which is sent again in the way that the server wants if it refuses the usual."""
        while True:
            dialect = self._dialect
            response = await self._client.post(PATHS[self.api], self.body(request, dialect))
            change = _wanted(dialect, response, request.is_weighed)
            if not change:
                return response
            self._dialect = replace(self._dialect, **change)  # which others may have changed meanwhile

    async def _probed(self) -> dict[str, str] | None:
        """What the server tells when it is asked for a single token, None where it does not answer."""
        prompt = Chat("", PROBE) if self.is_chat else Text(PROBE, ())
        with suppress(FailedError, TimeoutError):
            async with asyncio.timeout(CHECK_SECONDS):
                response = await self._sent(Request(prompt, "", 1))
            return made_by(response.value(), self.name) if response.is_success else None
        return None


def _wanted(dialect: Dialect, response: Answer, is_weighed: bool) -> dict[str, Any]:
    """What a server that refuses this dialect wants to be different, if that is why it refuses. is_weighed: it was
    asked how likely a text is."""
    text = "" if response.is_success else response.text.lower()
    if dialect.limit == "max_tokens" and "max_completion_tokens" in text:
        return {"limit": "max_completion_tokens"}
    if dialect.has_system and "system role" in text:
        return {"has_system": False}
    if dialect.weighs and is_weighed and _REFUSES.search(text):
        return {"weighs": False}
    if dialect.likeliest > FEW and response.status in (400, 422) and "logprobs" in text:
        return {"likeliest": FEW}
    return {}
