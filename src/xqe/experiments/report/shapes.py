"""What the JSON of a grid's folder looks like, as tables of its fields: a report is made of what fits them alone.

A field that is lacking or null fits; what has to be there is its reader's to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from xqe.files.numbers import is_number

Check = Callable[[Any], bool]
Shape = Mapping[str, Check]

_MOST = 2**53  # what other readers of JSON count to exactly
_PART = re.compile(r"[0-9]{1,6}/[0-9]{1,6}")


def text(value: Any) -> bool:
    return isinstance(value, str)


def amount(value: Any) -> bool:
    return is_number(value) and value >= 0


def count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def rank(value: Any) -> bool:
    return count(value) and value > 0


def share(value: Any) -> bool:
    """Of a measure: from 0 to 1."""
    return is_number(value) and 0 <= value <= 1


def part(value: Any) -> bool:
    """One of several parts of a grid: "2/4"."""
    return text(value) and _PART.fullmatch(value) is not None


def anything(value: Any) -> bool:
    return True


def or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def several(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def by_name(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def whole(shape: Shape, needed: Iterable[str] = ()) -> Check:
    """An object that fits a shape, and lacks none of the fields that are needed."""
    fields = tuple(needed)
    return lambda value: (
        isinstance(value, dict) and all(value.get(name) is not None for name in fields) and misfit(value, shape) is None
    )


def misfit(said: Mapping[str, Any], shape: Shape) -> str | None:
    """The first field that is not what it should be."""
    return next((name for name, check in shape.items() if said.get(name) is not None and not check(said[name])), None)
