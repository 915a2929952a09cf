"""A GGUF file that llama.cpp has loaded: its weights, its vocabulary, what it says of itself, its adapters."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xqe.errors import ModelError
from xqe.machine import available_memory
from xqe.messages import amount
from xqe.models.engines.llama.library import llama_cpp, log
from xqe.models.engines.llama.settings import Hardware
from xqe.models.engines.llama.vocabulary import Vocabulary
from xqe.models.purposes import ARCHITECTURE, TYPE, UNSPECIFIED, check_is_model, pooling_key
from xqe.models.split import size_of

Stopped = Callable[[], bool]
"""True once what is under way should be given up."""

ALL_LAYERS = -1

_HINT = "check it with xqe models verify, or take a smaller model"
_HINTS = {
    "invalid split file name": "it is one of several files, and llama.cpp finds the others by the name that it was "
    "published under: NAME-00001-of-00003.gguf",
    "unknown model architecture": "this llama.cpp does not know it: take another model, or a newer xqe",
}
"""What to do, by words of llama.cpp's reason."""

_SPLIT_MODES = {"none": 0, "layer": 1, "row": 2}  # llama_split_mode

# by what chat templates call them: what GGUF files do
_SPECIAL_TOKENS = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


class Model:
    """A loaded GGUF file. `vocabulary_only` reads no weights, for showing prompts.

    stopped: asked while the weights are read; KeyboardInterrupt is raised once it says so.
    """

    def __init__(
        self,
        path: str,
        hardware: Hardware | None = None,
        vocabulary_only: bool = False,
        gpu_layers: int = ALL_LAYERS,
        stopped: Stopped = lambda: False,
    ) -> None:
        """Raises ModelError, with llama.cpp's reason, for a file that is missing, damaged, too large, or no GGUF."""
        hardware = hardware or Hardware()
        file = Path(path)
        if not file.is_file():
            raise ModelError(
                f"{path}: {'is a folder' if file.is_dir() else 'no such file'}", "--model takes a name or a GGUF file"
            )
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        parameters.split_mode = _SPLIT_MODES[hardware.split_mode]
        parameters.main_gpu = hardware.main_gpu
        parameters.vocab_only = vocabulary_only
        shares = (ctypes.c_float * int(llama_cpp.llama_max_devices()))(*hardware.tensor_split)
        if hardware.tensor_split:
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
            sizes = f"it has {amount(size_of(file))}, {amount(available_memory())} of memory are free"
            reason = log.reason()
            hint = next((hint for words, hint in _HINTS.items() if words in reason), _HINT)
            raise ModelError(f"{path}: cannot be loaded ({reason}; {sizes})", hint)
        self.vocabulary = Vocabulary(llama_cpp.llama_model_get_vocab(self._pointer))
        self.has_encoder = not vocabulary_only and bool(llama_cpp.llama_model_has_encoder(self._pointer))
        self.context_size = int(llama_cpp.llama_model_n_ctx_train(self._pointer))
        template = llama_cpp.llama_model_chat_template(self._pointer, None)
        self.chat_template: str | None = template.decode("utf-8", "replace") if template else None
        try:
            self._check(path, vocabulary_only)
        except ModelError:
            self.close()
            raise
        self.can_share_prefixes = not vocabulary_only and not (
            llama_cpp.llama_model_is_recurrent(self._pointer) or llama_cpp.llama_model_is_hybrid(self._pointer)
        )

    def _check(self, path: str, vocabulary_only: bool) -> None:
        """Raise ModelError for what llama.cpp loads and cannot use: with no rotary dimension it would never end."""
        architecture = self.metadata(ARCHITECTURE)
        check_is_model(path, architecture, self.metadata(TYPE))
        if vocabulary_only:  # which says nothing of the rest
            return
        rotates = llama_cpp.llama_model_rope_type(self._pointer) != llama_cpp.LLAMA_ROPE_TYPE_NONE
        unusable = None
        if self.context_size < 1:
            unusable = f"it says that it was trained on {self.context_size} tokens of context"
        elif rotates and self.metadata(f"{architecture}.rope.dimension_count") == "0":
            unusable = "it says that it rotates no dimension"
        elif llama_cpp.llama_model_is_diffusion(self._pointer):
            unusable = "it writes all of a text at once, by diffusion, and xqe writes token after token"
        if unusable is not None:
            raise ModelError(f"{path}: cannot be used ({unusable})", "take another file, or another model")

    @property
    def is_windowed(self) -> bool:
        """True if some layers see a window of the last tokens only."""
        return int(llama_cpp.llama_model_n_swa(self._pointer)) > 0

    @property
    def pointer(self) -> Any:
        return self._pointer

    def metadata(self, key: str) -> str | None:
        """A metadata value as text; None for one that is not there."""
        buffer = ctypes.create_string_buffer(256)
        length = llama_cpp.llama_model_meta_val_str(self._pointer, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if length >= 0 else None

    def special_texts(self) -> dict[str, str]:
        """The texts of special tokens that the file names, by the names that chat templates have for them. One that it
        does not name is not there: llama.cpp would take a token that is none."""
        numbers = {name: self.metadata(f"tokenizer.ggml.{key}_token_id") for name, key in _SPECIAL_TOKENS.items()}
        known = range(self.vocabulary.size)
        named = {name: int(said) for name, said in numbers.items() if said is not None and int(said) in known}
        pieces = {name: self.vocabulary.piece(token, special=True) for name, token in named.items()}
        return {name: piece.decode("utf-8", "replace") for name, piece in pieces.items()}

    def named_template(self, name: str) -> str | None:
        """The template that the file has under a name of its own, beside that of chats."""
        template = llama_cpp.llama_model_chat_template(self._pointer, name.encode())
        return template.decode("utf-8", "replace") if template else None

    @property
    def pooling(self) -> int:
        """How it makes one vector of a text, if it says so: a number of llama_pooling_type."""
        said = self.metadata(pooling_key(self.metadata(ARCHITECTURE)))
        return int(said) if said and said.isdecimal() else UNSPECIFIED

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
