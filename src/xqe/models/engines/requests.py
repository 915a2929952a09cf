"""What is asked of a model that generates, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xqe.models.prompts import Pair, Prompt

LEAST = -1e6
"""The log-probability of what cannot be: less than that of any text that a model can read."""


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
    """One text to generate, or to measure.

    subject: the query or passage that the prompt is about (the fake engine answers with it). max_tokens: the most
    tokens to generate. seed: of this text, unused when greedy. continuation: nothing is generated; measured is the
    log-probability of this text after the prompt, of all its tokens together. choices: nothing is generated; measured
    is, for each of these, the log-probability that the answer begins with one of its spellings, each of which counts
    where it is a single token of the model's. Of a pair, measured is the score that a
    cross-encoder gives it. `Completion.measured` has it. is_weighed: how likely the generated text is is wanted, too:
    `Completion.likelihood`. noted: what whoever asks wants to know again when the answer is there; of no account to
    the model.
    """

    prompt: Prompt
    subject: str
    max_tokens: int
    sampling: Sampling = Sampling()
    seed: int = 0
    continuation: str = ""
    choices: tuple[tuple[str, ...], ...] = ()
    is_weighed: bool = False
    noted: Any = field(default=None, compare=False, repr=False)

    @property
    def is_measured(self) -> bool:
        return bool(self.continuation or self.choices) or isinstance(self.prompt, Pair)


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a text is: the natural logarithm of the probability of all its tokens, in this order after the prompt,
    with that which ended it, whatever temperature and penalties it was drawn with; and how many tokens that are."""

    logprob: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """What came of a request.

    text: without the stop string; of what was measured, the numbers as a JSON list. finish: "stop", "length"
    (max_tokens were reached) or "error". tokens: how many were generated. error: why there is no text, in one line,
    when finish is "error". reused: it was not generated now. made_by: where it was reused, what the provenance of the
    engine that generated it says of its making. likelihood: None where it was not asked for, or the engine does not
    know it.
    """

    text: str
    finish: str
    tokens: int
    error: str = ""
    reused: bool = False
    made_by: Mapping[str, Any] = field(default_factory=dict)
    likelihood: Likelihood | None = None

    @property
    def has_failed(self) -> bool:
        return self.finish == "error"

    @property
    def measured(self) -> list[float]:
        """What was measured: natural logarithms of probabilities, one or one a choice, or the score of a pair."""
        return [float(number) for number in json.loads(self.text)]


def measurement(numbers: Sequence[float], tokens: int) -> Completion:
    """The completion of a request that measures. numbers: log-probabilities, or scores; as many digits of them are kept
    as a 32-bit float has, and one below LEAST, such as minus infinity, as LEAST, since JSON has no infinity. tokens:
    that were looked at."""
    return Completion(json.dumps([float(f"{max(number, LEAST):.9g}") for number in numbers]), "stop", tokens)
