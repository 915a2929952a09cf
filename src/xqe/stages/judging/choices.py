"""What is done with texts that stray, by name. Commands offer it before anything is loaded."""

from __future__ import annotations

from enum import StrEnum


class Judging(StrEnum):
    """What becomes of texts by how close they stay to the query as it first came (`judge`)."""

    WEIGH = "weigh"
    DROP = "drop"
    CLOSEST = "closest"
