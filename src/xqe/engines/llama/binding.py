"""llama.cpp through the low-level bindings of llama-cpp-python: model, vocabulary, context, sampler.

The only module that imports llama_cpp. Nothing here decides what is decoded when; that is `scheduler`.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xqe.errors import ModelError

# OpenMP's threads spin at every barrier for as long as this says before they sleep. Its default is best on a machine
# of one's own; with one other busy process beside it, this makes two to four times as many tokens, and costs a few
# percent without. It is read when the library is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import llama_cpp

Tokens = NDArray[np.int32]

MAX_SEQUENCES = 256  # LLAMA_MAX_SEQ
N_BATCH = 2048
N_UBATCH = 512
TOP_K = 64
TOP_P = 0.95

_WARN, _ERROR, _CONTINUED = 3, 4, 5  # ggml_log_level


class _Log:
    """Keeps llama.cpp's latest warnings and errors, and everything else of it off standard error."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=40)
        self._level = 0
        self.callback = llama_cpp.llama_log_callback(self._receive)  # the reference must outlive every model
        llama_cpp.llama_log_set(self.callback, ctypes.c_void_p(0))

    def _receive(self, level: int, text: bytes, _data: Any) -> None:
        if level != _CONTINUED:
            self._level = level
        if self._level in (_WARN, _ERROR):
            line = text.decode("utf-8", "replace").strip()
            if line:
                self.lines.append(line)

    def reason(self) -> str:
        """The last errors in llama.cpp's own words, without the names of its functions."""
        told = [re.sub(r"^[a-z_0-9:~]+: |error loading model: ", "", line) for line in self.lines]
        said = [line for line in told if "failed to load model" not in line]
        return (said or told or ["llama.cpp gave no reason"])[0]


_log = _Log()


def version() -> str:
    return f"llama-cpp-python {llama_cpp.__version__}"


def supports_gpu() -> bool:
    return bool(llama_cpp.llama_supports_gpu_offload())


class Vocabulary:
    """Text to tokens and back. Borrowed from a model: valid while the model is."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        self.size = int(llama_cpp.llama_vocab_n_tokens(pointer))
        self._pieces: dict[tuple[int, bool], bytes] = {}
        self._ends: dict[int, bool] = {}

    def tokenize(self, text: str, add_special: bool, parse_special: bool) -> Tokens:
        """Return the tokens of `text`, shape (n,). add_special: put BOS first if the model wants it.
        parse_special: read "<bos>" and the like as the special token, not as characters."""
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 8
        for _ in range(2):
            tokens = np.empty(room, dtype=np.int32)
            count = llama_cpp.llama_tokenize(
                self._pointer,
                raw,
                len(raw),
                tokens.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token)),
                room,
                add_special,
                parse_special,
            )
            if count >= 0:
                return tokens[:count].copy()
            room = -count
        raise ModelError("the text could not be tokenized", "check the model file with xqe models verify")

    def piece(self, token: int, special: bool = False) -> bytes:
        """The bytes of one token, which may be part of a character; of a special token only if `special`."""
        known = self._pieces.get((token, special))
        if known is None:
            buffer = ctypes.create_string_buffer(64)
            length = llama_cpp.llama_token_to_piece(self._pointer, token, buffer, len(buffer), 0, special)
            if length < 0:
                buffer = ctypes.create_string_buffer(-length)
                length = llama_cpp.llama_token_to_piece(self._pointer, token, buffer, len(buffer), 0, special)
            known = self._pieces[token, special] = buffer.raw[:length]
        return known

    def text(self, tokens: Tokens) -> str:
        """The text of a token sequence, special tokens included."""
        return b"".join(self.piece(int(token), special=True) for token in tokens).decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        """True for a token that ends the generation (EOS, end of turn)."""
        known = self._ends.get(token)
        if known is None:
            known = self._ends[token] = bool(llama_cpp.llama_vocab_is_eog(self._pointer, token))
        return known

    def is_control(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_control(self._pointer, token))

    def bos_text(self) -> str:
        return self._special(llama_cpp.llama_vocab_bos(self._pointer))

    def eos_text(self) -> str:
        return self._special(llama_cpp.llama_vocab_eos(self._pointer))

    def _special(self, token: int) -> str:
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""


class Model:
    """A loaded GGUF file. `vocabulary_only` reads no weights, for showing prompts."""

    def __init__(self, path: str, gpu_layers: int = -1, vocabulary_only: bool = False) -> None:
        """Raises ModelError, with llama.cpp's reason, for a file that is missing, damaged, or no GGUF."""
        file = Path(path)
        if not file.is_file():
            raise ModelError(
                f"{path}: {'is a folder' if file.is_dir() else 'no such file'}", "--model takes a name or a GGUF file"
            )
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        parameters.vocab_only = vocabulary_only
        _log.lines.clear()
        self._pointer: Any = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self._pointer:
            raise ModelError(
                f"{path}: cannot be loaded ({_log.reason()})", "check it with xqe models verify, or download it again"
            )
        self.vocabulary = Vocabulary(llama_cpp.llama_model_get_vocab(self._pointer))
        if not vocabulary_only and llama_cpp.llama_model_has_encoder(self._pointer):
            self.close()
            raise ModelError(
                f"{path}: is an encoder-decoder model", "xqe needs a decoder-only model such as Gemma or Aya"
            )
        self.context_size = int(llama_cpp.llama_model_n_ctx_train(self._pointer))
        template = llama_cpp.llama_model_chat_template(self._pointer, None)
        self.chat_template: str | None = template.decode("utf-8", "replace") if template else None
        self.can_share_prefixes = not vocabulary_only and not (
            llama_cpp.llama_model_is_recurrent(self._pointer) or llama_cpp.llama_model_is_hybrid(self._pointer)
        )

    @property
    def pointer(self) -> Any:
        return self._pointer

    def close(self) -> None:
        if self._pointer:
            llama_cpp.llama_model_free(self._pointer)
            self._pointer = None


class Context:
    """A context of a model whose sequences share one KV cache, and the batch that is decoded in it.

    cells: tokens that all sequences together can hold. sequences: how many there may be. The arrays `token`,
    `position`, `sequence` and `wants_logits`, each of shape (N_BATCH,), are the batch: fill the first n, then decode.
    """

    def __init__(self, model: Model, cells: int, sequences: int, threads: int) -> None:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = cells
        parameters.n_batch = N_BATCH
        parameters.n_ubatch = N_UBATCH
        parameters.n_seq_max = sequences
        parameters.n_outputs_max = sequences  # fewer aborts the process; n_batch costs 0.5 GB at a 262k vocabulary
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = -1  # where the backend has it
        parameters.kv_unified = True
        parameters.swa_full = True  # a windowed cache could not be shared by prefix
        parameters.no_perf = True
        _log.lines.clear()
        self._pointer: Any = llama_cpp.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            raise ModelError(f"no context of {cells} tokens ({_log.reason()})", "lower --batch, --ctx or --max-tokens")
        self.cells = int(llama_cpp.llama_n_ctx(self._pointer))
        self._memory = llama_cpp.llama_get_memory(self._pointer)
        self._vocabulary_size = model.vocabulary.size
        self.token = np.zeros(N_BATCH, dtype=np.int32)
        self.position = np.zeros(N_BATCH, dtype=np.int32)
        self.sequence = np.zeros(N_BATCH, dtype=np.int32)
        self.wants_logits = np.zeros(N_BATCH, dtype=np.int8)
        self._sequence_counts = np.ones(N_BATCH, dtype=np.int32)
        first, width = self.sequence.ctypes.data, self.sequence.itemsize
        pointer_type = ctypes.POINTER(llama_cpp.llama_seq_id)
        self._sequence_pointers = (pointer_type * N_BATCH)(
            *(ctypes.cast(first + i * width, pointer_type) for i in range(N_BATCH))
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

    def decode(self, count: int) -> int:
        """Decode the first `count` entries of the batch; return llama_decode's status, 0 when all is well."""
        self._batch.n_tokens = count
        return int(llama_cpp.llama_decode(self._pointer, self._batch))

    def logits(self, rows: int) -> NDArray[np.float32]:
        """The logits of the batch's entries that wanted them, in their order: shape (rows, vocabulary), a view."""
        pointer = llama_cpp.llama_get_logits(self._pointer)
        return np.ctypeslib.as_array(pointer, shape=(rows, self._vocabulary_size))

    def sample(self, sampler: Sampler, entry: int) -> int:
        """Draw a token from the logits of batch entry `entry`."""
        return int(llama_cpp.llama_sampler_sample(sampler.pointer, self._pointer, entry))

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """Let sequence `target` begin with the first `length` tokens of `source`; only metadata is copied."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def clear_sequence(self, sequence: int) -> None:
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(self._memory, True)

    def close(self) -> None:
        if self._pointer:
            llama_cpp.llama_free(self._pointer)
            self._pointer = None


class Sampler:
    """A seeded chain for temperature > 0: top-k, top-p, temperature, then the draw. Top-k comes first, because the
    rest would otherwise sort the whole vocabulary."""

    def __init__(self, temperature: float, seed: int) -> None:
        self.pointer: Any = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        for part in (
            llama_cpp.llama_sampler_init_top_k(TOP_K),
            llama_cpp.llama_sampler_init_top_p(TOP_P, 1),
            llama_cpp.llama_sampler_init_temp(temperature),
            llama_cpp.llama_sampler_init_dist(seed),
        ):
            llama_cpp.llama_sampler_chain_add(self.pointer, part)

    def close(self) -> None:
        if self.pointer:
            llama_cpp.llama_sampler_free(self.pointer)
            self.pointer = None
