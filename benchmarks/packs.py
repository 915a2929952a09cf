"""What llama.cpp can do as an encoder from Python: a loop over its C functions, with nothing of xqe.

A yardstick of `encoding.py`. Texts are sorted by length and encoded together, as many as have 512 tokens in all, since
attention of a larger batch costs more than it shares. It checks nothing and recovers from nothing.
"""

from __future__ import annotations

import ctypes
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

PACK = 512  # tokens of a batch, and the most of a text
SEQUENCES = 256  # llama.cpp's limit
LOGS_NOTHING = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)


def packs(lengths: Sequence[int], most: int = PACK) -> Iterator[list[int]]:
    """Places of texts that have at most so many tokens together, the short ones first."""
    pack: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if pack and (sum(lengths[i] for i in pack) + lengths[place] > most or len(pack) == SEQUENCES):
            yield pack
            pack = []
        pack.append(place)
    if pack:
        yield pack


class Tokens:
    """The tokenizer of a GGUF file, by llama.cpp; to NFKC first, which a file may lack."""

    def __init__(self, path: str, vocabulary_only: bool = True) -> None:
        llama_cpp.llama_log_set(LOGS_NOTHING, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only, parameters.n_gpu_layers = vocabulary_only, 0
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self.model)

    def pieces(self) -> list[tuple[str, float]]:
        """What each token is, and its score."""
        vocabulary = self._vocabulary
        return [
            (
                llama_cpp.llama_vocab_get_text(vocabulary, token).decode(),
                llama_cpp.llama_vocab_get_score(vocabulary, token),
            )
            for token in range(llama_cpp.llama_vocab_n_tokens(vocabulary))
        ]

    def __call__(self, text: str) -> list[int]:
        raw = unicodedata.normalize("NFKC", text).encode()
        found = (llama_cpp.llama_token * (len(raw) + 16))()
        count = llama_cpp.llama_tokenize(self._vocabulary, raw, len(raw), found, len(found), True, False)
        return list(found[:count]) if count <= PACK else [*found[: PACK - 1], found[count - 1]]


class Packs:
    """A loaded model."""

    def __init__(self, path: str, threads: int) -> None:
        self._tokens = Tokens(path, vocabulary_only=False)
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = PACK
        parameters.n_seq_max, parameters.embeddings, parameters.kv_unified = SEQUENCES, True, True
        parameters.n_threads = parameters.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._tokens.model, parameters)
        self._batch = llama_cpp.llama_batch_init(PACK, 0, 1)
        self._dimension = llama_cpp.llama_model_n_embd(self._tokens.model)

    def encode(self, texts: Sequence[str]) -> NDArray[Any]:
        tokens = [self._tokens(text) for text in texts]
        vectors = np.empty((len(texts), self._dimension), np.float32)
        for pack in packs([len(some) for some in tokens]):
            vectors[pack] = self._pack([tokens[place] for place in pack])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _pack(self, texts: Sequence[Sequence[int]]) -> NDArray[Any]:
        batch, n = self._batch, 0
        for sequence, text in enumerate(texts):
            for position, token in enumerate(text):
                batch.token[n], batch.pos[n], batch.logits[n] = token, position, 1
                batch.n_seq_id[n], batch.seq_id[n][0] = 1, sequence
                n += 1
        batch.n_tokens = n
        if llama_cpp.llama_encode(self._context, batch):
            raise SystemExit("llama_encode failed")
        rows = [llama_cpp.llama_get_embeddings_seq(self._context, sequence) for sequence in range(len(texts))]
        return np.stack([np.ctypeslib.as_array(row, (self._dimension,)).copy() for row in rows])
