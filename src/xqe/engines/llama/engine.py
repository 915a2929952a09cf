"""The engine that runs a GGUF model in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from xqe.cores import available_cores
from xqe.engines.base import Completion, Engine, Feed, Job, Ticket, deferred_interrupt
from xqe.engines.llama import binding
from xqe.engines.llama.chat import ChatTemplate
from xqe.engines.llama.scheduler import MAX_BATCH, Counts, Pending, Scheduler
from xqe.errors import ModelError, XqeError
from xqe.prompts import Chat, Prompt

T = TypeVar("T")

GATHER_SECONDS = 0.02  # how long to wait for company before the first batch
POLL_SECONDS = 0.1
READ_AHEAD = 4  # jobs read for each slot, so that prompts with the same prefix meet


class LlamaEngine(Engine):
    """A model loaded by llama.cpp.

    path: of the GGUF file. sha256: of the file, for provenance. gpu_layers: -1 puts all on the GPU where there is
    one. threads: None for the cores that this process may use. batch: sequences decoded together. context: tokens of
    context for all of them, None to fit the prompts. vocabulary_only: load no weights; `show` works, `generate` does
    not. Raises ModelError for a file that cannot be loaded, XqeError for parameters that llama.cpp would abort on.
    """

    def __init__(
        self,
        name: str,
        path: str,
        sha256: str = "",
        gpu_layers: int = -1,
        threads: int | None = None,
        batch: int = 32,
        context: int | None = None,
        vocabulary_only: bool = False,
    ) -> None:
        if not 1 <= batch <= MAX_BATCH:
            raise XqeError(
                f"--batch {batch} is out of range", f"llama.cpp decodes 1 to {MAX_BATCH} sequences together here"
            )
        if gpu_layers > 0 and not binding.supports_gpu():
            raise XqeError(f"--gpu-layers {gpu_layers}: this build of llama.cpp knows no GPU", "see the README, GPU")
        self.name = name
        self._sha256 = sha256
        self._threads = threads or available_cores()
        self._batch = batch
        self._context = context
        self._path = path
        self._model = binding.Model(path, gpu_layers, vocabulary_only)
        self._vocabulary = self._model.vocabulary
        source = self._model.chat_template
        self._template = (
            ChatTemplate(source, self._vocabulary.bos_text(), self._vocabulary.eos_text()) if source else None
        )
        self.is_chat = self._template is not None
        self.counts = Counts()  # of the latest `generate`

    def provenance(self) -> dict[str, Any]:
        return {"model": self.name, "sha256": self._sha256, "engine": binding.version(), "batch": self._batch}

    def show(self, prompt: Prompt) -> str:
        return self._vocabulary.text(self._tokens(prompt))

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        model = self._model
        scheduler = Scheduler(
            self._vocabulary,
            lambda cells, sequences: binding.Context(model, cells, sequences, self._threads),
            self._batch,
            self._context,
            model.context_size,
            model.can_share_prefixes,
        )
        self.counts = scheduler.counts
        feed = Feed(jobs, depth=READ_AHEAD * self._batch)
        try:
            with deferred_interrupt() as interrupt:
                while not feed.is_empty:
                    if scheduler.is_idle:
                        arrived = feed.arrivals(POLL_SECONDS)
                        arrived += feed.arrivals(GATHER_SECONDS) if arrived else []
                    else:
                        arrived = feed.arrivals(0)
                    for ticket in arrived:
                        self._prepare(ticket, scheduler)
                    if interrupt.requested:
                        yield from feed.finished_out_of_order()
                        raise KeyboardInterrupt
                    scheduler.step(feed.ended)
                    yield from feed.finished()
            feed.check()
        finally:
            feed.close()
            scheduler.close()

    def _prepare(self, ticket: Ticket, scheduler: Scheduler) -> None:
        prompt = ticket.request.prompt
        try:
            tokens = self._tokens(prompt)
        except ModelError as error:
            ticket.done(Completion("", "error", 0, str(error)))
            return
        stop = () if isinstance(prompt, Chat) else tuple(string.encode() for string in prompt.stop)
        scheduler.add(Pending(ticket, tokens, stop))

    def _tokens(self, prompt: Prompt) -> binding.Tokens:
        """The tokens of a prompt, BOS exactly once."""
        if not isinstance(prompt, Chat):
            return self._vocabulary.tokenize(prompt.text, add_special=True, parse_special=False)
        if self._template is None:
            raise ModelError(f"{self.name} has no chat template", "give it a completion prompt")
        text = self._template.render(Chat(self._defused(prompt.system), self._defused(prompt.user)))
        bos = self._vocabulary.bos_text()
        has_bos = bool(bos) and text.startswith(bos)
        return self._vocabulary.tokenize(text, add_special=not has_bos, parse_special=True)

    def _defused(self, text: str) -> str:
        """Break up what would read as a special token: a query that says "<end_of_turn>" must not end the turn."""
        for token in self._vocabulary.tokenize(text, add_special=False, parse_special=True):
            if self._vocabulary.is_control(int(token)):
                literal = self._vocabulary.piece(int(token), special=True).decode("utf-8", "replace")
                text = text.replace(literal, f"{literal[0]} {literal[1:]}")
        return text

    def close(self) -> None:
        self._model.close()
