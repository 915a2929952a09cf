"""A context of a model, whatever is computed in it, and the batch that it computes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from xqe.errors import ModelError
from xqe.machine import available_memory
from xqe.messages import amount
from xqe.models.engines.llama.library import llama_cpp, log
from xqe.models.engines.llama.model import Model, Stopped
from xqe.models.engines.llama.settings import Hardware

N_BATCH = 2048
ABORTED = 2  # llama_decode's status where `stopped` said so

_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}  # llama_flash_attn_type


class Context:
    """Fill the first n entries of the arrays `token`, `position`, `sequence` and `wants_logits`, each of shape
    (batch,), and decode them.

    parameters: llama.cpp's, with what this kind of context sets. tokens, memory: what it is to hold, and the bytes
    that takes, for the error if there is no room. threads: of the CPU. adapters: (pointer, scale) of those to apply.
    stopped: asked while a batch is decoded, which is given up once it says so. batch: the most tokens decoded at once.
    """

    def __init__(
        self,
        model: Model,
        parameters: Any,
        tokens: int,
        memory: int,
        threads: int,
        hardware: Hardware,
        adapters: Sequence[tuple[Any, float]] = (),
        stopped: Stopped = lambda: False,
        batch: int = N_BATCH,
    ) -> None:
        parameters.n_batch = batch
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = _FLASH_ATTENTION[hardware.flash_attention]
        parameters.no_perf = True
        self._stopped = llama_cpp.ggml_abort_callback(lambda _data: stopped())  # the reference must outlive the context
        parameters.abort_callback = self._stopped
        log.clear()
        self._pointer: Any = llama_cpp.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            raise ModelError(
                f"no context of {tokens} tokens ({log.reason()}; its cache has about {amount(memory)}, "
                f"{amount(available_memory())} of memory are free)",
                "lower --batch, --ctx or --max-tokens",
            )
        self._adapt(adapters)
        self.token = np.zeros(batch, dtype=np.int32)
        self.position = np.zeros(batch, dtype=np.int32)
        self.sequence = np.zeros(batch, dtype=np.int32)
        self.wants_logits = np.zeros(batch, dtype=np.int8)
        self._sequence_counts = np.ones(batch, dtype=np.int32)
        first, width = self.sequence.ctypes.data, self.sequence.itemsize
        pointer_type = ctypes.POINTER(llama_cpp.llama_seq_id)
        self._sequence_pointers = (pointer_type * batch)(
            *(ctypes.cast(first + i * width, pointer_type) for i in range(batch))
        )
        self._batch = llama_cpp.llama_batch(
            0,
            self.token.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token)),
            None,
            self.position.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_pos)),
            self._sequence_counts.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            ctypes.cast(self._sequence_pointers, ctypes.POINTER(pointer_type)),
            self.wants_logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def _adapt(self, adapters: Sequence[tuple[Any, float]]) -> None:
        if not adapters:
            return
        pointers = (llama_cpp.llama_adapter_lora_p_ctypes * len(adapters))(*(pointer for pointer, _ in adapters))
        scales = (ctypes.c_float * len(adapters))(*(scale for _, scale in adapters))
        if llama_cpp.llama_set_adapters_lora(self._pointer, pointers, len(adapters), scales) != 0:
            self.close()
            raise ModelError(f"the adapters cannot be applied ({log.reason()})", "leave out --lora")

    def decode(self, count: int) -> int:
        """Decode the first `count` entries of the batch; return llama_decode's status, 0 when all is well."""
        self._batch.n_tokens = count
        return int(llama_cpp.llama_decode(self._pointer, self._batch))

    def close(self) -> None:
        if self._pointer:
            llama_cpp.llama_free(self._pointer)
            self._pointer = None
