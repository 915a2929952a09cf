"""What a person reads on a terminal: tables and texts that rich lays out, as one string."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xqe.lines import STEERING
from xqe.terminal import size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

_REPLACED = dict.fromkeys((*(code for code in STEERING if chr(code) not in "\n\t"), *range(0xD800, 0xE000)), "\ufffd")
_NARROWEST = 40  # columns; on fewer, which may be what COLUMNS says, tables would lose what they hold
_ROWS = 25  # nothing here looks at them
_UNFOLDED = 10_000  # columns off a terminal, where nothing is folded


def legible(text: str) -> str:
    """The text without what would steer a terminal or cannot be written: U+FFFD stands for each such character."""
    return text.translate(_REPLACED)


def columns_there() -> int:
    """How wide what a person reads may be: as the terminal, also where a pager stands between that is to have colours;
    without end where there is none."""
    if not (sys.stdout.isatty() or os.environ.get("FORCE_COLOR")):
        return _UNFOLDED
    return max(int(given) if (given := os.environ.get("COLUMNS", "")).isdecimal() else size().columns, _NARROWEST)


def rendered(*parts: Any) -> str:
    """What rich makes of the parts, one below the other, as wide as the terminal. Nothing that they say is taken for
    markup, and nothing of it steers the terminal."""
    from rich.console import Console

    # with a height, too, or rich takes every terminal that it calls dumb for one of 80 columns
    console = Console(width=columns_there(), height=_ROWS, markup=False, emoji=False)
    with console.capture() as captured:
        for part in parts:
            console.print(_Harmless(part))
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


class _Harmless:
    """What rich would show of a thing, legible: a net below those that make their texts so before they are laid out."""

    def __init__(self, part: Any) -> None:
        self._part = part

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        part = console.render_str(self._part) if isinstance(self._part, str) else self._part
        for segment in console.render(part, options):
            yield segment if segment.control else segment._replace(text=legible(segment.text))
