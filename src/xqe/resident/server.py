"""Runs commands that clients send, one at a time, with models and indexes kept open.

A command has the streams, the folder and the environment of its client while it runs. A client that comes meanwhile
runs its command by itself, so that the stages of a pipe do not wait for each other.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from xqe import __file__ as package
from xqe import __version__
from xqe.errors import XqeError, why
from xqe.files.stdout import Output
from xqe.kept import keeping
from xqe.resident.client import environment

Run = Callable[[list[str]], int]
"""Runs the command with these arguments; returns its status."""

IDLE_SECONDS = 1800.0
_WAIT_SECONDS = 10.0  # for a client to say what it wants


class Asked(NamedTuple):
    """A command of a client. said: what the client sent; streams: its three, as descriptors of this process."""

    connection: socket.socket
    said: dict[str, Any]
    streams: list[int]


class Server:
    """Listens at a path, which must be free. Use as a context manager.

    Raises XqeError where the path cannot be listened at, or another server does.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self._path, self._run = path, run
        self._asked: queue.Queue[Asked | None] = queue.Queue()
        self._busy = threading.Lock()
        self._running = False
        self._used = time.monotonic()
        self.commands = 0
        self.work = threading.Lock()
        """Held by whoever computes: a command, or somebody else in this process."""
        self._listener = _listening(path)

    def __enter__(self) -> Server:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._listener.close()
        with suppress(OSError):
            self._path.unlink()

    def serve(self, idle: float) -> None:
        """Run what comes until nothing has come for so many seconds, or somebody asked for the end."""
        signal.signal(signal.SIGINT, self._interrupted)
        with keeping() as keeper, _own_streams():
            self._keeper = keeper
            while (left := self._used + idle - time.monotonic()) > 0:
                with suppress(queue.Empty):
                    asked = self._asked.get(timeout=left)
                    if asked is None:
                        return
                    self._answer(asked)
                    self.used()

    def used(self) -> None:
        """Note that something was asked for just now."""
        self._used = time.monotonic()

    # -- what arrives ------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._receive, args=(connection,), daemon=True).start()

    def _receive(self, connection: socket.socket) -> None:
        """Read what a client wants, and have it run or refuse it."""
        streams: list[int] = []
        try:
            connection.settimeout(_WAIT_SECONDS)
            if _user_of(connection) != os.getuid():
                connection.close()
                return
            _, streams, _, _ = socket.recv_fds(connection, 1, 3)
            said = json.loads(connection.makefile("rb").readline().decode("utf-8", "surrogateescape"))
            refused = self._refusal(said)
            if "wants" in said or refused is not None:
                _send(connection, {"refused": refused} if refused is not None else self._told(said["wants"]))
            elif self._busy.acquire(blocking=False):
                connection.settimeout(None)
                self._asked.put(Asked(connection, said, streams))
                return
            else:
                _send(connection, {"refused": ""})
        except (OSError, ValueError):
            pass
        for stream in streams:
            os.close(stream)
        connection.close()

    def _refusal(self, said: dict[str, Any]) -> str | None:
        """Why a command cannot be run here; None where it can."""
        if (said["version"], said["package"]) != (__version__, package):
            return f"is xqe {__version__} in {Path(package).parent}"
        if said.get("loaded", environment()) != environment():
            return "has other variables of libraries and models (CUDA_VISIBLE_DEVICES, OMP_NUM_THREADS, XQE_MODELS …)"
        return None

    def _told(self, wants: str) -> dict[str, Any]:
        if wants == "end":
            self._asked.put(None)
        return {"process": os.getpid(), "commands": self.commands, "open": self._keeper.names()}

    # -- a command ---------------------------------------------------------------------------------------------

    def _answer(self, asked: Asked) -> None:
        status = 2
        try:
            _send(asked.connection, {"accepted": True})
            self._running = True
            threading.Thread(target=self._listen, args=(asked.connection,), daemon=True).start()
            with self.work, _as_client(asked):
                status = self._run(asked.said["arguments"])
        except SystemExit as end:  # 141, of a closed pipe
            status = end.code if isinstance(end.code, int) else 2
        except KeyboardInterrupt:
            status = 130
        except OSError:  # its folder is gone, its terminal closed
            status = 2
        finally:
            self._running = False
            self.commands += 1
            with suppress(OSError):
                _send(asked.connection, {"status": status})
            asked.connection.close()
            self._busy.release()

    def _listen(self, connection: socket.socket) -> None:
        """Pass on an interrupt of the client, or its end."""
        with suppress(OSError):
            while self._running:
                connection.recv(1)
                if not self._running:
                    return
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                time.sleep(0.2)

    def _interrupted(self, *_: object) -> None:
        """End the command that runs, else the server."""
        if self._running:
            raise KeyboardInterrupt
        self._asked.put(None)


def ask(path: Path, wants: str) -> dict[str, Any] | None:
    """What the server at a path tells of itself, asked for "state" or to "end"; None where there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
            socket.send_fds(connection, [b"\0"], [0, 1, 2])
            _send(connection, {"version": __version__, "package": package, "wants": wants})
            told: dict[str, Any] = json.loads(connection.makefile("rb").readline() or b"{}")
        except (OSError, ValueError):
            return None
    return told


def _listening(path: Path) -> socket.socket:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent.stat().st_uid != os.getuid():
            raise XqeError(f"{path.parent}: belongs to another user", "set XDG_RUNTIME_DIR to a folder of yours")
        path.parent.chmod(path.parent.stat().st_mode & ~0o077)
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # kept as long as this process lives
        except OSError:
            raise XqeError(f"{path}: a server is there already", "xqe serve --stop ends it") from None
        with suppress(FileNotFoundError):
            path.unlink()  # of a server that was killed: the lock is ours
        listener = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen(16)
    except OSError as error:
        raise XqeError(f"{path}: {why(error)}", "set XDG_RUNTIME_DIR to a folder with a short path") from None
    return listener


def _user_of(connection: socket.socket) -> int:
    """Who is at the other end."""
    if not hasattr(socket, "SO_PEERCRED"):  # macOS; the folder and the socket are the owner's alone
        return os.getuid()
    size = struct.calcsize("3i")
    return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1])


def _send(connection: socket.socket, said: dict[str, Any]) -> None:
    connection.sendall(json.dumps(said).encode() + b"\n")


@contextmanager
def _own_streams() -> Iterator[None]:
    """Have at the standard streams, which are those of clients meanwhile, what was there again at the end."""
    kept = [os.dup(number) for number in range(3)]
    try:
        yield
    finally:
        for number, stream in enumerate(kept):
            os.dup2(stream, number)
            os.close(stream)


@contextmanager
def _as_client(asked: Asked) -> Iterator[None]:
    """Have the streams, the folder, the environment and the mask of a client."""
    before = (Path.cwd(), dict(os.environ), sys.stdin, sys.stdout, sys.stderr)
    for number, stream in enumerate(asked.streams):
        os.dup2(stream, number)
        os.close(stream)
    mask = os.umask(asked.said["umask"])
    try:
        os.environ.clear()
        os.environ.update(asked.said["environment"])
        os.chdir(asked.said["folder"])
        sys.stdin, out = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
        sys.stdout = Output(out)
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        yield
        sys.stdout.flush()
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        os.umask(mask)
        os.environ.clear()
        os.environ.update(before[1])
        os.chdir(before[0])
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        os.close(nothing)
        sys.stdin, sys.stdout, sys.stderr = before[2:]
