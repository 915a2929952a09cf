"""llama.cpp's objects: model, vocabulary, adapter, context.

Nothing here decides what is decoded when; that is `scheduler`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xqe.errors import ModelError
from xqe.machine import available_memory
from xqe.models.engines.llama.library import llama_cpp, log
from xqe.models.engines.llama.settings import Settings
from xqe.models.registry import amount

Tokens = NDArray[np.int32]
Stopped = Callable[[], bool]
"""True once what is under way should be given up."""

MAX_SEQUENCES = 256  # LLAMA_MAX_SEQ
CELL_PADDING = 256  # what llama.cpp pads the cells it attends to by
ABORTED = 2  # llama_decode's status where `stopped` said so
N_BATCH = 2048
N_UBATCH = 512

_SPLIT_MODES = {"none": 0, "layer": 1, "row": 2}  # llama_split_mode
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}  # llama_flash_attn_type
_CACHE_TYPES = {"f32": (0, 4.0), "f16": (1, 2.0), "bf16": (30, 2.0), "q8_0": (8, 34 / 32), "q4_0": (2, 18 / 32)}
"""ggml's number of a type, and its bytes a value."""

ALL_LAYERS = -1


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
    """A loaded GGUF file. `vocabulary_only` reads no weights, for showing prompts.

    stopped: asked while the weights are read; KeyboardInterrupt is raised once it says so.
    """

    def __init__(
        self,
        path: str,
        settings: Settings | None = None,
        vocabulary_only: bool = False,
        gpu_layers: int = ALL_LAYERS,
        stopped: Stopped = lambda: False,
    ) -> None:
        """Raises ModelError, with llama.cpp's reason, for a file that is missing, damaged, too large, or no GGUF."""
        settings = settings or Settings()
        file = Path(path)
        if not file.is_file():
            raise ModelError(
                f"{path}: {'is a folder' if file.is_dir() else 'no such file'}", "--model takes a name or a GGUF file"
            )
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        parameters.split_mode = _SPLIT_MODES[settings.split_mode]
        parameters.main_gpu = settings.main_gpu
        parameters.vocab_only = vocabulary_only
        shares = (ctypes.c_float * int(llama_cpp.llama_max_devices()))(*settings.tensor_split)
        if settings.tensor_split:
            parameters.tensor_split = shares
        going_on = llama_cpp.llama_progress_callback(lambda _progress, _data: not stopped())
        parameters.progress_callback = going_on
        self.gpu_layers = gpu_layers
        log.clear()
        self._adapters: dict[str, Any] = {}
        self._pointer: Any = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
        if stopped():
            self.close()
            raise KeyboardInterrupt
        if not self._pointer:
            sizes = f"the file has {amount(file.stat().st_size)}, {amount(available_memory())} of memory are free"
            raise ModelError(
                f"{path}: cannot be loaded ({log.reason()}; {sizes})",
                "check it with xqe models verify, or take a smaller model",
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

    def cell_bytes(self, cache_type: str) -> int:
        """Bytes of KV cache for one token, in all layers: an estimate from the model's dimensions."""
        layers = int(llama_cpp.llama_model_n_layer(self._pointer))
        heads = max(1, int(llama_cpp.llama_model_n_head_kv(self._pointer)))
        usual = int(llama_cpp.llama_model_n_embd(self._pointer)) // max(
            1, int(llama_cpp.llama_model_n_head(self._pointer))
        )
        architecture = self.metadata("general.architecture") or ""
        lengths = [int(self.metadata(f"{architecture}.attention.{kind}_length") or usual) for kind in ("key", "value")]
        return max(1, int(layers * heads * sum(lengths) * _CACHE_TYPES[cache_type][1]))

    def metadata(self, key: str) -> str | None:
        """A metadata value as text; None for one that is not there."""
        buffer = ctypes.create_string_buffer(256)
        length = llama_cpp.llama_model_meta_val_str(self._pointer, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if length >= 0 else None

    def adapter(self, path: str) -> Any:
        """Load a LoRA adapter, once; it is freed with the model. Raises ModelError, with llama.cpp's reason."""
        if path not in self._adapters:
            log.clear()
            pointer = llama_cpp.llama_adapter_lora_init(self._pointer, os.fsencode(path))
            if not pointer:
                raise ModelError(
                    f"--lora {path}: does not fit the model ({log.reason()})",
                    "an adapter fits only the model that it was trained on",
                )
            self._adapters[path] = pointer
        return self._adapters[path]

    def close(self) -> None:
        if self._pointer:
            for pointer in self._adapters.values():
                llama_cpp.llama_adapter_lora_free(pointer)
            self._adapters.clear()
            llama_cpp.llama_model_free(self._pointer)
            self._pointer = None


class Context:
    """A context of a model, and the batch that is decoded in it.

    cells: tokens of all sequences together, of which each has an equal part. sequences: how many there may be.
    threads: of the CPU. adapters: (pointer, scale) of those to apply. picks: the likeliest token is picked where the
    model is computed, and no logits come back (experimental in llama.cpp). stopped: asked while a batch is decoded,
    which is given up once it says so. The arrays `token`, `position`, `sequence` and `wants_logits`, each of shape
    (N_BATCH,), are the batch: fill the first n, decode, take the logits.
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
        parameters.n_batch = N_BATCH
        parameters.n_ubatch = N_UBATCH
        parameters.n_seq_max = sequences
        parameters.n_outputs_max = sequences  # fewer aborts the process; n_batch costs 0.5 GB at a 262k vocabulary
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = _FLASH_ATTENTION[settings.flash_attention]
        parameters.type_k = parameters.type_v = _CACHE_TYPES[settings.cache_type][0]
        parameters.kv_unified = False  # each sequence has cells of its own: see `scheduler`
        parameters.swa_full = True  # a windowed cache could not be cut back to a shared prefix
        parameters.no_perf = True
        self._stopped = llama_cpp.ggml_abort_callback(lambda _data: stopped())  # the reference must outlive the context
        parameters.abort_callback = self._stopped
        self.picks = picks
        self._chains = _greedy_chains(sequences) if picks else []
        configs = (llama_cpp.llama_sampler_seq_config * sequences)()
        for sequence, chain in enumerate(self._chains):
            configs[sequence].seq_id, configs[sequence].sampler = sequence, ctypes.cast(chain, ctypes.c_void_p)
        if picks:
            parameters.samplers, parameters.n_samplers = configs, sequences
        log.clear()
        self._pointer: Any = llama_cpp.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            needed = cells * model.cell_bytes(settings.cache_type)
            raise ModelError(
                f"no context of {cells} tokens ({log.reason()}; its cache has about {amount(needed)}, "
                f"{amount(available_memory())} of memory are free)",
                "lower --batch, --ctx or --max-tokens",
            )
        self._adapt(adapters)
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
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def clear_sequence(self, sequence: int, start: int = 0) -> None:
        """Forget a sequence, from its position `start` on."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, start, -1)

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(self._memory, True)

    def close(self) -> None:
        if self._pointer:
            llama_cpp.llama_free(self._pointer)
            self._pointer = None
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


def common(a: Tokens, b: Tokens) -> int:
    """The length of the longest common prefix of two token sequences."""
    length = min(len(a), len(b))
    different = np.flatnonzero(a[:length] != b[:length])
    return int(different[0]) if len(different) else length
