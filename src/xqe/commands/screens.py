"""What a person reads on a terminal: tables and texts that rich lays out, as one string."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xqe.commands.options.common import Screen

if TYPE_CHECKING:
    from rich.table import Table

_UNFOLDED = 10_000  # columns off a terminal, where nothing is folded


def on_screen(form: Screen | None) -> bool:
    """Whether a person is to read it: as was asked, else on a terminal."""
    return form is Screen.TEXT or (form is None and sys.stdout.isatty())


def table(headings: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    """A table without lines; the columns in `numbers` are set flush right and never folded."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False)
    for heading in headings:
        if heading in numbers:
            made.add_column(Text(heading), justify="right", no_wrap=True)
        else:
            made.add_column(Text(heading), overflow="fold")  # Text, since rich would read "[...]" in a str as markup
    return made


def legible(text: str) -> str:
    """The text without what would steer a terminal or cannot be written: U+FFFD stands for each such character."""
    return "".join(
        "\ufffd" if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" else character
        for character in text
    )


def rendered(*parts: Any) -> str:
    """What rich makes of the parts, one below the other, as wide as the terminal."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _UNFOLDED)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))
