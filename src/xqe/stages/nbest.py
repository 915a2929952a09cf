"""Several translations of a query as a record has them: which there are, and what share each has.

A share is a translation's probability among those that were found, which sum to 1. Of a text that is the geometric mean
of its tokens' probabilities, exp(log-probability / tokens): the probability of a whole text falls with its length, and
gives nearly all to the shortest one. Where an engine does not know how likely its texts are, the share is how many of
those that were drawn say the same, which estimates it, at the temperature that they were drawn with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xqe.models.engines.requests import Likelihood
from xqe.stages.generation import one_line


@dataclass(slots=True)
class _Found:
    """A translation. count: how many texts say it."""

    text: str
    likelihood: Likelihood | None
    count: int = 0


def translations(texts: Sequence[tuple[str, Likelihood | None]]) -> list[dict[str, Any]]:
    """Return the translations among some texts, the greatest share first and of equal ones that which came first:

        {"text", "logprob", "tokens", "count", "share"}

    logprob: natural, of the whole text; it and "tokens" are missing where one of the texts has none. Texts that differ
    in white space alone are one.
    """
    found: dict[str, _Found] = {}
    for text, likelihood in texts:
        found.setdefault(one_line(text), _Found(text, likelihood)).count += 1
    weights = [_mean_probability(one.likelihood) for one in found.values()]
    are_weighed = all(weights)
    shares = weights if are_weighed else [float(one.count) for one in found.values()]
    whole = math.fsum(shares)
    made = [
        {"text": one.text, **(_said(one.likelihood) if are_weighed else {}), "count": one.count, "share": share / whole}
        for one, share in zip(found.values(), shares, strict=True)
    ]
    return sorted(made, key=lambda one: -one["share"])


def _mean_probability(likelihood: Likelihood | None) -> float:
    """Of a token; 0 where it is not known, or too small for a number."""
    return math.exp(likelihood.logprob / likelihood.tokens) if likelihood is not None and likelihood.tokens else 0.0


def _said(likelihood: Likelihood | None) -> dict[str, Any]:
    return {"logprob": float(f"{likelihood.logprob:.9g}"), "tokens": likelihood.tokens} if likelihood else {}
