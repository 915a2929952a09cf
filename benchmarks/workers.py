"""How many workers one driver can keep busy: thousands that sleep as long as a model takes, without their processes.

    python benchmarks/workers.py [--workers N ...] [--mean SECONDS] [--seconds N] [--markdown]

What is real: the pool, its blocks, and all that happens to a request in the driver but for the store and the records'
JSON. What is not: Ray, which adds its own part for each block (`benchmarks/cluster.py` has 64 actors of it), and
machines. A worker has BATCH texts under way, each for `--mean` seconds, more or less the half of it. Efficiency is what
all workers would take for the texts, always busy, to what they took, the last texts included.
"""

from __future__ import annotations

import argparse
import heapq
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tables import table

from xqe.cluster.pool import Pool
from xqe.cluster.worker import MOST_AHEAD, Opened, Ran
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.jobs import Job
from xqe.models.engines.requests import Completion, Request
from xqe.models.engines.spread import SpreadEngine
from xqe.models.prompts import Text

BATCH = 32
SPREAD = 0.5
TOLD: dict[str, Any] = {"room": None, "making": {"batch": BATCH}, "provenance": {}}


def seconds_of(request: Request, mean: float) -> float:
    return mean * random.Random(request.seed).uniform(1 - SPREAD, 1 + SPREAD)


class Clock:
    """Calls back at moments, in one thread for all workers."""

    def __init__(self) -> None:
        self._at: list[tuple[float, int, Callable[[], None]]] = []
        self._changed = threading.Condition()
        self._count = 0
        threading.Thread(target=self._run, daemon=True).start()

    def call(self, moment: float, then: Callable[[], None]) -> None:
        with self._changed:
            self._count += 1
            heapq.heappush(self._at, (moment, self._count, then))
            if self._at[0][1] == self._count:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._at or (left := self._at[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left if self._at else None)
                _, _, then = heapq.heappop(self._at)
            then()


class Sleeper:
    """A worker, as the `Handle` of a pool: each text takes the first place of its batch that is free."""

    def __init__(self, clock: Clock, mean: float) -> None:
        self._clock, self._mean = clock, mean
        self._free = [0.0] * BATCH
        self._done = 0

    def call(self, method: str, arguments: tuple[Any, ...], then: Callable[[Any], None]) -> None:
        now = time.monotonic()
        if method == "open":
            self._clock.call(now, lambda: then(Opened(BATCH * 2 // MOST_AHEAD, MOST_AHEAD, TOLD)))
            return
        [requests] = arguments
        last = max(self._end(now, seconds_of(request, self._mean)) for request in requests)
        self._clock.call(last, lambda: self._answer(len(requests), then))

    def _end(self, now: float, seconds: float) -> float:
        """When a text ends that takes the place which is free first."""
        end = max(now, heapq.heappop(self._free)) + seconds
        heapq.heappush(self._free, end)
        return end

    def _answer(self, count: int, then: Callable[[Any], None]) -> None:
        self._done += 2 * count
        then(Ran([Completion("a text", "stop", 2)] * count, self._done))

    def dismiss(self) -> None:
        pass


@contextmanager
def sleepers(count: int, mean: float) -> Iterator[Pool]:
    clock = Clock()
    with Pool(lambda: Sleeper(clock, mean), count) as pool:
        yield pool


def measured(workers: int, mean: float, seconds: float) -> tuple[int, float, float]:
    """Texts, efficiency and the driver's CPU seconds for a thousand of them, of a run of at least some seconds."""
    count = int(seconds * workers * BATCH / mean)
    requests = [Request(Text(f"text {number}", ()), "text", 8, seed=number) for number in range(count)]
    ideal = sum(seconds_of(request, mean) for request in requests) / (workers * BATCH)
    with SpreadEngine(FakeEngine(), sleepers(workers, mean)) as engine:
        began, cpu = time.monotonic(), time.process_time()
        for job in engine.generate(Job(None, [request]) for request in requests):
            assert job.is_done
        took = time.monotonic() - began
    return count, ideal / took, 1000 * (time.process_time() - cpu) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 16, 64, 256, 1024, 4096])
    parser.add_argument(
        "--mean", type=float, default=2.0, help="seconds of a text; 64 tokens of an 8B model on a GPU take 3"
    )
    parser.add_argument("--seconds", type=float, default=40.0, help="that a run takes, if nothing is lost")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    rows = []
    for workers in options.workers:
        count, efficiency, cost = measured(workers, options.mean, options.seconds)
        wanted = workers * BATCH / options.mean
        rows.append([f"{workers:,}", f"{wanted:,.0f}", f"{count:,}", f"{efficiency:.3f}", f"{cost:.2f}"])
    header = ["workers", "texts/s that they can", "texts", "efficiency", "driver's ms a text"]
    print(table(header, rows, options.markdown))


if __name__ == "__main__":
    main()
