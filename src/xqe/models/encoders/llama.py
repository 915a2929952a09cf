"""Encoders that llama.cpp computes.

It computes the attention of all tokens of a call to each other, and masks those of other texts, so that on a CPU one
text a call is fastest; on a GPU, which wants more work at once, texts of like length share a call. A call with more
tokens than its context was made for ends the process, so contexts are made as large as the texts. For each token of a
call it keeps as many floats as the vocabulary has tokens, a megabyte for XLM-R's, so that calls are no larger than need
be; a decoder, which remembers what it has read, reads a long text in several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray

from xqe.errors import ModelError
from xqe.models.encoders.recipes import Recipe
from xqe.models.encoders.tokenized import TokenizedEncoder
from xqe.models.engines.llama import library
from xqe.models.engines.llama.context import Context
from xqe.models.engines.llama.library import llama_cpp, log
from xqe.models.engines.llama.loading import LoadedModel
from xqe.models.engines.llama.settings import Hardware
from xqe.models.engines.llama.vocabulary import Tokens

if TYPE_CHECKING:
    from xqe.models.encoders.base import Matrix

_POOLINGS = {"mean": 1, "cls": 2, "last": 3}  # llama_pooling_type
_CPU_TOKENS, _CPU_TEXTS = 512, 1
_GPU_TOKENS, _GPU_TEXTS = 512, 64  # of 512, 2048 and 8192 tokens the fastest (docs/performance.md)
_FLOAT = 4  # bytes


class LlamaEncoder(TokenizedEncoder):
    """A GGUF file that llama.cpp loads. Raises ModelError for one that cannot be loaded or makes no vectors."""

    def __init__(self, name: str, recipe: Recipe, sha256: str, hardware: Hardware | None = None) -> None:
        super().__init__(name, recipe, sha256)
        self._hardware = hardware = hardware or Hardware()
        self._context: _EncodingContext | None = None
        self._loaded = loaded = LoadedModel(name, str(recipe.path), sha256, hardware)
        self._tokens, self._texts = (_GPU_TOKENS, _GPU_TEXTS) if loaded.on_gpu else (_CPU_TOKENS, _CPU_TEXTS)
        try:
            self._begin(loaded.model.vocabulary, int(llama_cpp.llama_model_n_embd_out(loaded.model.pointer)))
        except BaseException:
            self.close()
            raise

    def making(self) -> dict[str, Any]:
        return {"runtime": library.version(), **self._loaded.making()}

    def close(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None
        self._loaded.close()

    def _compute(self, texts: Sequence[Tokens]) -> Matrix:
        vectors = numpy.empty((len(texts), self._dimension), numpy.float32)
        for together in self._packs([len(tokens) for tokens in texts]):
            context = self._context_for(sum(len(texts[number]) for number in together))
            status = context.encode([texts[number] for number in together])
            if status != 0:
                raise ModelError(f"{self.name}: llama.cpp could not encode a text (status {status}: {log.reason()})")
            for place, number in enumerate(together):
                vectors[number] = context.vector(place, self._dimension)
        return vectors

    def _packs(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """The numbers of the texts that are computed together, the longest first."""
        pack: list[int] = []
        tokens = 0
        for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
            if pack and (len(pack) == self._texts or tokens + lengths[number] > self._tokens):
                yield pack
                pack, tokens = [], 0
            pack.append(number)
            tokens += lengths[number]
        if pack:
            yield pack

    def _context_for(self, tokens: int) -> _EncodingContext:
        """The context, made anew where this call is larger than all before it. Raises ModelError for want of memory."""
        context = self._context
        if context is not None and context.size >= tokens:
            return context
        reads_on = context is not None and context.reads_on
        size = max(self._tokens, 1 << (tokens - 1).bit_length())
        batch = self._tokens if reads_on else size
        needed = min(batch, tokens) * self._loaded.model.vocabulary.size * _FLOAT
        self._check_room(tokens, needed)
        if context is not None:
            context.close()
            self._context = None
        self._context = _EncodingContext(
            self._loaded, self._recipe.pooling, size, batch, self._texts, needed, self._hardware
        )
        return self._context


class _EncodingContext(Context):
    """A context that makes a vector of each sequence. size: tokens of all sequences together, of which `batch` are
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
        self.reads_on = bool(self._memory) and pooling == "last"

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

    def vector(self, number: int, dimension: int) -> NDArray[numpy.float32]:
        """The vector of one of the texts, a view. Raises ModelError where the model makes none."""
        pointer = llama_cpp.llama_get_embeddings_seq(self._pointer, number)
        if not pointer:
            raise ModelError("llama.cpp makes no vectors with this model", "take an encoder of xqe models list")
        return numpy.ctypeslib.as_array(pointer, shape=(dimension,))
