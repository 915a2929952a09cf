"""Standard output, for whatever writes to it: what goes wrong there, and what a terminal is spared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TextIO

from xqe.errors import XqeError, why
from xqe.lines import STEERING
from xqe.terminal import above

SIGPIPE_STATUS = 141  # 128 + SIGPIPE, what a shell reports for `yes | head -1`

# JSON escapes those below itself, and rich colours with them; written so, the others are the same JSON
_ESCAPES = {code: f"\\u{code:04x}" for code in STEERING if code > ord(" ")}


class Output(TextIOWrapper):
    """A standard output in UTF-8 that raises what `written` says. On a terminal it is legible, too."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream.buffer, encoding="utf-8", errors="strict", line_buffering=stream.isatty())
        self._escapes = _ESCAPES if stream.isatty() else {}

    def write(self, text: str, /) -> int:
        with written():
            if not self._escapes:
                return super().write(text)
            if not text.endswith("\n"):  # on a terminal it waits for the rest of its line
                return super().write(text.translate(self._escapes))
            with above():
                return super().write(text.translate(self._escapes))

    def flush(self) -> None:
        with written():
            super().flush()


@contextmanager
def written() -> Iterator[None]:
    """What writes to standard output: a reader that has gone away ends the process with 141.

    Raises XqeError where it cannot be written: a full disk, say, or an id with a lone surrogate in a TREC run.
    """
    try:
        yield
    except BrokenPipeError:
        _abandon()  # typer would turn the error into status 1
        raise SystemExit(SIGPIPE_STATUS) from None
    except UnicodeEncodeError as error:
        around = error.object[max(0, error.start - 20) : error.end + 20]
        raise XqeError(
            f"standard output: no UTF-8 form of {around!a}, which holds a lone surrogate", "change that id"
        ) from None
    except OSError as error:
        _abandon()
        raise XqeError(f"standard output: {why(error)}", "what was written before is whole") from None


def _abandon() -> None:
    """Nothing more can be written; the interpreter would complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
