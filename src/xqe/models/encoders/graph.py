"""Writing a graph as ONNX Runtime reads it, whose weights are handed over in memory and not written.

Source: onnx.proto of ONNX: the fields below, in protocol buffers' wire format.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

_VARINT, _FIXED32, _BYTES = 0, 5, 2
FLOAT32, INT32 = 1, 6  # TensorProto.DataType
_EXTERNAL = 1  # TensorProto.DataLocation
_IR_VERSION, _OPSET = 9, 17
"""ONNX 1.13 to 1.14, which every ONNX Runtime since 1.15 reads."""

Shape = Sequence[int | str]
"""Extents, and names of those that may vary."""


class Graph:
    """A graph with one output. Nodes are added in the order in which they are computed."""

    def __init__(self, inputs: Mapping[str, tuple[int, Shape]], output: str, shape: Shape) -> None:
        self._inputs, self._output = inputs, (output, (FLOAT32, shape))
        self._nodes: list[bytes] = []
        self._weights: list[bytes] = []

    def node(
        self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: int | float
    ) -> str:
        """Add a node and return the name of what it makes. domain: "" for the operators of ONNX itself."""
        parts = [_field(1, name) for name in inputs] + [_field(2, output), _field(4, operator), _field(7, domain)]
        parts += [_field(5, _attribute(name, value)) for name, value in attributes.items()]
        self._nodes.append(b"".join(parts))
        return output

    def weight(self, name: str, shape: Sequence[int]) -> str:
        """Declare a float32 tensor that is handed over; return its name."""
        place = _field(13, _field(1, "location") + _field(2, "memory"))
        parts = [*(_field(1, extent) for extent in shape), _field(2, FLOAT32), _field(8, name), place]
        self._weights.append(b"".join([*parts, _field(14, _EXTERNAL)]))
        return name

    def model(self) -> bytes:
        """The whole as a file has it."""
        parts = [_field(1, node) for node in self._nodes] + [_field(2, "encoder")]
        parts += [_field(5, weight) for weight in self._weights]
        parts += [_field(11, _value(name, *kind)) for name, kind in self._inputs.items()]
        parts.append(_field(12, _value(self._output[0], *self._output[1])))
        opsets = [_field(8, _field(1, domain) + _field(2, version)) for domain, version in _DOMAINS.items()]
        return b"".join([_field(1, _IR_VERSION), _field(7, b"".join(parts)), *opsets])


_DOMAINS = {"": _OPSET, "com.microsoft": 1}


def _value(name: str, kind: int, shape: Shape) -> bytes:
    extents = [_field(1, _field(1, extent) if isinstance(extent, int) else _field(2, extent)) for extent in shape]
    tensor = _field(1, kind) + _field(2, b"".join(extents))
    return _field(1, name) + _field(2, _field(1, tensor))


def _attribute(name: str, value: int | float) -> bytes:
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, 2)
    return _field(1, name) + _key(2, _FIXED32) + struct.pack("<f", value) + _field(20, 1)


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _key(number, _VARINT) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _key(number, _BYTES) + _varint(len(data)) + data


def _key(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    """A number of 0 or more, seven bits a byte, the lowest first."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
