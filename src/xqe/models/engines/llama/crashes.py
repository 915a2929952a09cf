"""llama.cpp ends the process where it finds what it never expected, in a damaged model for the most part: how that
becomes one line and a status.

Three ways lead there: ggml_abort (GGML_ASSERT, and errors of GPUs), a C++ exception that nobody catches, and a signal.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

_UNABLE_STATUS = 2
_FILE = "the model file may be damaged: check it with xqe models verify"
_SIGNALS = {
    signal.SIGABRT: _FILE,
    signal.SIGBUS: "a file may have been cut while it was read",
    signal.SIGFPE: _FILE,
    signal.SIGILL: "llama.cpp was built for another processor: see xqe doctor",
    signal.SIGSEGV: _FILE,
}
_kept: list[Any] = []  # what C code points to


def catch_signals() -> None:
    """Let a signal by which the system ends a process be one line, unless faulthandler was asked for more."""
    if faulthandler.is_enabled():
        return
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = (ctypes.c_int, handler), ctypes.c_void_p

    def received(number: int) -> None:
        _end("the process", signal.Signals(number).name, _SIGNALS[signal.Signals(number)])

    _kept.append(handler(received))
    for number in _SIGNALS:
        libc.signal(number, _kept[-1])


def catch_aborts(library: ctypes.CDLL) -> None:
    """Let what ends the process within the library be one line. library: libllama, with ggml and C++'s below it."""

    def aborted(message: bytes) -> None:
        _end("llama.cpp", re.sub(r"^\S+:\d+: ", "", message.decode("utf-8", "replace")), _FILE)

    def terminated() -> None:
        _end("llama.cpp", "it threw an exception", _FILE)

    _give(library.ggml_set_abort_callback, ctypes.CFUNCTYPE(None, ctypes.c_char_p)(aborted))
    set_terminate = getattr(library, "_ZSt13set_terminatePFvvE", None)  # of the C++ library, std::set_terminate
    if set_terminate is not None:
        _give(set_terminate, ctypes.CFUNCTYPE(None)(terminated))


def _give(setter: Any, callback: Callable[..., None]) -> None:
    _kept.append(callback)
    setter.argtypes, setter.restype = (type(callback),), ctypes.c_void_p
    setter(callback)


def _end(who: str, what: str, hint: str) -> NoReturn:
    """Leave at once: nothing of the library may be called any more."""
    with suppress(OSError):
        os.write(2, f"xqe: {who} cannot go on ({' '.join(what.split())}); {hint}\n".encode())
    os._exit(_UNABLE_STATUS)
