"""Files of numbers of one type: several that are written at once and grow at their end, and read as arrays."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy
from numpy.typing import NDArray


class Writers(ExitStack):
    """Files that are being written; leaving it closes them all."""

    def file(self, path: Path) -> BinaryIO:
        return self.enter_context(path.open("wb"))

    def array(self, path: Path, dtype: str) -> ArrayWriter:
        return ArrayWriter(self.file(path), dtype)


class ArrayWriter:
    """A file of numbers of one type, little-endian and without a header, that grows at its end."""

    def __init__(self, file: BinaryIO, dtype: str) -> None:
        self._file = file
        self._dtype = dtype

    def append(self, values: Any) -> None:
        self._file.write(numpy.ascontiguousarray(values, self._dtype).data)


def runs(starts: NDArray[numpy.int64], sizes: NDArray[numpy.int64]) -> NDArray[numpy.int64]:
    """The places of runs of values in an array, one run after the other."""
    at = numpy.repeat(starts - (numpy.cumsum(sizes) - sizes), sizes)
    at += numpy.arange(len(at))
    return at


def mapped(path: Path, dtype: str) -> NDArray[Any]:
    """The numbers in a file, mapped into memory and read as they are needed."""
    if not path.stat().st_size:
        return numpy.empty(0, dtype)
    # a plain view: indexing a numpy.memmap makes an object of that class each time
    return numpy.memmap(path, dtype, "r").view(numpy.ndarray)
