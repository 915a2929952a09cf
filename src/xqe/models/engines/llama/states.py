"""What a context has of one sequence, as bytes that another context of the same model can take.

llama.cpp writes it for a context with as many sequences: of each cache a list of what each sequence has, of which all
but one are empty. Here these are left out, so that a context with another number of sequences can take it.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any

from xqe.models.engines.llama.library import llama_cpp

_HEAD = 8  # bytes: a magic number and the sequence
_PARTIAL = 1  # LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY: the cache of layers with a window, where there is one beside another
_LENGTH = struct.Struct("<Q")


def taken(context: Any, sequence: int, sequences: int) -> bytes | None:
    """What a context of so many sequences has of one; None where llama.cpp writes it in another way."""
    content = _written(context, sequence)[_HEAD:]
    windowed = int(llama_cpp.llama_state_seq_get_size_ext(context, sequence, _PARTIAL)) - _HEAD
    parts = [content] if windowed == len(content) else [content[:-windowed], content[-windowed:]]
    begin, end = _count(sequences) + _empty(sequence), _empty(sequences - 1 - sequence)
    made: list[bytes | memoryview] = []
    for part in parts:
        body = part[len(begin) : len(part) - len(end)]
        if not body or part[: len(begin)] != begin or part[len(part) - len(end) :] != end:
            return None
        made += [_LENGTH.pack(len(body)), body]
    return b"".join(made)


def put(context: Any, sequence: int, sequences: int, state: bytes) -> bool:
    """Let a sequence have what `taken` returned; False if llama.cpp refuses it, and then it has nothing."""
    made: list[bytes | memoryview] = [_written(context, sequence)[:_HEAD]]
    place = 0
    while place < len(state):
        (length,) = _LENGTH.unpack_from(state, place)
        place += _LENGTH.size
        made += [_count(sequences), memoryview(state)[place : place + length], _empty(sequences - 1)]
        place += length
    whole = b"".join(made)
    pointer = ctypes.cast(ctypes.c_char_p(whole), ctypes.POINTER(ctypes.c_uint8))
    return int(llama_cpp.llama_state_seq_set_data(context, pointer, len(whole), sequence)) == len(whole)


def _written(context: Any, sequence: int) -> memoryview:
    size = int(llama_cpp.llama_state_seq_get_size(context, sequence))
    buffer = (ctypes.c_uint8 * size)()
    return memoryview(buffer).cast("B")[: llama_cpp.llama_state_seq_get_data(context, buffer, size, sequence)]


def _count(number: int) -> bytes:
    return struct.pack("<I", number)


def _empty(sequences: int) -> bytes:
    return _count(0) * sequences
