"""What xqe says to a person: one-line messages and progress, on standard error and nowhere else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from xqe.lines import HINT, MESSAGE, bounded, harmless, one_line
from xqe.terminal import Line, above

T = TypeVar("T")

_BAR = 10  # cells


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
        with above():
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


def duration(seconds: float) -> str:
    """As people say it: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Progress:
    """How far some work is, on a line of the terminal while it is open; nothing off a terminal.

    label: what the work is. total: how many there are of what is counted, None where nobody knows. done: how many of
    them an earlier run did. shown: a number of them for people. speed: how fast it goes; None for how many a second.
    `doing` says what is done where that cannot be counted: "loading model".
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        done: int = 0,
        shown: Callable[[int], str] = "{:,}".format,
        speed: Callable[[], str] | None = None,
    ) -> None:
        self.label, self.total, self.done, self.doing = label, total, done, ""
        self._first, self._shown, self._speed = done, shown, speed
        self._began = self._counting = time.monotonic()
        self._line = Line(self.text)

    def __enter__(self) -> Self:
        if not _silences:
            self._line.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(kind, value, trace)

    @property
    def is_open(self) -> bool:
        """Whether there is a line that shows it."""
        return self._line.is_open

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield what is counted."""
        self.doing, self._counting = "", time.monotonic()
        for item in items:
            yield item
            self.count(1)

    def count(self, more: int) -> None:
        """Count what is done by now."""
        self.done += more
        self.doing = ""

    def text(self) -> str:
        """What the line says now."""
        now = time.monotonic()
        elapsed = _clock(now - self._began)
        if self.doing:
            return f"{self.label}: {elapsed} · {self.doing}"
        of = "" if self.total is None else f"/{self._shown(self.total)}"
        bar = f"{_bar(self.done / self.total)} " if self.total else ""
        said = [f"{self.label}: {bar}{self._shown(self.done)}{of}"]
        made, seconds = self.done - self._first, now - self._counting
        if self._speed is not None:
            said.append(self._speed())
        elif made >= seconds > 0:
            said.append(f"{self._shown(round(made / seconds))}/s")
        said.append(elapsed)
        if made > 0 and self.total is not None and self.total > self.done:
            said.append(f"{_clock(seconds / made * (self.total - self.done))} left")
        return " · ".join(filter(None, said))


def progress(
    items: Iterable[T], total: int | None, label: str, done: int = 0, speed: Callable[[], str] | None = None
) -> Iterator[T]:
    """Yield `items`, and say on a terminal how many there were (`Progress`)."""
    with Progress(label, total, done, speed=speed) as shown:
        yield from shown.each(items)


def _clock(seconds: float) -> str:
    """As a stop watch shows it: 00:42, 1:02:03."""
    from tqdm import tqdm

    return str(tqdm.format_interval(max(seconds, 0)))


def _bar(part: float) -> str:
    """A bar of which a part from 0 to 1 is full."""
    from tqdm.std import Bar

    return f"{Bar(min(part, 1.0), _BAR)}"
