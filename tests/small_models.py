"""Small models for llama.cpp, as GGUF files that take a moment to write and a moment to run.

`bigrams` has every logit written down, so that what it says is known beforehand, and is the same on every CPU; what it
says depends on the token before alone. `gemma` has random weights: what it says is nothing that a test may know, but it
sees all that a model sees, and computes in 32-bit floats, so that little is lost to rounding. `bert` and `qwen3` are
encoders of random weights. All have a vocabulary of bytes and end at no token but END.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import gguf
import numpy as np
from numpy.typing import NDArray

BYTES = 256
END = "</s>"
_SPECIAL = ("<unk>", "<s>", END)
_SPACE = "▁"  # what such a tokenizer makes of a space
_FIRST_CONTROL = len(_SPECIAL) + BYTES + 1
VOCABULARY = _FIRST_CONTROL + 4  # with a space, and some that fill it up
BIGRAMS = -(-VOCABULARY // 32) * 32  # the vocabulary, and the width, of `bigrams`
CERTAIN = 20.0  # a logit: a token that is e^20 times as likely as any that has none
CONTEXT = 8192
WINDOW = 8  # tokens that every other layer of `gemma` sees

SAID = "quick brown"
"""What the model of bigrams says that the tests of commands use, in so many tokens, its end included."""
SAID_TOKENS = len(SAID) + 1


@dataclass(frozen=True)
class Files:
    """How a model is split into NAME-00001-of-00003.gguf and so on, beside `path`, where nothing is written then.

    tensors: the most in one file, 0 for all in one. first_has_none: the first file has metadata alone.
    """

    tensors: int = 0
    first_has_none: bool = False


Table = Mapping[str, Mapping[str, float]]


def write_tokenizer(writer: gguf.GGUFWriter, size: int = VOCABULARY, control: Sequence[str] = ()) -> None:
    """A vocabulary of bytes: every text has tokens. control: special tokens that it has besides."""
    kinds = gguf.TokenType
    filling = [f"<filling {number}>" for number in range(size - _FIRST_CONTROL - len(control))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(BYTES)), _SPACE, *control, *filling])
    writer.add_token_scores([0.0] * size)
    filled = [*[kinds.CONTROL] * len(control), *[kinds.UNUSED] * len(filling)]
    writer.add_token_types([kinds.UNKNOWN, *[kinds.CONTROL] * 2, *[kinds.BYTE] * BYTES, kinds.NORMAL, *filled])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(False)


def number(token: str) -> int:
    """The number of a token: an ASCII character, or END."""
    if token in _SPECIAL:
        return _SPECIAL.index(token)
    return len(_SPECIAL) + (BYTES if token == " " else ord(token))


def saying(text: str, after: str = END) -> dict[str, dict[str, float]]:
    """A table for `bigrams`: the model says `text` after whatever is not in it, and `after` when it has said it.

    No character may be twice in the text, since each has one successor.
    """
    assert len(set(text)) == len(text)
    successors = {chr(byte): text[0] for byte in range(128)} | dict(zip(text, [*text[1:], after], strict=True))
    return {token: {successor: CERTAIN} for token, successor in successors.items()}


def bigrams(
    path: Path,
    table: Table,
    chat_template: str = "",
    control: Sequence[str] = (),
    files: Files | None = None,
    adds_end: bool = False,
) -> Path:
    """Write a llama whose logits after a token are those of the table, and 0 for what it does not name. control:
    special tokens that the table names besides characters. adds_end: every text is to have END after it.

    Every token is a direction of its own, its one layer adds nothing to it, and the output matrix is the table.
    """
    size = BIGRAMS
    writer = _begun(path, "llama", size, 1, 32, heads=1, key_heads=1, head=32, size=size, control=control, files=files)
    numbers = {token: _FIRST_CONTROL + place for place, token in enumerate(control)}
    if chat_template:
        writer.add_chat_template(chat_template)
    writer.add_add_eos_token(adds_end)
    output = np.zeros((size, size), np.float32)
    for token, successors in table.items():
        for successor, logit in successors.items():
            row, column = (numbers[name] if name in numbers else number(name) for name in (successor, token))
            output[row, column] = logit
    ones = np.ones(size, np.float32)
    tensors = {
        "token_embd": np.eye(size, dtype=np.float32),
        "output_norm": ones / np.float32(size**0.5),  # what RMS norm makes of a direction is that long
        "output": output,
        "blk.0.attn_norm": ones,
        "blk.0.ffn_norm": ones,
    }
    shapes = {"attn_q": (32, size), "attn_k": (32, size), "attn_v": (32, size), "attn_output": (size, 32)}
    shapes |= {"ffn_gate": (32, size), "ffn_up": (32, size), "ffn_down": (size, 32)}
    nothing = {f"blk.0.{name}": np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return _written(writer, path, tensors | nothing)


def words(path: Path, merges: Sequence[str]) -> Path:
    """Write the vocabulary of a model, and no weights: a token for each byte and each merge of two ("wat er"), as GPT-2
    has them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    odd = [byte for byte in range(BYTES) if byte not in plain]
    tokens = [*map(chr, plain), *(chr(BYTES + place) for place in range(len(odd)))]  # GPT-2's letters for bytes
    tokens += [merge.replace(" ", "") for merge in merges]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*tokens, END])
    writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens) + [gguf.TokenType.CONTROL])
    writer.add_token_merges(list(merges))
    writer.add_eos_token_id(len(tokens))
    return _written(writer, path, {})


def gemma(path: Path, seed: int = 0, layers: int = 4) -> Path:
    """Write a Gemma 3 of random weights, large enough that what a token sees changes what it predicts."""
    width, feed_forward, heads, key_heads, head = 64, 96, 4, 2, 32
    writer = _begun(path, "gemma3", width, layers, feed_forward, heads, key_heads, head, VOCABULARY)
    writer.add_sliding_window(WINDOW)
    writer.add_sliding_window_pattern([bool(layer % 2 == 0) for layer in range(layers)])
    writer.add_rope_freq_base(1_000_000.0)
    drawn = _drawing(seed)
    shapes = {"attn_q": (heads * head, width), "attn_k": (key_heads * head, width), "attn_v": (key_heads * head, width)}
    shapes |= {"attn_output": (width, heads * head)}
    shapes |= {"ffn_gate": (feed_forward, width), "ffn_up": (feed_forward, width), "ffn_down": (width, feed_forward)}
    norms = {"attn_norm": width, "post_attention_norm": width, "ffn_norm": width, "post_ffw_norm": width}
    norms |= {"attn_q_norm": head, "attn_k_norm": head}
    tensors = {"token_embd": drawn(VOCABULARY, width, size=0.1), "output_norm": drawn(width, size=0.2, middle=1)}
    tensors["output"] = drawn(VOCABULARY, width, size=0.5)
    tensors["output"][: len(_SPECIAL)] = 0  # none of these is ever the likeliest
    for layer in range(layers):
        tensors |= {f"blk.{layer}.{name}": drawn(*shape) for name, shape in shapes.items()}
        tensors |= {f"blk.{layer}.{name}": drawn(length, size=0.2, middle=1) for name, length in norms.items()}
    return _written(writer, path, tensors)


def bert(
    path: Path, pooling: int = 2, seed: int = 0, positions: int = 96, name: str = "", files: Files | None = None
) -> Path:
    """Write a BERT of random weights. pooling: llama_pooling_type, by itself that of the first token; -1 for none."""
    width, feed_forward, layers = 64, 96, 2
    writer = _begun(path, "bert", width, layers, feed_forward, 4, 4, 16, VOCABULARY, positions, files=files)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_token_type_count(2)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    if name:
        writer.add_name(name)
    if pooling >= 0:
        writer.add_pooling_type(gguf.PoolingType(pooling))
    drawn = _drawing(seed)
    weights = {"token_embd": drawn(VOCABULARY, width), "position_embd": drawn(positions, width)}
    weights |= {"token_types": drawn(2, width)}
    biases: dict[str, NDArray[np.float32]] = {}

    def norm(place: str) -> None:
        weights[place], biases[place] = drawn(width, size=0.2, middle=1), drawn(width)

    norm("token_embd_norm")
    shapes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (width, width))
    shapes |= {"ffn_up": (feed_forward, width), "ffn_down": (width, feed_forward)}
    for layer in range(layers):
        for part, shape in shapes.items():
            weights[f"blk.{layer}.{part}"], biases[f"blk.{layer}.{part}"] = drawn(*shape), drawn(shape[0])
        norm(f"blk.{layer}.attn_output_norm")
        norm(f"blk.{layer}.layer_output_norm")
    for place, values in biases.items():
        writer.add_tensor(f"{place}.bias", values)
    return _written(writer, path, weights)


def qwen3(path: Path, seed: int = 0) -> Path:
    """Write a Qwen 3 of random weights, which says that the vector of a text is that of its last token."""
    width, feed_forward, layers, heads, key_heads, head = 64, 96, 2, 4, 2, 32
    writer = _begun(path, "qwen3", width, layers, feed_forward, heads, key_heads, head, VOCABULARY)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_pooling_type(gguf.PoolingType.LAST)
    writer.add_add_bos_token(False)
    writer.add_name("qwen3-embedding-of-chance")
    drawn = _drawing(seed)
    tensors = {"token_embd": drawn(VOCABULARY, width), "output_norm": drawn(width, size=0.2, middle=1)}
    shapes = {"attn_q": (heads * head, width), "attn_k": (key_heads * head, width), "attn_v": (key_heads * head, width)}
    shapes |= {"attn_output": (width, heads * head)}
    shapes |= {"ffn_gate": (feed_forward, width), "ffn_up": (feed_forward, width), "ffn_down": (width, feed_forward)}
    norms = {"attn_norm": width, "ffn_norm": width, "attn_q_norm": head, "attn_k_norm": head}
    for layer in range(layers):
        tensors |= {f"blk.{layer}.{part}": drawn(*shape) for part, shape in shapes.items()}
        tensors |= {f"blk.{layer}.{part}": drawn(length, size=0.2, middle=1) for part, length in norms.items()}
    return _written(writer, path, tensors)


class _Draw(Protocol):
    def __call__(self, *shape: int, size: float = 0.25, middle: float = 0.0) -> NDArray[np.float32]: ...


def _drawing(seed: int) -> _Draw:
    """What draws tensors, each of numbers around a middle."""
    chance = np.random.default_rng(seed)

    def drawn(*shape: int, size: float = 0.25, middle: float = 0.0) -> NDArray[np.float32]:
        return (chance.standard_normal(shape) * size + middle).astype(np.float32)

    return drawn


def _begun(
    path: Path,
    kind: str,
    width: int,
    layers: int,
    feed_forward: int,
    heads: int,
    key_heads: int,
    head: int,
    size: int,
    context: int = CONTEXT,
    control: Sequence[str] = (),
    files: Files | None = None,
) -> gguf.GGUFWriter:
    files = files or Files()
    writer = gguf.GGUFWriter(path, kind, split_max_tensors=files.tensors, small_first_shard=files.first_has_none)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_vocab_size(size)
    writer.add_layer_norm_rms_eps(1e-6)
    write_tokenizer(writer, size, control)
    return writer


def _written(writer: gguf.GGUFWriter, path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> Path:
    for name, values in tensors.items():
        writer.add_tensor(f"{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
