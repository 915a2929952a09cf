"""A process that runs xqe commands in children forked from it, which takes a tenth of the time of starting Python.

Reads one request a line from standard input, and answers each with a line {"status", "stdout", "stderr", "events"}
when the child has ended. The child is the command: it has pipes for its three streams, ends as Python ends, and has

    arguments    after "xqe"
    stdin        what it reads; bytes that are no UTF-8 are lone surrogates, here and in the answers
    cwd          the folder it runs in
    environment  the whole of it

    at, signal   sends itself this signal before its step number `at`, from 0; with ERROR that step fails instead
    after        is killed after so many seconds
    file_size    cannot make a file larger than so many bytes; as on a full disk, writing beyond them is an OSError
    timeout      is killed after so many seconds, too; then the answer's status is null

A step is the opening of a file, or what makes, renames, locks or removes one; all but `timeout` are null in a request
that wants none of this. status: -9 for a process that was killed. events: its steps, as [event, path], where the
request has `record`.

What a new Python decides when it starts, such as its path, its encodings and the seed of its hashes, is the same in
all children; `forks.Forks` refuses variables that are about these.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

from xqe import cli
from xqe.__main__ import leave
from xqe.verbs import Group

ERROR = 0
STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "fcntl.flock"}

# What the commands import in their bodies, by the first argument or the first two, imported here before the first
# child that needs it; and so are the modules of the commands themselves. Neither llama_cpp, which starts threads, nor
# anything of tantivy that does.
_INDEX = ("xqe.retrieval.lexical", "xqe.stages.search", "xqe.text.analysis")
_GENERATION = (
    "xqe.stages.generation",
    "xqe.stages.expand",
    "xqe.stages.translate",
    "tomllib",
    "xqe.models.store.run",
    "xqe.models.engines.stored",
    "xqe.models.engines.fake",
    "xqe.text.detection",
    "tqdm",
)
_SCREENS = ("rich.table", "rich.console", "rich.text")
_DRAWING = ("matplotlib.figure", "matplotlib.backends.backend_svg", "matplotlib.backends.backend_pdf")
_TRAINING = ("torch", "transformers.trainer", "peft")
IMPORTED = {
    "answer": (*_INDEX, *_GENERATION),
    "ask": (*_INDEX, *_GENERATION, *_SCREENS),
    "augment": _GENERATION,
    "analyze": (*_INDEX, *_SCREENS),
    "batch": (*_GENERATION, "xqe.models.engines.batchfile"),
    "data": ("xqe.collections.conversion", "xqe.collections.sampling", "xqe.collections.sources", *_SCREENS),
    "embed": (*_INDEX, "xqe.retrieval.dense.building", "xqe.models.encoders.fake"),
    "eval": ("xqe.evaluation.comparison", "xqe.evaluation.values", "scipy.stats", *_SCREENS),
    "expand": _GENERATION,
    "explain": (*_INDEX, "xqe.retrieval.bm25", *_SCREENS),
    "finetune": _SCREENS,
    "finetune data": ("xqe.training.building",),
    "finetune export": _TRAINING,
    "finetune train": _TRAINING,
    "fuse": ("xqe.stages.fuse", "xqe.files.trec"),
    "grid": (*_INDEX, *_GENERATION, "xqe.experiments.grid.conduct", "scipy.stats"),
    "index": _INDEX,
    "inspect": ("xqe.stages.inspection.inspector", "xqe.stages.inspection.summary", "xqe.text.detection", *_SCREENS),
    # huggingface_hub reads the environment when it is imported, so no more than what it imports
    "models": ("httpx2", "filelock", "yaml", "tqdm.auto", "xqe.models.download", *_SCREENS),
    "rerank": (*_INDEX, *_GENERATION),
    "report": ("xqe.experiments.report.page", "xqe.experiments.report.drawing", "scipy.stats", *_DRAWING),
    "search": _INDEX,
    "store": (*_GENERATION, *_SCREENS),
    "trace": (*_INDEX, *_GENERATION, "xqe.stages.tracing", *_SCREENS),
    "translate": _GENERATION,
}


class _Child(NamedTuple):
    number: int
    stdin: int  # the end of its pipe that is written here
    stdout: int
    stderr: int


def serve() -> dict[str, Any] | None:
    """Answer all requests; return None, and in a child the request."""
    with os.fdopen(os.dup(0)) as requests, os.fdopen(os.dup(1), "w") as answers:
        for line in requests:
            request: dict[str, Any] = json.loads(line)
            prepare(request["arguments"])
            with tempfile.TemporaryFile() as events:
                child = _fork(request, events.fileno())
                if child is None:
                    return request
                answer = _answer(child, request)
                events.seek(0)
                answer["events"] = [json.loads(event) for event in events.read().splitlines()]
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    return None


def prepare(arguments: list[str]) -> None:
    """Have what a command imports and loads, before the fork that becomes it."""
    for name in _imported(arguments):
        importlib.import_module(name)
    if detection := sys.modules.get("xqe.text.detection"):
        detection._identifier()
    gc.freeze()  # a child's collections would copy what the two share


def _imported(arguments: list[str]) -> Iterator[str]:
    """The modules of a command and of those below it, and what they import in their bodies, which help does not."""
    first = (arguments or [""])[0]
    for row in chain.from_iterable(cli.COMMANDS.values()):
        if row.name == first:
            for verb in row.verbs if isinstance(row, Group) else (row,):
                yield f"xqe.commands.{verb.place.partition(':')[0]}"
    for count in (1, 2) if "--help" not in arguments else ():
        yield from IMPORTED.get(" ".join(arguments[:count]), ())


def _fork(request: dict[str, Any], events: int) -> _Child | None:
    """Fork; return None in the child, which has its streams, its environment and what is to happen to it."""
    pipes = [os.pipe() for _ in range(3)]
    theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
    ours = (pipes[0][1], pipes[1][0], pipes[2][0])
    number = os.fork()
    if number:
        for descriptor in theirs:
            os.close(descriptor)
        return _Child(number, *ours)
    for standard, descriptor in enumerate(theirs):
        os.dup2(descriptor, standard)
    for descriptor in (*theirs, *ours):
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.argv[1:] = request["arguments"]
    if request["file_size"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"], resource.RLIM_INFINITY))
    if request["record"] or request["at"] is not None:
        _watch(request["at"], request["signal"], os.dup(events))
    return None


def _answer(child: _Child, request: dict[str, Any]) -> dict[str, Any]:
    """Write what the child reads and read what it writes, until it has ended or its time has."""
    started, written = time.monotonic(), {child.stdout: bytearray(), child.stderr: bytearray()}
    given = memoryview(request["stdin"].encode("utf-8", "surrogateescape"))
    end = started + min(request["timeout"], request["timeout"] if request["after"] is None else request["after"])
    is_killed = False
    with selectors.DefaultSelector() as selector:
        os.set_blocking(child.stdin, False)
        selector.register(child.stdin, selectors.EVENT_WRITE)
        for descriptor in written:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(None if is_killed else max(end - time.monotonic(), 0))
            if not is_killed and time.monotonic() >= end:
                os.kill(child.number, signal.SIGKILL)
                is_killed = True
            for key, _ in ready:
                if key.fd == child.stdin:
                    with suppress(BrokenPipeError):
                        given = given[os.write(child.stdin, given[:65_536]) :] if given else given
                        if given:
                            continue
                elif block := os.read(key.fd, 65_536):
                    written[key.fd] += block
                    continue
                selector.unregister(key.fd)
                os.close(key.fd)
    _, status = os.waitpid(child.number, 0)
    return {
        "status": None if is_killed and request["after"] is None else os.waitstatus_to_exitcode(status),
        "stdout": written[child.stdout].decode("utf-8", "surrogateescape"),
        "stderr": written[child.stderr].decode("utf-8", "surrogateescape"),
    }


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


def run() -> None:
    """Be the command, and end as it ends."""
    try:
        cli.main()
    except SystemExit as end:
        leave(int(end.code or 0))


if __name__ == "__main__" and serve():
    run()
