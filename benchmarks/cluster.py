"""Models in workers of Ray: how far several are as fast as one alone is, and what becomes of a run whose workers and
driver are killed. Starts a Ray of its own on this machine, which must have no other on its port.

    python benchmarks/cluster.py [--part kills] [--part real] [--part simulated] [--records N] [--workers N] ...

kills: a run of --records queries with the fake engine, some of which take it half a second; workers and drivers are
killed at random moments, and the command is given again after each death of a driver. real: the embedded model in one
worker of one core and in two. simulated: workers that sleep as long as a model would take, through the same code.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from xqe.cluster.opened import opened
from xqe.cluster.wishes import wishes
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.jobs import Feed, Job, Ticket
from xqe.models.engines.requests import Completion, Request
from xqe.models.engines.spread import Answering, SpreadEngine
from xqe.models.prompts import Text

T = TypeVar("T")

QUESTIONS = Path(__file__).parent.parent / "fixtures" / "questions" / "fr.jsonl"
BATCH = 32  # texts that a simulated worker has under way
SLOW = 10  # one of so many queries of the kill run takes half a second
PART_SECONDS = 30.0  # that a simulated run takes, if nothing is lost on the way
SPREAD = 0.5  # a text takes its mean, more or less this part of it
READ = 4 * BATCH


# ---------------------------------------------------------------- a Ray, and commands


class Head(NamedTuple):
    """A Ray of this machine. on: what --on takes. process: of ray start, whose raylet has workers as children."""

    on: str
    process: int

    def workers(self) -> list[int]:
        said = subprocess.run(["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
        rows = [
            (int(pid), int(parent), rest) for pid, parent, rest in (x.split(None, 2) for x in said.splitlines()[1:])
        ]
        raylets = {pid for pid, parent, rest in rows if parent == self.process and "raylet" in rest}
        return [pid for pid, parent, rest in rows if parent in raylets and rest.startswith("ray::Worker")]


@contextmanager
def head(cores: int) -> Iterator[Head]:
    """A Ray of so many cores, whatever the machine has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--head", "--block", f"--num-cpus={cores}", "--include-dashboard=false", "--disable-usage-stats")
    command = [str(Path(sys.executable).with_name("ray")), "start", *options, f"--port={port}"]
    patient = {"RAY_worker_register_timeout_seconds": "600", "RAY_AUTH_MODE": "disabled"}
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        [*command, "--node-ip-address=127.0.0.1"], stdout=nothing, stderr=nothing, env={**os.environ, **patient}
    ) as started:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if started.poll() is not None:
                        raise SystemExit(f"{' '.join(command)}: does not start") from None
                    time.sleep(0.2)
            yield Head(f"ray:127.0.0.1:{port}", started.pid)
        finally:
            started.send_signal(signal.SIGTERM)


def xqe(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "xqe", "translate", "--to", "en", *arguments]
    environment = {**os.environ, "XQE_SERVER": "off"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


# ---------------------------------------------------------------- kills


def kills(records: int, workers: int, of_workers: int, of_drivers: int, seed: int) -> dict[str, Any]:
    """Run with kills at random moments, and hold what comes of it to a run without Ray."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, head(workers + 2) as ray:
        queries, store = Path(folder) / "queries.jsonl", Path(folder) / "store.sqlite"
        lines = (
            {"id": f"q{number}", "query": f"prix {number}" + " fake:slow" * (number % SLOW == 0), "lang": "fr"}
            for number in range(records)
        )
        queries.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        asked = ("-m", "fake", "-i", str(queries))
        alone, _ = xqe(*asked, "--no-store").communicate()
        spread = (*asked, "--store", str(store), "--on", ray.on, "--workers", str(workers), "--worker-cpus", "1")
        expected = records / SLOW / 2 / workers
        moments = sorted(chance.uniform(0.05, 0.8) * expected for _ in range(of_workers + of_drivers))
        victims = ["worker"] * of_workers + ["driver"] * of_drivers
        chance.shuffle(victims)
        began, waited, output, errors, killed = time.monotonic(), 0.0, "", "", {"worker": 0, "driver": 0}
        while True:
            output, error, waited, over = _until_killed(ray, spread, moments, victims, waited, killed)
            errors += error
            if over:
                break
        seconds = time.monotonic() - began
        ids = [json.loads(line)["id"] for line in output.splitlines()]
        return {
            "records": records,
            "workers": workers,
            "workers killed": killed["worker"],
            "drivers killed": killed["driver"],
            "records that left": len(ids),
            "lost": records - len(set(ids)),
            "twice": len(ids) - len(set(ids)),
            "the same bytes as without Ray": output == alone,
            "last line": errors.splitlines()[-1],
            "seconds": round(seconds, 1),
        }


def _until_killed(
    ray: Head, command: Iterable[str], moments: list[float], victims: list[str], before: float, killed: dict[str, int]
) -> tuple[str, str, float, bool]:
    """Run the command until it ends or is killed. before: seconds at work by now. Returns what it wrote, the seconds at
    work and whether it has ended by itself."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "xqe", "translate", "--to", "en", *command],
            stdout=out,
            stderr=err,
            env={**os.environ, "XQE_SERVER": "off"},
        )
        began: float | None = None
        while process.poll() is None:
            time.sleep(0.05)
            there = ray.workers()
            if began is None:
                if os.fstat(out.fileno()).st_size == 0:
                    continue
                began = time.monotonic()
            worked = before + time.monotonic() - began
            if moments and worked >= moments[0] and there:
                moments.pop(0)
                victim = victims.pop(0)
                os.kill(process.pid if victim == "driver" else there[len(moments) % len(there)], signal.SIGKILL)
                killed[victim] += 1
                if victim == "driver":
                    process.wait()
                    return "", "", worked, False
        out.seek(0)
        err.seek(0)
        return out.read(), err.read(), before, True


# ---------------------------------------------------------------- a real model


def real(count: int, rounds: int) -> list[dict[str, Any]]:
    """The embedded model with one thread a worker: tokens a second of one worker, of two, and of none, in turn."""
    queries = QUESTIONS.read_text("utf-8").splitlines(keepends=True)
    text = "".join(
        json.dumps({**json.loads(queries[number % len(queries)]), "id": f"q{number}"}) + "\n" for number in range(count)
    )
    rows = []
    with head(2) as ray:
        for _ in range(rounds):
            rates = {}
            for name, where in (
                ("without Ray", ("--threads", "1")),
                ("1 worker", ("--on", ray.on, "--workers", "1", "--worker-cpus", "1")),
                ("2 workers", ("--on", ray.on, "--workers", "2", "--worker-cpus", "1")),
            ):
                process = xqe("-m", "tiny", "--no-store", "--max-tokens", "32", *where, stdin=subprocess.PIPE)
                _, errors = process.communicate(text)
                found = re.search(r"(\d+) tokens/s", errors)
                assert found is not None, errors
                rates[name] = int(found[1])
            rows.append(
                {
                    "queries": count,
                    **{f"tokens/s, {name}": rate for name, rate in rates.items()},
                    "1 worker to without Ray": round(rates["1 worker"] / rates["without Ray"], 2),
                    "efficiency of 2 workers": round(rates["2 workers"] / 2 / rates["1 worker"], 2),
                }
            )
    return rows


# ---------------------------------------------------------------- workers that sleep


class Sleeping(FakeEngine):
    """An engine whose texts take as long as those of a model: BATCH are under way, each for seconds that its seed
    decides."""

    def making(self) -> dict[str, Any]:
        return {"batch": BATCH}

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        feed = Feed(jobs, READ)
        waiting: list[Ticket] = []
        under_way: list[tuple[float, int, Ticket]] = []
        number = 0
        while not feed.is_empty:
            waiting += feed.arrivals(0.1 if not waiting and not under_way else 0)
            now = time.monotonic()
            while waiting and len(under_way) < BATCH:
                ticket = waiting.pop(0)
                number += 1
                heapq.heappush(under_way, (now + seconds_of(ticket.request), number, ticket))
            if under_way:
                time.sleep(min(0.05, max(0.0, under_way[0][0] - time.monotonic())))
            while under_way and under_way[0][0] <= time.monotonic():
                heapq.heappop(under_way)[2].done(Completion("a text", "stop", 2))
            yield from feed.finished()


def seconds_of(request: Request) -> float:
    """A request says its mean in its limit of tokens, as milliseconds."""
    return request.max_tokens / 1000 * random.Random(request.seed).uniform(1 - SPREAD, 1 + SPREAD)


def asleep() -> Answering:
    return Answering(Sleeping("sleeping"))


def simulated(workers: int, means: Sequence[float]) -> list[dict[str, Any]]:
    """Part of the ideal rate that some workers and one reach, by the mean seconds of a text."""
    with head(workers) as ray:
        found = {count: _efficiencies(ray.on, count, means) for count in (1, workers)}
    return [
        {
            "workers": workers,
            "seconds a text": mean,
            "texts a second a worker": BATCH / mean,
            **{f"part of the ideal rate, {count} workers": round(parts[mean], 3) for count, parts in found.items()},
            f"efficiency of {workers}": round(found[workers][mean] / found[1][mean], 3),
        }
        for mean in means
    ]


def _efficiencies(on: str, workers: int, means: Sequence[float]) -> dict[float, float]:
    """Seconds that a run would take at least, with all workers busy from its first moment to its last, for each second
    that it took."""
    ready = [0]

    def check(first: Mapping[str, Any], other: Mapping[str, Any]) -> None:
        ready[0] += 1

    found = {}
    with SpreadEngine(FakeEngine(), opened(wishes(on, workers, 1, 0), lambda share: asleep, False, check)) as engine:
        while ready[0] < workers - 1:
            time.sleep(0.1)
        for mean in means:
            count = int(PART_SECONDS * workers * BATCH / mean)
            limit = round(mean * 1000)
            requests = [Request(Text(f"text {number}", ()), "text", limit, seed=number) for number in range(count)]
            ideal = sum(map(seconds_of, requests)) / (workers * BATCH)
            began = time.monotonic()
            for job in engine.generate(Job(None, [request]) for request in requests):
                assert job.results()[0].text == "a text"
            found[mean] = ideal / (time.monotonic() - began)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=("kills", "real", "simulated"))
    parser.add_argument("--records", type=int, default=2000, help="of the kill run")
    parser.add_argument("--kill-workers", type=int, default=10)
    parser.add_argument("--kill-drivers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--queries", type=int, default=96, help="for the real model")
    parser.add_argument("--rounds", type=int, default=2, help="of the real model")
    parser.add_argument("--workers", type=int, default=64, help="that are simulated")
    parser.add_argument("--mean", type=float, action="append", help="seconds of a simulated text; repeatable")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends, too
    parts = given.part or ["kills", "real", "simulated"]
    if "kills" in parts:
        print(json.dumps(kills(given.records, 2, given.kill_workers, given.kill_drivers, given.seed)), flush=True)
    if "real" in parts:
        for row in real(given.queries, given.rounds):
            print(json.dumps(row), flush=True)
    if "simulated" in parts:
        for row in simulated(given.workers, given.mean or [8.0, 2.0]):
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
