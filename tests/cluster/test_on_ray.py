"""--on ray, with a real Ray on this machine: the same output as without it, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, Run, command, jsonl, records, start

from xqe.cluster import library
from xqe.cluster.wishes import Address
from xqe.errors import XqeError

pytestmark = pytest.mark.xdist_group("model")  # with the tests of models: one Ray is enough

QUERIES = [{"id": f"q{n}", "query": f"prix du zinc {n}", "lang": "fr"} for n in range(60)]
FAKE = ("--model", "fake")
TRANSLATE = ("translate", "--to", "en")


@pytest.fixture(scope="module")
def on(own_cache: Path) -> Iterator[tuple[str, ...]]:
    """The options that let two workers of a cluster of this machine do the work."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("ray")
    options = ("--head", "--block", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats")
    quiet = {"RAY_AUTH_MODE": "disabled", "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        [program, "start", *options, f"--port={port}", "--node-ip-address=127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **quiet},
    ) as head:
        HEADS[:] = [head.pid]
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert head.poll() is None, "ray start failed"
                time.sleep(0.1)
        yield ("--on", f"ray:127.0.0.1:{port}", "--workers", "2", "--worker-cpus", "1")
        head.send_signal(signal.SIGTERM)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("RAY_"):
            monkeypatch.delenv(name)


HEADS: list[int] = []
"""The process of ray start."""


def workers() -> list[int]:
    """The processes of workers, by what Ray calls them, under that of `on`; the machine may have others."""
    said = subprocess.run(["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [(int(pid), int(above), rest) for pid, above, rest in (x.split(None, 2) for x in said.splitlines()[1:])]
    raylets = {pid for pid, above, rest in rows if above in HEADS and "raylet" in rest}
    return [pid for pid, above, rest in rows if above in raylets and rest.startswith("ray::Worker")]


def until(is_so: Callable[[], Any]) -> Any:
    for _ in range(600):
        if found := is_so():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to be so")


# ---------------------------------------------------------------- the same as without


def test_texts_of_the_fake_engine_are_the_same_bytes_and_are_kept(xqe: Run, on: tuple[str, ...], store: Path) -> None:
    asked = [*QUERIES, {"id": "bad", "query": "fake:error", "lang": "fr"}]
    alone = xqe(*TRANSLATE, *FAKE, "--no-store", stdin=jsonl(*asked))
    spread = xqe(*TRANSLATE, *FAKE, *on, "--store", str(store), stdin=jsonl(*asked))
    assert (spread.returncode, spread.stdout) == (alone.returncode, alone.stdout) == (1, alone.stdout)
    (line,) = spread.stderr.splitlines()
    assert line.startswith("xqe: translate: 61 records, 60 generated, 0 reused, 1 failed, ")
    again = xqe(*TRANSLATE, *FAKE, "--store", str(store), stdin=jsonl(*asked))
    assert again.stdout == alone.stdout
    assert "0 generated, 60 reused" in again.stderr


def test_texts_of_a_real_model_are_the_same_bytes(xqe: Run, on: tuple[str, ...], few_path: Path) -> None:
    asked = jsonl(*QUERIES[:4])
    options = ("--model", str(few_path), "--deterministic", "--max-tokens", "4", "--threads", "1", "--no-store")
    alone = xqe(*TRANSLATE, *options, stdin=asked)
    spread = xqe(*TRANSLATE, *options, *on, "--workers", "1", stdin=asked)
    assert alone.returncode == spread.returncode == 0, spread.stderr
    assert spread.stdout == alone.stdout
    assert records(alone)[0]["steps"][0]["threads"] == 1


def test_vectors_are_the_same_bytes(xqe: Run, on: tuple[str, ...], tmp_path: Path) -> None:
    documents = tmp_path / "docs.jsonl"
    documents.write_text(jsonl(*({"id": f"d{n}", "text": f"zinc {n} " * (1 + n % 30)} for n in range(1100))))
    assert xqe("index", str(tmp_path / "index"), "--lang", "en", "-i", str(documents)).returncode == 0
    made = []
    for where in ((), on):
        options = ("--encoder", "fake", "--windows", "max", "--window-tokens", "20", "--overlap", "5", "--force")
        done = xqe("embed", str(tmp_path / "index"), *options, *where)
        assert (done.returncode, done.stderr) == (0, "")
        (folder,) = (path.parent for path in tmp_path.rglob("dense.json"))
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "dense.lock"}
        made.append((json.loads(done.stdout)["rows"], files))
    assert made[0] == made[1]
    assert made[0][0] > 2000


def test_shards_are_built_by_workers_and_found_in_alike(xqe: Run, on: tuple[str, ...], tmp_path: Path) -> None:
    documents, asked = str(FIXTURES / "documents" / "en.jsonl"), jsonl(*({**one, "lang": "en"} for one in QUERIES[:8]))
    for name, where in (("alone", ()), ("spread", on)):
        done = xqe("index", str(tmp_path / name), "--lang", "en", "--shards", "3", *where, "-i", documents)
        assert (done.returncode, done.stderr) == (0, "")
    alone, spread = (xqe("search", str(tmp_path / name), "-k", "5", stdin=asked) for name in ("alone", "spread"))
    assert [one["hits"] for one in records(spread)] == [one["hits"] for one in records(alone)]
    assert xqe("index", str(tmp_path / "spread"), "--verify").returncode == 0


def test_rankings_are_the_same_bytes(xqe: Run, on: tuple[str, ...], tmp_path: Path) -> None:
    index = str(tmp_path / "index")
    assert xqe("index", index, "--lang", "en", "-i", str(FIXTURES / "documents" / "en.jsonl")).returncode == 0
    found = xqe("search", index, "-k", "5", stdin=jsonl(*({**one, "lang": "en"} for one in QUERIES[:8]))).stdout
    options = ("rerank", index, "--kind", "cross", *FAKE)
    alone, spread = (xqe(*options, "--no-store", *where, stdin=found) for where in ((), on))
    assert spread.stdout == alone.stdout
    assert spread.returncode == alone.returncode == 0
    assert alone.stdout != found


BRINGING = """
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from xqe.cluster.opened import opened
from xqe.cluster.wishes import wishes
from xqe.cluster.worker import Each
from xqe.models.away import sent
from xqe.models.brought import Wanted
from xqe.models.verification import model_sha256

def making(share):
    global wanted
    path = Path(sys.argv[2])
    wanted = replace(sent("nowhere/few.gguf", path, model_sha256(path)), paths=(Path("/nowhere/few.gguf"),))
    return partial(Each, Wanted.here)

with opened(wishes(sys.argv[1], 2), making) as pool:
    pool.first()
    for found in pool.map([wanted] * 3):
        print(found)
"""


def test_a_model_that_a_machine_lacks_is_brought_there_once(
    on: tuple[str, ...], few_path: Path, own_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "bringing.py").write_text(BRINGING)
    done = subprocess.run(
        [sys.executable, tmp_path / "bringing.py", on[1], few_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (place,) = {*done.stdout.split()}
    assert Path(place).is_relative_to(own_cache / "brought")
    assert Path(place).read_bytes() == few_path.read_bytes()


# ---------------------------------------------------------------- whatever is killed


def slow(count: int, every: int) -> str:
    """Queries of which some take the fake engine half a second."""
    return jsonl(*({**one, "query": one["query"] + " fake:slow" * (n % every == 0)} for n, one in enumerate(QUERIES)))


def test_a_worker_that_is_killed_costs_nothing(xqe: Run, on: tuple[str, ...]) -> None:
    asked = slow(60, 6)
    alone = xqe(*TRANSLATE, *FAKE, "--no-store", stdin=asked)
    with start(*TRANSLATE, *FAKE, *on, "--no-store") as driver:
        assert driver.stdin is not None
        driver.stdin.write(asked)
        driver.stdin.close()
        driver.stdin = None
        for worker in until(lambda: workers() if workers()[1:] else []):
            os.kill(worker, signal.SIGKILL)
            time.sleep(0.6)
        stdout, stderr = driver.communicate(timeout=120)
    assert (driver.returncode, stdout) == (0, alone.stdout)
    assert stderr.count("another takes its place") >= 1
    assert "60 records, 60 generated, 0 reused, 0 failed" in stderr


LEFT = 8


@contextmanager
def begun(*options: str) -> Iterator[subprocess.Popen[str]]:
    """A driver that has written its first records, and ends when its input does."""
    with start(*TRANSLATE, *FAKE, *options) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        driver.stdin.write(slow(60, 10))
        driver.stdin.flush()
        assert [json.loads(driver.stdout.readline())["id"] for _ in range(LEFT)] == [f"q{n}" for n in range(LEFT)]
        yield driver


def test_a_driver_that_is_killed_or_interrupted_keeps_what_is_done_and_frees_the_workers(
    xqe: Run, on: tuple[str, ...], store: Path
) -> None:
    with begun(*on, "--store", str(store)) as driver:
        driver.kill()
        driver.communicate()
    until(lambda: not workers())
    with begun(*on, "--store", str(store)) as driver:
        driver.send_signal(signal.SIGINT)
        _, said = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "Traceback" not in said
    until(lambda: not workers())
    again = xqe(*TRANSLATE, *FAKE, "--store", str(store), stdin=slow(60, 10))
    alone = xqe(*TRANSLATE, *FAKE, "--no-store", stdin=slow(60, 10))
    assert (again.returncode, again.stdout) == (0, alone.stdout)
    made, reused = (int(again.stderr.split(word)[0].split()[-1]) for word in (" generated", " reused"))
    assert made + reused == 60
    assert reused >= LEFT


# ---------------------------------------------------------------- a Ray that is started, and none


def test_a_ray_that_is_started_is_shut_down(xqe_alone: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    before = {*Path("/tmp").glob("xqe-ray-*")}
    alone = xqe_alone(*TRANSLATE, *FAKE, "--no-store", stdin=jsonl(*QUERIES))
    done = xqe_alone(*TRANSLATE, *FAKE, "--no-store", "--on", "ray", stdin=jsonl(*QUERIES))
    assert (done.returncode, done.stdout) == (0, alone.stdout), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert {*Path("/tmp").glob("xqe-ray-*")} <= before


def answers_otherwise(server: socket.socket) -> None:
    with server.accept()[0] as connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")


def test_an_address_without_a_ray_is_one_line_in_bounded_time(xqe: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = xqe(*TRANSLATE, *FAKE, "--on", "ray:127.0.0.1:1", stdin=jsonl(*QUERIES[:1]))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("xqe: --on: no Ray at 127.0.0.1:1 (connection refused); ")
    assert len(done.stderr.splitlines()) == 1

    monkeypatch.setattr(library, "CONNECTING", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = Address("127.0.0.1", silent.getsockname()[1], client=True)
        with pytest.raises(XqeError, match="no answer within"):
            library._check_answers(address)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        threading.Thread(target=answers_otherwise, args=(other,)).start()
        with pytest.raises(XqeError, match="what answers there is no Ray"):
            library._check_answers(Address("127.0.0.1", other.getsockname()[1]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--workers", "2"), "--workers has no effect without --on; add --on ray, or leave it out"),
        (("--worker-gpus", "1"), "--worker-gpus has no effect without --on"),
        (("--on", "spark"), '--on "spark" is no place to work on'),
        (("--on", "ray", "--worker-gpus", "1.5"), "--worker-gpus 1.5 is neither a whole number nor less than 1"),
        (("--on", "ray", "--workers", "9999"), "9,999 workers with 1 CPU each are more than this machine has"),
        (
            ("--on", "ray", "--model", "openai:m", "--base-url", "http://localhost:1"),
            "--on has no effect on the model of a server",
        ),
    ],
)
def test_options_without_effect_are_refused(xqe: Run, options: tuple[str, ...], said: str) -> None:
    done = xqe(*TRANSLATE, *FAKE, *options, stdin=jsonl(*QUERIES[:1]))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_index_of_words_in_one_shard_is_on_no_cluster(xqe: Run, tmp_path: Path) -> None:
    done = xqe("index", str(tmp_path / "i"), "--lang", "en", "--on", "ray", stdin='{"id":"d","text":"zinc"}\n')
    assert done.returncode == 2
    assert "--on has no effect on an index of words in one shard; add --shards N or --encoder NAME" in done.stderr


def test_the_extra_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError('no ray', name='ray')\n")
    done = subprocess.run(
        command(*TRANSLATE, *FAKE, "--on", "ray"),
        input=jsonl(*QUERIES[:1]),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == 'xqe: --on ray needs the package ray; install it with: pip install "xqe[ray]"\n'
