"""Picking the next token from logits: greedy, or drawn with top-k, top-p and temperature; repetition penalized.

The same steps as llama.cpp's samplers, in the same order (penalties, top-k, top-p, temperature, draw), on numpy views
of its logits. Its own sampler lays out an array of all candidates for every token, which at a vocabulary of 262,144
costs a third of the time of decoding 32 sequences; here only those that could be drawn are looked at.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

REPEAT_WINDOW = 64  # tokens; as in llama.cpp
_PARTS = 4096
_NEGLIGIBLE = 35.0  # a token this much below the best, per unit of temperature, is never drawn


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is in force for a text: no parameter is left open.

    temperature: 0 is greedy, and top_k, top_p have no effect. top_k: 0 is all. repeat_penalty: 1 is none.
    """

    temperature: float
    top_k: int
    top_p: float
    repeat_penalty: float

    @property
    def is_plain(self) -> bool:
        """True if the likeliest token is taken, whatever came before."""
        return self.temperature == 0 and self.repeat_penalty == 1


class Picker(Protocol):
    """Says which token comes next, where it is not simply the likeliest one."""

    def pick(self, logits: NDArray[np.float32], generated: Sequence[int]) -> int:
        """Return the next token. logits: shape (vocabulary,), may be changed. generated: the tokens so far."""


class Drawing:
    """Picks the tokens of one text; what it draws depends on the logits, the parameters and the seed alone."""

    def __init__(self, parameters: Parameters, seed: int) -> None:
        self._parameters = parameters
        self._random = random.Random(seed)

    def pick(self, logits: NDArray[np.float32], generated: Sequence[int]) -> int:
        """Return the next token. logits: shape (vocabulary,), penalized in place. generated: the tokens so far."""
        parameters = self._parameters
        if parameters.repeat_penalty != 1 and generated:
            recent, penalty = list(set(generated[-REPEAT_WINDOW:])), parameters.repeat_penalty
            scores = logits[recent]
            logits[recent] = np.where(scores > 0, scores / penalty, scores * penalty)
        if parameters.temperature == 0:
            return int(logits.argmax())
        return self._draw(logits)

    def _draw(self, logits: NDArray[np.float32]) -> int:
        parameters = self._parameters
        tokens = _candidates(logits, parameters)
        scores = logits[tokens].astype(np.float64)
        order = np.lexsort((tokens, -scores))[: parameters.top_k or None]
        tokens, scores = tokens[order], scores[order] - scores[order[0]]
        if parameters.top_p < 1:
            shares = np.cumsum(np.exp(scores))
            kept = int(np.searchsorted(shares, parameters.top_p * shares[-1])) + 1
            tokens, scores = tokens[:kept], scores[:kept]
        weights = np.cumsum(np.exp(scores / parameters.temperature))
        place = int(np.searchsorted(weights, self._random.random() * weights[-1], side="right"))
        return int(tokens[min(place, len(tokens) - 1)])


class Weighing:
    """Has tokens picked, by another or the likeliest ones, and sums how likely they are to the model, before penalties
    and at temperature 1. total: the natural logarithm of their probability so far."""

    def __init__(self, picker: Picker | None) -> None:
        self._picker = picker
        self.total = 0.0

    def pick(self, logits: NDArray[np.float32], generated: Sequence[int]) -> int:
        if self._picker is None:
            token = int(logits.argmax())
            self.total += float(log_softmax(logits, [token])[0])
            return token
        unchanged = logits.copy()  # penalties change them in place
        token = self._picker.pick(logits, generated)
        self.total += float(log_softmax(unchanged, [token])[0])
        return token


class Following:
    """Picks the tokens of a text that is given, and sums how likely they were. total: the natural logarithm of their
    probability so far, in this order after all that was before."""

    def __init__(self, tokens: NDArray[np.int32]) -> None:
        self.tokens = tokens
        self.total = 0.0

    def pick(self, logits: NDArray[np.float32], generated: Sequence[int]) -> int:
        token = int(self.tokens[len(generated)])
        self.total += float(log_softmax(logits, [token])[0])
        return token

    def measured(self) -> list[float]:
        return [self.total]


class Comparing:
    """Looks at the token that comes next: how likely it is that it is one of a group, for some groups of tokens.

    found: the natural logarithms of these probabilities, once `pick` was called.
    """

    tokens = (0,)  # one is looked at, whichever it is

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        self.groups = groups
        self._found: list[float] = []

    def pick(self, logits: NDArray[np.float32], generated: Sequence[int]) -> int:
        self._found = [log_sum(log_softmax(logits, group)) for group in self.groups]
        return self.groups[0][0]

    def measured(self) -> list[float]:
        return self._found


def log_softmax(logits: NDArray[np.float32], tokens: Sequence[int]) -> NDArray[np.float64]:
    """The natural logarithms of the probabilities of some tokens: shape (tokens,). Not a number where a logit is none,
    or is infinite."""
    most = float(logits.max())
    if not math.isfinite(most):
        return np.full(len(tokens), math.nan)
    total = float(np.exp(logits - most).sum(dtype=np.float64))
    return logits[tokens].astype(np.float64) - most - math.log(total)


def log_sum(logarithms: NDArray[np.float64]) -> float:
    """The natural logarithm of the sum of some probabilities, which are given by theirs."""
    most = float(logarithms.max())
    return most + math.log(float(np.exp(logarithms - most).sum())) if math.isfinite(most) else most


def _candidates(logits: NDArray[np.float32], parameters: Parameters) -> NDArray[np.int64]:
    """The tokens that could be drawn, and few others: those of the top k and all that are not too unlikely.

    The kth greatest of the maxima of any parts of a row is no greater than its kth greatest value; so one pass over
    the row that folds it into _PARTS maxima leaves little to sort.
    """
    folded = len(logits) // _PARTS * _PARTS
    bound = float(logits.max()) - _NEGLIGIBLE * max(1.0, parameters.temperature)
    if 0 < parameters.top_k <= _PARTS <= folded:
        maxima = logits[:folded].reshape(-1, _PARTS).max(axis=0)
        bound = max(bound, float(np.partition(maxima, _PARTS - parameters.top_k)[_PARTS - parameters.top_k]))
    return np.flatnonzero(logits >= bound)
