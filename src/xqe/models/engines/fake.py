"""An engine without a model, for trying out pipelines: fast, repeatable, and able to fail on demand.

`--model fake` answers every prompt with its subject (the query or passage it is about) and eight hexadecimal digits
that depend on the whole prompt, and on the seed when the temperature is above 0: "mercure 3f9a01bc". A subject that
contains one of these words gets something else:

    fake:error    the generation fails
    fake:empty    the model answers nothing
    fake:length   the answer stops at the limit of tokens (finish is "length")
    fake:slow     the answer takes half a second

A text that is weighed has for its log-probability a number from -1 to 0 a word, by these digits. Of texts that are
measured, one is the likelier the more of its words the prompt has; a pair of a query and a document
has for its score how many words of the query are in the document, of 1.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from xqe.models.engines.base import Engine
from xqe.models.engines.interrupts import deferred_interrupt
from xqe.models.engines.jobs import Feed, Job
from xqe.models.engines.requests import Completion, Likelihood, Request, Sampling, measurement
from xqe.models.prompts import Chat, Pair, Prompt

T = TypeVar("T")

READ_AHEAD = 64
SLOW_SECONDS = 0.5
_DIGESTS = 2**32


class FakeEngine(Engine):
    """Answers from the prompt alone; takes chat prompts, or completions with `is_chat=False`."""

    def __init__(self, name: str = "fake", is_chat: bool = True) -> None:
        self.name = name
        self.is_chat = is_chat

    def rendered(self, prompt: Prompt) -> str:
        return f"<system>{prompt.system}\n<user>{prompt.user}\n<model>" if isinstance(prompt, Chat) else prompt.text

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        feed = Feed(jobs, READ_AHEAD)
        try:
            with deferred_interrupt() as interrupt:
                while not feed.is_empty:
                    for ticket in feed.arrivals(0.1):
                        ticket.done(self._answer(ticket.request))
                        if interrupt.requested:
                            yield from feed.finished_out_of_order()
                            raise KeyboardInterrupt
                        yield from feed.finished()
                    yield from feed.finished()
                    if interrupt.requested:
                        raise KeyboardInterrupt
            feed.check()
        finally:
            feed.close()

    def identity(self) -> dict[str, Any]:
        return {"model": self.name}

    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        return {"temperature": sampling.temperature}

    def close(self) -> None:
        """There is nothing to free."""

    def _answer(self, request: Request) -> Completion:
        subject = request.subject
        if "fake:error" in subject:
            return Completion("", "error", 0, "the fake engine was asked to fail")
        if "fake:empty" in subject:
            return Completion("", "stop", 1)
        if "fake:slow" in subject:
            time.sleep(SLOW_SECONDS)
        if request.is_measured:
            return self._measured(request)
        seed = request.seed if request.sampling.temperature > 0 else 0
        digest = hashlib.blake2b(f"{seed}\0{self.rendered(request.prompt)}".encode("utf-8", "replace"), digest_size=4)
        words = [*subject.split(), digest.hexdigest()][: request.max_tokens]
        finish = "length" if "fake:length" in subject or len(words) == request.max_tokens else "stop"
        logprob = -len(words) * int.from_bytes(digest.digest(), "big") / _DIGESTS
        likelihood = Likelihood(logprob, len(words)) if request.is_weighed else None
        return Completion(" ".join(words), finish, len(words), likelihood=likelihood)

    def _measured(self, request: Request) -> Completion:
        """Of a continuation, less by 1 for each word that the prompt lacks; of the first choice, the share of the
        subject's words that stand in the prompt twice, once as the query, and of the others what is left."""
        if isinstance(request.prompt, Pair):
            asked, there = ({*text.casefold().split()} for text in (request.prompt.query, request.prompt.document))
            return measurement([len(asked & there) / max(1, len(asked))], len(there))
        known = Counter(self.rendered(request.prompt).casefold().split())
        if request.continuation:
            words = request.continuation.casefold().split()
            return measurement([-float(sum(not known[word] for word in words))], len(words))
        words = request.subject.casefold().split()
        lacking = sum(known[word] < 2 for word in words)  # once it is the query
        shares = [1 + len(words) - lacking, *[1 + lacking] * (len(request.choices) - 1)]
        return measurement([math.log(share / sum(shares)) for share in shares], 1)
