"""Small models of random weights, as transformers' checkpoints and as GGUF files, and LoRA adapters of random numbers.

What the GGUF files hold is written down here once more, from llama.cpp's conversion scripts and from what its graphs
compute, so that a mistake of xqe's does not come out on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import peft
import torch
import transformers
from small_models import VOCABULARY, write_tokenizer

AUTO: Any = transformers.AutoModelForCausalLM
EMBEDDING, FEED_FORWARD, LAYERS, HEADS, KEY_HEADS = 64, 96, 4, 4, 2
WINDOW = 6  # tokens that a layer with a sliding window sees: fewer than the texts of the tests have

COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": EMBEDDING,
    "intermediate_size": FEED_FORWARD,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KEY_HEADS,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_WINDOWS = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"] * (LAYERS // 2)}
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def _window_metadata(writer: gguf.GGUFWriter) -> None:
    writer.add_sliding_window(WINDOW)
    writer.add_sliding_window_pattern([True, False] * (LAYERS // 2))


def _gemma2_metadata(writer: gguf.GGUFWriter) -> None:
    _window_metadata(writer)
    writer.add_attn_logit_softcapping(50.0)
    writer.add_final_logit_softcapping(30.0)


def _gemma3_metadata(writer: gguf.GGUFWriter) -> None:
    _window_metadata(writer)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_rope_freq_base_swa(10_000.0)


def _cohere_metadata(writer: gguf.GGUFWriter) -> None:
    writer.add_logit_scale(0.25)
    writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)


def _cohere2_metadata(writer: gguf.GGUFWriter) -> None:
    _cohere_metadata(writer)
    _window_metadata(writer)


def _nothing(_writer: gguf.GGUFWriter) -> None:
    """No metadata beyond those of every architecture."""


@dataclass(frozen=True)
class Kind:
    """One architecture. width: of a head. interleaved: rotary positions turn neighbouring rows in the file, and rows
    half a head apart in the checkpoint. layer_norm: and not RMS norm. embedding_size: of the random numbers; the gemmas
    multiply them by 8."""

    config: str
    architecture: gguf.MODEL_ARCH
    width: int
    options: Mapping[str, Any] = field(default_factory=dict)
    metadata: Callable[[gguf.GGUFWriter], None] = _nothing
    norm_offset: float = 0.0
    interleaved: bool = False
    layer_norm: bool = False
    embedding_size: float = 0.6


# Heads of the gemmas, of qwen3 and of mistral are of another width than embedding / heads, as those of real ones are.
_SCALAR = {"head_dim": 32, "query_pre_attn_scalar": 32}
_ARCH = gguf.MODEL_ARCH
KINDS = {
    "gemma": Kind("GemmaConfig", _ARCH.GEMMA, 32, {"head_dim": 32}, norm_offset=1.0, embedding_size=0.15),
    "gemma2": Kind(
        "Gemma2Config", _ARCH.GEMMA2, 32, {**_WINDOWS, **_SCALAR}, _gemma2_metadata, 1.0, embedding_size=0.15
    ),
    "gemma3_text": Kind(
        "Gemma3TextConfig", _ARCH.GEMMA3, 32, {**_WINDOWS, **_SCALAR}, _gemma3_metadata, 1.0, embedding_size=0.15
    ),
    "cohere": Kind("CohereConfig", _ARCH.COMMAND_R, 16, {"logit_scale": 0.25}, _cohere_metadata, layer_norm=True),
    "cohere2": Kind(
        "Cohere2Config", _ARCH.COHERE2, 16, {**_WINDOWS, "logit_scale": 0.25}, _cohere2_metadata, layer_norm=True
    ),
    "llama": Kind("LlamaConfig", _ARCH.LLAMA, 16, interleaved=True),
    "mistral": Kind("MistralConfig", _ARCH.LLAMA, 32, {"head_dim": 32, "sliding_window": None}, interleaved=True),
    "qwen2": Kind("Qwen2Config", _ARCH.QWEN2, 16),
    "qwen3": Kind("Qwen3Config", _ARCH.QWEN3, 32, {"head_dim": 32}),
}


@dataclass(frozen=True)
class Made:
    """A model in both forms. checkpoint: a folder. file: GGUF."""

    kind: str
    checkpoint: Path
    file: Path


def make(kind: str, folder: Path, seed: int = 0, **options: Any) -> Made:
    """Write a model of random weights as a checkpoint and as a GGUF file of 32-bit floats."""
    row = KINDS[kind]
    torch.manual_seed(seed)
    config = getattr(transformers, row.config)(**{**COMMON, **row.options, **options})
    model = AUTO.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                values.normal_(0.0, 0.2).add_(0.0 if row.norm_offset or name.endswith("bias") else 1.0)
            else:
                values.normal_(0.0, row.embedding_size if "embed" in name else 0.25)
    checkpoint = folder / f"{kind}-checkpoint"
    model.save_pretrained(checkpoint)
    return Made(kind, checkpoint, _write(row, model, folder / f"{kind}.gguf"))


def _write(row: Kind, model: Any, path: Path) -> Path:
    names = gguf.get_tensor_name_map(row.architecture, LAYERS)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[row.architecture])
    writer.add_context_length(256)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_key_length(row.width)
    writer.add_value_length(row.width)
    writer.add_rope_dimension_count(row.width)
    writer.add_vocab_size(model.config.vocab_size)
    write_tokenizer(writer, model.config.vocab_size)
    (writer.add_layer_norm_eps if row.layer_norm else writer.add_layer_norm_rms_eps)(
        float(getattr(model.config, "layer_norm_eps" if row.layer_norm else "rms_norm_eps"))
    )
    row.metadata(writer)
    rope_base = model.config.rope_parameters.get("rope_theta")
    if rope_base is not None:
        writer.add_rope_freq_base(float(rope_base))
    heads = {"q_proj": HEADS, "k_proj": KEY_HEADS}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        values = tensor.numpy().astype(np.float32)
        if name.endswith("norm.weight"):
            values = values + np.float32(row.norm_offset)
        if row.interleaved and (projection := name.split(".")[-2]) in heads:
            values = values[_interleaved(heads[projection], row.width)]
        place = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert place is not None, name
        writer.add_tensor(place, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _interleaved(heads: int, width: int) -> list[int]:
    """Which row of a checkpoint's query or key matrix each row of a GGUF file's is."""
    rows = []
    for head in range(heads):
        for pair in range(width // 2):
            rows += [head * width + pair, head * width + pair + width // 2]
    return rows


def adapt(made: Made, folder: Path, seed: int = 1, size: float = 0.15, **options: Any) -> Path:
    """Write a LoRA adapter of random A and B for every linear layer of a model, as PEFT saves it; return its folder.

    options: of peft.LoraConfig.
    """
    model = AUTO.from_pretrained(made.checkpoint)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": list(LINEAR), "task_type": "CAUSAL_LM", **options}
    adapted = peft.get_peft_model(model, peft.LoraConfig(**settings))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, values in adapted.named_parameters():
            if "lora_" in name:
                values.normal_(0.0, size)
    adapted.save_pretrained(str(folder))
    return folder
