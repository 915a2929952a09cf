"""Writing a GGUF file, a piece at a time: what is given decides its bytes, and nothing else does.

Source: docs/gguf.md of ggml. Little-endian, version 3, tensors at multiples of 32 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from xqe.models.gguf import MAGIC, TENSOR_TYPES

_VERSION, _ALIGNMENT = 3, 32
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9

Scalar = bool | int | float | str | bytes
Value = Scalar | Sequence[bytes] | Sequence[float] | Sequence[int]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor. shape: as ggml has it, the length of a row first. kind: ggml's number of its type."""

    name: str
    shape: tuple[int, ...]
    kind: int
    data: memoryview

    def __post_init__(self) -> None:
        weights, block = TENSOR_TYPES[self.kind]
        expected = prod(self.shape) // weights * block
        if len(self.data) != expected:
            raise ValueError(f"tensor {self.name}: {len(self.data)} bytes instead of {expected}")


def gguf(metadata: Mapping[str, Value], tensors: Sequence[Tensor]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a GGUF file.

    An int is written as uint32 and a float as float32; in arrays, which are not empty, an int is an int32.
    """
    yield MAGIC + struct.pack("<IQQ", _VERSION, len(tensors), len(metadata))
    written = len(MAGIC) + 20
    for key, value in metadata.items():
        entry = _string(key.encode()) + _typed(value)
        written += len(entry)
        yield entry
    offset = 0
    for tensor in tensors:
        dimensions = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        entry = _string(tensor.name.encode()) + dimensions + struct.pack("<IQ", tensor.kind, offset)
        offset += len(tensor.data) + _padding(len(tensor.data))
        written += len(entry)
        yield entry
    yield bytes(_padding(written))
    for tensor in tensors:
        yield tensor.data
        yield bytes(_padding(len(tensor.data)))


def _typed(value: Value) -> bytes:
    """A metadata value with its type before it."""
    match value:
        case bool():
            return struct.pack("<I?", _BOOL, value)
        case int():
            return struct.pack("<II", _UINT32, value)
        case float():
            return struct.pack("<If", _FLOAT32, value)
        case str():
            return struct.pack("<I", _STRING) + _string(value.encode())
        case bytes():
            return struct.pack("<I", _STRING) + _string(value)
        case _:
            return struct.pack("<I", _ARRAY) + _array(value)


def _array(values: Sequence[bytes] | Sequence[float] | Sequence[int]) -> bytes:
    if isinstance(values[0], bytes):
        texts = b"".join(_string(value) for value in values if isinstance(value, bytes))
        return struct.pack("<IQ", _STRING, len(values)) + texts
    kind, form = (_INT32, "i") if isinstance(values[0], int) else (_FLOAT32, "f")
    return struct.pack(f"<IQ{len(values)}{form}", kind, len(values), *values)


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _padding(length: int) -> int:
    return -length % _ALIGNMENT
