"""What a look at some documents shows: exact scores, and whether those that were not looked at may score more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy

from xqe.files.names import Numbers
from xqe.retrieval.documents import Scores
from xqe.retrieval.lexical.bm25 import Floats
from xqe.retrieval.lexical.scoring import Asked

_SMALL_POOL = 20_000  # documents that are scored one and all sooner than candidates are looked for among them
_MANY_TERMS = 10_000  # more of them are looked up in every document sooner than tantivy opens all their lists


class Seen(NamedTuple):
    """Candidates. lowest: no document that is not among them, and may be found, scores more; minus infinity where they
    are all."""

    numbers: Numbers
    scores: Scores
    lowest: float

    def is_enough(self, score: float) -> bool:
        """Whether all others score less than the k-th best of what was seen here and elsewhere."""
        return self.lowest < score or self.lowest == -numpy.inf


def kth(scores: Scores, k: int) -> float:
    """The k-th best score; minus infinity where there are fewer."""
    return float(numpy.partition(scores, -k)[-k]) if len(scores) >= k else -numpy.inf


def looked_through(
    asked: Sequence[Sequence[Asked]], pool: Numbers | None, k: int, documents: int
) -> tuple[Numbers | None, bool]:
    """The pool of a search, which is all documents if there are too many terms for candidates, and whether all in it
    are scored. asked: of each part of an index."""
    many = any(len(one.query.terms) > _MANY_TERMS for fields in asked for one in fields)
    if many and pool is None:
        pool = numpy.arange(documents)
    return pool, pool is not None and (many or len(pool) <= max(_SMALL_POOL, k))


def matching(asked: Sequence[Asked], documents: Numbers) -> tuple[Numbers, Scores]:
    """Those of the documents that any field matches, and their scores."""
    scores = scores_of(asked, documents)
    matching = scores > 0
    return documents[matching], scores[matching]


def scores_of(asked: Sequence[Asked], documents: Numbers) -> Scores:
    """The exact scores of documents, 0 where no term occurs."""
    scores: Floats = numpy.zeros(len(documents))
    for one in asked:
        scores += one.scores(documents)
    return scores.astype(numpy.float32)
