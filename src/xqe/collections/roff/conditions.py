"""What the conditions of .if, .ie and .while and the numbers of .nr say."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Container

_NUMBER = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)([a-zA-Z](?![a-zA-Z]))?")
_OPERATOR = re.compile(r"\s*(<=|>=|==|<\?|>\?|[-+*/%<>=&:])")
_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a // b if b else 0,
    "%": lambda a, b: a % b if b else 0,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "<?": min,
    ">?": max,
    "&": lambda a, b: a > 0 and b > 0,
    ":": lambda a, b: a > 0 or b > 0,
}
_LETTERS = {"n": True, "o": True, "t": False, "e": False, "v": False}  # of a terminal, on an odd page
_DEEPEST = 50  # parentheses within each other


def holds(text: str, names: Container[str], registers: Container[str]) -> tuple[bool, str]:
    """Whether the condition that a text begins with is true, and the rest of it. names: strings and macros."""
    text = text.lstrip()
    if text.startswith("!"):
        value, rest = holds(text[1:], names, registers) if len(text) < 1000 else (False, "")
        return not value, rest
    if text[:1] in _LETTERS:
        return _LETTERS[text[0]], text[1:]
    if match := re.match(r"([drcFmS])\s*(\S+)", text):
        known = {"d": names, "r": registers}.get(match[1])
        return match[1] == "c" if known is None else match[2] in known, text[match.end() :]
    found, rest = number(text)
    if rest is not text:
        return found > 0, rest
    quote = text[:1]
    parts = text[1:].split(quote, 2) if quote else []
    if len(parts) == 3:
        return parts[0] == parts[1], parts[2]
    return False, text.partition(" ")[2]


def number(text: str, depth: int = 0) -> tuple[float, str]:
    """The number that a text begins with, and the rest of it: (0, the text itself) where it begins with none.

    Operators have no precedence. Units are passed over: all that is compared has the same one.
    """
    value, rest = _operand(text, depth)
    if rest is text:
        return 0, text
    while match := _OPERATOR.match(rest):
        right, after = _operand(rest[match.end() :], depth)
        if len(after) == len(rest[match.end() :]):
            break
        value, rest = float(_OPERATIONS[match[1]](value, right)), after
        if abs(value) > 1e15:
            return 0, rest
    return value, rest


def _operand(text: str, depth: int) -> tuple[float, str]:
    stripped = text.lstrip()
    if stripped.startswith("(") and depth < _DEEPEST:
        value, rest = number(stripped[1:], depth + 1)
        return value, rest.lstrip().removeprefix(")")
    if stripped[:1] in ("-", "+") and stripped[1:2] not in ("-", "+"):
        value, rest = _operand(stripped[1:], depth)
        if rest is not stripped[1:] and len(rest) < len(stripped) - 1:
            return (-value if stripped[0] == "-" else value), rest
        return 0, text
    if match := _NUMBER.match(text):
        return float(match[1]), text[match.end() :]
    return 0, text
