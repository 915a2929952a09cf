"""A terminal for tests: what a command writes to one, and what is on the screen in the end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

_OTHERS = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "PAGER", "XQE_MODEL")
_PART = re.compile(r"\x1b\[([\d;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


def written_on(command: Sequence[str], columns: int, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a command writes to a terminal of so many columns, on which all its three streams are. folder: what holds
    what it knows of other processes there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in _OTHERS}
    given = {**kept, "TERM": "xterm-256color", "XDG_RUNTIME_DIR": str(folder), **(environment or {})}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=given)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
        while block := os.read(ours, 1 << 16):
            shown += block
    os.close(ours)
    process.wait()
    return shown.decode()


def screen(written: str) -> list[str]:
    """The lines that stand on a screen of any size when all this is written, as ECMA-48 has it: the cursor up (A), what
    is behind it erased (J); colours (m) and what else is for another purpose are left out."""
    lines, row, column = [""], 0, 0
    for number, letter, back, down, text in _PART.findall(written):
        if text:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
        elif down:
            row += 1
            lines += [""] * (row == len(lines))
        elif back:
            column = 0
        elif letter == "A":
            row = max(row - int(number or 1), 0)
        elif letter == "J":
            lines = [*lines[:row], lines[row][:column]]
    return [line.rstrip() for line in lines]
