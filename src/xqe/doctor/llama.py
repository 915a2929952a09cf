"""llama.cpp as it says itself, asked in a process of its own: one that was built for another processor ends it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

_PROBE_SECONDS = 120.0  # a GPU's driver may take long for the first process after a start
_PROBE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from xqe.doctor import llama
sys.stdout.write("\\n" + json.dumps(llama.ask_library()))
"""


@dataclass(frozen=True, slots=True)
class Llama:
    """llama.cpp, as it says itself. build, devices: see `models.engines.llama.library`. error: why it does not load."""

    build: dict[str, str]
    gpu: bool
    devices: list[dict[str, Any]]
    error: str | None = None


def library_here() -> Llama:
    """Ask the library."""
    command = [sys.executable, "-P", "-c", _PROBE, json.dumps(sys.path)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_SECONDS)
        if done.returncode < 0:
            return _broken(f"the process that loads it ends with {signal.Signals(-done.returncode).name}")
        return Llama(**json.loads(done.stdout.decode().splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return _broken(f"it does not answer within {_PROBE_SECONDS:.0f} seconds")
    except OSError as error:
        return _broken(f"{sys.executable}: {error.strerror or error}")
    except (ValueError, IndexError):
        return _broken((done.stderr.decode("utf-8", "replace").splitlines() or ["it says nothing"])[-1])


def _broken(reason: str) -> Llama:
    return Llama({}, False, [], " ".join(reason.split()))


def ask_library() -> dict[str, Any]:
    """The fields of `Llama`, from loading the library into this process."""
    try:
        from xqe.models.engines.llama import library

        devices = [asdict(device) for device in library.devices()]
        return asdict(Llama(library.build(), library.supports_gpu(), devices))
    except Exception as error:  # a missing library, a function that another version does not have: anything
        reason = error.__cause__ or error
        return asdict(_broken(f"{type(reason).__name__}: {reason}"))
