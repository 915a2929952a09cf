"""The structure check of GGUF files: every truncation is noticed, and no damage is more than an error."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

import pytest
from gguf_files import gguf

from xqe.models.gguf import TENSOR_TYPES, DamagedError, check_gguf


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path, content = tmp_path / "x.gguf", gguf(tensors=2, values=100)
    path.write_bytes(content)
    check_gguf(path)
    for length in reversed(range(len(content) - 48)):  # 48: of the padding after the last tensor no byte is needed
        os.truncate(path, length)
        with pytest.raises(DamagedError):
            check_gguf(path)


def test_a_damaged_header_is_never_more_than_an_error(tmp_path: Path) -> None:
    path, content = tmp_path / "x.gguf", gguf(tensors=2, values=100)
    found = 0
    for position in range(content.index(b"blk.1.weight") + 40):
        damaged = bytearray(content)
        damaged[position] ^= 0x81
        path.write_bytes(damaged)
        try:
            check_gguf(path)
        except DamagedError:
            found += 1
    assert found > 200  # a byte of a name or of a value may be anything


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"GGML", "no GGUF magic"),
        (4, struct.pack("<I", 1), "unknown GGUF version 1"),
        (4, struct.pack(">I", 3), "big-endian"),
        (8, struct.pack("<Q", 0), "no tensors"),
        (8, struct.pack("<Q", 1 << 40), "tensors"),
        (16, struct.pack("<Q", 1 << 40), "metadata keys"),
        (24, struct.pack("<Q", 1 << 60), "a string of"),
    ],
)
def test_what_is_wrong_with_a_header_is_said(tmp_path: Path, at: int, value: bytes, message: str) -> None:
    path, content = tmp_path / "x.gguf", gguf()
    path.write_bytes(content[:at] + value + content[at + len(value) :])
    with pytest.raises(DamagedError, match=message):
        check_gguf(path)


def test_the_tensor_types_are_those_of_ggml() -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    library = next((Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.*"))
    ggml = ctypes.CDLL(str(library))
    ggml.ggml_blck_size.restype = ctypes.c_int64
    ggml.ggml_type_size.restype = ctypes.c_size_t
    count = max(TENSOR_TYPES) + 1
    known = {kind: (ggml.ggml_blck_size(kind), ggml.ggml_type_size(kind)) for kind in range(count)}
    assert {kind: sizes for kind, sizes in known.items() if sizes[0]} == TENSOR_TYPES
