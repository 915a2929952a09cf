"""The engine that runs a GGUF model in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from xqe.errors import ModelError, XqeError
from xqe.machine import available_cores, available_memory
from xqe.messages import say
from xqe.models.engines.base import Engine, Feed, Interrupt, Job, Sampling, Ticket, deferred_interrupt
from xqe.models.engines.llama import binding, library, sizing
from xqe.models.engines.llama.chat import ChatTemplate
from xqe.models.engines.llama.drawing import Parameters, Picker
from xqe.models.engines.llama.pending import Counts, Decoder, Pending
from xqe.models.engines.llama.scheduler import CPU_SHAPE, GPU_SHAPE, Scheduler
from xqe.models.engines.llama.sequential import Sequential
from xqe.models.engines.llama.settings import DEFAULT_CACHE, Adapter, Settings, check_architecture, tell_other_bases
from xqe.models.gguf import read_metadata
from xqe.models.prompts import Chat, Prompt
from xqe.models.registry import amount

T = TypeVar("T")

GATHER_SECONDS = 0.02  # how long to wait for company before the first batch
POLL_SECONDS = 0.1
READ_AHEAD = 4  # jobs read for each sequence, so that prompts with the same prefix meet
TRIAL_TEXTS = ("The capital of France is", "La rivière la plus longue du monde est", "1, 2, 3,", "Wasser kocht bei")
STEPS_OF_TRIAL = 8
CELLS_OF_TRIAL = binding.CELL_PADDING
TOP_K = 64
TOP_P = 0.95
PRETRAINED_PENALTY = 1.1  # a pretrained model falls into loops


class LlamaEngine(Engine):
    """A model loaded by llama.cpp.

    path: of the GGUF file. sha256: of the file, for provenance. adapters: LoRA adapters that are applied.
    vocabulary_only: load no weights; `show` works, `generate` does not. model: the file, loaded already; whoever
    loaded it closes it. Raises ModelError for a file that cannot be loaded, XqeError for settings that llama.cpp would
    abort on.
    """

    def __init__(
        self,
        name: str,
        path: str,
        sha256: str = "",
        settings: Settings | None = None,
        adapters: tuple[Adapter, ...] = (),
        vocabulary_only: bool = False,
        model: binding.Model | None = None,
    ) -> None:
        self.name = name
        self._path = path
        self._sha256 = sha256
        self._settings = settings = settings or Settings()
        self._adapters = adapters
        settings.check()
        check_architecture(adapters, path, name)
        tell_other_bases(adapters, sha256, name)
        library.log.echo = settings.verbose
        gpus = [] if vocabulary_only or settings.gpu_layers == 0 else library.gpus()
        self._owns_model = model is None
        self._model = model or _load(path, settings, vocabulary_only, gpus)
        self._vocabulary = self._model.vocabulary
        source = self._model.chat_template
        bos, eos = self._vocabulary.bos_text(), self._vocabulary.eos_text()
        self._template = ChatTemplate(source, bos, eos) if source else None
        self.is_chat = self._template is not None
        self._threads = settings.threads or available_cores()
        self._interrupt: Interrupt | None = None
        self._picks: bool | None = None  # not tried yet
        self.counts = Counts()  # of the latest `generate`
        if not vocabulary_only:
            self._size(library.gpus() if gpus else [])
            for adapter in adapters:
                self._model.adapter(adapter.path)

    def _size(self, gpus: list[library.Device]) -> None:
        """Choose the batch and the most context there may be, now that the weights have their memory."""
        settings = self._settings
        self._on_gpu = bool(gpus) and self._model.gpu_layers != 0
        free = sum(gpu.free for gpu in gpus) if self._on_gpu else available_memory()
        cell_bytes = self._model.cell_bytes(settings.cache_type)
        self._most_cells = sizing.most_cells(cell_bytes, free)
        self._batch = settings.batch or sizing.batch_size(cell_bytes, free, self._on_gpu)
        if settings.deterministic:
            self._batch = 1
        if settings.context is not None and settings.context * cell_bytes > free:
            raise XqeError(
                f"--ctx {settings.context} takes {amount(settings.context * cell_bytes)} of memory, "
                f"and {amount(free)} are free",
                "leave it out: what the prompts need is chosen by itself",
            )

    def adapted(self, adapters: tuple[Adapter, ...]) -> LlamaEngine:
        """An engine on the same loaded model with other adapters, or none. Close it before this one."""
        return LlamaEngine(self.name, self._path, self._sha256, self._settings, adapters, model=self._model)

    def identity(self) -> dict[str, Any]:
        settings = self._settings
        lora = [{"sha256": adapter.sha256, "scale": adapter.scale} for adapter in self._adapters]
        return {
            "sha256": self._sha256,
            **({"lora": lora} if lora else {}),
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
        layers = {"gpu_layers": self._model.gpu_layers} if self._on_gpu else {}
        return {"engine": library.version(), "batch": self._batch, "threads": self._threads, **layers}

    def provenance(self) -> dict[str, Any]:
        identity = self.identity()
        names = [adapter.name for adapter in self._adapters]
        if names:
            identity["lora"] = [{"name": name, **lora} for name, lora in zip(names, identity["lora"], strict=True)]
        return {"model": self.name, **identity, **self.making()}

    def rendered(self, prompt: Prompt) -> str:
        if not isinstance(prompt, Chat):
            return prompt.text
        if self._template is None:
            raise ModelError(f"{self.name} has no chat template", "give it a completion prompt")
        return self._template.render(Chat(self._defused(prompt.system), self._defused(prompt.user)))

    def show(self, prompt: Prompt) -> str:
        return self._vocabulary.text(self._tokens(prompt))

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        decoder = self._decoder()
        self.counts = decoder.counts
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
            decoder.close()

    def _decoder(self) -> Decoder:
        model, settings = self._model, self._settings
        if settings.deterministic:
            most = min(self._most_cells, model.context_size)
            return Sequential(self._vocabulary, self._open_context, settings.context, most, model.can_share_prefixes)
        return Scheduler(
            self._vocabulary,
            self._open_context,
            self._batch,
            settings.context,
            self._most_cells,
            model.context_size,
            model.can_share_prefixes,
            GPU_SHAPE if self._on_gpu or settings.gpu_sampling == "on" else CPU_SHAPE,
        )

    def _open_context(self, cells: int, sequences: int, greedy: bool) -> binding.Context:
        return self._context(cells, sequences, greedy and self._may_pick())

    def _may_pick(self) -> bool:
        """Whether tokens are picked where the model is computed: on a GPU, if a trial finds that it picks the same."""
        if self._picks is None:
            asked = self._settings.gpu_sampling
            self._picks = asked == "on" or (asked == "auto" and self._on_gpu)
            if self._picks and not self._picks_alike():
                say("sampling on the GPU picks other tokens than sampling on the CPU; it is left off")
                self._picks = False
        return self._picks

    def _picks_alike(self) -> bool:
        """Continue some texts together, once with logits and once without; True if the tokens are the same."""
        texts = [self._vocabulary.tokenize(text, True, False) for text in TRIAL_TEXTS]
        found = []
        for picks in (False, True):
            try:
                context = self._context(CELLS_OF_TRIAL * len(texts), len(texts), picks)
            except ModelError:
                return False
            with closing(context):
                found.append(_continued(context, texts))
        return found[0] == found[1]

    def _context(self, cells: int, sequences: int, picks: bool) -> binding.Context:
        adapters = [(self._model.adapter(adapter.path), adapter.scale) for adapter in self._adapters]
        return binding.Context(
            self._model,
            cells,
            sequences,
            self._threads,
            self._settings,
            adapters,
            picks,
            lambda: self._interrupt is not None and self._interrupt.requested,
        )

    def _prepare(self, ticket: Ticket, decoder: Decoder) -> None:
        request = ticket.request
        try:
            tokens = self._tokens(request.prompt)
        except ModelError as error:
            ticket.failed(str(error))
            return
        stop = () if isinstance(request.prompt, Chat) else tuple(string.encode() for string in request.prompt.stop)
        parameters = self._in_force(request.sampling)
        picker = None if parameters.is_plain else Picker(parameters, request.seed)
        decoder.add(Pending(ticket, tokens, stop, picker))

    def _tokens(self, prompt: Prompt) -> binding.Tokens:
        """The tokens of a prompt, BOS exactly once."""
        text = self.rendered(prompt)
        if not isinstance(prompt, Chat):
            return self._vocabulary.tokenize(text, add_special=True, parse_special=False)
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
        if self._owns_model:
            self._model.close()


def _continued(context: binding.Context, texts: list[binding.Tokens]) -> list[list[int]]:
    """The texts with the likeliest tokens of the first steps after them, all decoded together; nothing if it fails."""
    tokens = [list(map(int, text)) for text in texts]
    for step in range(STEPS_OF_TRIAL):
        lasts = []
        count = 0
        for sequence, text in enumerate(tokens):
            for position in range(0 if step == 0 else len(text) - 1, len(text)):
                context.token[count], context.position[count] = text[position], position
                context.sequence[count], context.wants_logits[count] = sequence, position + 1 == len(text)
                count += 1
            lasts.append(count - 1)
        if context.decode(count) != 0:
            return []
        context.take_logits(len(texts))
        for row, (text, entry) in enumerate(zip(tokens, lasts, strict=True)):
            text.append(context.likeliest(row, entry))
    return tokens


def _load(path: str, settings: Settings, vocabulary_only: bool, gpus: list[library.Device]) -> binding.Model:
    """Load a model with the layers on the GPU that were asked for, or as many as there is room for."""
    asked = settings.gpu_layers
    if asked:
        if not library.supports_gpu():
            raise XqeError(f"--gpu-layers {asked}: this build of llama.cpp knows no GPU", "see the README, GPU")
        if not gpus:
            raise XqeError(f"--gpu-layers {asked}: llama.cpp sees no GPU", "see xqe doctor")
    size = Path(path).stat().st_size if Path(path).is_file() else 0
    if not gpus and not vocabulary_only and size > available_memory():
        raise ModelError(
            f"{path}: has {amount(size)}, and {amount(available_memory())} of memory are free",
            "take a smaller model, or end what else uses memory",
        )
    blocks = _blocks(path) if gpus else 0
    layers = asked if asked is not None else sizing.gpu_layers(size, blocks, gpus) if gpus else 0
    while True:
        try:
            with deferred_interrupt() as interrupt:
                return binding.Model(path, settings, vocabulary_only, layers, lambda: interrupt.requested)
        except ModelError:
            if asked is not None or layers == 0:
                raise
            layers = (layers if layers > 0 else blocks + 1) * 3 // 4  # the GPU had less to give than it seemed


def _blocks(path: str) -> int:
    """How many layers a model file has, without its output layer."""
    architecture = read_metadata(Path(path), "general.architecture").get("general.architecture")
    key = f"{architecture}.block_count"
    return int(read_metadata(Path(path), key).get(key, 0))
