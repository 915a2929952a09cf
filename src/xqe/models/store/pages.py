"""What is whole in the file of a store and in the log beside it, read page by page, whatever SQLite makes of them.

A page of rows is read for itself: neither the header of the file, nor the tree that leads to the page, nor an index is
asked. Every row has a hash of its content, so that none is taken for another. The format is that of SQLite's "Database
File Format": sections 1.3 (header), 1.5 (cell pointers), 1.6 (pages and cells), 2.1 (records) and 4.1 (log).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from xqe.models.store.rows import DamagedError, Row, short_hash

MAGIC = b"SQLite format 3\0"
APPLICATION_ID = int.from_bytes(b"xqeg", "big")  # in the file's header, for `file` and for us

_HEADER_SIZE = 100
_LOG_HEADER_SIZE, _FRAME_HEADER_SIZE = 32, 24
_SALTS = slice(8, 16)  # of a frame's header; those of the log's own are at 16
_PAGE_SIZES = {1 << power for power in range(9, 17)}
_BEGINNING = 16 << 20  # bytes of a file without a header that are looked at, for what it may be
_DEFAULT_SIZE = 4096  # of the pages that SQLite makes unasked
_ROWS = 0x0D  # the first byte of a page of rows
_CHANGED = 1  # bytes of the header that may be others than ours in a damaged file of ours
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # bytes, by the type in a record
_ZERO, _ONE, _FIRST_BLOB = 8, 9, 12
_UNREADABLE = (IndexError, ValueError, struct.error)  # what comes of reading a cell that is no cell


def _differing(one: bytes, other: bytes) -> int:
    """How many bytes of two strings of one length are not the same."""
    return sum(a != b for a, b in zip(one, other, strict=True))


def is_nearly(found: int, expected: int) -> bool:
    """True for a number of 32 bits in a header that may have been the expected one before it was damaged."""
    one, other = ((number & 0xFFFFFFFF).to_bytes(4, "big") for number in (found, expected))
    return _differing(one, other) <= _CHANGED


class _Layout(NamedTuple):
    """How a file is divided. size: bytes of a page. reserved: of these, at its end, for others than SQLite."""

    size: int
    reserved: int


def _header(path: Path) -> bytes:
    with suppress(FileNotFoundError), path.open("rb") as file:
        return file.read(_HEADER_SIZE)
    return b""


def is_ours(path: Path) -> bool:
    """True for a store of any version, however damaged: its header says so, or, where that is no database's any more,
    there is a generation in it. No connection to the file may be open: closing it here would drop that one's locks.
    """
    header = _header(path)
    if len(header) == _HEADER_SIZE and (changed := _differing(header[:16], MAGIC)) <= _CHANGED:
        return changed + _differing(header[68:72], APPLICATION_ID.to_bytes(4, "big")) <= _CHANGED
    with opened(path) as readings:
        return any(pages.begin_with_rows() for pages in readings)


@contextmanager
def opened(path: Path) -> Iterator[list[Pages]]:
    """A store and its log, to be read in each way in which it may be divided; more than one only where its header is
    damaged. The same holds of connections as for `is_ours`."""
    with ExitStack() as stack:
        files: list[BinaryIO] = []
        for place in (path, log_of(path)):
            try:
                files.append(stack.enter_context(place.open("rb")))
            except FileNotFoundError:
                files.append(BytesIO())
        header = files[0].read(_HEADER_SIZE).ljust(_HEADER_SIZE, b"\0")
        layouts = [_Layout(_DEFAULT_SIZE, 0)]
        size = int.from_bytes(header[16:18], "big")
        said = _Layout(65_536 if size == 1 else size, header[20])
        if said.size in _PAGE_SIZES and said not in layouts and said.reserved <= said.size // 8:
            layouts.append(said)
        yield [Pages(files[0], files[1], layout) for layout in layouts]


def log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


def rest_of_log(path: Path, known: int) -> Pages | None:
    """What is in the log of an open store beyond its first `known` frames, which are all that SQLite knows of: the
    rest of a log of which a page is damaged. None where there is nothing."""
    try:
        log = log_of(path).read_bytes()
    except FileNotFoundError:
        return None
    size = int.from_bytes(log[8:12], "big")
    rest = Pages(BytesIO(), BytesIO(log), _Layout(size if size in _PAGE_SIZES else _DEFAULT_SIZE, 0), known)
    return rest if rest.in_log else None


class Pages:
    """The pages of a file and of its log, under one layout."""

    def __init__(self, file: BinaryIO, log: BinaryIO, layout: _Layout, known: int = 0) -> None:
        """known: so many frames at the beginning of the log are left out."""
        self._file, self._log, self._size = file, log, layout.size
        self._usable = layout.size - layout.reserved
        self._length = file.seek(0, 2) + log.seek(0, 2)
        self.in_log = list(self._frames())[known:]
        self._newest = dict(self.in_log)  # page -> where it begins in the log

    def _frames(self) -> Iterator[tuple[int, int]]:
        """Yield (number of a page, where it begins) for each frame of the log that is of its last use."""
        end = self._log.seek(0, 2)
        self._log.seek(0)
        salts = {self._log.read(_LOG_HEADER_SIZE)[16:24]}
        for at in range(_LOG_HEADER_SIZE, end - _FRAME_HEADER_SIZE - self._size + 1, _FRAME_HEADER_SIZE + self._size):
            self._log.seek(at)
            header = self._log.read(_FRAME_HEADER_SIZE)
            if at == _LOG_HEADER_SIZE:
                salts.add(header[_SALTS])  # the first frame is always of the last use; one of the two is whole
            if header[_SALTS] in salts:
                yield int.from_bytes(header[:4], "big"), at + _FRAME_HEADER_SIZE

    def _page(self, file: BinaryIO, at: int) -> bytes:
        file.seek(at)
        return file.read(self._size)

    def _numbered(self, number: int) -> bytes:
        """A page by its number, from 1, as it was last written; nothing where there is none."""
        if number in self._newest:
            return self._page(self._log, self._newest[number])
        return self._page(self._file, (number - 1) * self._size) if number else b""

    def _all(self, end: int | None = None) -> Iterator[tuple[BinaryIO, int, bytes]]:
        """Yield every page that holds rows, in the file and, in each of its states, in the log: where it begins.
        end: of the file, so many bytes; all where it is None."""
        size = self._file.seek(0, 2)
        in_file = range(0, (size if end is None else min(size, end)) - self._size + 1, self._size)
        for file, at in chain(((self._file, at) for at in in_file), ((self._log, at) for _, at in self.in_log)):
            page = self._page(file, at)
            if len(page) == self._size and page[0] == _ROWS:
                yield file, at, page

    def begin_with_rows(self) -> bool:
        """True where one of the first pages of the file, or one of the log, has a generation that is whole."""
        return any(True for _, _, page in self._all(_BEGINNING) for _ in self._generations(page))

    def rows(self) -> Iterator[Row]:
        """Yield each generation that is whole, about in the order in which they came; one may come more than once."""
        places: list[tuple[int, int, BinaryIO, int]] = []
        for file, at, page in self._all():
            with suppress(*_UNREADABLE):
                _, after = _varint(page, int.from_bytes(page[8:10], "big"))
                places.append((_varint(page, after)[0], len(places), file, at))
        for _, _, file, at in sorted(places, key=lambda place: place[:2]):
            yield from self._generations(self._page(file, at))

    def _generations(self, page: bytes) -> Iterator[Row]:
        for values in self._records(page, 1 + len(Row._fields)):
            with suppress(DamagedError):
                yield Row(*values[1:]).check()

    def contents(self) -> Iterator[tuple[int, bytes]]:
        """Yield what the tables `origin` and `opening` hold, with its hash, which is its id there."""
        for _, _, page in self._all():
            for _, content in self._records(page, 2):
                if isinstance(content, bytes):
                    yield short_hash(content), content

    def _records(self, page: bytes, columns: int) -> Iterator[list[Any]]:
        """Yield the values of each row of a page that has so many; what they are worth is for others to say."""
        for number in range(min(int.from_bytes(page[3:5], "big"), self._size // 4)):
            with suppress(*_UNREADABLE):
                (at,) = struct.unpack_from(">H", page, 8 + 2 * number)
                length, at = _varint(page, at)
                _, at = _varint(page, at)
                kinds, start = _kinds(page, at)
                if len(kinds) == columns:
                    yield _values(self._payload(page, at, length), kinds, start - at)

    def _payload(self, page: bytes, at: int, length: int) -> bytes:
        """What a cell holds, with what it has on other pages."""
        if not 0 <= length <= self._length:
            raise ValueError("longer than the file")
        here, fewest = length, (self._usable - 12) * 32 // 255 - 23
        if length > self._usable - 35:
            here = fewest + (length - fewest) % (self._usable - 4)
            here = here if here <= self._usable - 35 else fewest
        parts, left = [page[at : at + here]], length - here
        following = page[at + here : at + here + 4]
        while left > 0:
            other = self._numbered(int.from_bytes(following, "big"))
            if len(other) < self._size:
                raise ValueError("goes on where there is no page")
            parts.append(other[4 : 4 + min(left, self._usable - 4)])
            left -= self._usable - 4
            following = other[:4]
        return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number of variable length that begins there, and where the next thing does."""
    number = 0
    for byte in data[at : at + 8]:
        at += 1
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, at
    number = number << 8 | data[at]
    return number - (1 << 64) if number >> 63 else number, at + 1


def _kinds(data: bytes, at: int) -> tuple[list[int], int]:
    """The types of the columns of the record that begins there, and where the first column does."""
    length, following = _varint(data, at)
    kinds = []
    while following < at + length:
        kind, following = _varint(data, following)
        kinds.append(kind)
    return kinds, following


def _values(record: bytes, kinds: list[int], at: int) -> list[Any]:
    """The columns of a record, of which the first begins at `at`."""
    values: list[Any] = []
    for kind in kinds:
        size = _INTEGERS.get(kind, (kind - _FIRST_BLOB) // 2 if kind >= _FIRST_BLOB else 0)
        content = record[at : at + size]
        at += size
        if len(content) < size:
            raise ValueError("ends within a column")
        if kind in _INTEGERS:
            values.append(int.from_bytes(content, "big", signed=True))
        elif kind in (_ZERO, _ONE):
            values.append(kind - _ZERO)
        else:
            values.append(content if kind >= _FIRST_BLOB else None)
    return values
