"""A BERT with XLM-R's tokenizer, from a GGUF file to a folder that sentence-transformers loads, in float32."""

from __future__ import annotations

from pathlib import Path

import torch
from forward import weights
from packs import PACK, Tokens
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from xqe.models.gguf import read_header

UNKNOWN, BEGIN, END, PAD = 3, 0, 2, 1

_NAMES = {
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}


def export(path: str, folder: Path) -> None:
    """Write the model of a file to a folder."""
    found = weights(path)
    state = {
        "embeddings.word_embeddings.weight": found["token_embd.weight"],
        "embeddings.position_embeddings.weight": found["position_embd.weight"],
        "embeddings.token_type_embeddings.weight": found["token_types.weight"],
        "embeddings.LayerNorm.weight": found["token_embd_norm.weight"],
        "embeddings.LayerNorm.bias": found["token_embd_norm.bias"],
    }
    said = read_header(Path(path)).metadata
    layers = int(said["bert.block_count"])
    for layer in range(layers):
        for ours, theirs in _NAMES.items():
            for kind in ("weight", "bias"):
                state[f"encoder.layer.{layer}.{theirs}.{kind}"] = found[f"blk.{layer}.{ours}.{kind}"]
    words, dimension = found["token_embd.weight"].shape
    config = BertConfig(
        vocab_size=words,
        hidden_size=dimension,
        num_hidden_layers=layers,
        num_attention_heads=int(said["bert.attention.head_count"]),
        intermediate_size=len(found["blk.0.ffn_up.bias"]),
        max_position_embeddings=len(found["position_embd.weight"]),
        type_vocab_size=len(found["token_types.weight"]),
        layer_norm_eps=float(said["bert.attention.layer_norm_epsilon"]),
        pad_token_id=PAD,
    )
    bert = BertModel(config, add_pooling_layer=False)
    bert.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()}, strict=False)
    bert.save_pretrained(str(folder / "bert"))
    _tokenizer(path).save_pretrained(str(folder / "bert"))
    modules = [Transformer(str(folder / "bert"), max_seq_length=PACK), Pooling(dimension, "mean")]
    SentenceTransformer(modules=modules).save(str(folder))


def _tokenizer(path: str) -> PreTrainedTokenizerFast:
    """XLM-R's tokenizer with NFKC in place of its own table, which is that and a few characters more."""
    rows = Tokens(path).pieces()
    tokenizer = Tokenizer(models.Unigram(rows, unk_id=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    begin, end, pad, unknown = (rows[at][0] for at in (BEGIN, END, PAD, UNKNOWN))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, BEGIN), (end, END)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=begin, eos_token=end, pad_token=pad, unk_token=unknown,
        model_max_length=PACK,
    )  # fmt: skip
