"""Finds the process that `xqe serve` started, and has it run a command with the streams of this one.

It is asked before anything else is imported, so that a command that it runs begins within some hundredths of a second.
"""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False  # importing typing takes longer than all else here
if TYPE_CHECKING:
    import socket
    from typing import Any

OFF, AUTO = "off", "auto"
OPTION, VARIABLE = "--server", "XQE_SERVER"
ELSEWHERE = "--on"
COMMANDS = frozenset(
    ("analyze", "answer", "ask", "expand", "explain", "inspect", "rerank", "search", "trace", "translate")
)
"""Those that it runs: what takes a moment where all is open. The others take long anyway, or change what is open."""

_LONGEST = 107  # bytes of the path of a Unix socket, Linux's sun_path less its end
_LOADED = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "GGML", "LD_LIBRARY_PATH", "XQE_MODELS", "HIP_VISIBLE_DEVICES")
"""Variables that libraries read when they are loaded, or that say where models lie."""


def address() -> str:
    """The path of the socket: in the user's runtime folder, else in the cache folder of xqe."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return f"{runtime or os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')}/xqe/serve.sock"


def environment() -> dict[str, str]:
    """What must be alike for a process to run commands of another."""
    named = {name: value for name, value in os.environ.items() if name.startswith(_LOADED)}
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    return {**named, "cores": " ".join(map(str, sorted(cores)))}


def run_there(arguments: list[str]) -> tuple[int | None, list[str]]:
    """The status of the command, if a server has run it, and the arguments without the option about it."""
    wanted, arguments = _wanted(arguments)
    if wanted == OFF or not arguments or arguments[0] not in COMMANDS or {"-h", "--help"} & {*arguments}:
        return None, arguments
    if any(one.partition("=")[0] == ELSEWHERE for one in arguments):  # its model is in no process of this machine
        return None, arguments
    path = address() if wanted == AUTO else wanted
    if not _is_ours(path) or _is_piped(0):
        if wanted != AUTO and not _is_ours(path):
            _say(f"{path}: no server of yours; the command runs by itself")
        return None, arguments
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
        except OSError:
            return None, arguments  # one that was killed has left its socket
        return _ask(connection, arguments), arguments


def _wanted(arguments: list[str]) -> tuple[str, list[str]]:
    """Which server is wanted, and the arguments without the option that says it, which stands before the command."""
    first = arguments[0] if arguments else ""
    if first == OPTION and len(arguments) > 1:
        return arguments[1], arguments[2:]
    if first.startswith(f"{OPTION}="):
        return first.partition("=")[2], arguments[1:]
    return os.environ.get(VARIABLE) or AUTO, arguments


def _is_ours(path: str) -> bool:
    """Whether there is a socket that only this user can have made and can connect to."""
    try:
        its, above = os.stat(path), os.stat(os.path.dirname(path) or ".")
    except OSError:
        return False
    is_private = above.st_uid == os.getuid() and not above.st_mode & 0o022
    return (
        stat.S_ISSOCK(its.st_mode) and its.st_uid == os.getuid() and is_private and len(os.fsencode(path)) <= _LONGEST
    )


def _is_piped(descriptor: int) -> bool:
    """Whether another process writes what is read here: a stage of a pipe, which waits for others as they do for it."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return True
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _ask(connection: socket.socket, arguments: list[str]) -> int | None:
    import json
    import signal
    from socket import send_fds

    from xqe import __file__ as package
    from xqe import __version__

    try:
        folder = os.getcwd()
    except FileNotFoundError:  # the command says so itself
        return None
    asked = {
        "version": __version__,
        "package": package,
        "loaded": environment(),
        "arguments": arguments,
        "folder": folder,
        "environment": dict(os.environ),
        "umask": _umask(),
    }
    try:
        send_fds(connection, [b"\0"], [0, 1, 2])
        connection.sendall(json.dumps(asked).encode("utf-8", "surrogateescape") + b"\n")
        answers = connection.makefile("rb")
        first: dict[str, Any] = json.loads(answers.readline() or b"{}")
    except (OSError, ValueError):
        return None
    if "refused" in first:
        if first["refused"]:
            _say(f"the server {first['refused']}; the command runs by itself")
        return None
    if "accepted" not in first:
        return None
    before = signal.signal(signal.SIGINT, lambda *_: _interrupt(connection))
    try:
        last: dict[str, Any] = json.loads(answers.readline() or b"{}")
    except (OSError, ValueError):
        last = {}
    finally:
        signal.signal(signal.SIGINT, before)
    if "status" not in last:
        _say("the server ended before the command did; run it again, with --server off if that happens again")
        return 2
    return int(last["status"])


def _interrupt(connection: socket.socket) -> None:
    try:
        connection.sendall(b"I")
    except OSError:
        os._exit(130)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _say(text: str) -> None:
    sys.stderr.write(f"xqe: {text}\n")
