"""The engine that scores pairs of a query and a document with a cross-encoder in this process."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy

from xqe.errors import ModelError
from xqe.models.engines.base import Engine
from xqe.models.engines.interrupts import deferred_interrupt
from xqe.models.engines.jobs import Feed, Job, Ticket
from xqe.models.engines.llama import library
from xqe.models.engines.llama.library import llama_cpp
from xqe.models.engines.llama.loading import LoadedModel
from xqe.models.engines.llama.pairs import Pairing, pairing
from xqe.models.engines.llama.pooled import Pooled
from xqe.models.engines.llama.settings import Hardware
from xqe.models.engines.llama.vocabulary import Tokens
from xqe.models.engines.requests import Sampling, measurement
from xqe.models.heads import Head
from xqe.models.prompts import Pair, Prompt

T = TypeVar("T")

POLL_SECONDS = 0.1
READ_AHEAD = 8  # jobs, each of which has the pairs of a record
ROUND = 4  # calls of llama.cpp whose pairs are chosen together, so that those of like length share one
_YES = b"yes"
_TRIAL = (("What do cats eat?", "Cats eat mice and birds."), ("What do cats eat?", "In 1850 the bridge fell down."))


class LlamaRanker(Engine):
    """A GGUF file with a head, which llama.cpp loads.

    path: of the file. head: that of the file (`purposes.check_ranks`). pairs: the most that are computed at once, None
    for what is fastest. vocabulary_only: load no weights; `show` works, `generate` does not. Raises ModelError for a
    file that cannot be loaded, or gives every document one score.

    On a CPU a score is the same whatever pairs are computed beside its own, within 1e-5; on a GPU, as far as its
    kernels go (see `encoders.base`).
    """

    is_chat = False

    def __init__(
        self,
        name: str,
        path: str,
        sha256: str,
        head: Head,
        hardware: Hardware | None = None,
        pairs: int | None = None,
        vocabulary_only: bool = False,
    ) -> None:
        hardware = hardware or Hardware()
        self.name = name
        self._head = head
        self._loaded = loaded = LoadedModel(name, path, sha256, hardware, vocabulary_only=vocabulary_only)
        self._pooled = Pooled(loaded, "rank", head.outputs, hardware, pairs)
        try:
            self._pairing: Pairing = pairing(name, loaded.model, head)
            self._output = 0 if vocabulary_only else self._relevant()
            if not vocabulary_only:
                self._try_out()
        except BaseException:
            self.close()
            raise

    def rendered(self, prompt: Prompt) -> str:
        return _pair(prompt).text

    def show(self, prompt: Prompt) -> str:
        return self._loaded.model.vocabulary.text(self._tokens(prompt))

    def count(self, text: str) -> int:
        return len(self._loaded.model.vocabulary.tokenize(text, add_special=False, parse_special=False))

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        feed = Feed(jobs, READ_AHEAD)
        waiting: list[Ticket] = []
        try:
            with deferred_interrupt() as interrupt:
                while not feed.is_empty:
                    waiting += feed.arrivals(0 if waiting else POLL_SECONDS)
                    some = waiting[: ROUND * self._pooled.texts]
                    del waiting[: len(some)]
                    for together in self._packs(some):
                        if interrupt.requested:
                            break
                        self._score(together)
                        yield from feed.finished()
                    if interrupt.requested:
                        yield from feed.finished_out_of_order()
                        raise KeyboardInterrupt
                    yield from feed.finished()
            feed.check()
        finally:
            feed.close()

    def identity(self) -> dict[str, Any]:
        return self._loaded.identity()

    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        return {}

    def making(self) -> dict[str, Any]:
        """score: what the scores are, of `heads`."""
        return {
            "engine": library.version(),
            "score": self._head.score,
            "batch": self._pooled.texts,
            **self._loaded.making(),
        }

    def provenance(self) -> dict[str, Any]:
        return {**self._loaded.named(self.identity()), **self.making()}

    def close(self) -> None:
        self._pooled.close()
        self._loaded.close()

    def _packs(self, tickets: Sequence[Ticket]) -> Iterator[list[tuple[Ticket, Tokens]]]:
        """The pairs that are computed together, with their tokens; those that have none fail."""
        ready = []
        for ticket in tickets:
            try:
                ready.append((ticket, self._tokens(ticket.request.prompt)))
            except ModelError as error:
                ticket.failed(str(error))
        for pack in self._pooled.packs([len(tokens) for _, tokens in ready]):
            yield [ready[number] for number in pack]

    def _score(self, together: Sequence[tuple[Ticket, Tokens]]) -> None:
        try:
            rows = self._pooled.compute([tokens for _, tokens in together])
        except ModelError as error:
            for ticket, _ in together:
                ticket.failed(str(error))
            return
        for (ticket, tokens), row in zip(together, rows, strict=True):
            score = float(row[self._output])
            if math.isfinite(score):
                ticket.done(measurement([score], len(tokens)))
            else:
                ticket.failed("the model gives no number")

    def _tokens(self, prompt: Prompt) -> Tokens:
        pair = _pair(prompt)
        return self._pairing(pair.query, pair.document)

    def _relevant(self) -> int:
        """Which output says that a document is relevant: the one that is called so, else the first."""
        pointer = self._loaded.model.pointer
        labels = [llama_cpp.llama_model_cls_label(pointer, number) for number in range(self._head.outputs)]
        return next((number for number, label in enumerate(labels) if label and label.lower() == _YES), 0)

    def _try_out(self) -> None:
        """Raise ModelError for a model that gives two documents one score, or none."""
        first, second = self._pooled.compute([self._pairing(*texts) for texts in _TRIAL])[:, self._output]
        if not (numpy.isfinite(first) and numpy.isfinite(second) and first != second):
            raise ModelError(
                f"{self.name}: does not tell two documents apart, so its head is none, or is damaged",
                "check it with xqe models verify",
            )


def _pair(prompt: Prompt) -> Pair:
    if not isinstance(prompt, Pair):
        raise TypeError("a cross-encoder reads pairs")
    return prompt
