"""A small GGUF file to test with."""

from __future__ import annotations

import random
import struct


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
