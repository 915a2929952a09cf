"""BERT in numpy: what matrix multiplication in float32 alone costs, with the weights of a GGUF file.

A yardstick of `encoding.py`, and a second opinion on its vectors. Texts of equal length are attended to together;
nothing is padded. Each thread computes a pack of its own, so BLAS is to have one thread (OPENBLAS_NUM_THREADS=1).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from packs import PACK, Tokens, packs
from scipy.special import erf

from xqe.models.gguf import read_header

Array = NDArray[np.float32]


def weights(path: str) -> dict[str, Array]:
    """The tensors of a GGUF file in float32, by their names there."""
    found = {}
    for name, place in read_header(Path(path)).places.items():
        raw = np.fromfile(path, np.uint8, place.length, offset=place.start)
        kind = gguf.GGMLQuantizationType(place.kind)
        values = raw.view(np.float32) if kind == gguf.GGMLQuantizationType.F32 else gguf.quants.dequantize(raw, kind)
        found[name] = np.ascontiguousarray(values.reshape(place.shape[::-1]), np.float32)
    return found


class Forward:
    """A loaded model, with mean pooling."""

    def __init__(self, path: str, threads: int) -> None:
        self._tokens, self._threads = Tokens(path), threads
        self._w = weights(path)
        said = read_header(Path(path)).metadata
        self._layers = int(said["bert.block_count"])
        self._heads = int(said["bert.attention.head_count"])
        self._epsilon = float(said["bert.attention.layer_norm_epsilon"])
        for name, matrix in self._w.items():
            if name.startswith("blk.") and matrix.ndim == 2:
                self._w[name] = np.ascontiguousarray(matrix.T)

    def encode(self, texts: Sequence[str]) -> NDArray[Any]:
        tokens = [self._tokens(text) for text in texts]
        vectors = np.empty((len(texts), self._w["token_embd.weight"].shape[1]), np.float32)

        def one(pack: list[int]) -> None:
            vectors[pack] = self._pack([tokens[place] for place in pack])

        with ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(one, reversed(list(packs([len(some) for some in tokens], PACK)))))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _pack(self, texts: Sequence[Sequence[int]]) -> Array:
        """The mean of the last layer for texts that are sorted by length."""
        w = self._w
        x: Array = w["token_embd.weight"][np.concatenate(texts)]
        x += w["position_embd.weight"][np.concatenate([np.arange(len(text)) for text in texts])]
        x += w["token_types.weight"].reshape(-1, x.shape[1])[0]
        x = self._norm(x, "token_embd_norm")
        alike = [(length, len(list(group))) for length, group in groupby(map(len, texts))]
        for layer in range(self._layers):
            name = f"blk.{layer}"
            attended = self._attended(x, name, alike)
            x = self._norm(x + self._linear(attended, f"{name}.attn_output"), f"{name}.attn_output_norm")
            up = self._linear(x, f"{name}.ffn_up")
            up *= 0.5 * (1 + erf(up * np.float32(2**-0.5)))
            x = self._norm(x + self._linear(up, f"{name}.ffn_down"), f"{name}.layer_output_norm")
        starts = np.cumsum([0, *(len(text) for text in texts[:-1])])
        mean: Array = np.add.reduceat(x, starts, axis=0)
        mean /= np.array([len(text) for text in texts], np.float32)[:, None]
        return mean

    def _attended(self, x: Array, name: str, alike: list[tuple[int, int]]) -> Array:
        """alike: (length, how many texts have it), in the order of the rows of x."""
        q, k, v = (self._linear(x, f"{name}.attn_{which}") for which in "qkv")
        size = x.shape[1] // self._heads
        q *= np.float32(size**-0.5)
        out, start = np.empty_like(x), 0
        for length, count in alike:
            rows = slice(start, start + length * count)
            shape = (count, length, self._heads, size)
            a, b, c = (part[rows].reshape(shape).swapaxes(1, 2) for part in (q, k, v))
            scores = a @ b.swapaxes(-1, -2)
            scores -= scores.max(-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(-1, keepdims=True)
            out[rows] = (scores @ c).swapaxes(1, 2).reshape(-1, x.shape[1])
            start = rows.stop
        return out

    def _linear(self, x: Array, name: str) -> Array:
        made: Array = x @ self._w[f"{name}.weight"]
        made += self._w[f"{name}.bias"]
        return made

    def _norm(self, x: Array, name: str) -> Array:
        x -= x.mean(-1, keepdims=True)
        x /= np.sqrt(np.einsum("ij,ij->i", x, x)[:, None] / x.shape[1] + np.float32(self._epsilon))
        x *= self._w[f"{name}.weight"]
        x += self._w[f"{name}.bias"]
        return x
