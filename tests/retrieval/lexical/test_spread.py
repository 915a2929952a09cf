"""Shards that workers build are those of processes on this machine, whatever workers see and wherever they end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES

from xqe.cluster.pool import Handle, Pool, WorkerLostError
from xqe.cluster.worker import Each, Worker
from xqe.errors import XqeError
from xqe.files.documents import Placed
from xqe.files.records import Document
from xqe.retrieval.lexical import Hit, build_shards, open_index, spread
from xqe.retrieval.lexical.dealing import Round


class Here:
    """A worker in a thread of this process. lost: the calls of `run` that end it, after it has done them."""

    def __init__(self, do: Callable[[Any], Any], lost: set[int], calls: Iterator[int]) -> None:
        self._worker, self._lost, self._calls = Worker(partial(Each, do)), lost, calls
        self._thread = ThreadPoolExecutor(1)

    def call(self, method: str, arguments: tuple[Any, ...], then: Callable[[Any], None]) -> None:
        def done() -> None:
            came = getattr(self._worker, method)(*arguments)
            then(WorkerLostError("gone") if method == "run" and next(self._calls) in self._lost else came)

        self._thread.submit(done)

    def dismiss(self) -> None:
        self._thread.shutdown(wait=False)


@pytest.fixture
def placed() -> list[Placed]:
    lines = (FIXTURES / "documents" / "en.jsonl").read_text().splitlines()
    texts = [json.loads(line) for line in lines]
    return [(str(place), Document(one["id"], one["text"])) for place, one in enumerate(texts, 1)]


def on_workers(sees: Callable[[spread.Task], bool], lost: set[int] = frozenset()) -> Any:  # type: ignore[assignment]
    """What builds shards by two workers. sees: whether the one that has a task sees the folder of the index."""

    def do(task: spread.Task) -> spread.Built:
        return spread.built(task if sees(task) else task._replace(mark="another folder"))

    calls = iter(range(1000))

    def hire() -> Handle:
        return Here(do, lost, calls)

    return partial(spread.build_on, lambda: Pool(hire, 2))


def found(directory: Path) -> list[list[Hit]]:
    index = open_index(directory, verify=True)
    return [index.search({term: 1.0}, 10) for term in ("mercuri", "planet", "the", "metal")]


SEES = {"all": lambda task: True, "none": lambda task: False, "some": lambda task: task.number == 1}


@pytest.mark.parametrize("sees", SEES)
def test_it_is_the_index_that_processes_build(placed: list[Placed], tmp_path: Path, sees: str) -> None:
    alone = build_shards(tmp_path / "alone", "en", placed, 3)
    built = build_shards(tmp_path / "built", "en", placed, 3, builders=on_workers(SEES[sees]))
    assert (built.documents, built.terms, built.distinct) == (alone.documents, alone.terms, alone.distinct)
    assert found(tmp_path / "built") == found(tmp_path / "alone")
    [data] = (tmp_path / "built").glob("data-*")
    assert sorted(place.name for place in data.iterdir()) == ["shard-0000", "shard-0001", "shard-0002"]


@pytest.mark.parametrize("sees", ["all", "none"])
def test_a_shard_whose_worker_was_lost_is_built_again(placed: list[Placed], tmp_path: Path, sees: str) -> None:
    build_shards(tmp_path / "alone", "en", placed, 3)
    build_shards(tmp_path / "built", "en", placed, 3, builders=on_workers(SEES[sees], {0, 4}))
    assert found(tmp_path / "built") == found(tmp_path / "alone")
    [data] = (tmp_path / "built").glob("data-*")
    assert len(list(data.iterdir())) == len(list((tmp_path / "alone").glob("data-*/*")))


def test_there_are_no_more_shards_than_documents(placed: list[Placed], tmp_path: Path) -> None:
    built = build_shards(tmp_path / "built", "en", placed[:2], 5, builders=on_workers(SEES["none"]))
    assert (built.documents, len(open_index(tmp_path / "built").documents)) == (2, 2)
    assert len(list(tmp_path.glob("built/data-*/shard-*"))) == 2


def test_what_goes_wrong_leaves_the_index_that_was_there(placed: list[Placed], tmp_path: Path) -> None:
    build_shards(tmp_path / "i", "en", placed, 2)
    before = found(tmp_path / "i")

    def failing(rounds: Iterator[Round], *_: Any) -> None:
        list(rounds)
        raise XqeError("no cluster", "start one")

    with pytest.raises(XqeError, match="no cluster"):
        build_shards(tmp_path / "i", "en", placed[:5], 2, True, builders=failing)
    assert found(tmp_path / "i") == before
