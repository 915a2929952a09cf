"""Whether a training run fits into memory: an estimate, made before any weights are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xqe.errors import XqeError
from xqe.models import amount

ADAM = 16  # bytes a trained weight: the weight, its gradient and two moments, in float32
_RESERVE = 600_000_000  # Python and the libraries


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes. weights: of the base, frozen. trained: the adapter, its gradients and the optimiser. logits: over the
    answers of a micro-batch, in float32. activations: kept for the backward pass."""

    weights: int
    trained: int
    logits: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.trained + self.logits + self.activations + _RESERVE

    def __str__(self) -> str:
        parts = {name: getattr(self, name) for name in ("weights", "trained", "logits", "activations")}
        return ", ".join(f"{name} {amount(value)}" for name, value in parts.items())


def needs(config: Any, weights: int, trained: int, tokens: int, answers: int, item: int, recompute: bool) -> Needs:
    """What training takes.

    config: the configuration of the text model. weights, trained: numbers of weights. tokens, answers: the most of a
    micro-batch. item: bytes of a weight and of an activation. recompute: activations are computed again, not kept.
    Per token and layer are kept: what goes into the norms, the projections and the attention (some 14 times the width)
    and into the MLP (4 times its width), and what LoRA's dropout copies of its inputs; the sizes were compared with
    the peak of real runs (tests/test_finetune_train.py).
    """
    hidden, layers = config.hidden_size, config.num_hidden_layers
    head = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    attention = config.num_attention_heads * head
    one = tokens * (10 * hidden + 6 * attention + 6 * config.intermediate_size) * item
    one += config.num_attention_heads * tokens * tokens * item  # where no fused kernel computes the attention
    kept = one + layers * tokens * hidden * item if recompute else layers * one
    return Needs(weights * item, trained * ADAM, 4 * 3 * answers * config.vocab_size, kept)


def check(needed: Needs, free: int, where: str) -> None:
    """Raise XqeError if that is more than is free."""
    if needed.total > free:
        raise XqeError(
            f"training takes about {amount(needed.total)} of {where} ({needed}), and {amount(free)} are free",
            "take a smaller model, --micro-batch 1, a smaller --max-length or --dtype bfloat16, or a larger machine",
        )
