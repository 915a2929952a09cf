"""GGUF files to test with: a small one of no model, and a real model with few tokens."""

from __future__ import annotations

import random
import struct
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType


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


_STRING, _ARRAY, _ALIGNMENT = 8, 9, 32
_VALUE_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def with_few_tokens(source: Path, target: Path, tokens: int) -> Path:
    """Copy a model with the first tokens of its vocabulary alone; of the others it has neither name nor embedding.

    The first of Gemma's tokens are its special ones, all bytes, and the commonest pieces of words. A model whose output
    matrix is that of its embeddings is the same model otherwise, and is loaded and run in a fraction of the time.
    """
    with source.open("rb") as file:
        magic, version, tensors, keys = struct.unpack("<4sIQQ", file.read(24))
        header = BytesIO()
        header.write(struct.pack("<4sIQQ", magic, version, tensors, keys))
        for _ in range(keys):
            header.write(_string(file))
            (kind,) = struct.unpack("<I", file.read(4))
            header.write(struct.pack("<I", kind) + _value(file, kind, tokens))
        places: list[tuple[int, int]] = []
        end = 0
        for _ in range(tensors):
            name = _string(file)
            (dimensions,) = struct.unpack("<I", file.read(4))
            extents = struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions))
            kind, offset = struct.unpack("<IQ", file.read(12))
            if name.endswith(b"token_embd.weight"):
                extents = (extents[0], tokens)
            header.write(name + struct.pack(f"<I{dimensions}QIQ", dimensions, *extents, kind, end))
            weights, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
            length = extents[0] // weights * size * (extents[1] if dimensions > 1 else 1)
            places.append((offset, length))
            end += length + -length % _ALIGNMENT
        start = file.tell() + -file.tell() % _ALIGNMENT
        with target.open("wb") as copy:
            copy.write(header.getvalue() + bytes(-header.tell() % _ALIGNMENT))
            for offset, length in places:
                file.seek(start + offset)
                copy.write(file.read(length) + bytes(-length % _ALIGNMENT))
    return target


def _string(file: BinaryIO) -> bytes:
    """A string as it stands, with its length before it."""
    length = file.read(8)
    return length + file.read(*struct.unpack("<Q", length))


def _value(file: BinaryIO, kind: int, most: int) -> bytes:
    """A value as it stands; of an array no more than its first items."""
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return file.read(_VALUE_BYTES[kind])
    item, count = struct.unpack("<IQ", file.read(12))
    if item == _STRING:
        items = b"".join([_string(file) for _ in range(count)][:most])
    else:
        items = file.read(_VALUE_BYTES[item] * count)[: _VALUE_BYTES[item] * most]
    return struct.pack("<IQ", item, min(count, most)) + items
