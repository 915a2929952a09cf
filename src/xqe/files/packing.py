"""What a file is, by its first bytes and never by its name: text, packed text, or what is no text at all.

Packed text is unpacked, UTF-16 and UTF-32 that say so by their mark become UTF-8; of all else the error says what it is
and what makes text of it.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from xqe.errors import InputError

if TYPE_CHECKING:
    from io import BufferedReader

_BLOCK = 1 << 16
_TELLING = 16  # bytes: as many as the longest mark, and fewer than any line that is worth waiting for


@dataclass(frozen=True, slots=True)
class Packing:
    """How text is packed. mark: what the file begins with. opens, fails: the class that unpacks, and what it raises for
    a damaged file; both in modules that a Python may lack. command: what unpacks in a shell. extra: what brings a
    module of that name, in `backports`, to a Python that lacks it."""

    suffix: str
    mark: re.Pattern[bytes]
    opens: tuple[str, str]
    fails: tuple[str, str]
    command: str
    extra: str = ""


_PACKINGS = (
    Packing(".gz", re.compile(rb"\x1f\x8b"), ("gzip", "GzipFile"), ("zlib", "error"), "gzip -dc"),
    Packing(
        ".bz2",
        re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
        ("bz2", "BZ2File"),
        ("builtins", "EOFError"),
        "bzip2 -dc",
    ),
    Packing(".xz", re.compile(rb"\xfd7zXZ\x00"), ("lzma", "LZMAFile"), ("lzma", "LZMAError"), "xz -dc"),
    Packing(  # of Python 3.14
        ".zst",
        re.compile(rb"(\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)"),
        ("compression.zstd", "ZstdFile"),
        ("compression.zstd", "ZstdError"),
        "zstd -dc",
        "zst",
    ),
)
SUFFIXES = tuple(one.suffix for one in _PACKINGS)

_NEW, _BACKPORTED = "compression.", "backports."  # of Python 3.14, and the same for those before
_UNPACK = "unpack it: {} FILE | xqe ..."
_ROWS = 'write its rows as JSONL: pandas has read_{} and to_json(FILE, orient="records", lines=True)'
_NO_TEXT: tuple[tuple[bytes, str, str], ...] = (
    (rb"PK\x03\x04.{26}\[Content_Types\]\.xml", "a document of MS Office", "save it as CSV, or its text"),
    (rb"PK(\x03\x04|\x05\x06)", "a zip archive", _UNPACK.format("unzip -p")),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK.format("7z x -so")),
    (rb"Rar!\x1a\x07", "a rar archive", _UNPACK.format("unrar p -inul")),
    (rb"\x04\x22\x4d\x18", "a file packed by lz4", _UNPACK.format("lz4 -dc")),
    (rb"LZIP[\x00\x01]", "a file packed by lzip", _UNPACK.format("lzip -dc")),
    (rb"\x1f\x9d", "a file packed by compress", _UNPACK.format("gzip -dc")),
    (rb"(?=.{0,256}\x00).{257}ustar", "a tar archive", _UNPACK.format("tar -xOf")),
    (rb"PAR1\x15", "a parquet file", "xqe index and others read it as documents or queries: --input FILE.parquet"),
    (rb"ARROW1\x00\x00|\xff\xff\xff\xff", "an arrow file", _ROWS.format("feather")),
    (rb"Obj\x01", "an avro file", "write its rows as JSONL"),
    (rb"\x89HDF\r\n", "an HDF5 file", _ROWS.format("hdf")),
    (rb"\x93NUMPY", "a file of numpy", "write its rows as JSONL"),
    (rb"\x80[\x02-\x05][\x28-\x95]", "a pickle of Python", _ROWS.format("pickle")),
    (rb"SQLite format 3\x00", "a database of SQLite", "sqlite3 -json FILE 'SELECT ...' | jq -c '.[]' makes JSONL"),
    (rb"%PDF-", "a PDF", "take its text out, for example with pdftotext, and write JSONL"),
    (rb"\xd0\xcf\x11\xe0", "a document of MS Office", "save its text"),
    (rb"GGUF[\x01-\x09]\x00\x00\x00", "a model", "is another file meant?"),
    (rb"version https://git-lfs\.", "a pointer of Git LFS and not the file", "git lfs pull fetches that"),
)
_ENCODINGS = {"utf-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff"), "utf-16": (b"\xff\xfe", b"\xfe\xff")}
_MARKS = tuple((re.compile(mark, re.DOTALL), what, hint) for mark, what, hint in _NO_TEXT)


def blocks(source: BufferedReader, name: str) -> Iterator[bytes]:
    """Yield the text of an open file as it comes in, unpacked. Raises InputError, which says `name`, for a damaged
    file, and for one that is no text by its beginning."""
    head = _head(source)
    packing = next((one for one in _PACKINGS if one.mark.match(head)), None)
    if packing is None:
        yield from _text(head, source, name)
        return
    reader = _opened(packing, _Rejoined(head, source), name)
    try:
        yield from _text(_head(reader), reader, name)
    except (EOFError, _named(packing.fails)) as error:
        raise _damaged(packing, name, error) from None
    except OSError as error:
        if error.errno is not None:  # of the file, and not of what is in it
            raise
        raise _damaged(packing, name, error) from None


def unpacked_name(name: str) -> str:
    """A file's name without what it was given when it was packed."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


class _Readable(Protocol):
    def read1(self, size: int, /) -> bytes: ...


class _Rejoined:
    """A file whose first bytes were read, whole again. It need not be one that can be sought in: a pipe, say."""

    def __init__(self, head: bytes, rest: BufferedReader) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int) -> bytes:
        taken, self._head = self._head[:size], self._head[size:]
        return taken or self._rest.read(size)


def _head(source: _Readable) -> bytes:
    """What a file begins with: enough to tell what it is, or its first line."""
    head = source.read1(_BLOCK)
    while head and len(head) < _TELLING and b"\n" not in head and (more := source.read1(_BLOCK)):
        head += more
    return head


def _text(head: bytes, rest: _Readable, name: str) -> Iterator[bytes]:
    for one in _PACKINGS:
        if one.mark.match(head):
            raise InputError(f"{name}: packed twice, and {one.suffix} inside", _UNPACK.format(one.command))
    for mark, what, hint in _MARKS:
        if mark.match(head):
            raise InputError(f"{name}: {what}", hint)
    encoding = next((one for one, marks in _ENCODINGS.items() if head.startswith(marks)), None)
    if encoding is not None:
        yield from _recoded(head, rest, encoding, name)
        return
    while head:
        yield head
        head = rest.read1(_BLOCK)


def _recoded(head: bytes, rest: _Readable, encoding: str, name: str) -> Iterator[bytes]:
    decoder = getincrementaldecoder(encoding)()
    try:
        while head:
            if text := decoder.decode(head):
                yield text.encode()
            head = rest.read1(_BLOCK)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: damaged {encoding.upper()} text ({error.reason})", "save it again as UTF-8"
        ) from None


def _opened(packing: Packing, source: _Rejoined, name: str) -> _Readable:
    try:
        opens = _named(packing.opens)
    except ImportError:
        unpack = _UNPACK.format(packing.command)
        hint = f'pip install "xqe[{packing.extra}]", or {unpack}' if packing.extra else unpack
        raise InputError(f"{name}: a {packing.suffix} file, which this Python cannot read", hint) from None
    reader: _Readable = opens(fileobj=source) if packing.suffix == ".gz" else opens(source)
    return reader


def _named(place: tuple[str, str]) -> Any:
    module, name = place
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError:
        if not module.startswith(_NEW):
            raise
        return getattr(import_module(module.replace(_NEW, _BACKPORTED)), name)


def _damaged(packing: Packing, name: str, error: Exception) -> InputError:
    return InputError(f"{name}: damaged {packing.suffix[1:]} stream ({error})", "copy or download the file again")
