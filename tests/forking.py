"""A process that runs xqe commands in children forked from it, which takes a tenth of the time of starting Python.

Reads one request a line from standard input, {"arguments", "stdin", "die_at", "file_size"}, and answers each with a
line {"status", "stdout", "stderr", "events"}. The child is the command, but

    at, signal  sends itself this signal before its step number `at`, from 0; with ERROR that step fails instead
    after       is killed after so many seconds
    file_size   cannot make a file larger than so many bytes; as on a full disk, writing beyond them is an OSError

A step is the opening of a file, or what makes, renames, locks or removes one; all are null in a request that wants
none of this. status: -9 for a process that was killed. events: its steps, as [event, path], unless `at` is given.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
import tempfile
import time
from typing import Any

# imported before the children are forked; tantivy's threads start only in them
import xqe.index
import xqe.search  # noqa: F401
from xqe import cli
from xqe.analysis import analyzer

ERROR = 0
STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "fcntl.flock"}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    # Pipes for what is said, which a limit on files leaves alone; it is less than they hold.
    (stdout, stdout_end), (stderr, stderr_end) = os.pipe(), os.pipe()
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as events:
        stdin.write(request["stdin"].encode())
        stdin.seek(0)
        child = os.fork()
        if not child:
            for number, descriptor in enumerate((stdin.fileno(), stdout_end, stderr_end)):
                os.dup2(descriptor, number)
            _run(request, events.fileno())
        os.close(stdout_end)
        os.close(stderr_end)
        if request["after"] is not None:
            time.sleep(request["after"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        events.seek(0)
        return {
            "status": os.waitstatus_to_exitcode(status),
            "stdout": _all(stdout),
            "stderr": _all(stderr),
            "events": [json.loads(line) for line in events.read().splitlines()],
        }


def _all(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb") as file:
        return file.read().decode()


def _run(request: dict[str, Any], events: int) -> None:
    """Be the command."""
    status = 70
    try:
        if request["file_size"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"], resource.RLIM_INFINITY))
        else:
            _watch(request["at"], request["signal"], events)
        status = cli.run(request["arguments"])
        sys.stdout.flush()
    except SystemExit as error:
        status = int(error.code or 0)
    finally:
        os._exit(status)


def _watch(at: int | None, sent: int, events: int) -> None:
    step = 0

    def stepped(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal step
        if event not in STEPS:
            return
        step += 1
        if at is None:
            os.write(events, (json.dumps([event, str(arguments[0])]) + "\n").encode())
        elif step == at + 1 and sent == ERROR:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        elif step == at + 1:
            os.kill(os.getpid(), sent)

    sys.addaudithook(stepped)


if __name__ == "__main__":
    analyzer("en")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
