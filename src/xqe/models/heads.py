"""The heads that models rank with: what a file must have so that llama.cpp gives a score of a query and a document.

llama.cpp computes as much of a head as is there, and where nothing is there gives the first number of the hidden state
for a score (llama-graph.cpp, build_pooling). What pools is told by few files ("rank" by those of Qwen3-Reranker alone),
so that it is the tensors that say that a model ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xqe.models.gguf import Header

LOGIT, TANH, PROBABILITY = "logit", "tanh", "probability"
"""What scores are: of any size, from -1 to 1, and from 0 to 1."""

_DENSE, _OUTPUT = "cls.weight", "cls.output.weight"


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an architecture. tensors: that it consists of, the last of which has the outputs for its rows. score:
    what comes of it. outputs: of these the least that there are; where llama.cpp makes probabilities of them, a single
    one would always be 1. has_template: of a pair, in the file; without, it has separators."""

    tensors: tuple[str, ...]
    score: str
    outputs: int = 1
    has_template: bool = False


HEADS = {
    "bert": Head((_DENSE, _OUTPUT), LOGIT),
    "modern-bert": Head((_DENSE, _OUTPUT), LOGIT),
    "jina-bert-v2": Head((_DENSE,), TANH),
    "qwen3": Head((_OUTPUT,), PROBABILITY, outputs=2, has_template=True),
}
"""By the architecture. XLM-R is a bert, bge-reranker and jina-reranker-v2 with it; Qwen3-Reranker is a qwen3."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a file has of a head. missing: tensors of it. outputs: of the head, 0 where its last tensor is missing."""

    head: Head
    missing: tuple[str, ...]
    outputs: int

    @property
    def is_any(self) -> bool:
        """Whether there is anything of a head."""
        return len(self.missing) < len(self.head.tensors)

    @property
    def is_whole(self) -> bool:
        return not self.missing


def find_head(headers: Sequence[Header], architecture: object) -> Found | None:
    """What a model, in one file or several, has of a head; None for an architecture that is known to have none."""
    head = HEADS.get(str(architecture))
    if head is None:
        return None
    places = {name: place for header in headers for name, place in header.places.items()}
    missing = tuple(name for name in head.tensors if name not in places)
    last = places.get(head.tensors[-1])
    return Found(head, missing, last.shape[1] if last and len(last.shape) > 1 else int(bool(last)))
