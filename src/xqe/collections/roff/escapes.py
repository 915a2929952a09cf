"""What escape sequences within a line of roff stand for."""

from __future__ import annotations

import re

from xqe.collections.roff.characters import named

CONTINUED = "\ue000"
"""What \\c leaves at the end of a text: the next one goes on without a space."""

_NAME = r"(?:\(..|\[[^\]]*\]|.)"
_SIZE = r"(?:[+-]?\(..|\[[^\]]*\]|[+-]?'[^']*'|[+-]?(?:[1-3]\d|\d))"
_ESCAPE = re.compile(
    rf"""\\(?:
      ["\#].*                                               # a comment
    | [fFmMgVYk*]{_NAME}                                    # fonts, colours, marks, strings that nobody defined
    | n[+-]?{_NAME}
    | s{_SIZE}
    | (?P<set>[hvlLDbxXowNCZABRS])(?P<quote>.)(?P<argument>.*?)(?P=quote)
    | (?P<named>\((?P<two>..)|\[(?P<long>[^\]]*)\])
    | (?P<other>.)
    | $
    )""",
    re.VERBOSE | re.DOTALL,
)
_OTHER = {
    "-": "-", "e": "\\", "\\": "\\", "E": "\\", " ": "\u00a0", "~": "\u00a0", "0": "\u00a0",
    "t": "\t", "a": "\t", "'": "'", "`": "`", "_": "_", "c": CONTINUED,
    **dict.fromkeys("&)%,/:^|{}!udrpz?\n", ""),
}  # fmt: skip
"""Escapes of one character -> text. Spaces that do not break are kept apart from those that do until the line is
whole; \\' and \\` are what pages mean by them and not accents."""


def resolved(text: str) -> str:
    """A line without escapes. A space that must not break a line is still U+00A0, and \\c `CONTINUED`."""
    return _ESCAPE.sub(_one, text) if "\\" in text else text


def _one(match: re.Match[str]) -> str:
    if match["named"]:
        return named(match["two"] or match["long"] or "")
    if other := match["other"]:
        return _OTHER.get(other, other)
    if kind := match["set"]:
        return _set(kind, match["argument"])
    return ""


def _set(kind: str, argument: str) -> str:
    """What an escape with an argument in quotes puts into the text."""
    if kind == "N":
        return chr(int(argument)) if argument.isdecimal() and int(argument) < 0x110000 else ""
    if kind == "C":
        return named(argument)
    if kind == "h":  # to the right is a space, back is none
        return " " if not argument.startswith("-") and re.search("[1-9]", argument) else ""
    if kind == "w":
        return str(24 * len(resolved(argument)))  # units of a terminal's cell
    if kind == "Z":
        return resolved(argument)
    if kind == "o":  # letters over each other, as accents were made
        return resolved(argument)[:1]
    return ""
