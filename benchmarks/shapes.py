"""A model file of random weights in the shapes of a real model, for measuring where the real one cannot be had.

    python benchmarks/shapes.py SHAPE FILE

It has the vocabulary of the embedded model. What it writes is noise, and takes as long as sense.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from xqe.models.lookup import resolve

POOL = 1 << 16  # blocks of random weights, of which all matrices are made


@dataclass(frozen=True)
class Shape:
    """The dimensions of a decoder, as its configuration has them. window: of its sliding attention, 0 for none.
    quantization: of its matrices, by ggml's name."""

    architecture: str
    layers: int
    embedding: int
    feed_forward: int
    heads: int
    key_heads: int
    head: int
    context: int
    window: int
    quantization: str


SHAPES = {
    "gemma-3-4b": Shape("gemma3", 34, 2560, 10240, 8, 4, 256, 131_072, 1024, "Q4_0"),
    "gemma-3-12b": Shape("gemma3", 48, 3840, 15360, 16, 8, 256, 131_072, 1024, "Q4_0"),
    "aya-expanse-8b": Shape("command-r", 32, 4096, 14336, 32, 8, 128, 8192, 0, "Q4_K"),
    "small": Shape("gemma3", 2, 512, 1024, 2, 1, 256, 8192, 512, "Q4_0"),  # to try this file
}
_BLOCKS = {"Q4_0": (32, 18), "Q4_K": (256, 144)}  # weights and bytes of a block


class Weights:
    """Quantized matrices whose products have about the size of what they are multiplied with."""

    def __init__(self, quantization: str) -> None:
        self._weights, self._bytes = _BLOCKS[quantization]
        self._has_minimum = quantization == "Q4_K"
        self._random = np.random.default_rng(7)
        self._pools: dict[int, NDArray[np.uint8]] = {}

    def __call__(self, rows: int, columns: int) -> NDArray[np.uint8]:
        pool = self._pools.setdefault(columns, self._pool(columns))
        count, step = rows * columns // self._weights, 2 * int(self._random.integers(1, 1000)) + 1
        chosen = (np.arange(count, dtype=np.int64) * step + self._random.integers(POOL)) % POOL
        matrix: NDArray[np.uint8] = pool[chosen].reshape(rows, -1)
        return matrix

    def _pool(self, columns: int) -> NDArray[np.uint8]:
        blocks = self._random.integers(0, 256, (POOL, self._bytes), dtype=np.uint8)
        scale = columns**-0.5 / 4.6  # 4.6 is the deviation of an even distribution over 16 numbers
        scales = [scale / 36, scale / 36 * 7.5] if self._has_minimum else [scale]  # 36: of the blocks within a block
        for number, value in enumerate(scales):
            blocks[:, 2 * number : 2 * number + 2] = np.full(POOL, value, np.float16).view(np.uint8).reshape(POOL, 2)
        return blocks


def write(shape: Shape, path: str, name: str) -> None:
    vocabulary = {key: field.contents() for key, field in gguf.GGUFReader(resolve("tiny").path).fields.items()}
    tokens = vocabulary["tokenizer.ggml.tokens"]
    writer: Any = gguf.GGUFWriter(path, shape.architecture)
    writer.add_name(name)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.embedding)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    if shape.architecture == "gemma3":
        writer.add_layer_norm_rms_eps(1e-6)
        writer.add_rope_freq_base(1e6)
        writer.add_sliding_window(shape.window)
    else:
        writer.add_layer_norm_eps(1e-5)
        writer.add_rope_freq_base(1e4)
        writer.add_logit_scale(0.125)
        writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
    writer.add_tokenizer_model(vocabulary["tokenizer.ggml.model"])
    writer.add_tokenizer_pre(vocabulary["tokenizer.ggml.pre"])
    writer.add_token_list(tokens)
    writer.add_token_scores(vocabulary["tokenizer.ggml.scores"])
    writer.add_token_types(vocabulary["tokenizer.ggml.token_type"])
    writer.add_bos_token_id(vocabulary["tokenizer.ggml.bos_token_id"])
    writer.add_eos_token_id(vocabulary["tokenizer.ggml.eos_token_id"])
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)

    weights, kind = Weights(shape.quantization), getattr(gguf.GGMLQuantizationType, shape.quantization)

    def matrix(tensor: str, rows: int, columns: int) -> None:
        writer.add_tensor(f"{tensor}.weight", weights(rows, columns), raw_dtype=kind)

    def norm(tensor: str, size: int) -> None:
        writer.add_tensor(f"{tensor}.weight", np.ones(size, np.float32))

    embedding, heads, key_heads = shape.embedding, shape.heads * shape.head, shape.key_heads * shape.head
    matrix("token_embd", len(tokens), embedding)
    norm("output_norm", embedding)
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        norm(f"{block}.attn_norm", embedding)
        matrix(f"{block}.attn_q", heads, embedding)
        matrix(f"{block}.attn_k", key_heads, embedding)
        matrix(f"{block}.attn_v", key_heads, embedding)
        matrix(f"{block}.attn_output", embedding, heads)
        matrix(f"{block}.ffn_gate", shape.feed_forward, embedding)
        matrix(f"{block}.ffn_up", shape.feed_forward, embedding)
        matrix(f"{block}.ffn_down", embedding, shape.feed_forward)
        if shape.architecture == "gemma3":
            for part, size in (("attn_q", shape.head), ("attn_k", shape.head), ("ffn", embedding)):
                norm(f"{block}.{part}_norm", size)
            norm(f"{block}.post_attention_norm", embedding)
            norm(f"{block}.post_ffw_norm", embedding)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("file")
    options = parser.parse_args()
    write(SHAPES[options.shape], options.file, options.shape)


if __name__ == "__main__":
    main()
