"""One result for each of some texts that are computed whole: a vector, or the numbers of a head that ranks.

llama.cpp computes the attention of all tokens of a call to each other, and masks those of other texts, so that on a CPU
one text a call is fastest; on a GPU, which wants more work at once, texts of like length share a call. A call with more
tokens than its context was made for ends the process, so contexts are made as large as the texts. For each token of a
call it keeps as many floats as the vocabulary has tokens, a megabyte for XLM-R's, so that calls are no larger than need
be; a decoder, which remembers what it has read, reads a long text in several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy
from numpy.typing import NDArray

from xqe.errors import ModelError
from xqe.machine import available_memory
from xqe.messages import amount
from xqe.models.engines.llama.context import Context
from xqe.models.engines.llama.library import llama_cpp, log
from xqe.models.engines.llama.loading import LoadedModel
from xqe.models.engines.llama.settings import Hardware
from xqe.models.engines.llama.vocabulary import Tokens

if TYPE_CHECKING:
    Matrix = NDArray[numpy.float32]

CPU_TEXTS, GPU_TEXTS = 1, 64
"""The most that share a call."""

_POOLINGS = {"mean": 1, "cls": 2, "last": 3, "rank": 4}  # llama_pooling_type
_ENDING = ("last", "rank")  # what a decoder has of a text at its last token
_TOKENS = 512  # that share a call; on a GPU of 512, 2048 and 8192 the fastest (docs/performance.md)
_FLOAT = 4  # bytes


class Pooled:
    """Computes texts of a loaded model. pooling: of the tokens of a text: "mean", "cls", "last", or "rank", which puts
    the model's head on it. width: numbers of a result. texts: the most that share a call, None for what is fastest."""

    def __init__(
        self, loaded: LoadedModel, pooling: str, width: int, hardware: Hardware, texts: int | None = None
    ) -> None:
        self._loaded = loaded
        self._pooling = pooling
        self._width = width
        self._hardware = hardware
        self.texts = texts or (GPU_TEXTS if loaded.on_gpu else CPU_TEXTS)
        self._context: _PoolingContext | None = None

    def compute(self, texts: Sequence[Tokens]) -> Matrix:
        """The results of texts, shape (texts, width). Raises ModelError where they cannot be computed."""
        results = numpy.empty((len(texts), self._width), numpy.float32)
        for together in self.packs([len(tokens) for tokens in texts]):
            context = self._context_for(sum(len(texts[number]) for number in together))
            status = context.encode([texts[number] for number in together])
            if status != 0:
                name = self._loaded.name
                raise ModelError(f"{name}: llama.cpp could not encode a text (status {status}: {log.reason()})")
            for place, number in enumerate(together):
                results[number] = context.result(place, self._width)
        return results

    def packs(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """The numbers of the texts that are computed together, the longest first."""
        pack: list[int] = []
        tokens = 0
        for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
            if pack and (len(pack) == self.texts or tokens + lengths[number] > _TOKENS):
                yield pack
                pack, tokens = [], 0
            pack.append(number)
            tokens += lengths[number]
        if pack:
            yield pack

    def close(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None

    def _context_for(self, tokens: int) -> _PoolingContext:
        """The context, made anew where this call is larger than all before it. Raises ModelError for want of memory."""
        context = self._context
        if context is not None and context.size >= tokens:
            return context
        reads_on = context is not None and context.reads_on
        size = max(_TOKENS, 1 << (tokens - 1).bit_length())
        batch = _TOKENS if reads_on else size
        needed = min(batch, tokens) * self._loaded.model.vocabulary.size * _FLOAT
        check_room(self._loaded.name, tokens, needed)
        self.close()
        self._context = _PoolingContext(self._loaded, self._pooling, size, batch, self.texts, needed, self._hardware)
        return self._context


def check_room(name: str, tokens: int, needed: int) -> None:
    """Raise ModelError if a call with a text of so many tokens takes more bytes of memory than there are."""
    if needed > (free := available_memory()):
        raise ModelError(
            f"{name}: a text of {tokens} tokens takes {amount(needed)} of memory, {amount(free)} are free",
            "cut texts at fewer tokens, or index them in windows",
        )


class _PoolingContext(Context):
    """A context with a result for each sequence. size: tokens of all sequences together, of which `batch` are
    computed at once. memory: bytes that takes. reads_on: a text may be longer than a batch."""

    def __init__(
        self,
        loaded: LoadedModel,
        pooling: str,
        size: int,
        batch: int,
        sequences: int,
        memory: int,
        hardware: Hardware,
    ) -> None:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx, parameters.n_ubatch = size, batch
        parameters.n_seq_max = sequences
        parameters.kv_unified = True
        parameters.embeddings = True
        parameters.pooling_type = _POOLINGS[pooling]
        super().__init__(loaded.model, parameters, size, memory, loaded.threads, hardware, batch=batch)
        self.size, self._batch_size = size, batch
        self._memory = llama_cpp.llama_get_memory(self._pointer)  # None for models that see all of a text at once
        self.reads_on = bool(self._memory) and pooling in _ENDING

    def encode(self, texts: Sequence[Tokens]) -> int:
        """Compute some texts; return llama.cpp's status, 0 when all is well."""
        if self._memory:
            llama_cpp.llama_memory_clear(self._memory, True)
        tokens = numpy.concatenate(texts)
        positions = numpy.concatenate([numpy.arange(len(text)) for text in texts])
        sequences = numpy.repeat(numpy.arange(len(texts)), [len(text) for text in texts])
        status = 0
        for start in range(0, len(tokens), self._batch_size):
            some = slice(start, start + self._batch_size)
            count = len(tokens[some])
            self.token[:count], self.position[:count] = tokens[some], positions[some]
            self.sequence[:count], self.wants_logits[:count] = sequences[some], True
            status = status or self.decode(count)
        return status

    def result(self, number: int, width: int) -> NDArray[numpy.float32]:
        """The numbers of one of the texts, a view. Raises ModelError where the model makes none."""
        pointer = llama_cpp.llama_get_embeddings_seq(self._pointer, number)
        if not pointer:
            raise ModelError("llama.cpp makes no vectors with this model", "take an encoder of xqe models list")
        return numpy.ctypeslib.as_array(pointer, shape=(width,))
