"""What xqe says to a person: one-line messages and progress, on standard error and nowhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from xqe.lines import HINT, MESSAGE, bounded, harmless, one_line

T = TypeVar("T")


_silences = 0


@contextmanager
def silent(is_wanted: bool = True) -> Iterator[None]:
    """Nothing is said within, whichever thread would."""
    global _silences
    _silences += is_wanted
    try:
        yield
    finally:
        _silences -= is_wanted


def say(text: str) -> None:
    """Write one line to standard error, marked as xqe's; whatever it quotes, it is one line of some length."""
    show(f"xqe: {bounded(one_line(text), MESSAGE + HINT)}")


def show(text: str) -> None:
    """Write lines to standard error: a table, say."""
    if _silences:
        return
    try:
        sys.stderr.write(f"{harmless(text)}\n")
        sys.stderr.flush()
    except OSError:  # a reader that has gone away, a full disk: what is said is not worth the work
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def plural(number: int, thing: str) -> str:
    """A number of things: "1 query", "2,000 queries"."""
    several = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number:,} {thing if number == 1 else several}"


def amount(size: int | None) -> str:
    """A number of bytes, for people: "253 MB"."""
    if size is None:
        return "size not known"
    number, units = float(size), ["B", "kB", "MB", "GB"]
    while number >= 1000 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.3g} {units[0]}"


def progress(items: Iterable[T], total: int | None, label: str, done: int = 0) -> Iterator[T]:
    """Yield `items`, with a bar on a terminal where their number is known. done: how many of them an earlier run did.

    A stage that reads a pipe has no total and shows nothing: the stages of a pipe share one terminal.
    """
    if total is None or total < 2 or _silences or not sys.stderr.isatty():
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, total=total, initial=done, desc=label, unit="rec", dynamic_ncols=True, smoothing=0.1)
