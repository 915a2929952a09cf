"""Building an index in shards: documents are dealt out in turn, and each shard is built by a process of its own.

As many processes work at a time as there are cores; the documents of further shards wait on disk. How documents are
dealt out depends on their order alone, so that the same ones make the same shards.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext, suppress
from itertools import chain, islice
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from xqe.errors import XqeError
from xqe.files.documents import Placed
from xqe.machine import available_cores
from xqe.messages import Progress
from xqe.retrieval.lexical.bm25 import BY_LENGTH, ByLength, Parameters
from xqe.retrieval.lexical.builder import Ids, build, building, check_target, named_data, no_documents, replace_data
from xqe.retrieval.lexical.manifest import Contents
from xqe.retrieval.lexical.shards import Shards, described, folder_name, write_shards
from xqe.text.analysis import analyzer
from xqe.text.workers import LARGE, chunks, interrupted_later

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Round = Sequence[list[Placed]]
"""Documents for each shard."""

_AHEAD = 8  # lists of documents that a process has read and not begun with


class How(NamedTuple):
    """How each shard is built: `build` of the same names."""

    code: str
    parameters: Parameters | ByLength
    keep_texts: bool

    def build(self, folder: Path, documents: Iterable[Placed]) -> None:
        """Build a shard in this process alone."""
        build(folder, self.code, documents, False, self.parameters, self.keep_texts, None, 1)


Builders = Callable[[Iterator[Round], Path, How], None]
"""What builds the shards of documents that are dealt out, in a data folder."""


def build_shards(
    directory: Path,
    code: str,
    documents: Iterable[Placed],
    shards: int,
    replace: bool = False,
    parameters: Parameters | ByLength = BY_LENGTH,
    keep_texts: bool = True,
    shown: Progress | None = None,
    builders: Builders | None = None,
) -> Contents:
    """Build the index of `documents` in so many shards, or in as many as there are documents; all else is as with
    `build`, which 1 stands for. builders: what builds the shards, by default processes on this machine."""
    if shards == 1:
        return build(directory, code, documents, replace, parameters, keep_texts, shown)
    check_target(directory, replace)
    how = How(analyzer(code).code, parameters, keep_texts)

    def make(data: Path) -> Shards:
        (builders or by_processes)(_dealt(documents, shards, shown), data, how)
        return described(data, parameters)

    with building(directory):
        check_target(directory, replace)  # another build may have ended since
        return replace_data(directory, named_data, make, write_shards)


def _dealt(documents: Iterable[Placed], shards: int, shown: Progress | None) -> Iterator[Round]:
    ids = Ids()
    for chunk in chunks(documents):
        first = len(ids)
        ids.add(chunk)
        yield [chunk[(shard - first) % shards :: shards] for shard in range(shards)]
        if shown is not None:
            shown.count(len(chunk))
    if not len(ids):
        raise no_documents()
    if shown is not None:
        shown.doing = "writing"


def by_processes(rounds: Iterator[Round], data: Path, how: How) -> None:
    """Build shards by processes, unless they are so small that this one is sooner done."""
    head = list(islice(rounds, LARGE))
    if len(head) < LARGE:
        for number, lists in enumerate(zip(*head, strict=True)):
            if any(lists):
                how.build(data / folder_name(number), chain.from_iterable(lists))
        return
    with _Processes(data, how, available_cores()) as processes:
        for each in chain(head, rounds):
            for number, some in enumerate(each):
                if some:
                    processes.give(number, some)
        processes.finish()


class _Processes:
    """The processes that build shards: of the first shards at once, each at the end of a pipe through which it is given
    documents, and then of the others, which read theirs from files."""

    def __init__(self, data: Path, how: How, most: int) -> None:
        self._data, self._how, self._most = data, how, most
        self._running: dict[int, tuple[BaseProcess, Connection]] = {}
        self._files: dict[int, BinaryIO] = {}
        self._stack = ExitStack()

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for process, _connection in self._running.values():
            process.kill()  # there was an error
        for process, connection in self._running.values():
            process.join()
            connection.close()

    def give(self, shard: int, documents: list[Placed]) -> None:
        """Give documents to a shard."""
        if shard not in self._running and shard not in self._files:
            if len(self._running) < self._most:
                self._start(shard)
            else:
                self._files[shard] = self._stack.enter_context(waiting(self._data, shard).open("wb"))
        if shard in self._files:
            put_waiting(self._files[shard], documents)
            return
        try:
            self._running[shard][1].send(documents)
        except OSError:
            self._end(shard)  # which says why it ended
            raise

    def finish(self) -> None:
        """Wait until all shards are built."""
        from multiprocessing.connection import wait

        self._stack.close()
        for _, connection in self._running.values():
            with suppress(OSError):  # what it has to say of its end is read below
                connection.send(None)
        left = deque(self._files)
        while self._running:
            ready = wait([connection for _, connection in self._running.values()])
            for shard in [shard for shard, (_, connection) in self._running.items() if connection in ready]:
                self._end(shard)
                if left:
                    self._start(left.popleft())

    def _start(self, shard: int) -> None:
        import multiprocessing
        from multiprocessing import resource_tracker

        context = multiprocessing.get_context("spawn")  # forking a process that has threads is not safe
        resource_tracker.ensure_running()  # its start would unblock the interrupt
        there = waiting(self._data, shard) if shard in self._files else None
        with interrupted_later():
            ours, theirs = context.Pipe()
            arguments = (theirs, self._data / folder_name(shard), self._how, there)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            self._running[shard] = process, ours
            theirs.close()

    def _end(self, shard: int) -> None:
        """Take what a process says at its end. Raises what went wrong."""
        process, connection = self._running[shard]
        try:
            error: Exception | None = connection.recv()
        except (EOFError, OSError):
            raise XqeError(
                "a process that builds a shard was killed", "most likely for want of memory; free some"
            ) from None
        if error is not None:
            raise error
        process.join()
        connection.close()
        del self._running[shard]
        waiting(self._data, shard).unlink(missing_ok=True)


def _work(connection: Connection, folder: Path, how: How, there: Path | None) -> None:
    """What a process does: it builds one shard, and says what went wrong, None for nothing.

    It ends when the process that started it does. A few lists are read ahead, so that who gives them need not wait.
    """
    arrived: Queue[list[Placed] | None] = Queue(_AHEAD)

    def read() -> None:
        try:
            while True:
                arrived.put(connection.recv())
        except (EOFError, OSError):
            os._exit(1)

    Thread(target=read, daemon=True).start()
    error: Exception | None = None
    with nullcontext() if there is None else there.open("rb") as file:
        lists = iter(arrived.get, None) if file is None else read_waiting(file)
        try:
            how.build(folder, chain.from_iterable(lists))
        except Exception as found:
            error = found
    with suppress(OSError):
        connection.send(error)


def waiting(data: Path, shard: int) -> Path:
    """Where the documents of a shard wait."""
    return data / f"{folder_name(shard)}.documents"


def put_waiting(file: BinaryIO, documents: Sequence[Placed]) -> None:
    """Let more documents of a shard wait."""
    pickle.dump(documents, file)


def read_waiting(file: BinaryIO) -> Iterator[list[Placed]]:
    """The documents of a shard that wait."""
    with suppress(EOFError):
        while True:
            yield pickle.load(file)
