"""What a search makes of how close passages stay to their query, where a judge has said it (`stages.judging`).

Of n passages each counts 1/n, and where it was judged so much less as it strayed: closeness / n, with a closeness of 0
to 1. Words and vectors weigh them alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xqe.errors import InputError
from xqe.files.records import CLOSENESS, Record


def passage_weights(
    record: Record, passages: Sequence[str], where: str, are_alone: bool = False
) -> tuple[list[float], bool]:
    """What each of a record's passages counts, and whether that is as a judge said. are_alone: they are searched
    without their query, and so all alike. Raises InputError for a judgement that is not of these passages."""
    said = record.get(CLOSENESS)
    values = said.get("passages") if isinstance(said, Mapping) else None
    if values is None or not passages or are_alone:
        return [1 / len(passages) for _ in passages], False
    if not isinstance(values, list) or len(values) != len(passages) or not all(map(_is_number, values)):
        raise InputError(
            f'{where}: "{CLOSENESS}" has no number for each of "passages"', "leave it out, or judge them again"
        )
    return [min(max(float(value), 0.0), 1.0) / len(passages) for value in values], True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
