"""Text from elsewhere on a line of ours: it steers no terminal, stays one line, and leaves room for what is said of it.

What a model, a server, a file or a name holds may be anything: an escape sequence, a character that turns the rest of
the line around, a hundred thousand characters of what should have been a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

VALUE = 200  # characters that are shown of what somebody gave
MESSAGE = 600  # of what is said of it
HINT = 1000  # of the next step, which may be a list of what there is

# control characters, and those that set the direction of what follows: Unicode 16, table 4-4 and UAX 9, section 2
STEERING = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in STEERING}
_ESCAPES_IN_LINES = {code: shown for code, shown in _ESCAPES.items() if chr(code) not in "\n\t"}
_JOINTS = dict.fromkeys(map(ord, "-_ "), "")
_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)")
_WORD = re.compile(r"[^\s/]{200,}")  # no path: the parts of one are shorter, and a person may want the whole


def harmless(text: str) -> str:
    """Lines without what would steer a terminal, of which the escape is shown: `\\x1b`."""
    return text.translate(_ESCAPES_IN_LINES)


def one_line(text: str) -> str:
    """The text on one line, harmless."""
    return " ".join(text.split()).translate(_ESCAPES)


def cut(text: str, most: int = VALUE) -> str:
    """The text, of which the middle is left out where it is longer than that."""
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end - 1]}…{text[-end:]}"


def bounded(text: str, most: int = MESSAGE) -> str:
    """A message, of which no quotation and no word is longer than VALUE, and the whole not longer than that."""
    for long in (_QUOTED, _WORD):
        text = long.sub(lambda found: cut(found[0]), text)
    return cut(text, most)


def nearest(text: str, known: Sequence[str]) -> str:
    """The one of some names that a text may mean, however it is written; "" for none."""
    from difflib import get_close_matches

    names = {_bare(name): name for name in reversed(known)}
    return next((names[near] for near in get_close_matches(_bare(text), names, 1, 0.6)), "")


def among(text: str, known: Iterable[str], said: str = "known are") -> str:
    """The hint for a text that is none of some names: the one that it may mean, and all."""
    there = list(known)
    near = nearest(text, there)
    return f"{f'did you mean {near}? ' if near else ''}{said} {', '.join(there)}"


def _bare(name: str) -> str:
    """A name without what people write in other ways."""
    return name.lower().translate(_JOINTS)
