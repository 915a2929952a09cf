"""How numbers are written, in files and in options: as trec_eval, awk and JSON read them alike.

Python's own `int` and `float` also take "1_0" for 10, the digits of every script, "nan" and "inf". What a ValueError of
this module says follows the text in a message: "is not a number".
"""

from __future__ import annotations

import re
from math import isfinite
from sys import float_info

GREATEST = 2**31 - 1
"""Of a number of things: what the libraries of C hold."""

BEYOND = "is beyond the numbers of 64 bits"

_DIGITS = 400  # Python reads some thousands, in a time that grows with their square
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def whole(text: str) -> int:
    """The whole number that a text is. Raises ValueError for another text, and for more than 400 digits."""
    if not _WHOLE.fullmatch(text):
        raise ValueError("is not an integer")
    if len(text) > _DIGITS:
        raise ValueError(BEYOND)
    return int(text)


def decimal(text: str) -> float:
    """The number that a text is. Raises ValueError for another text, and for a number beyond 64-bit floats.

    >>> decimal("-1.5e3")
    -1500.0
    """
    if not _DECIMAL.fullmatch(text):
        raise ValueError("is not a number")
    number = float(text)
    if not isfinite(number):
        raise ValueError(BEYOND)
    return number


def is_number(value: object) -> bool:
    """Whether a value of JSON is a number that a 64-bit float can hold: of no other type, not NaN, not infinite."""
    return type(value) in (int, float) and -float_info.max <= value <= float_info.max  # type: ignore[operator]
