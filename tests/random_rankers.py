"""Small cross-encoders of random weights, as transformers computes them and as GGUF files.

Pairs are tokenized by transformers' own tokenizers, and what the files hold is as llama.cpp's conversion scripts write
it (conversion/bert.py, conversion/qwen.py), so that a mistake of xqe's does not come out on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import small_models
import torch
import transformers

WIDTH, LAYERS, HEADS = 64, 2, 4
POSITIONS = 96
"""Tokens that a pair may have."""

LETTERS = "abcdefghijklmnopqrstuvwxyz?."
TEMPLATE = "<|im_start|>user\n<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n"
_CONTROL = ("<|im_start|>", "<|im_end|>")


@dataclass(frozen=True)
class Ranker:
    """A cross-encoder in both forms. scores: as transformers computes them."""

    file: Path
    scores: Callable[[Sequence[tuple[str, str]]], list[float]]


def xlm_roberta(path: Path, without: Sequence[str] = (), pooling: bool = False) -> Ranker:
    """XLMRobertaForSequenceClassification, as bge-reranker-v2-m3 is one. without: tensors that the file lacks.
    pooling: the file says that it ranks, as those of llama.cpp's converter do not."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁the", -3.0), ("er", -3.5)]
    pieces += [(letter, -4.0 - place / 100) for place, letter in enumerate(LETTERS)] + [("<mask>", 0.0)]
    tokenizer = transformers.XLMRobertaTokenizer(vocab=pieces)
    model = _model("XLMRoberta", len(pieces), max_position_embeddings=POSITIONS + 2, pad_token_id=1)

    def write_tokenizer(writer: gguf.GGUFWriter) -> None:
        kinds = gguf.TokenType
        special = {"<unk>": kinds.UNKNOWN} | dict.fromkeys(("<s>", "<pad>", "</s>", "<mask>"), kinds.CONTROL)
        writer.add_tokenizer_model("t5")
        writer.add_token_list([piece for piece, _ in pieces])
        writer.add_token_scores([score for _, score in pieces])
        writer.add_token_types([special.get(piece, kinds.NORMAL) for piece, _ in pieces])
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(3)
        writer.add_pad_token_id(1)
        writer.add_add_space_prefix(True)
        writer.add_remove_extra_whitespaces(True)
        if pooling:  # behind the vocabulary, where few look
            writer.add_pooling_type(gguf.PoolingType.RANK)

    state = {name.removeprefix("roberta."): tensor for name, tensor in model.state_dict().items()}
    state["embeddings.position_embeddings.weight"] = state["embeddings.position_embeddings.weight"][2:]
    _write_bert(path, state, len(pieces), 1, write_tokenizer, without)
    return Ranker(path, _scoring(model, tokenizer))


def bert(path: Path, without: Sequence[str] = ()) -> Ranker:
    """BertForSequenceClassification, as the MiniLMs of MS MARCO are; all tokens are of the first type, since llama.cpp
    knows no other. Its pooler is in the file, which llama.cpp's converter leaves out."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##er", *LETTERS]
    vocabulary += [f"##{letter}" for letter in LETTERS]
    tokenizer = transformers.BertTokenizer(vocab={token: number for number, token in enumerate(vocabulary)})
    model = _model("Bert", len(vocabulary), max_position_embeddings=POSITIONS, type_vocab_size=2)

    def write_tokenizer(writer: gguf.GGUFWriter) -> None:
        phantoms = [
            token if token.startswith("[") else token.removeprefix("##") if token.startswith("##") else f"▁{token}"
            for token in vocabulary
        ]
        kinds = [gguf.TokenType.CONTROL if token.startswith("[") else gguf.TokenType.NORMAL for token in vocabulary]
        writer.add_tokenizer_model("bert")
        writer.add_token_list(phantoms)
        writer.add_token_types(kinds)
        writer.add_bos_token_id(2)
        writer.add_sep_token_id(3)
        writer.add_unk_token_id(1)
        writer.add_pad_token_id(0)

    state = {name.removeprefix("bert."): tensor for name, tensor in model.state_dict().items()}
    for end in ("weight", "bias"):
        state[f"classifier.out_proj.{end}"] = state.pop(f"classifier.{end}")
        state[f"classifier.dense.{end}"] = state.pop(f"pooler.dense.{end}")
    _write_bert(path, state, len(vocabulary), 2, write_tokenizer, without)
    return Ranker(path, _scoring(model, tokenizer))


def qwen3(path: Path, labels: Sequence[str] = ("yes", "no"), template: str = TEMPLATE, head: bool = True) -> Ranker:
    """Qwen3-Reranker: the probability that the first token of an answer is "yes" and not "no", which are here a byte
    each. labels: the order of the head's outputs. head: without one it is a causal model, as files of others are."""
    size, special = small_models.VOCABULARY + len(_CONTROL), small_models.VOCABULARY - 4
    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=size, hidden_size=WIDTH, intermediate_size=96, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=2, head_dim=32, rms_norm_eps=1e-6, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    )  # fmt: skip
    model = transformers.Qwen3ForCausalLM(config).eval()
    _randomize(model)
    rows = {"yes": small_models.number("y"), "no": small_models.number("n")}
    writer = gguf.GGUFWriter(path, "qwen3")
    _write_sizes(writer, 2048)
    writer.add_head_count_kv(2)
    writer.add_key_length(32)
    writer.add_value_length(32)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    if head:
        writer.add_pooling_type(gguf.PoolingType.RANK)
        writer.add_classifier_output_labels(list(labels))
        if template:
            writer.add_chat_template([{"name": "rerank", "template": template}])
        writer.add_tensor("cls.output.weight", _numbers(model.lm_head.weight[[rows[label] for label in labels]]))
    small_models.write_tokenizer(writer, size, _CONTROL)
    writer.add_add_bos_token(False)
    _finish(writer, gguf.MODEL_ARCH.QWEN3, model.state_dict())

    def scores(pairs: Sequence[tuple[str, str]]) -> list[float]:
        found = []
        for query, document in pairs:
            text = TEMPLATE.replace("{query}", query).replace("{document}", document)
            tokens: list[int] = []
            while text:
                control = next((mark for mark in _CONTROL if text.startswith(mark)), None)
                if control:
                    tokens.append(special + _CONTROL.index(control))
                    text = text.removeprefix(control)
                else:
                    tokens += _bytes(text[0])
                    text = text[1:]
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([tokens])).logits[0, -1]
            found.append(float(torch.softmax(logits[[rows["yes"], rows["no"]]], 0)[0]))
        return found

    return Ranker(path, scores)


def _bytes(character: str) -> list[int]:
    space = small_models.number(" ")
    return [space if byte == 32 else small_models.number(chr(byte)) for byte in character.encode()]


def _model(kind: str, vocabulary: int, **options: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=96, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_labels=1, layer_norm_eps=1e-5, hidden_act="gelu",
        **({"type_vocab_size": 1} | options),
    )  # fmt: skip
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    _randomize(model)
    return model


def _randomize(model: Any) -> None:
    with torch.no_grad():
        for name, values in model.named_parameters():
            is_scale = "norm" in name.lower() and name.endswith("weight")
            values.normal_(0.0, 0.2 if is_scale else 0.25).add_(1.0 if is_scale else 0.0)


def _scoring(model: Any, tokenizer: Any) -> Callable[[Sequence[tuple[str, str]]], list[float]]:
    def scores(pairs: Sequence[tuple[str, str]]) -> list[float]:
        found = []
        for query, document in pairs:
            second = document or " "  # transformers takes an empty one for none
            given = tokenizer(query, second, truncation="only_second", max_length=POSITIONS, return_tensors="pt")
            with torch.no_grad():
                types = torch.zeros_like(given["input_ids"])
                output = model(input_ids=given["input_ids"], token_type_ids=types)
            found.append(float(output.logits[0, 0]))
        return found

    return scores


def _write_bert(
    path: Path,
    state: dict[str, Any],
    vocabulary: int,
    types: int,
    write_tokenizer: Callable[[gguf.GGUFWriter], None],
    without: Sequence[str],
) -> None:
    writer = gguf.GGUFWriter(path, "bert")
    _write_sizes(writer, POSITIONS)
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_token_type_count(types)
    writer.add_vocab_size(vocabulary)
    write_tokenizer(writer)
    _finish(writer, gguf.MODEL_ARCH.BERT, state, without)


def _write_sizes(writer: gguf.GGUFWriter, context: int) -> None:
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(96)
    writer.add_head_count(HEADS)


def _finish(
    writer: gguf.GGUFWriter, architecture: gguf.MODEL_ARCH, state: dict[str, Any], without: Sequence[str] = ()
) -> None:
    names = gguf.get_tensor_name_map(architecture, LAYERS)
    for name, tensor in state.items():
        if name.endswith(("position_ids", "token_type_ids")):
            continue
        place = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert place is not None, name
        if place not in without:
            writer.add_tensor(place, _numbers(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _numbers(tensor: Any) -> Any:
    return tensor.detach().numpy().astype(np.float32)
