"""What of a search, and of what it searches, is chosen by name. Commands offer it before anything is loaded."""

from __future__ import annotations

from enum import StrEnum

GREATEST_WEIGHT = 1e6
"""Of a query or source; scores are float32."""


class Use(StrEnum):
    """Which text of a record is searched for."""

    QUERY = "query"
    DOC = "doc"
    QUERY_DOC = "query+doc"


class Method(StrEnum):
    """How the first documents of a search become terms of another."""

    RM3 = "rm3"
    ROCCHIO = "rocchio"


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
