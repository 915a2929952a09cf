"""Shards that workers of a cluster build, one after the other, each on whichever machine has room.

A worker that sees the folder of the index, on this machine or on a disk that all share, reads the documents there and
builds the shard there. To any other the documents are sent, and the files of the shard come back. A shard that a worker
was lost with is built again. What workers leave lies in the data folder, so that it ends with the build.
"""

from __future__ import annotations

import io
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from xqe.cluster.opened import opened
from xqe.cluster.worker import Each
from xqe.retrieval.lexical.dealing import Builders, How, Round, put_waiting, read_waiting, waiting
from xqe.retrieval.lexical.shards import folder_name

if TYPE_CHECKING:
    from xqe.cluster.opened import Make
    from xqe.cluster.pool import Pool
    from xqe.cluster.shares import Share
    from xqe.cluster.wishes import Wishes

_MARK = "mark"
_BUILT = "built-"


class Task(NamedTuple):
    """A shard to be built. data: the folder of the index's data, with `mark` in a file of it, by which a worker sees
    whether it is the same folder on its machine. documents: of the shard as they wait on disk; None if they are to be
    read there."""

    how: How
    data: Path
    mark: str
    number: int
    documents: bytes | None = None


class Built(NamedTuple):
    """What came of a task. place: the name of the folder that the shard is in; None where its machine does not see the
    data. files: of the shard, by their paths in its folder, where it was built elsewhere."""

    place: str | None = None
    files: Mapping[Path, bytes] = {}


def by_workers(wishes: Wishes, verbose: bool = False) -> Builders:
    """What builds shards on a cluster. Raises XqeError for one that cannot be had, once documents are to be built."""

    def making(share: Share) -> Make:
        return partial(Each, built)

    return partial(build_on, lambda: opened(wishes, making, verbose=verbose))


def build_on(
    workers: Callable[[], AbstractContextManager[Pool]], rounds: Iterator[Round], data: Path, how: How
) -> None:
    """Build shards by workers that hold `built`."""
    mark = secrets.token_hex(16)
    (data / _MARK).write_text(mark)
    numbers = _put(rounds, data)
    asked = [Task(how, data, mark, number) for number in numbers]
    with workers() as pool:
        for task, done in zip(asked, pool.map(asked), strict=True):
            if done.place is not None:
                _take(task, done)
        left = [task for task in asked if not (data / folder_name(task.number)).exists()]
        sent = (task._replace(documents=waiting(data, task.number).read_bytes()) for task in left)
        for task, done in zip(left, pool.map(sent, pool.workers), strict=True):
            _take(task, done)
    for number in numbers:
        waiting(data, number).unlink()
    for place in (data / _MARK, *data.glob(f"{_BUILT}*")):  # the latter of workers that were lost
        shutil.rmtree(place) if place.is_dir() else place.unlink()


def built(task: Task) -> Built:
    """Build a shard where this process is."""
    name = f"{_BUILT}{secrets.token_hex(8)}"  # two workers may be at one shard, if the first is only thought lost
    if _is_here(task):
        documents = waiting(task.data, task.number).open("rb")
        _build(task, documents, task.data / name)
        return Built(name)
    if task.documents is None:
        return Built()
    with TemporaryDirectory(prefix="xqe-shard-") as own:
        folder = Path(own, name)
        _build(task, io.BytesIO(task.documents), folder)
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return Built(name, {path.relative_to(folder): path.read_bytes() for path in files})


def _is_here(task: Task) -> bool:
    try:
        return (task.data / _MARK).read_text() == task.mark
    except OSError:
        return False


def _build(task: Task, documents: BinaryIO, folder: Path) -> None:
    with documents:
        task.how.build(folder, chain.from_iterable(read_waiting(documents)))


def _take(task: Task, done: Built) -> None:
    """Put a shard that was built in its place."""
    assert done.place is not None
    for path, content in done.files.items():
        place = task.data / done.place / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    (task.data / done.place).rename(task.data / folder_name(task.number))


def _put(rounds: Iterator[Round], data: Path) -> list[int]:
    """Let the documents of each shard wait on disk; return the numbers of those that have any."""
    files: dict[int, BinaryIO] = {}
    with ExitStack() as stack:
        for each in rounds:
            for number, some in enumerate(each):
                if not some:
                    continue
                if number not in files:
                    files[number] = stack.enter_context(waiting(data, number).open("wb"))
                put_waiting(files[number], some)
    return list(files)
