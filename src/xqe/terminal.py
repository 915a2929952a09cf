"""The lines at the bottom of a terminal that say how far work is, of all processes that share it.

The stages of a pipe know nothing of one another but their terminal and their process group. So the line of each lies
in one file, named by these two, and whoever holds the lock on it may draw: all lines, always, and then the cursor goes
back to where the first begins. What may have to be erased is then what stands behind the cursor, whoever drew it and
however wide the terminal was; and what another program writes there only takes the place of a line until the next
drawing.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TextIO
from unicodedata import east_asian_width

Text = Callable[[], str]
State = dict[str, Any]
"""lines: of each process, by its id as text. said: what was said once for all of them."""

FIRST, OFTEN = 0.4, 0.5  # seconds until a line is there at all, and from one drawing to the next
_ERASE = "\r\x1b[J"
_USUAL = os.terminal_size((80, 24))  # what a terminal has that tells of no size


def stream() -> TextIO | None:
    """The standard stream that is a terminal, which progress is shown on; None where there is none, or where a process
    in the background would write over another's."""
    for one in (sys.stderr, sys.stdout):
        if one is not None and one.isatty():
            return one if _in_front(one.fileno()) else None
    return None


def _in_front(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # it is not the one that controls this process, and there is no background then
        return True


def size() -> os.terminal_size:
    """Columns and rows of the terminal as it is now."""
    shown = stream()
    found = _USUAL
    if shown is not None:
        with suppress(OSError):
            found = os.get_terminal_size(shown.fileno())
    return os.terminal_size((found.columns or _USUAL.columns, found.lines or _USUAL.lines))


class Line:
    """A line of this process while it is open, drawn now and then with what `text` says at that time.

    Of several that are open, one within another, each is shown. Nothing is written off a terminal.
    """

    _open: list[Line] = []  # noqa: RUF012
    _ticking: _Ticks | None = None

    def __init__(self, text: Text) -> None:
        self.text = text

    @property
    def is_open(self) -> bool:
        return self in Line._open

    def __enter__(self) -> Line:
        if sys.stderr.isatty() and stream() is not None:
            Line._open.append(self)
            if Line._ticking is None:
                Line._ticking = _Ticks()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if not self.is_open:
            return
        Line._open.remove(self)
        if not Line._open and Line._ticking is not None:
            Line._ticking.stop()
            Line._ticking = None


class _Ticks:
    """Draws, in a thread of its own."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self.has_begun = False
        self._thread = threading.Thread(target=self._tick, name="xqe-progress", daemon=True)
        self._thread.start()

    def _tick(self) -> None:
        wait = FIRST
        while not self._over.wait(wait):
            wait = OFTEN
            with suppress(OSError, ValueError):  # a terminal that has gone away, a stream that is closed
                self.has_begun = True
                _draw()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        with suppress(OSError, ValueError):
            _draw()


@contextmanager
def above() -> Iterator[None]:
    """Erases the lines for what is written, which ends with its line, and draws them again below it."""
    shown = stream()
    if shown is None or not (_is_shown() or _path(shown).exists()):
        yield
        return
    with _state(shown) as (state, is_shared):
        if state.get("lines"):
            _put(shown, _ERASE)
        try:
            yield
        finally:
            _put_lines(shown, state, is_shared)


def _draw() -> None:
    """Draw all lines, or erase them where none is left."""
    shown = stream()
    if shown is not None:
        with _state(shown) as (state, is_shared):
            _put_lines(shown, state, is_shared)


def _put_lines(shown: TextIO, state: State, is_shared: bool) -> None:
    there = state.get("lines", {})
    lines = {process: line for process, line in there.items() if process != str(os.getpid()) and _is_alive(process)}
    if _is_shown() and Line._open:
        lines[str(os.getpid())] = "\n".join(line.text() for line in Line._open)
    state["lines"] = lines
    if lines or there:
        _put(shown, _drawn(lines))
    if not lines and is_shared and not Line._open:
        _path(shown).unlink()


def _is_shown() -> bool:
    """Whether this process has a line by now."""
    return Line._ticking is not None and Line._ticking.has_begun


def once(what: str) -> bool:
    """Whether this is still to be said: another process that has a line on this terminal may have done it."""
    shown = stream()
    if shown is None or not Line._open:
        return True
    with _state(shown) as (state, _):
        said = state.setdefault("said", [])
        is_first = what not in said
        if is_first:
            said.append(what)
    return is_first


def _drawn(lines: dict[str, str]) -> str:
    """The lines, those of processes that began first above, and the way back to the first."""
    columns, rows = size()
    each = [line for process in sorted(lines, key=int) for line in lines[process].split("\n")]
    some = [_fitting(line, columns - 1) for line in each[-max(rows - 1, 1) :]]
    back = f"\x1b[{len(some) - 1}A" if len(some) > 1 else ""
    return _ERASE + "\r\n".join(some) + back + "\r"


def _fitting(text: str, cells: int) -> str:
    """As much of a line as has so many cells."""
    for at, char in enumerate(text):
        cells -= 2 if east_asian_width(char) in "WF" else 1
        if cells < 0:
            return text[:at]
    return text


def _put(shown: TextIO, text: str) -> None:
    shown.write(text)
    shown.flush()


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _path(shown: TextIO) -> Path:
    """The file of the lines on a terminal, of one process group, in a folder for what ends with what runs."""
    folder = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("TMPDIR") or "/tmp"
    terminal = os.fstat(shown.fileno()).st_rdev
    return Path(folder, f"xqe-{os.getuid()}-{terminal:x}-{os.getpgrp()}.lines")


@contextmanager
def _state(shown: TextIO) -> Iterator[tuple[State, bool]]:
    """What all processes know, for the one that holds the lock, which writes it back; and whether it is shared at all,
    and not only this process's own, as where no file can be made."""
    import json

    file = _locked(_path(shown))
    if file is None:
        yield {"lines": {str(os.getpid()): ""}}, False
        return
    with file:
        try:
            found = json.loads(file.read())
        except ValueError:  # new, or not ours
            found = {}
        state: State = found if isinstance(found, dict) else {}
        yield state, True
        file.seek(0)
        file.truncate()
        file.write(json.dumps(state).encode())


def _locked(path: Path) -> IO[bytes] | None:
    """The file with an exclusive lock; None where there can be none, as where somebody else has put one there."""
    while True:
        try:
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        file = os.fdopen(opened, "r+b")
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
            said = os.fstat(opened)
            if not stat.S_ISREG(said.st_mode) or said.st_uid != os.getuid():
                file.close()
                return None
            with suppress(OSError):
                if path.stat().st_ino == said.st_ino:  # and not removed since it was opened
                    return file
            file.close()
            continue
        file.close()
        return None
