"""Pseudo-relevance feedback for vectors: those of the documents that a query finds first are added to its own.

    mean      the mean of the query's vector and the documents' (Li et al., TOIS 2023: "average")
    rocchio   alpha x the query + beta x the mean of the documents, of which only their ratio matters here

The defaults are Pyserini's (pyserini/search/faiss/_prf.py): three documents, and for rocchio alpha 0.9 and beta 0.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xqe.retrieval.choices import Method
from xqe.retrieval.meaning import Meaning

if TYPE_CHECKING:
    from xqe.models.encoders.base import Matrix

DOCUMENTS = 3
_ROCCHIO = 0.1 / 0.9


@dataclass(frozen=True, slots=True)
class VectorFeedback:
    """method: "mean" or "rocchio". documents: how many of the first hits are taken as relevant. weight: of their mean,
    where the query counts 1; None is the method's own."""

    method: Method
    documents: int = DOCUMENTS
    weight: float | None = None

    def weight_of(self, found: int) -> float:
        """The weight of the mean of so many documents."""
        if self.weight is not None:
            return self.weight
        return float(found) if self.method is Method.MEAN else _ROCCHIO

    def applied(self, query: Meaning, vectors: Matrix) -> Meaning:
        """The query with the vectors of its first documents, shape (found, dimension); itself where none is."""
        return query.mixed_with(vectors, 1.0, self.weight_of(len(vectors))) if len(vectors) else query
