"""What is asked of a model that generates, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xqe.models.prompts import Prompt


@dataclass(frozen=True, slots=True)
class Sampling:
    """How texts are drawn; None leaves a parameter to the engine, which knows its model.

    temperature: 0 is greedy. top_p, top_k: what is left to draw from, unused when greedy. repeat_penalty: what the
    score of a token that the text has already is divided by, 1 for nothing. seed: of the whole run.
    """

    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    repeat_penalty: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One text to generate.

    subject: the query or passage that the prompt is about (the fake engine answers with it). max_tokens: the most
    tokens to generate. seed: of this text, unused when greedy.
    """

    prompt: Prompt
    subject: str
    max_tokens: int
    sampling: Sampling = Sampling()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What came of a request.

    text: without the stop string. finish: "stop", "length" (max_tokens were reached) or "error". tokens: how many
    were generated. error: why there is no text, in one line, when finish is "error". reused: it was not generated now.
    made_by: where it was reused, what the provenance of the engine that generated it says of its making.
    """

    text: str
    finish: str
    tokens: int
    error: str = ""
    reused: bool = False
    made_by: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        return self.finish == "error"
