"""Tasks for many workers: who gets what, in which order results leave, and what becomes of work that is lost.

The workers are plain objects here, which answer when the test says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from xqe.cluster.pool import LOSSES, OPENINGS, Handle, LostError, Pool, WorkerLostError
from xqe.cluster.shares import Node, Share, shared
from xqe.cluster.wishes import Address, Wishes, wishes
from xqe.cluster.worker import Opened, Ran, Refused
from xqe.errors import XqeError


class Stand:
    """A worker that doubles what it is given, in a thread of its own, and ends with what `ends` says."""

    def __init__(self, crew: Crew, number: int) -> None:
        self.crew, self.number = crew, number
        self.thread = ThreadPoolExecutor(1)
        self.is_over = False

    def call(self, method: str, arguments: tuple[Any, ...], then: Callable[[Any], None]) -> None:
        with suppress(RuntimeError):
            self.thread.submit(lambda: then(self.done(method, arguments)))

    def done(self, method: str, arguments: tuple[Any, ...]) -> Any:
        if self.is_over:
            return WorkerLostError("gone")
        if method == "open":
            if self.number in self.crew.unable:
                return WorkerLostError("gone")
            return self.crew.opened(self.number)
        (tasks,) = arguments
        self.crew.blocks.append((self.number, list(tasks)))
        if self.crew.refused in tasks:
            return Refused("it cannot be done", "do something else")
        if self.crew.ends(self.number, tasks):
            self.is_over = True
            return WorkerLostError("gone")
        return Ran([2 * task for task in tasks], len(self.crew.blocks))

    def dismiss(self) -> None:
        self.is_over = True
        self.thread.shutdown(wait=False)


class Crew:
    """Workers by their numbers, from 0 on, as they are hired, and which blocks each had."""

    def __init__(self, together: int = 2, ahead: int = 2) -> None:
        self.together, self.ahead = together, ahead
        self.hired: list[Stand] = []
        self.blocks: list[tuple[int, list[Any]]] = []
        self.unable: set[int] = set()
        self.refused: Any = None
        self.ends: Callable[[int, list[Any]], bool] = lambda number, tasks: False
        self.opened: Callable[[int], Any] = lambda number: Opened(self.together, self.ahead, {"number": number})

    def hire(self) -> Handle:
        self.hired.append(Stand(self, len(self.hired)))
        return self.hired[-1]


def results(futures: list[Future[Any]]) -> list[Any]:
    return [future.exception(20) or future.result() for future in futures]


def test_results_come_in_the_order_of_their_tasks_from_all_workers() -> None:
    crew = Crew()
    with Pool(crew.hire, 3) as pool:
        assert list(pool.map(range(50))) == [2 * number for number in range(50)]
        assert pool.first() == {"number": 0} or pool.first()["number"] in (1, 2)
    assert {number for number, _ in crew.blocks} == {0, 1, 2}
    assert max(len(tasks) for _, tasks in crew.blocks) <= 2
    assert sorted(task for _, tasks in crew.blocks for task in tasks) == list(range(50))


def test_what_a_worker_was_at_when_it_ended_is_done_again(capsys: pytest.CaptureFixture[str]) -> None:
    crew = Crew()
    crew.ends = lambda number, tasks: number in (0, 1) and len(crew.blocks) > 4
    with Pool(crew.hire, 2) as pool:
        assert list(pool.map(range(40))) == [2 * number for number in range(40)]
    assert len(crew.hired) == 4
    assert capsys.readouterr().err.count("another takes its place") == 2


def test_only_the_task_that_ends_workers_fails() -> None:
    """It is done alone in the end, so that those beside it are not taken for it."""
    crew = Crew(together=4, ahead=3)
    crew.ends = lambda number, tasks: 7 in tasks
    with Pool(crew.hire, 2) as pool:
        found = results([pool.submit(number) for number in range(24)])
    failed = [place for place, result in enumerate(found) if isinstance(result, LostError)]
    assert failed == [7]
    assert [result for result in found if not isinstance(result, LostError)] == [2 * n for n in range(24) if n != 7]
    with_it = [tasks for _, tasks in crew.blocks if 7 in tasks]
    assert len(with_it) == 2 * LOSSES
    assert with_it[-LOSSES:] == [[7]] * LOSSES


def test_an_error_of_a_worker_ends_the_run_and_keeps_its_hint() -> None:
    crew = Crew()
    crew.opened = lambda number: Refused("a worker on n7: no such file", "copy it there")
    with Pool(crew.hire, 2) as pool:
        with pytest.raises(XqeError, match="no such file; copy it there"):
            pool.first()
        with pytest.raises(XqeError, match="no such file"):
            pool.submit(1).result(20)


def test_an_error_of_a_task_ends_the_run_for_all() -> None:
    crew = Crew()
    crew.refused = 9
    with Pool(crew.hire, 2) as pool:
        found = results([pool.submit(number) for number in range(40)])
        assert {str(one) for one in found if isinstance(one, XqeError)} == {"it cannot be done; do something else"}
        assert isinstance(found[9], XqeError)
        with pytest.raises(XqeError, match="it cannot be done"):
            list(pool.map(range(3)))


def test_workers_that_never_begin_end_the_run_and_those_that_do_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    crew = Crew()
    crew.unable = set(range(100))
    with Pool(crew.hire, 2) as pool, pytest.raises(XqeError, match="end before they are ready"):
        pool.submit(1).result(20)
    assert len(crew.hired) == 2 * OPENINGS

    some = Crew()
    some.unable = {*range(1, 1 + OPENINGS)}
    with Pool(some.hire, 2) as pool:
        done = pool.map(range(10_000))
        assert next(done) == 0
        while len(some.hired) < 2 + OPENINGS:  # the last of them in a second, and it works
            assert next(done) % 2 == 0
            time.sleep(0.01)
    assert "another takes its place in 1 s" in capsys.readouterr().err


def test_a_worker_with_another_xqe_or_another_model_ends_the_run() -> None:
    crew = Crew()
    crew.opened = lambda number: Opened(1, 1, {}, "n7", xqe="0.0.1")
    with Pool(crew.hire, 1) as pool, pytest.raises(XqeError, match=r"n7 has xqe 0\.0\.1"):
        pool.first()

    def unlike(first: Any, other: Any) -> None:
        raise XqeError("not alike")

    with Pool(Crew().hire, 2, unlike) as pool, pytest.raises(XqeError, match="not alike"):
        for _ in range(1000):
            pool.submit(1).result(20)


def test_a_worker_that_begins_late_finds_something_left() -> None:
    """The first one takes its half of what there is, although it would take all."""
    crew = Crew(together=1, ahead=100)
    late: Future[None] = Future()
    going: Future[None] = Future()

    def opened(number: int) -> Opened:
        if number == 1:
            late.result(20)
        return Opened(1, 100, {})

    def ends(number: int, tasks: list[Any]) -> bool:
        if number == 0:
            going.result(20)
        return False

    crew.opened, crew.ends = opened, ends
    with Pool(crew.hire, 2) as pool:
        futures = [pool.submit(number) for number in range(20)]
        while not crew.blocks:
            time.sleep(0.01)
        late.set_result(None)
        while {number for number, _ in crew.blocks} != {0, 1}:
            time.sleep(0.01)
        going.set_result(None)
        assert results(futures) == [2 * number for number in range(20)]


def test_a_worker_that_is_dismissed_before_it_was_ready_is_not_missed(capsys: pytest.CaptureFixture[str]) -> None:
    crew = Crew()
    late: Future[None] = Future()

    def opened(number: int) -> Opened | WorkerLostError:
        return Opened(1, 1, {}) if number == 0 else late.result(20) or WorkerLostError("dismissed")

    crew.opened = opened
    pool = Pool(crew.hire, 2)
    assert pool.submit(1).result(20) == 2
    late_one = crew.hired[1]
    dismissed = late_one.dismiss

    def dismiss() -> None:
        if not late.done():
            late.set_result(None)
            late_one.thread.submit(int).result(20)  # what it answers is there already
        dismissed()

    late_one.dismiss = dismiss  # type: ignore[method-assign]
    pool.close()
    assert len(crew.hired) == 2
    assert capsys.readouterr().err == ""


def test_a_task_that_is_taken_back_is_not_done() -> None:
    crew = Crew(together=1, ahead=1)
    going: Future[None] = Future()
    crew.ends = lambda number, tasks: bool(going.result(20))
    with Pool(crew.hire, 1) as pool:
        futures = [pool.submit(number) for number in range(3)]
        while not crew.blocks:
            time.sleep(0.01)
        assert futures[2].cancel()
        going.set_result(None)
        assert results(futures[:2]) == [0, 2]
    assert [tasks for _, tasks in crew.blocks] == [[0], [1]]


# ---------------------------------------------------------------- what is asked for, and what there is


def test_a_place_is_read() -> None:
    assert wishes("ray", 2, 3, 0.5) == Wishes(None, False, 2, 3, 0.5)
    assert wishes("ray:auto") == Wishes(None, True)
    assert wishes("ray:head:6379").address == Address("head", 6379)
    assert wishes("ray:[fd00::1]:6379").address == Address("fd00::1", 6379)
    assert str(wishes("ray://head:10001").address) == "ray://head:10001"


@pytest.mark.parametrize("on", ["", "spark", "ray:", "ray://", "ray:head", "ray:head:0", "ray:head:70000", "ray:a b:1"])
def test_a_place_that_is_none_is_refused(on: str) -> None:
    with pytest.raises(XqeError, match="--on"):
        wishes(on)


EIGHT = Node(64, 8)


@pytest.mark.parametrize(
    ("nodes", "asked", "share"),
    [
        ([Node(8)], Wishes(), Share(1, 8)),
        ([Node(8)], Wishes(workers=2), Share(2, 4)),
        ([Node(8)], Wishes(cpus=2), Share(4, 2)),
        ([Node(32), Node(32), Node(32)], Wishes(joins=True), Share(3, 32)),
        ([Node(32), Node(32)], Wishes(joins=True, workers=5), Share(5, 10)),
        ([EIGHT, EIGHT], Wishes(joins=True), Share(16, 8, 1)),
        ([EIGHT, Node(16)], Wishes(joins=True), Share(8, 8, 1)),
        ([EIGHT], Wishes(joins=True, gpus=0.5), Share(16, 4, 0.5)),
        ([EIGHT], Wishes(joins=True, gpus=0), Share(1, 64, 0)),
        ([Node(4)], Wishes(joins=True, workers=9, cpus=16, gpus=2), Share(9, 16, 2)),  # it may grow
    ],
)
def test_what_a_worker_gets(nodes: list[Node], asked: Wishes, share: Share) -> None:
    assert shared(nodes, asked) == share


def test_more_than_there_is_is_refused() -> None:
    with pytest.raises(XqeError, match="9 workers with 1 CPU each are more than this machine has"):
        shared([Node(8)], Wishes(workers=9))
    with pytest.raises(XqeError, match="no machine of the cluster has room for a worker with 16 CPUs"):
        shared([Node(8)], Wishes(joins=True, cpus=16))
    with pytest.raises(XqeError, match="1 GPU"):
        shared([Node(8)], Wishes(gpus=1))
