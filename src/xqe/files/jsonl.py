"""Streams in and out: lines with their place ("file:12"), gz, "-", a flush for each record, closed pipes.

Standard input is read through a reader of its own, never `sys.stdin`: a thread that still waits for input
when the process ends would otherwise hold that object's lock and abort the interpreter.
"""

from __future__ import annotations

import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import ujson

from xqe.errors import InputError, why
from xqe.files.stdout import written

if TYPE_CHECKING:
    from gzip import GzipFile
    from io import BufferedReader

STDIN = "-"
_BLOCK = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"

T = TypeVar("T")
Parse = Callable[[Any, str], T]


def lines(path: str) -> Iterator[tuple[str, str]]:
    """Yield ("file:line", text) for each non-blank line of a file, or of standard input for "-".

    gz is recognised by its first bytes, not by its name. Raises InputError for a file that cannot be
    opened, a damaged gz stream, or a line that is not UTF-8.
    """
    name = "<stdin>" if path == STDIN else path
    number = 0
    for number, raw in enumerate(_raw_lines(path, name), 1):
        where = f"{name}:{number}"
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip(" \r")  # a tab may end a TSV line
        except UnicodeDecodeError as error:
            raise InputError(
                f"{where}: not UTF-8 (byte {error.start})", "convert the file, for example with iconv -t UTF-8"
            ) from None
        if text and not text.isspace():
            yield where, text


def _raw_lines(path: str, name: str) -> Iterator[bytes]:
    pending: list[bytes] = []  # of a line that has not ended; joined once, since a line may be a whole book
    for block in _blocks(path, name):
        end, *lines_after = block.split(b"\n")
        pending.append(end)
        if lines_after:
            yield b"".join(pending)
            pending = [lines_after.pop()]
            yield from lines_after
    if last := b"".join(pending):
        yield last


def _blocks(path: str, name: str) -> Iterator[bytes]:
    try:
        with open(0 if path == STDIN else path, "rb", closefd=path != STDIN) as source:
            zipped = source.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
            reader = _unzipped(source) if zipped else source
            while block := reader.read1(_BLOCK):
                yield block
    except (EOFError, zlib.error) as error:
        raise _damaged(name, error) from None
    except OSError as error:  # one of gzip's has no number
        raise _damaged(name, error) if error.errno is None else _unreadable(name, error) from None


def _unzipped(source: BufferedReader) -> GzipFile:
    from gzip import GzipFile

    return GzipFile(fileobj=source)


def _damaged(name: str, error: Exception) -> InputError:
    return InputError(f"{name}: damaged gz stream ({error})", "copy or download the file again")


def _unreadable(name: str, error: OSError) -> InputError:
    return InputError(f"{name}: {why(error)}", "check the path")


def objects(path: str) -> Iterator[tuple[str, Any]]:
    """Yield ("file:line", value) for each line of a JSONL file; raises InputError for a line that is no JSON."""
    for where, text in lines(path):
        yield where, value(text, where)


def value(text: str, where: str) -> Any:
    """The JSON value of a line; raises InputError if it is none."""
    try:
        return ujson.loads(text)
    except ValueError as error:
        raise InputError(f"{where}: broken JSON ({str(error).lower()})", "each line must be one JSON object") from None


def _can_be_read_twice(path: str) -> bool:
    try:
        mode = os.fstat(0).st_mode if path == STDIN else Path(path).stat().st_mode
    except OSError as error:
        raise _unreadable(path, error) from None
    return stat.S_ISREG(mode)


def checked(paths: Sequence[str], parse: Parse[T]) -> tuple[Iterator[tuple[str, T]], int | None]:
    """Return the parsed lines of `paths`, and how many there are where that can be known beforehand.

    Regular files are read through once before anything is returned, so that a bad line in a file is found
    before a model is loaded; a pipe is checked line by line as it is read.
    """
    total: int | None = 0
    for path in paths:
        if not _can_be_read_twice(path):
            total = None
            continue
        start = os.lseek(0, 0, os.SEEK_CUR) if path == STDIN else 0
        count = 0
        for where, raw in objects(path):
            parse(raw, where)
            count += 1
        if path == STDIN:
            os.lseek(0, start, os.SEEK_SET)
        total = None if total is None else total + count
    return ((where, parse(raw, where)) for path in paths for where, raw in objects(path)), total


def dumps(value: Any) -> str:
    """One line of JSON. A lone surrogate, which has no UTF-8 form, makes the line pure ASCII."""
    text: str = ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = ujson.dumps(value, ensure_ascii=True, escape_forward_slashes=False)
    return text


def write(line: str) -> None:
    """Write a line to standard output and flush it; see `written` for what goes wrong there."""
    with written():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
