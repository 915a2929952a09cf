"""What of a search, and of what it searches, is chosen by name. Commands offer it before anything is loaded."""

from __future__ import annotations

from enum import StrEnum

DEPTH = 1000
"""Most hits for a record, unless told."""
GREATEST_WEIGHT = 1e6
"""Of a query or source; scores are float32."""
QUESTION_WEIGHT, QUESTION_SHARE = 0.0, 0.0
"""What the questions of documents count unless told, among words and among vectors."""
MASS = 0.97
"""Of the probability of all translations of a query, that of those which are searched with, unless told (`nbest`)."""
TEXT_TOKENS = 192
"""Of a text without windows: what stands first says best what a text is about (docs/dense.md)."""


class Use(StrEnum):
    """Which text of a record is searched for."""

    QUERY = "query"
    DOC = "doc"
    QUERY_DOC = "query+doc"


class By(StrEnum):
    """What documents are found by: words, vectors, or both, fused."""

    BM25 = "bm25"
    DENSE = "dense"
    HYBRID = "hybrid"


class Encode(StrEnum):
    """Which state of a record's query is encoded: as it first arrived, as it is now, or both."""

    SOURCE = "source"
    QUERY = "query"
    BOTH = "both"


class Method(StrEnum):
    """How the first documents of a search change the query of another: its terms, its vector, or both."""

    RM3 = "rm3"
    ROCCHIO = "rocchio"
    MEAN = "mean"

    @property
    def sides(self) -> frozenset[By]:
        """What it is defined for."""
        return _SIDES[self]


_SIDES = {
    Method.RM3: frozenset({By.BM25}),
    Method.ROCCHIO: frozenset({By.BM25, By.DENSE}),
    Method.MEAN: frozenset({By.DENSE}),
}


class Windows(StrEnum):
    """What becomes of a text that is cut into windows: one vector of its beginning, the vectors of all, of which the
    best one counts, or their mean."""

    NONE = "none"
    MAX = "max"
    MEAN = "mean"


class Precision(StrEnum):
    """How the numbers of vectors are kept."""

    F16 = "f16"
    INT8 = "int8"
