"""The engine that runs a GGUF model in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, TypeVar

from xqe.errors import ModelError, XqeError
from xqe.messages import amount, say
from xqe.models.engines.base import Engine
from xqe.models.engines.interrupts import Interrupt, deferred_interrupt
from xqe.models.engines.jobs import Feed, Job, Ticket
from xqe.models.engines.llama import library, sizing
from xqe.models.engines.llama.adapters import Adapter
from xqe.models.engines.llama.cached import CachedContext, cell_bytes
from xqe.models.engines.llama.chat import ChatTemplate
from xqe.models.engines.llama.drawing import Comparing, Drawing, Following, Parameters, Picker, Weighing
from xqe.models.engines.llama.kept_prefixes import LEAST_KEPT, KeptPrefixes
from xqe.models.engines.llama.loading import LoadedModel
from xqe.models.engines.llama.model import Model
from xqe.models.engines.llama.pending import Counts, Decoder, Measured, Pending
from xqe.models.engines.llama.picking import picks_alike
from xqe.models.engines.llama.scheduler import Scheduler
from xqe.models.engines.llama.sequential import CHUNK, Sequential
from xqe.models.engines.llama.settings import DEFAULT_CACHE, Settings
from xqe.models.engines.llama.slots import CPU_SHAPE, GPU_SHAPE
from xqe.models.engines.llama.vocabulary import Tokens, common
from xqe.models.engines.requests import Request, Sampling
from xqe.models.prompts import Chat, Pair, Prompt, Text
from xqe.models.purposes import check_pools_nothing

if TYPE_CHECKING:
    from xqe.models.store.prefixes import Prefixes

T = TypeVar("T")

GATHER_SECONDS = 0.02  # how long to wait for company before the first batch
POLL_SECONDS = 0.1
READ_AHEAD = 4  # jobs read for each sequence, so that prompts with the same prefix meet
TOP_K = 64
TOP_P = 0.95
_ASKED = "zinc prices"  # stands for what is asked, to see what a template writes around it
_UNSURE = 8  # tokens at the end of a beginning, which may be others where more follows
_MOST_HEADS = 64
PRETRAINED_PENALTY = 1.1  # a pretrained model falls into loops


class LlamaEngine(Engine):
    """A model loaded by llama.cpp.

    path: of the GGUF file. sha256: of the file, for provenance. adapters: LoRA adapters that are applied.
    vocabulary_only: load no weights; `show` works, `generate` does not. model: the file, loaded already; whoever
    loaded it closes it. prefixes: where what it reads of prompts is kept. Raises ModelError for a file that cannot be
    loaded, XqeError for settings that llama.cpp would abort on.
    """

    def __init__(
        self,
        name: str,
        path: str,
        sha256: str = "",
        settings: Settings | None = None,
        adapters: tuple[Adapter, ...] = (),
        vocabulary_only: bool = False,
        model: Model | None = None,
        prefixes: Prefixes | None = None,
    ) -> None:
        self._settings = settings = settings or Settings()
        settings.check()
        self._loaded = loaded = LoadedModel(name, path, sha256, settings, adapters, vocabulary_only, model)
        self.name = name
        self._model, self._vocabulary = loaded.model, loaded.model.vocabulary
        self._template: ChatTemplate | None = None
        self._prompt_ends: dict[str, str] = {}  # by the system turn
        self._heads: dict[Prompt, Tokens] = {}
        self._prefixes = prefixes
        self._interrupt: Interrupt | None = None
        self._most_cells = self._model.context_size
        self._picks: bool | None = None  # not tried yet
        self._resting: list[Scheduler] = []  # of earlier calls, with the beginnings of prompts that they have read
        self._most_cells = 0  # not known before the weights are loaded
        self.counts = Counts()  # of the latest `generate`
        try:
            check_pools_nothing(name, self._model.pooling)
            if self._model.chat_template:
                self._template = ChatTemplate(self._model.chat_template, self._model.special_texts(), name)
            if not vocabulary_only:
                self._size()
        except BaseException:
            self.close()
            raise
        self.is_chat = self._template is not None

    def _size(self) -> None:
        """Choose the batch and the most context there may be, now that the weights have their memory."""
        if self._model.has_encoder:
            raise ModelError(
                f"{self._loaded.path}: is an encoder-decoder model",
                "xqe needs a decoder-only model such as Gemma or Aya",
            )
        settings, free = self._settings, self._loaded.free_memory()
        for_cell = cell_bytes(self._model, settings.cache_type)
        self._most_cells = sizing.most_cells(for_cell, free)
        self._batch = settings.batch or sizing.batch_size(for_cell, free, self._loaded.on_gpu)
        if settings.deterministic:
            self._batch = 1
        if settings.context is not None and settings.context * for_cell > free:
            raise XqeError(
                f"--ctx {settings.context} takes {amount(settings.context * for_cell)} of memory, "
                f"and {amount(free)} are free",
                "leave it out: what the prompts need is chosen by itself",
            )

    def adapted(self, adapters: tuple[Adapter, ...]) -> LlamaEngine:
        """An engine on the same loaded model with other adapters, or none. Close it before this one."""
        loaded = self._loaded
        return LlamaEngine(
            self.name, loaded.path, loaded.sha256, self._settings, adapters, model=self._model, prefixes=self._prefixes
        )

    def identity(self) -> dict[str, Any]:
        settings = self._settings
        return {
            **self._loaded.identity(),
            **({"cache_type": settings.cache_type} if settings.cache_type != DEFAULT_CACHE else {}),
            **({"deterministic": True} if settings.deterministic else {}),
        }

    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        used = self._in_force(sampling)
        drawn = {"top_k": used.top_k, "top_p": used.top_p} if used.temperature > 0 else {}
        penalty = {"repeat_penalty": used.repeat_penalty} if used.repeat_penalty != 1 else {}
        return {"temperature": used.temperature, **drawn, **penalty}

    def _in_force(self, sampling: Sampling) -> Parameters:
        penalty = sampling.repeat_penalty
        if penalty is None:
            penalty = 1.0 if self.is_chat else PRETRAINED_PENALTY
        return Parameters(
            sampling.temperature,
            TOP_K if sampling.top_k is None else sampling.top_k,
            TOP_P if sampling.top_p is None else sampling.top_p,
            penalty,
        )

    def making(self) -> dict[str, Any]:
        return {"engine": library.version(), "batch": self._batch, **self._loaded.making()}

    def provenance(self) -> dict[str, Any]:
        return {**self._loaded.named(self.identity()), **self.making()}

    def rendered(self, prompt: Prompt) -> str:
        if not isinstance(prompt, Chat):
            return prompt.text
        if self._template is None:
            raise ModelError(f"{self.name} has no chat template", "give it a completion prompt")
        return self._template.render(
            Chat(self._vocabulary.defused(prompt.system), self._vocabulary.defused(prompt.user))
        )

    def count(self, text: str) -> int:
        return len(self._vocabulary.tokenize(text, add_special=False, parse_special=False))

    def room(self) -> int | None:
        if not self._most_cells:
            return None
        return min(self._model.context_size, self._settings.context or self._most_cells) - CPU_SHAPE.least

    def prompt_end(self, prompt: Prompt) -> str:
        """The same for all prompts with one system turn, so that it is rendered once for each of these."""
        if not isinstance(prompt, Chat):
            return ""
        if prompt.system not in self._prompt_ends:
            rendered = self.rendered(Chat(prompt.system, _ASKED))
            self._prompt_ends[prompt.system] = rendered.rpartition(_ASKED)[2] if _ASKED in rendered else ""
        return self._prompt_ends[prompt.system]

    def show(self, prompt: Prompt) -> str:
        return self._vocabulary.text(self._tokens(prompt))

    @property
    def tokens_so_far(self) -> int:
        return self.counts.generated

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        decoder = self._resting.pop() if self._resting else self._decoder()
        self.counts = decoder.counts = Counts()
        feed = Feed(jobs, depth=READ_AHEAD * self._batch)
        try:
            with deferred_interrupt() as self._interrupt:
                while not feed.is_empty:
                    if decoder.is_idle:
                        arrived = feed.arrivals(POLL_SECONDS)
                        arrived += feed.arrivals(GATHER_SECONDS) if arrived else []
                    else:
                        arrived = feed.arrivals(0)
                    for ticket in arrived:
                        self._prepare(ticket, decoder)
                    if self._interrupt.requested:
                        yield from feed.finished_out_of_order()
                        raise KeyboardInterrupt
                    if not decoder.is_idle:
                        decoder.step(feed.ended)
                    yield from feed.finished()
            feed.check()
        finally:
            feed.close()
            if decoder.is_idle and isinstance(decoder, Scheduler) and not self._resting:
                self._resting.append(decoder)
            else:
                decoder.close()

    def _decoder(self) -> Decoder:
        model, settings = self._model, self._settings
        if settings.deterministic:
            most = min(self._most_cells, model.context_size)
            return Sequential(
                self._vocabulary,
                self._open_context,
                settings.context,
                most,
                model.can_share_prefixes,
                self._kept(chunk=CHUNK),
            )
        shape = GPU_SHAPE if self._loaded.on_gpu or settings.gpu_sampling == "on" else CPU_SHAPE
        return Scheduler(
            self._vocabulary,
            self._open_context,
            self._batch,
            settings.context,
            self._most_cells,
            model.context_size,
            model.can_share_prefixes,
            shape,
            self._kept(shape=astuple(shape)) if shape is CPU_SHAPE else None,
        )

    def _kept(self, **calls: Any) -> KeptPrefixes | None:
        """What earlier processes have read, on a CPU: a GPU reads faster than a disk. calls: how prompts are cut."""
        if self._prefixes is None or self._loaded.on_gpu:
            return None
        attention = self._settings.flash_attention
        depends_on = {**self._loaded.identity(), "cache": self._settings.cache_type, "attention": attention, **calls}
        return KeptPrefixes(self._prefixes, depends_on, self.name, self._model.is_windowed)

    def _open_context(self, cells: int, sequences: int, greedy: bool) -> CachedContext:
        return self._context(cells, sequences, greedy and self._may_pick())

    def _may_pick(self) -> bool:
        """Whether tokens are picked where the model is computed: on a GPU, if a trial finds that it picks the same."""
        if self._picks is None:
            asked = self._settings.gpu_sampling
            self._picks = asked == "on" or (asked == "auto" and self._loaded.on_gpu)
            if self._picks and not picks_alike(self._vocabulary, self._context):
                say("sampling on the GPU picks other tokens than sampling on the CPU; it is left off")
                self._picks = False
        return self._picks

    def _context(self, cells: int, sequences: int, picks: bool) -> CachedContext:
        return CachedContext(
            self._model,
            cells,
            sequences,
            self._loaded.threads,
            self._settings,
            self._loaded.applied(),
            picks,
            lambda: self._interrupt is not None and self._interrupt.requested,
        )

    def _prepare(self, ticket: Ticket, decoder: Decoder) -> None:
        request = ticket.request
        try:
            if request.is_measured:
                decoder.add(self._measured(ticket))
                return
            tokens = self._tokens(request.prompt)
        except ModelError as error:
            ticket.failed(str(error))
            return
        stop = () if isinstance(request.prompt, Chat) else tuple(string.encode() for string in request.prompt.stop)
        parameters = self._in_force(request.sampling)
        picker: Picker | None = None if parameters.is_plain else Drawing(parameters, request.seed)
        if request.is_weighed:
            picker = Weighing(picker)
        decoder.add(Pending(ticket, tokens, stop, picker, self._head(request.prompt, tokens)))

    def _measured(self, ticket: Ticket) -> Measured:
        """What is to be measured. Its tokens are those of the prompt and the text as one, from the first on that the
        prompt alone does not have: a token may reach over the end of the prompt."""
        request = ticket.request
        prompt = self._tokens(request.prompt)
        picker: Following | Comparing
        if request.continuation:
            whole = self._tokens(request.prompt, request.continuation)
            shared = common(prompt, whole)
            if not 0 < shared < len(whole):
                raise ModelError("there is no token to measure")
            prompt, picker = whole[:shared], Following(whole[shared:])
        else:
            picker = Comparing(self._first_tokens(request, prompt))
        return Measured(ticket, prompt, (), picker, self._head(request.prompt, prompt))

    def _first_tokens(self, request: Request, prompt: Tokens) -> list[list[int]]:
        """For each choice the tokens that say that it was chosen: its spellings that are a single token after the
        prompt, each token once. Where a choice has none, the first tokens of its spellings, without those that another
        choice may begin with, too."""
        single: list[set[int]] = []
        first: list[set[int]] = []
        for spellings in request.choices:
            wholes = [self._tokens(request.prompt, spelling) for spelling in spellings]
            after = [whole[len(prompt) :] for whole in wholes if common(prompt, whole) == len(prompt) < len(whole)]
            single.append({int(tokens[0]) for tokens in after if len(tokens) == 1})
            first.append({int(tokens[0]) for tokens in after})
        if not all(single):
            meeting = {token for tokens in first for token in tokens if sum(token in other for other in first) > 1}
            single = [tokens - meeting for tokens in first]
        for spellings, tokens in zip(request.choices, single, strict=True):
            if not tokens:
                raise ModelError(f'the vocabulary has no token that says "{spellings[0]}" and nothing else')
        return [sorted(tokens) for tokens in single]

    def _head(self, prompt: Prompt, tokens: Tokens) -> int:
        """How many tokens a prompt begins with that it says others begin with, too: the same number for all of them."""
        if isinstance(prompt, Pair) or not prompt.head:
            return 0
        begun: Prompt
        if isinstance(prompt, Chat):
            begun = Chat(prompt.system, prompt.user[: prompt.head] + _ASKED)
        else:
            begun = Text(prompt.text[: prompt.head] + _ASKED, ())
        if begun not in self._heads:
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            self._heads[begun] = self._tokenized(self.rendered(begun).rpartition(_ASKED)[0], isinstance(begun, Chat))
        head = self._heads[begun][:-_UNSURE]
        is_shared = common(head, tokens) == len(head) < len(tokens)
        return len(head) if len(head) >= LEAST_KEPT and is_shared else 0

    def _tokens(self, prompt: Prompt, then: str = "") -> Tokens:
        """The tokens of a prompt, and of what the model is to have said after it; BOS exactly once."""
        is_chat = isinstance(prompt, Chat)
        return self._tokenized(self.rendered(prompt) + (self._vocabulary.defused(then) if is_chat else then), is_chat)

    def _tokenized(self, text: str, is_chat: bool) -> Tokens:
        if not is_chat:
            return self._vocabulary.begun(text, add_special=True, parse_special=False)
        bos = self._vocabulary.bos_text()
        has_bos = bool(bos) and text.startswith(bos)
        return self._vocabulary.begun(text, add_special=not has_bos, parse_special=True)

    def close(self) -> None:
        if self._template is not None:
            self._template.close()
        while self._resting:
            self._resting.pop().close()
        self._loaded.close()
