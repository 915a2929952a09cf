"""The structure check of GGUF files: every truncation is noticed, and no damage is more than an error."""

from __future__ import annotations

import ctypes
import os
import random
import struct
from pathlib import Path

import pytest

from xqe.models.gguf import TENSOR_TYPES, DamagedError, check_gguf


def gguf(tensors: int = 4, values: int = 10_000, seed: int = 1) -> bytes:
    """A well-formed GGUF file with F32 tensors, in the layout of ggml's docs/gguf.md."""

    def string(text: str) -> bytes:
        return struct.pack("<Q", len(text)) + text.encode()

    alignment = 64
    keys = [
        string("general.architecture") + struct.pack("<I", 8) + string("llama"),
        string("general.alignment") + struct.pack("<II", 4, alignment),
        string("tokens") + struct.pack("<IIQ", 9, 8, 3) + b"".join(map(string, ("a", "bc", ""))),
        string("scores") + struct.pack("<IIQ3f", 9, 6, 3, 0.0, 1.0, 2.0),
        string("nested") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ2B", 0, 2, 7, 7),
        string("flag") + struct.pack("<IB", 7, 1),
    ]
    length = 4 * values
    padded = -(-length // alignment) * alignment
    infos = [string(f"blk.{i}.weight") + struct.pack("<IQQIQ", 2, values, 1, 0, i * padded) for i in range(tensors)]
    header = b"GGUF" + struct.pack("<IQQ", 3, tensors, len(keys)) + b"".join(keys) + b"".join(infos)
    header += b"\0" * (-len(header) % alignment)
    return header + random.Random(seed).randbytes(padded * tensors)


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
