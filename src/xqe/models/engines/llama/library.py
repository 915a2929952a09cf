"""llama.cpp as a library: loading it, what it logs, what it was built with, and the devices it sees.

The only module that imports llama_cpp; the others take it from here.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections import deque
from dataclasses import dataclass
from typing import Any

from xqe.errors import ModelError
from xqe.messages import say
from xqe.models.engines.llama import crashes

os.environ["GGML_NO_BACKTRACE"] = "1"  # which a debugger would print; read when the library is loaded

# OpenMP's threads spin at every barrier for as long as this says before they sleep. Its default is best on a machine
# of one's own; with one other busy process beside it, this makes two to four times as many tokens, and costs a few
# percent without. It is read when the library is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

try:
    import llama_cpp as llama_cpp
    from llama_cpp import llama_cpp as _bindings
except Exception as error:  # a file that is missing, a library of it, a function that another version does not have
    raise ModelError(f"llama.cpp cannot be loaded: {type(error).__name__}: {error}", "see xqe doctor") from error

_lib = _bindings._lib  # libllama, in which names of the ggml that it loads are found, too
crashes.catch_aborts(_lib)
_WARN, _ERROR, _CONTINUED = 3, 4, 5  # ggml_log_level
_DEVICE_KINDS = {0: "cpu", 1: "gpu", 2: "integrated gpu", 3: "accelerator"}  # ggml_backend_dev_type
_GPU_KINDS = ("gpu", "integrated gpu")


class Log:
    """Keeps llama.cpp's latest warnings and errors, and everything of it off standard error unless `echo` is set."""

    def __init__(self) -> None:
        self.echo = False
        self._lines: deque[tuple[int, str]] = deque(maxlen=40)
        self._level = 0
        self.callback = llama_cpp.llama_log_callback(self._receive)  # the reference must outlive every model
        llama_cpp.llama_log_set(self.callback, ctypes.c_void_p(0))

    def _receive(self, level: int, text: bytes, _data: Any) -> None:
        if level != _CONTINUED:
            self._level = level
        line = text.decode("utf-8", "replace").strip()
        if not line.strip("."):
            return
        if self._level in (_WARN, _ERROR):
            self._lines.append((self._level, line))
        if self.echo:
            say(f"llama.cpp: {line}")

    def clear(self) -> None:
        self._lines.clear()

    def reason(self) -> str:
        """The first error, else warning, since `clear`, in llama.cpp's own words without its functions' names."""
        lines = [line for level, line in self._lines if level == _ERROR] or [line for _, line in self._lines]
        told = [re.sub(r"^[a-zA-Z_0-9:~]+: |error loading model: ", "", line) for line in lines]
        said = [line for line in told if "failed to load model" not in line]
        return (said or told or ["llama.cpp gave no reason"])[0]


log = Log()
llama_cpp.llama_backend_init()


@dataclass(frozen=True, slots=True)
class Device:
    """Something that llama.cpp computes on. kind: "cpu", "gpu", "integrated gpu", "accelerator". Memory in bytes."""

    name: str
    description: str
    kind: str
    free: int
    total: int


def version() -> str:
    return f"llama-cpp-python {llama_cpp.__version__}"


def build() -> dict[str, str]:
    """What the library says of itself: versions, the commit of ggml, and the CPU features it was built with."""
    for function in ("ggml_version", "ggml_commit"):
        getattr(_lib, function).restype = ctypes.c_char_p
    return {
        "llama_cpp_python": llama_cpp.__version__,
        "llama_cpp": llama_cpp.llama_version().decode(),
        "ggml": _lib.ggml_version().decode(),
        "commit": _lib.ggml_commit().decode(),
        "features": llama_cpp.llama_print_system_info().decode().strip(" |\n"),
    }


def supports_gpu() -> bool:
    """True if the library was built with a backend that takes layers; there may be no such device here."""
    return bool(llama_cpp.llama_supports_gpu_offload())


def devices() -> list[Device]:
    """The devices that the library sees, as it orders them."""
    _lib.ggml_backend_dev_count.restype = ctypes.c_size_t
    _lib.ggml_backend_dev_get.restype = ctypes.c_void_p
    _lib.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    found = []
    for index in range(_lib.ggml_backend_dev_count()):
        device = ctypes.c_void_p(_lib.ggml_backend_dev_get(index))
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        _lib.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        for function in ("ggml_backend_dev_name", "ggml_backend_dev_description"):
            getattr(_lib, function).restype = ctypes.c_char_p
        found.append(
            Device(
                _lib.ggml_backend_dev_name(device).decode("utf-8", "replace"),
                _lib.ggml_backend_dev_description(device).decode("utf-8", "replace"),
                _DEVICE_KINDS.get(_lib.ggml_backend_dev_type(device), "other"),
                free.value,
                total.value,
            )
        )
    return found


def gpus() -> list[Device]:
    """The devices that layers can be put on."""
    return [device for device in devices() if device.kind in _GPU_KINDS]
