"""Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998, section 2): near to a query, and not to each other.

    the next one is the D of those left with the greatest  l x cos(D, Q) - (1 - l) x max over the chosen of cos(D, D')

Cosines of an encoder that lie in a narrow band choose the same as if they were spread: what is added to all, or what
all are multiplied by, changes no order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xqe.models.encoders.base import Matrix

BALANCE = 0.7
"""l: 1 is nearness alone. The paper looks for diverse documents at 0.3, and for near ones at 0.7."""


def diverse(query: Matrix, vectors: Matrix, count: int, balance: float = BALANCE) -> list[int]:
    """Return the places of `count` vectors, or of all if there are fewer, in the order in which they are chosen; of
    equal ones the first. query: of shape (dimension,), vectors: (n, dimension), all of length 1."""
    import numpy

    nearness = vectors @ query
    closest = numpy.full(len(vectors), -numpy.inf)
    left = numpy.ones(len(vectors), bool)
    chosen: list[int] = []
    for _ in range(min(count, len(vectors))):
        marginal = balance * nearness
        if chosen:
            marginal = marginal - (1 - balance) * closest
        best = int(numpy.where(left, marginal, -numpy.inf).argmax())
        chosen.append(best)
        left[best] = False
        closest = numpy.maximum(closest, vectors @ vectors[best])
    return chosen
