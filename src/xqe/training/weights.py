"""The tensors of an adapter file, one at a time, as 32-bit floats.

Source of the format: safetensors' README (a header length, a JSON header, then the data without gaps).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xqe.errors import InputError

Matrix = NDArray[np.float32]

SAFETENSORS, PICKLED = "adapter_model.safetensors", "adapter_model.bin"

_LENGTH_BYTES = 8
_MOST_HEADER = 100_000_000  # safetensors' own limit
_POINTER = b"version https://git-lfs"
_AGAIN = "copy or download it again"


def _from_bfloat16(data: NDArray[np.uint16]) -> Matrix:
    """bfloat16 is the upper half of a 32-bit float."""
    return (data.astype(np.uint32) << 16).view(np.float32)


def _from_other(data: NDArray[Any]) -> Matrix:
    return data.astype(np.float32)


_FORMS: Mapping[str, tuple[str, Callable[[NDArray[Any]], Matrix]]] = {
    "F64": ("<f8", _from_other),
    "F32": ("<f4", _from_other),
    "F16": ("<f2", _from_other),
    "BF16": ("<u2", _from_bfloat16),
}


class Weights:
    """Tensors by name: `shapes` says what there is, `matrix` reads one. where: the file, for messages."""

    def __init__(
        self, where: Path, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], NDArray[np.float32]]
    ) -> None:
        self.where = where
        self.shapes = shapes
        self._read = read

    def matrix(self, name: str) -> Matrix:
        """The values of a tensor, in its shape. Raises InputError for one with a value that is no number."""
        values = self._read(name).reshape(self.shapes[name])
        if not np.isfinite(values).all():
            raise InputError(
                f"{self.where}: {name} holds values that are infinite or no numbers", "its training went wrong"
            )
        return values


def read_weights(folder: Path) -> Weights:
    """Open the adapter's weights: adapter_model.safetensors, else adapter_model.bin, for which torch is needed.

    Raises InputError for a file that is missing or damaged, MissingExtraError without torch.
    """
    path = folder / SAFETENSORS
    if path.is_file():
        return _safetensors(path)
    if (folder / PICKLED).is_file():
        return _pickled(folder / PICKLED)
    raise InputError(
        f"{folder}: holds neither {SAFETENSORS} nor {PICKLED}", "give the folder that PEFT's save_pretrained wrote"
    )


# ---------------------------------------------------------------- safetensors


def _safetensors(path: Path) -> Weights:
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:  # a file of no bytes cannot be mapped
        raise InputError(f"{path}: cannot be read ({error})", _AGAIN) from None
    try:
        entries, start = _header(data)
        _check_places(entries, len(data) - start)
    except _DamagedError as error:
        raise InputError(f"{path}: damaged or incomplete ({error})", _AGAIN) from None

    def read(name: str) -> Matrix:
        entry = entries[name]
        form, convert = _FORMS[entry["dtype"]]
        first, end = entry["data_offsets"]
        return convert(np.frombuffer(data[start + first : start + end].tobytes(), dtype=form))

    return Weights(path, {name: tuple(entry["shape"]) for name, entry in entries.items()}, read)


class _DamagedError(Exception):
    """What is wrong with a file."""


def _header(data: NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    """The tensors that a file says it has, and where its data start."""
    if data[: len(_POINTER)].tobytes() == _POINTER:
        raise _DamagedError("it is a Git LFS pointer, not the file itself")
    if len(data) < _LENGTH_BYTES:
        raise _DamagedError("it ends in its header")
    length = int.from_bytes(data[:_LENGTH_BYTES].tobytes(), "little")
    start = _LENGTH_BYTES + length
    if length > _MOST_HEADER:
        raise _DamagedError("it does not begin as safetensors do")
    if start > len(data):
        raise _DamagedError("it ends in its header")
    try:
        header = json.loads(data[_LENGTH_BYTES:start].tobytes())
        return {name: entry for name, entry in header.items() if name != "__metadata__"}, start
    except (ValueError, AttributeError, RecursionError):
        raise _DamagedError("its header is no JSON object") from None


def _check_places(entries: Mapping[str, Any], size: int) -> None:
    """Check that each tensor is of a type that is known and lies where its shape says, with nothing between them."""
    places = []
    for name, entry in entries.items():
        try:
            kind, shape, (first, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
            numbers = all(isinstance(extent, int) and extent >= 0 for extent in (*shape, first, end))
        except (KeyError, TypeError, ValueError):
            numbers = False
        if not numbers:
            raise _DamagedError(f"its entry of {name} cannot be read")
        if kind not in _FORMS:
            raise _DamagedError(f"{name} is of type {kind}; known are {', '.join(_FORMS)}")
        if end - first != math.prod(shape) * np.dtype(_FORMS[kind][0]).itemsize:
            raise _DamagedError(f"{name} has {end - first} bytes for a shape of {shape}")
        places.append((first, end, name))
    expected = 0
    for first, end, name in sorted(places):
        if first != expected:
            raise _DamagedError(f"{name} at {first} instead of {expected}")
        expected = end
    if expected != size:
        raise _DamagedError(f"its data have {size} bytes instead of {expected}")


# ---------------------------------------------------------------- adapter_model.bin


def _pickled(path: Path) -> Weights:
    from xqe.training.library import torch

    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise InputError(f"{path}: damaged or incomplete (it is a Git LFS pointer, not the file itself)", _AGAIN)
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        shapes = {str(name): tuple(tensor.shape) for name, tensor in tensors.items()}
    except Exception as error:  # torch raises of every kind, for a pickle that would run code as for a cut file
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0][:120]})", _AGAIN) from None

    def read(name: str) -> Matrix:
        values: Matrix = tensors[name].detach().to(torch.float32).numpy()
        return values

    return Weights(path, shapes, read)
