"""Encoders of the architecture BERT, XLM-R among them, that ONNX Runtime computes on the CPU.

The graph is made of the weights of the GGUF file, as 32-bit floats, so that vectors are those of llama.cpp within what
its own quantised arithmetic loses. The rows of the vocabulary that a text needs are read from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray

from xqe.errors import ModelError, XqeError
from xqe.models.encoders.graph import FLOAT32, INT32, Graph
from xqe.models.encoders.recipes import Recipe
from xqe.models.encoders.tokenized import TokenizedEncoder
from xqe.models.engines.llama.loading import LoadedModel
from xqe.models.engines.llama.pooled import check_room
from xqe.models.engines.llama.settings import Hardware
from xqe.models.engines.llama.vocabulary import Tokens
from xqe.models.gguf import Header, read_header, whole_number

if TYPE_CHECKING:
    from xqe.models.encoders.base import Matrix

_TOKENS = 512  # of a call, padding among them
_CONTRIB = "com.microsoft"
_FLOAT = 4  # bytes


class OnnxEncoder(TokenizedEncoder):
    """A GGUF file of the architecture BERT. Raises ModelError for one that has not all that BERT has."""

    def __init__(self, name: str, recipe: Recipe, sha256: str, hardware: Hardware | None = None) -> None:
        super().__init__(name, recipe, sha256)
        self._loaded = LoadedModel(name, str(recipe.path), sha256, hardware or Hardware(), vocabulary_only=True)
        try:
            weights = _Weights(recipe)
            self._embeddings = _Embeddings(weights)
            self._heads = weights.heads
            self._session = _session(weights, self._loaded.threads)
            self._begin(self._loaded.model.vocabulary, weights.width)
        except KeyError as error:
            self.close()
            raise ModelError(
                f"{name}: has no {error.args[0]}, so it is no BERT that ONNX Runtime can be given", "use llama.cpp"
            ) from None
        except (XqeError, KeyboardInterrupt):
            self.close()
            raise
        except Exception as error:  # numpy and ONNX Runtime have many names for numbers that do not fit each other
            self.close()
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ModelError(f"{name}: cannot be computed ({reason})", "check it with xqe models verify") from error

    def making(self) -> dict[str, Any]:
        import onnxruntime

        return {"runtime": f"onnxruntime {onnxruntime.__version__}", **self._loaded.making()}

    def close(self) -> None:
        self._session = None
        self._loaded.close()

    def _compute(self, texts: Sequence[Tokens]) -> Matrix:
        vectors = numpy.empty((len(texts), self._dimension), numpy.float32)
        for together in _packs([len(tokens) for tokens in texts]):
            vectors[together] = self._together([texts[number] for number in together])
        return vectors

    def _together(self, texts: Sequence[Tokens]) -> Matrix:
        """The vectors of some texts in one call, padded to the longest."""
        lengths = [len(tokens) for tokens in texts]
        needed = len(texts) * max(lengths) ** 2 * self._heads * _FLOAT * 2  # of attention, before and after softmax
        check_room(self.name, max(lengths), needed)
        hidden = numpy.zeros((len(texts), max(lengths), self._embeddings.width), numpy.float32)
        mask = numpy.zeros(hidden.shape[:2], numpy.int32)
        for number, tokens in enumerate(texts):
            hidden[number, : len(tokens)] = self._embeddings.of(tokens)
            mask[number, : len(tokens)] = 1
        (states,) = self._session.run(None, {"hidden": hidden, "mask": mask})
        pool = _POOLINGS[self._recipe.pooling]
        return numpy.stack([pool(states[number, :length]) for number, length in enumerate(lengths)])


_POOLINGS: Mapping[str, Callable[[Matrix], NDArray[numpy.float32]]] = {
    "mean": lambda states: states.mean(axis=0),
    "cls": lambda states: states[0],
    "last": lambda states: states[-1],
}


def _packs(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The numbers of texts of like length that are computed together, the longest first."""
    pack: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        if pack and (len(pack) + 1) * lengths[pack[0]] > _TOKENS:
            yield pack
            pack = []
        pack.append(number)
    if pack:
        yield pack


class _Weights:
    """The tensors of a file, as floats. Raises KeyError, with its name, for one that is not there."""

    def __init__(self, recipe: Recipe) -> None:
        self._header: Header = read_header(recipe.path)
        said, path = self._header.metadata, recipe.path
        self._bytes = numpy.memmap(recipe.path, numpy.uint8, "r").view(numpy.ndarray)
        self.width = whole_number(said, "bert.embedding_length", path)
        self.layers = whole_number(said, "bert.block_count", path)
        self.heads = whole_number(said, "bert.attention.head_count", path)
        self.epsilon = float(said["bert.attention.layer_norm_epsilon"])

    def __contains__(self, name: str) -> bool:
        return name in self._header.places

    def blocks(self, name: str) -> tuple[NDArray[numpy.uint8], int]:
        """The rows of a tensor as they are in the file, a view of bytes, and ggml's number of their type."""
        place = self._header.places[name]
        data = self._bytes[place.start : place.start + place.length]
        return data.reshape(place.shape[-1] if len(place.shape) > 1 else 1, -1), place.kind

    def tensor(self, name: str) -> NDArray[numpy.float32]:
        """A tensor: a matrix has a row for each output."""
        blocks, kind = self.blocks(name)
        values = dequantised(blocks, kind)
        return values if len(self._header.places[name].shape) > 1 else values[0]


def dequantised(blocks: NDArray[numpy.uint8], kind: int) -> NDArray[numpy.float32]:
    """Rows of bytes as rows of floats."""
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    return numpy.ascontiguousarray(dequantize(blocks, GGMLQuantizationType(kind)), numpy.float32)


class _Embeddings:
    """What comes before the first layer: a token's row, its position's, and that of the one type of token."""

    def __init__(self, weights: _Weights) -> None:
        self._rows, self._kind = weights.blocks("token_embd.weight")
        positions = weights.tensor("position_embd.weight")
        if "token_types.weight" in weights:
            positions = positions + weights.tensor("token_types.weight").reshape(-1, weights.width)[0]
        self._positions = positions
        self._scale, self._shift = weights.tensor("token_embd_norm.weight"), weights.tensor("token_embd_norm.bias")
        self._epsilon = weights.epsilon
        self.width = weights.width

    def of(self, tokens: Tokens) -> Matrix:
        values = dequantised(self._rows[tokens], self._kind) + self._positions[: len(tokens)]
        values -= values.mean(axis=1, keepdims=True)
        values /= numpy.sqrt(values.var(axis=1, keepdims=True) + self._epsilon)
        return values * self._scale + self._shift


def _session(weights: _Weights, threads: int) -> Any:
    """A session that computes all layers: of hidden states before the first, those after the last."""
    import onnxruntime

    shape = ("texts", "tokens", weights.width)
    last = f"hidden{weights.layers}"
    graph = Graph({"hidden": (FLOAT32, shape), "mask": (INT32, ("texts", "tokens"))}, last, shape)
    values: dict[str, NDArray[numpy.float32]] = {}

    def weight(name: str, value: NDArray[numpy.float32]) -> str:
        values[name] = numpy.ascontiguousarray(value)
        return graph.weight(name, value.shape)

    def linear(states: str, name: str) -> str:
        """states x W + b."""
        if f"{name}.bias" not in weights:
            raise KeyError(f"{name}.bias")
        product = graph.node(
            "MatMul", [states, weight(f"{name}.weight", weights.tensor(f"{name}.weight").T)], f"{name}.product"
        )
        return graph.node("Add", [product, weight(f"{name}.bias", weights.tensor(f"{name}.bias"))], name)

    def added(states: str, change: str, name: str, output: str) -> str:
        """The norm of states + change."""
        parts = [weight(f"{name}.{part}", weights.tensor(f"{name}.{part}")) for part in ("weight", "bias")]
        return graph.node("SkipLayerNormalization", [states, change, *parts], output, _CONTRIB, epsilon=weights.epsilon)

    states = "hidden"
    for layer in range(weights.layers):
        block = f"blk.{layer}"
        query, key, value = (linear(states, f"{block}.attn_{part}") for part in "qkv")
        attended = graph.node(
            "MultiHeadAttention",
            [query, key, value, "", "mask"],
            f"{block}.attended",
            _CONTRIB,
            num_heads=weights.heads,
        )
        change = linear(attended, f"{block}.attn_output")
        states = added(states, change, f"{block}.attn_output_norm", f"{block}.between")
        wide = graph.node("Gelu", [linear(states, f"{block}.ffn_up")], f"{block}.wide", _CONTRIB)
        states = added(states, linear(wide, f"{block}.ffn_down"), f"{block}.layer_output_norm", f"hidden{layer + 1}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # what it would print comes as an error, too
    options.add_external_initializers(
        list(values), [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in values.values()]
    )
    return onnxruntime.InferenceSession(graph.model(), options, providers=["CPUExecutionProvider"])
