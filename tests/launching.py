"""Lets shell commands run xqe in children of one process, as `forking` does for what tests run themselves.

`Launcher(folder).program` is the text of a program: whatever starts it gets a command with its arguments, folder,
environment and streams, forked from a process that has imported it, and its exit status. What a new Python decides when
it starts is as it was in that process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

# Sends (arguments, folder, environment) and the three streams, and leaves with the status that comes back. Without site
# a Python starts in some hundredths of a second. What reads a pipe begins when the pipe is whole, so that what several
# commands say on one stream has the order of the pipe; for that, the pipe is to hold all (1031 is F_SETPIPE_SZ).
_PROGRAM = """#!{python} -IS
import array, fcntl, os, select, socket, stat, sys
if stat.S_ISFIFO(os.fstat(0).st_mode):
    fcntl.fcntl(0, 1031, 1 << 20)
    whole = select.poll()
    whole.register(0, 0)
    whole.poll()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({socket!r})
    streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
    server.sendmsg([b"x"], streams)
    server.sendall(repr((sys.argv[1:], os.getcwd(), dict(os.environ))).encode())
    server.shutdown(socket.SHUT_WR)
    os._exit(server.recv(1)[0])
"""


class Launcher:
    def __init__(self, folder: Path) -> None:
        address = folder / "socket"
        self.program = _PROGRAM.format(python=sys.executable, socket=str(address))
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
        self._server = subprocess.Popen(
            [sys.executable, __file__, str(address)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # as most are in the children: Python asks what they are once
            env=environment,
        )

    def __enter__(self) -> Launcher:
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"ready\n", self._server.communicate()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.terminate()
        self._server.communicate(timeout=60)


def serve(address: str) -> None:
    """Answer each connection by a command; return in the child that is to be that command."""
    import ast
    import signal
    import socket
    from contextlib import suppress

    import forking

    def ended(*_: object) -> None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    signal.signal(signal.SIGCHLD, ended)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        os.write(1, b"ready\n")
        while True:
            connection, _ = listener.accept()
            _, streams, _, _ = socket.recv_fds(connection, 1, 3)
            with connection.makefile() as sent:
                arguments, folder, environment = ast.literal_eval(sent.read())
            forking.prepare(arguments)
            if os.fork() == 0:
                break
            connection.close()
            for stream in streams:
                os.close(stream)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(child, 0)
        connection.send(bytes([os.waitstatus_to_exitcode(status) % 256]))
        os._exit(0)
    connection.close()
    for standard, stream in enumerate(streams):
        os.dup2(stream, standard)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[1:] = arguments


if __name__ == "__main__":
    serve(sys.argv[1])
    import forking

    forking.run()
