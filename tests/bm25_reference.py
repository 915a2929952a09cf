"""BM25 in ten lines, to hold the index against."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping


def bm25(
    collection: Mapping[str, list[str]], weights: Mapping[str, float], k1: float = 0.82, b: float = 0.68
) -> dict[str, float]:
    """The scores of the documents that hold a term of the query, from the terms of each."""
    average = sum(map(len, collection.values())) / len(collection) or 1.0
    df = Counter(term for terms in collection.values() for term in set(terms))
    scores: dict[str, float] = {}
    for name, terms in collection.items():
        tf, norm = Counter(terms), k1 * (1 - b + b * len(terms) / average)
        for term in weights.keys() & tf.keys():
            idf = math.log(1 + (len(collection) - df[term] + 0.5) / (df[term] + 0.5))
            scores[name] = scores.get(name, 0.0) + weights[term] * idf * (k1 + 1) * tf[term] / (tf[term] + norm)
    return scores
