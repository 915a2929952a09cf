"""llama.cpp ends the process where it finds what it never expected, in a damaged model for the most part: how that
becomes one line and a status.

Two ways lead there that call back: ggml_abort (GGML_ASSERT, and errors of GPUs) and a C++ exception that nobody
catches. A signal stays what it is: in a handler nothing may be called that waits, for a lock of malloc or of Python,
which the thread that was interrupted may hold.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

_UNABLE_STATUS = 2
_HINT = "the model file may be damaged: check it with xqe models verify"
_kept: list[Any] = []  # what C code points to


def catch_aborts(library: ctypes.CDLL) -> None:
    """Let what ends the process within the library be one line. library: libllama, with ggml and C++'s below it."""

    def aborted(message: bytes) -> None:
        _end(re.sub(r"^\S+:\d+: ", "", message.decode("utf-8", "replace")))

    def terminated() -> None:
        _end("it threw an exception")

    _give(library.ggml_set_abort_callback, ctypes.CFUNCTYPE(None, ctypes.c_char_p)(aborted))
    set_terminate = getattr(library, "_ZSt13set_terminatePFvvE", None)  # of the C++ library, std::set_terminate
    if set_terminate is not None:
        _give(set_terminate, ctypes.CFUNCTYPE(None)(terminated))


def _give(setter: Any, callback: Callable[..., None]) -> None:
    _kept.append(callback)
    setter.argtypes, setter.restype = (type(callback),), ctypes.c_void_p
    setter(callback)


def _end(what: str) -> NoReturn:
    """Leave at once: nothing of the library may be called any more."""
    with suppress(OSError):
        os.write(2, f"xqe: llama.cpp cannot go on ({' '.join(what.split())}); {_HINT}\n".encode())
    os._exit(_UNABLE_STATUS)
