"""Whether a training run fits into memory: an estimate, made before any weights are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xqe.errors import XqeError
from xqe.messages import amount

ADAM = 16  # bytes a trained weight: the weight, its gradient and two moments, in float32
_RESERVE = 600_000_000  # Python and the libraries


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes. weights: of the base, frozen. trained: the adapter, its gradients and the optimiser. logits: over the
    answers of a micro-batch, in float32. activations: kept for the backward pass. loading: while the weights are read,
    before anything else is there."""

    weights: int
    trained: int
    logits: int
    activations: int
    loading: int

    @property
    def total(self) -> int:
        return _RESERVE + max(self.loading, self.weights + self.trained + self.logits + self.activations)

    def __str__(self) -> str:
        parts = {name: getattr(self, name) for name in ("weights", "trained", "logits", "activations")}
        return ", ".join(f"{name} {amount(value)}" for name, value in parts.items())


def needs(
    config: Any, weights: int, trained: int, tokens: int, answers: int, item: int, recompute: bool, copies: int = 1
) -> Needs:
    """What training takes.

    config: the configuration of the text model. weights, trained: numbers of weights. tokens, answers: the most of a
    micro-batch. item: bytes of a weight and of an activation. recompute: activations are computed again, not kept.
    copies: of the weights while they are read. The factors are fitted to the peaks of Gemma 3 270M and of a Llama of
    170 million weights, for micro-batches of 72 to 2,000 tokens, in float32 on a CPU: from 0.85 to 1.2 of what was
    measured, and 1.4 for the shortest. A token keeps 22 vectors of the model's width in each layer, 8 of the
    attention's and 10 of the MLP's (with the inputs that LoRA's dropout copies), and four of the vocabulary's where it
    is learnt.
    """
    hidden, layers = config.hidden_size, config.num_hidden_layers
    head = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    attention = config.num_attention_heads * head
    layer = tokens * (22 * hidden + 8 * attention + 10 * config.intermediate_size) * item
    kept = layer + layers * tokens * hidden * item if recompute else layers * layer
    logits = 4 * 4 * answers * config.vocab_size
    return Needs(weights * item, trained * ADAM, logits, kept, copies * weights * item)


def check(needed: Needs, free: int, where: str) -> None:
    """Raise XqeError if that is more than is free."""
    if needed.total > free:
        raise XqeError(
            f"training takes about {amount(needed.total)} of {where} ({needed}), and {amount(free)} are free",
            "take a smaller model, --micro-batch 1, a smaller --max-length or --dtype bfloat16, or a larger machine",
        )
