"""Streams in and out: lines with their place ("file:12"), "-", JSON, a flush for each record, closed pipes.

Standard input is read through a reader of its own, never `sys.stdin`: a thread that still waits for input
when the process ends would otherwise hold that object's lock and abort the interpreter.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import ujson

from xqe.errors import InputError, why
from xqe.files import packing
from xqe.files.stdout import written

STDIN = "-"
LONGEST_LINE = 1 << 27
"""Bytes: of a record with a million hits it is half, and of what has no ends of lines it is soon reached."""
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_EDGES = " \r\ufeff"  # no tab, which may end a line of columns
_NO_ASCII = re.compile(r"[^\x00-\x7f]")
_SHAPE = "each line must be one JSON object; jq -c . FILE makes it so"

Line = tuple[str, str]
"""Where it stands ("file:12"), and its text."""


def lines(path: str) -> Iterator[Line]:
    """Yield ("file:line", text) for each non-blank line of a file, or of standard input for "-".

    A byte order mark before a line is dropped, wherever it is: files that have one are joined. Lines end in LF, CRLF,
    or, in a file of which the first block has no other, CR. Raises InputError for a file that cannot be opened or is
    no text, and for a line that is not UTF-8, holds a NUL byte, or does not end.
    """
    return filled(as_they_are(path))


def filled(lines: Iterable[Line]) -> Iterator[Line]:
    """Those of some lines that are not blank, without what does not belong to them at their edges."""
    for where, line in lines:
        line = line.strip(_EDGES)
        if line and not line.isspace():
            yield where, line


def as_they_are(path: str) -> Iterator[Line]:
    """Yield every line, blank or not, with whatever stands before its LF. Raises as `lines` does."""
    name = "<stdin>" if path == STDIN else path
    for first, chunk in _chunks(path, name):
        text, fault = _decoded(chunk)
        number = first
        for number, line in enumerate(text.split("\n"), first):
            yield f"{name}:{number}", line
        if fault is not None:
            raise InputError(f"{name}:{number}: {fault[0]}", fault[1])


def _decoded(chunk: bytes) -> tuple[str, tuple[str, str] | None]:
    """The text of a chunk, and None; or its lines up to one that is no text, "" in place of that, and an error."""
    end, fault = chunk.find(b"\0"), None
    if end >= 0:
        fault = "a NUL byte", "it is no text, or UTF-16: iconv -f UTF-16LE -t UTF-8; or take them out: tr -d '\\000'"
    try:
        text = chunk.decode()
    except UnicodeDecodeError as error:
        if fault is None or error.start < end:
            end = error.start
            column = end - chunk.rfind(b"\n", 0, end)
            is_text = _CONTROLS.search(chunk) is None
            hint = (
                "convert it: iconv -f ISO-8859-1 -t UTF-8 FILE, if that is its encoding" if is_text else "is it text?"
            )
            fault = f"not UTF-8 (byte {column} is 0x{chunk[end]:02X})", hint
    if fault is None:
        return text, None
    return chunk[: chunk.rfind(b"\n", 0, end) + 1].decode(), fault


def _chunks(path: str, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines, as many as a block ends, without the last one's end, and the number of the first."""
    number = 1
    pending: list[bytes] = []  # of a line that has not ended; joined once, since a line may be a whole book
    length = 0
    only_cr: bool | None = None
    for block in _blocks(path, name):
        if only_cr is None:
            only_cr = b"\n" not in block and b"\r" in block[:-1]  # behind the last one an LF may come
        if only_cr:
            block = block.replace(b"\r", b"\n")
        ended, end, rest = block.rpartition(b"\n")
        if end:
            chunk = b"".join((*pending, ended))
            yield number, chunk
            number += chunk.count(b"\n") + 1
            pending, length = [], 0
        pending.append(rest)
        length += len(rest)
        if length > LONGEST_LINE:
            raise InputError(
                f"{name}:{number}: a line of more than {LONGEST_LINE >> 20} MiB", "is it text, one record a line?"
            )
    if last := b"".join(pending):
        yield number, last


def _blocks(path: str, name: str) -> Iterator[bytes]:
    try:
        with open(0 if path == STDIN else path, "rb", closefd=path != STDIN) as source:
            _check_apart(source.fileno(), name)
            yield from packing.blocks(source, name)
    except OSError as error:
        raise _unreadable(name, error) from None


def _check_apart(descriptor: int, name: str) -> None:
    """Raise InputError for a file that standard output goes to as well, of which the shell has made an empty one."""
    try:
        read, written_to = os.fstat(descriptor), os.fstat(1)
    except OSError:  # a closed standard output
        return
    if stat.S_ISREG(read.st_mode) and os.path.samestat(read, written_to):
        hint = "write to another file: what > names is emptied before anything is read"
        raise InputError(f"{name}: is read, and is where standard output goes", hint)


def _unreadable(name: str, error: OSError) -> InputError:
    is_folder = isinstance(error, IsADirectoryError)
    return InputError(f"{name}: {why(error)}", "give the files of the folder" if is_folder else "check the path")


def objects(path: str) -> Iterator[tuple[str, Any]]:
    """Yield ("file:line", value) for each line of a JSONL file; raises InputError for a line that is no JSON."""
    for where, text in lines(path):
        yield where, value(text, where)


def value(text: str, where: str) -> Any:
    """The JSON value of a line, which is no array. Raises InputError for an array, for what is no JSON, and for NaN,
    Infinity and numbers that are too great for a double: no other reader of JSON takes what would be written for them.
    """
    try:
        found = ujson.loads(text)
        is_finite = _is_finite(found.values() if type(found) is dict else (found,))
    except ValueError as error:
        if text.lstrip()[:1] == "[":
            raise _array(where) from None
        raise InputError(f"{where}: broken JSON ({str(error).lower()})", _SHAPE) from None
    except RecursionError:
        raise InputError(f"{where}: broken JSON (nested too deep)", _SHAPE) from None
    if not is_finite:
        raise InputError(f"{where}: broken JSON (a number that is NaN, Infinity or above 1.8e308)", "null says unknown")
    if type(found) is list:
        raise _array(where)
    return found


def _is_finite(values: Iterable[Any]) -> bool:
    """Whether all numbers in JSON values are finite. Every record passes here, a run's with all of its hits."""
    for one in values:
        kind = type(one)
        if kind is str:
            continue
        if kind is float:
            if one - one != 0:  # NaN, for all that are not finite
                return False
        elif kind is dict:
            if not _is_finite(one.values()):
                return False
        elif kind is list:
            are_objects = set(map(type, one)) == {dict}
            if not _is_finite(chain.from_iterable(map(dict.values, one)) if are_objects else one):
                return False
    return True


def _array(where: str) -> InputError:
    return InputError(f"{where}: a JSON array", "jq -c '.[]' FILE makes lines of it")


def can_be_read_twice(path: str) -> bool:
    """Whether a path names a regular file, and not a pipe. Raises InputError for one that cannot be opened."""
    try:
        mode = os.fstat(0).st_mode if path == STDIN else Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise _unreadable(path, error) from None
    return stat.S_ISREG(mode)


def dumps(value: Any) -> str:
    """One line of JSON. A lone surrogate, which has no UTF-8 form, makes the line pure ASCII. Raises OverflowError for
    NaN and Infinity, which have no form."""
    text = text_of(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _NO_ASCII.sub(_escaped, text)
    return text


def text_of(value: Any) -> str:
    """The JSON of a value, in which a lone surrogate stands as it is. Raises as `dumps` does. What has a method
    `__json__` writes itself."""
    text: str = ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False)
    return text


def _escaped(found: re.Match[str]) -> str:
    """A character as JSON escapes it; one beyond 16 bits is two."""
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def write(line: str) -> None:
    """Write a line to standard output and flush it; see `written` for what goes wrong there."""
    with written():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
