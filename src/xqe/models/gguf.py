"""Whether a file is a whole GGUF file, from its header alone.

Source: docs/gguf.md of ggml, and gguf.cpp, which wants each tensor where the one before it ends.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from xqe.errors import ModelError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
SPLIT_COUNT = "split.count"
"""Metadata of a model in several files: how many there are."""

_ALIGNMENT_KEY, _ALIGNMENT = "general.alignment", 32
_TOKENS = "tokenizer.ggml.tokens"
_STRING, _ARRAY, _UINT32 = 8, 9, 4
_VALUE_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_VALUE_FORMS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_MOST_ENTRIES = 1 << 20  # of metadata keys and of tensors; real files have some dozens and some thousands
_LONGEST_STRING = 1 << 26
_DEEPEST_ARRAY = 4
_MOST_DIMENSIONS = 4

# ggml's number of a tensor type: weights in a block, bytes in a block. Source: ggml.c, type_traits.
TENSOR_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54),
    35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18), 42: (64, 18),
}  # fmt: skip


Metadata = dict[str, str | int | float | bool]


def is_split(said: Metadata) -> bool:
    """Whether a file with these metadata is one of several that hold a model."""
    count = said.get(SPLIT_COUNT, 0)
    return isinstance(count, int) and count > 1


class DamagedError(ModelError):
    """A model file is not what it should be. reason: in a few words, without the file."""

    def __init__(self, message: str, hint: str = "", reason: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason or message


def check_magic(path: Path) -> None:
    """Check that a file begins as a GGUF file does. Raises ModelError, and OSError."""
    with _opened(path) as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ModelError(f"{path}: not a GGUF file", "give a model in GGUF format")


def check_gguf(path: Path) -> None:
    """Check that a file is a GGUF file and that all of its tensors lie in it; reads the header and no tensor data.

    Raises DamagedError, which says what is wrong, and OSError.
    """
    with _header(path) as header:
        header.check()


def read_metadata(path: Path, *keys: str) -> Metadata:
    """Return the metadata with these keys, as far as they are there; reads no further than needed. Arrays are left out.

    Raises DamagedError for a file that is no GGUF file, and OSError.
    """
    with _header(path) as header:
        return header.metadata(keys)


def read_description(path: Path) -> Metadata:
    """Return the metadata that stand before the vocabulary, where a file says what it is; it may say more behind it,
    which takes as long to read as the vocabulary is large. Arrays are left out.

    Raises DamagedError for a file that is no GGUF file, and OSError.
    """
    with _header(path) as header:
        return header.description()


def whole_number(said: Metadata, key: str, path: Path, default: int | None = None) -> int:
    """A whole number of a file's metadata. Raises DamagedError where it is none, or missing without a default."""
    value = said.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _damaged(path, _HeaderError(f"{key} is {'missing' if value is None else 'no whole number'}"))
    return value


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies. shape: as ggml has it, the length of a row first. kind: ggml's number of its type. start:
    from the file's beginning, and length: in bytes."""

    shape: tuple[int, ...]
    kind: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says before its weights. metadata: without arrays, of which only the keys are there, in
    `arrays`. places: where each tensor lies, by its name."""

    metadata: Metadata
    arrays: frozenset[str]
    places: dict[str, Place]


def read_header(path: Path) -> Header:
    """Return the header of a file. Raises DamagedError for a file that is no GGUF file, and OSError."""
    with _header(path) as header:
        return header.header()


@contextmanager
def _header(path: Path) -> Iterator[_Header]:
    """Read the header of a file, and tell what is wrong with it as a DamagedError."""
    with _opened(path) as file:
        try:
            yield _Header(file, os.fstat(file.fileno()).st_size)
        except _HeaderError as error:
            raise _damaged(path, error) from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file. Raises ModelError for what is none: of a FIFO, say, one would wait for whoever writes to it."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ModelError(f"{path}: is no regular file", "a model is read several times; give a file on the disk")
        yield file


def _damaged(path: Path, error: _HeaderError) -> DamagedError:
    return DamagedError(f"{path}: damaged or incomplete ({error})", "copy or download it again", str(error))


class _HeaderError(Exception):
    """What is wrong with a GGUF file."""


class _Header:
    """Reads a GGUF header, and never more than the file holds."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._alignment = _ALIGNMENT
        self._start = 0  # of the data of tensors

    def check(self) -> None:
        expected = 0
        for name, place in self.header().places.items():
            offset = place.start - self._start
            if offset != expected:
                raise _HeaderError(f"tensor {name} at {offset} instead of {expected}")
            end = place.start + place.length
            if end > self._size:
                raise _HeaderError(f"tensor {name} ends at byte {end}, the file at {self._size}")
            expected = self._padded(offset + place.length)

    def header(self) -> Header:
        tensors, keys = self._counts()
        metadata: Metadata = {}
        arrays = set()
        for _ in range(keys):
            key, value = self._entry()
            if value is None:
                arrays.add(key)
            else:
                metadata[key] = value
        if tensors == 0 and not is_split(metadata):
            raise _HeaderError("it holds no tensors")
        found = [self._tensor() for _ in range(tensors)]
        self._start = self._padded(self._file.tell())
        places = {name: Place(shape, kind, self._start + offset, length) for name, shape, kind, offset, length in found}
        return Header(metadata, frozenset(arrays), places)

    def metadata(self, wanted: Sequence[str]) -> Metadata:
        _, keys = self._counts()
        found: Metadata = {}
        for _ in range(keys):
            if len(found) == len(wanted):
                break
            key, value = self._entry()
            if key in wanted and value is not None:
                found[key] = value
        return found

    def description(self) -> Metadata:
        _, keys = self._counts()
        found: Metadata = {}
        for _ in range(keys):
            key = self._key()
            if key == _TOKENS:
                break
            value = self._value(key)
            if value is not None:
                found[key] = value
        return found

    def _counts(self) -> tuple[int, int]:
        """How many tensors and metadata keys the file has, from its first bytes."""
        if self._file.read(len(MAGIC)) != MAGIC:
            raise _HeaderError("no GGUF magic at its start")
        version = self._number("<I")
        if version not in _VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            raise _HeaderError(
                "it is for big-endian machines" if swapped in _VERSIONS else f"unknown GGUF version {version}"
            )
        return self._count("tensors"), self._count("metadata keys")

    def _entry(self) -> tuple[str, str | int | float | bool | None]:
        """A metadata key and its value, None for an array."""
        key = self._key()
        return key, self._value(key)

    def _key(self) -> str:
        return self._string().decode("utf-8", "replace")

    def _value(self, key: str) -> str | int | float | bool | None:
        kind = self._number("<I")
        value: str | int | float | bool | None = None
        if kind == _STRING:
            value = self._string().decode("utf-8", "replace")
        elif kind in _VALUE_FORMS:
            value = struct.unpack(_VALUE_FORMS[kind], self._take(_VALUE_BYTES[kind]))[0]
        else:
            self._skip(kind, 0)
        if key == _ALIGNMENT_KEY:
            if kind != _UINT32 or not isinstance(value, int) or value == 0 or value % 8:
                raise _HeaderError("general.alignment is not a multiple of 8")
            self._alignment = value
        return value

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int, int]:
        """The name of a tensor, its shape and type, and the offset and length of its data."""
        name = self._string().decode("utf-8", "replace")[:64]
        dimensions = self._number("<I")
        if dimensions > _MOST_DIMENSIONS:
            raise _HeaderError(f"tensor {name} has {dimensions} dimensions")
        shape = [self._number("<Q") for _ in range(dimensions)]
        kind, offset = self._number("<I"), self._number("<Q")
        if kind not in TENSOR_TYPES:
            raise _HeaderError(f"tensor {name} has the unknown type {kind}")
        weights, block = TENSOR_TYPES[kind]
        if shape and shape[0] % weights:
            raise _HeaderError(f"tensor {name} has rows of {shape[0]}, not a multiple of {weights}")
        length = block
        for extent in shape:
            length *= extent
        return name, tuple(shape), kind, offset, length // weights

    def _skip(self, kind: int, depth: int) -> None:
        """Pass over a metadata value."""
        if kind in _VALUE_BYTES:
            self._pass(_VALUE_BYTES[kind])
        elif kind == _STRING:
            self._string()
        elif kind == _ARRAY and depth < _DEEPEST_ARRAY:
            item, count = self._number("<I"), self._number("<Q")
            if count > self._size:
                raise _HeaderError(f"an array of {count} values")
            if item in _VALUE_BYTES:
                self._pass(count * _VALUE_BYTES[item])
            elif item == _STRING:
                self._pass_strings(count)
            else:
                for _ in range(count):
                    self._skip(item, depth + 1)
        else:
            raise _HeaderError(f"a metadata value of unknown type {kind}")

    def _pass(self, length: int) -> None:
        if self._file.seek(length, os.SEEK_CUR) > self._size:
            raise _HeaderError("it ends in its header")

    def _pass_strings(self, count: int) -> None:
        """Pass over some strings, of which a vocabulary has a quarter of a million."""
        read = self._file.read
        for _ in range(count):
            head = read(8)
            length = int.from_bytes(head, "little")
            if len(head) < 8 or length > _LONGEST_STRING or len(read(length)) < length:
                raise _HeaderError("it ends in its header, or has a string that is too long")

    def _take(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) < length:
            raise _HeaderError("it ends in its header")
        return data

    def _number(self, form: str) -> int:
        value: int = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return value

    def _count(self, what: str) -> int:
        count = self._number("<Q")
        if count > _MOST_ENTRIES:
            raise _HeaderError(f"{count} {what}")
        return count

    def _string(self) -> bytes:
        length = self._number("<Q")
        if length > _LONGEST_STRING:
            raise _HeaderError(f"a string of {length} bytes in its header")
        return self._take(length)

    def _padded(self, position: int) -> int:
        return -(-position // self._alignment) * self._alignment
