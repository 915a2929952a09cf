"""A context that keeps what it has read, a cache of keys and values, and says which token is likely next.

Nothing here decides what is decoded when; that is `scheduler`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xqe.models.engines.llama import states
from xqe.models.engines.llama.context import Context
from xqe.models.engines.llama.library import llama_cpp
from xqe.models.engines.llama.model import Model, Stopped
from xqe.models.engines.llama.settings import Settings

CELL_PADDING = 256  # what llama.cpp pads the cells it attends to by
N_UBATCH = 512

_CACHE_TYPES = {"f32": (0, 4.0), "f16": (1, 2.0), "bf16": (30, 2.0), "q8_0": (8, 34 / 32), "q4_0": (2, 18 / 32)}
"""ggml's number of a type, and its bytes a value."""


def cell_bytes(model: Model, cache_type: str) -> int:
    """Bytes of cache for one token, in all layers: an estimate from the model's dimensions."""
    layers = int(llama_cpp.llama_model_n_layer(model.pointer))
    heads = max(1, int(llama_cpp.llama_model_n_head_kv(model.pointer)))
    usual = int(llama_cpp.llama_model_n_embd(model.pointer)) // max(1, int(llama_cpp.llama_model_n_head(model.pointer)))
    architecture = model.metadata("general.architecture") or ""
    lengths = [int(model.metadata(f"{architecture}.attention.{kind}_length") or usual) for kind in ("key", "value")]
    return max(1, int(layers * heads * sum(lengths) * _CACHE_TYPES[cache_type][1]))


class CachedContext(Context):
    """cells: tokens of all sequences together, of which each has an equal part. sequences: how many there may be.
    picks: the likeliest token is picked where the model is computed, and no logits come back (experimental in
    llama.cpp). The rest as for `Context`: fill the batch, decode, take the logits.
    """

    def __init__(
        self,
        model: Model,
        cells: int,
        sequences: int,
        threads: int,
        settings: Settings | None = None,
        adapters: Sequence[tuple[Any, float]] = (),
        picks: bool = False,
        stopped: Stopped = lambda: False,
    ) -> None:
        settings = settings or Settings()
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = cells
        parameters.n_ubatch = N_UBATCH
        parameters.n_seq_max = sequences
        parameters.n_outputs_max = sequences  # fewer aborts the process; n_batch costs 0.5 GB at a 262k vocabulary
        parameters.type_k = parameters.type_v = _CACHE_TYPES[settings.cache_type][0]
        parameters.kv_unified = False  # each sequence has cells of its own: see `scheduler`
        parameters.swa_full = True  # a windowed cache could not be cut back to a shared prefix
        self.picks = picks
        self._sequences = sequences
        self.copies = False  # whether a copy waits for the next batch
        self._chains = _greedy_chains(sequences) if picks else []
        configs = (llama_cpp.llama_sampler_seq_config * sequences)()
        for sequence, chain in enumerate(self._chains):
            configs[sequence].seq_id, configs[sequence].sampler = sequence, ctypes.cast(chain, ctypes.c_void_p)
        if picks:
            parameters.samplers, parameters.n_samplers = configs, sequences
        memory = cells * cell_bytes(model, settings.cache_type)
        super().__init__(model, parameters, cells, memory, threads, settings, adapters, stopped)
        self.cells = int(llama_cpp.llama_n_ctx(self._pointer))
        self._memory = llama_cpp.llama_get_memory(self._pointer)
        self._vocabulary_size = model.vocabulary.size

    def logits(self, rows: int) -> NDArray[np.float32]:
        """The logits of the batch's entries that wanted them, in their order: shape (rows, vocabulary), a view."""
        pointer = llama_cpp.llama_get_logits(self._pointer)
        return np.ctypeslib.as_array(pointer, shape=(rows, self._vocabulary_size))

    def take_logits(self, rows: int) -> None:
        """Make `row` and `likeliest` speak of the batch decoded last, `rows` of whose entries wanted logits."""
        self._taken = self.logits(rows) if rows and not self.picks else None

    def row(self, row: int) -> NDArray[np.float32]:
        """The logits of the `row`th entry that wanted them: shape (vocabulary,), a view."""
        assert self._taken is not None
        taken: NDArray[np.float32] = self._taken[row]
        return taken

    def likeliest(self, row: int, entry: int) -> int:
        """The likeliest token after the `row`th entry that wanted logits, the batch's entry number `entry`."""
        if self.picks:
            return int(llama_cpp.llama_get_sampled_token_ith(self._pointer, entry))
        return int(self.row(row).argmax())

    def copy_sequence(self, source: int, target: int) -> None:
        """Let sequence `target` hold what `source` holds; the cells are copied with the next batch."""
        self.copies = True
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def decode(self, count: int) -> int:
        self.copies = False
        return super().decode(count)

    def clear_sequence(self, sequence: int, start: int = 0) -> None:
        """Forget a sequence, from its position `start` on."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, start, -1)

    def state(self, sequence: int) -> bytes | None:
        """What a sequence holds, for `restore`; of layers with a window only what that shows the next token. None where
        llama.cpp's form of it is not known."""
        return states.taken(self._pointer, sequence, self._sequences)

    def restore(self, sequence: int, state: bytes) -> bool:
        """Let a sequence hold what `state` returned, perhaps in another process; False if it holds nothing now. No copy
        to it or of it may wait for the next batch."""
        if states.put(self._pointer, sequence, self._sequences, state):
            return True
        self.clear_sequence(sequence)
        return False

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(self._memory, True)

    def close(self) -> None:
        super().close()
        for chain in self._chains:
            llama_cpp.llama_sampler_free(chain)
        self._chains = []


def _greedy_chains(sequences: int) -> list[Any]:
    """A chain for each sequence that takes the likeliest token; llama.cpp puts it into the graph."""
    chains = []
    for _ in range(sequences):
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_greedy())
        chains.append(chain)
    return chains
