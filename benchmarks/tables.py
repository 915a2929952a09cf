"""Tables for a terminal or in Markdown, and numbers as text."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

MISSING = "–"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool) -> str:
    """The first column is text, the others are numbers and stand to the right."""
    lines = [list(headers), *map(list, rows)]
    if markdown:
        lines.insert(1, ["---", *["---:"] * (len(headers) - 1)])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )


def middle(values: Sequence[float], form: str = ".1f") -> str:
    """The median."""
    return f"{statistics.median(values):{form}}" if values else MISSING


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """The median, and the least and the most where there are several."""
    if len(values) < 2:
        return middle(values, form)
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
