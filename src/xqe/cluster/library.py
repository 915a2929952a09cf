"""Ray: joining a cluster or starting one here, its machines, and workers as its actors.

The only module that imports ray. What Ray would say on standard output and error stays off them: it would stand among
the records. What was started is shut down at the end; a cluster that was joined goes on.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xqe.cluster.pool import WorkerLostError
from xqe.cluster.shares import Node, Share
from xqe.cluster.wishes import Address, Wishes
from xqe.cluster.worker import MOST_AHEAD, Held, Worker
from xqe.errors import MissingExtraError, XqeError, why
from xqe.lines import one_line
from xqe.machine import available_cores

CONNECTING = 10.0
"""Seconds that the head of a cluster has to answer."""

_STORE = 200 << 20  # bytes of shared memory of a Ray that is started here: blocks are small
_LONGEST = 20  # characters of a folder that Ray's sockets have room in
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # and empty settings
_SETTINGS = 4  # the type of a frame of HTTP/2
_SAID = 300  # characters of what Ray says that go into an error
_AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@dataclass(slots=True)
class _Connection:
    """What this process is connected to, until nobody uses it. opened: closes it."""

    place: tuple[bool, Address | None]
    opened: ExitStack
    users: int = 0


_connection: _Connection | None = None


def _ray() -> Any:
    """The library, imported so that it keeps quiet and tells nobody of its use."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with warnings.catch_warnings(action="ignore"):
            import ray
    except ModuleNotFoundError:
        raise MissingExtraError("--on ray needs the package ray", "ray") from None
    return ray


@contextmanager
def connected(wishes: Wishes, verbose: bool = False) -> Iterator[None]:
    """Be connected to a cluster within the block; who is connected meanwhile shares the connection.

    verbose: pass on what workers write, to standard error. Raises MissingExtraError, and XqeError for a cluster that
    does not answer in time, is of another version, or is not the one that this process is connected to.
    """
    global _connection
    ray = _ray()
    if _connection is None:
        opened = ExitStack()
        if not ray.is_initialized():  # else by whoever uses xqe as a library
            opened.enter_context(_joined(ray, wishes, verbose) if wishes.joins else _started(ray, verbose))
        _connection = _Connection((wishes.joins, wishes.address), opened)
    elif _connection.place != (wishes.joins, wishes.address):
        raise XqeError("--on: this process is connected to another Ray", "close what is open on that one first")
    _connection.users += 1
    try:
        yield
    finally:
        _connection.users -= 1
        if not _connection.users:
            closing, _connection = _connection.opened, None
            closing.close()


@contextmanager
def _started(ray: Any, verbose: bool) -> Iterator[None]:
    """A Ray of our own, in a folder that goes with it."""
    above = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="xqe-ray-", dir=above if len(above) <= _LONGEST else "/tmp")
    before = {name: os.environ.get(name) for name in _AUTHENTICATION}
    if not any(before.values()):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # else Ray leaves one in the user's home
    try:
        _init(
            ray,
            "cannot be started here",
            verbose,
            address="local",
            num_cpus=available_cores(),
            include_dashboard=False,
            object_store_memory=_STORE,
            _temp_dir=folder,
        )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _joined(ray: Any, wishes: Wishes, verbose: bool) -> Iterator[None]:
    """A cluster that somebody else has started."""
    if wishes.address is not None:
        _check_answers(wishes.address)
    where = str(wishes.address or "auto")
    try:
        _init(ray, f"cannot be joined at {where}", verbose, address=where)
        yield
    finally:
        ray.shutdown()


def _check_answers(address: Address) -> None:
    """Raise XqeError unless something at an address speaks as a head of Ray does: gRPC, which is HTTP/2. Ray itself
    would try for minutes, and say so each time."""
    refused = None
    try:
        with socket.create_connection((address.host, address.port), CONNECTING) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return
            connection.sendall(_PREFACE)
            answer = b""
            while len(answer) < 9 and (more := connection.recv(9)):
                answer += more
            if len(answer) < 9 or answer[3] != _SETTINGS:
                refused = "what answers there is no Ray"
    except TimeoutError:
        refused = f"no answer within {CONNECTING:.0f} s"
    except OSError as error:
        refused = why(error)
    if refused:
        port = 10001 if address.client else 6379
        raise XqeError(
            f"--on: no Ray at {address} ({refused})", f"see ray status on its head; its port is mostly {port}"
        )


def _init(ray: Any, failed: str, verbose: bool, **options: Any) -> None:
    """Call ray.init, which is to say nothing."""
    _redirect(ray)
    caught, ended_by = tempfile.TemporaryFile(), signal.getsignal(signal.SIGTERM)  # noqa: SIM115
    with caught, warnings.catch_warnings(action="ignore"), _kept_off(caught):
        try:
            ray.init(
                log_to_driver=verbose, logging_level=logging.ERROR, configure_logging=True, namespace="xqe", **options
            )
        except Exception as error:
            said = one_line(str(error) or type(error).__name__)
            hint = next((hint for words, hint in _HINTS.items() if words in said), "see ray status")
            raise XqeError(f"--on: Ray {failed} ({said})", hint) from None
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ended_by)  # else Ray shows where it came


_HINTS = {
    "any running Ray": "start one with ray start --head, or give the address of its head",
    "ersion mismatch": "install the versions of Python and Ray that the cluster has",
    "onnect": "if it wants a token, set RAY_AUTH_MODE=token, with the token in ~/.ray/auth_token or RAY_AUTH_TOKEN",
    "uthenticat": "set RAY_AUTH_MODE=token, with the token in ~/.ray/auth_token or RAY_AUTH_TOKEN",
}
"""What to do, by words of Ray's."""


def _redirect(ray: Any) -> None:
    """Have what Ray prints of its workers, among it each that is lost, go to standard error where it is wanted, and
    nowhere else: it goes to standard output, where records are."""
    worker = sys.modules.get("ray._private.worker")

    def passed_on(data: dict[str, Any], ignore_prefix: bool) -> None:
        if data.get("pid") != "raylet":
            sys.stderr.write("".join(f"{line}\n" for line in data.get("lines", ())))

    if worker is not None:
        worker.print_to_stdstream = passed_on  # type: ignore[attr-defined]


@contextmanager
def _kept_off(file: Any) -> Iterator[None]:
    """Have what is written to standard error by what is no Python go to a file."""
    kept, before = os.dup(2), sys.stderr
    with open(kept, "w", encoding="utf-8", errors="replace", buffering=1) as passed_on:
        if before is sys.__stderr__:  # else it goes elsewhere anyway
            sys.stderr = passed_on
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr = before
            os.dup2(kept, 2)


def nodes() -> list[Node]:
    """The machines of the cluster that are alive and lend any CPU."""
    found = [node["Resources"] for node in _ray().nodes() if node["Alive"]]
    return [Node(one["CPU"], one.get("GPU", 0.0)) for one in found if one.get("CPU")]


def lacking(share: Share) -> str:
    """What workers wait for, as a part of a sentence."""
    free = _ray().available_resources()
    cpus, gpus = free.get("CPU", 0.0), free.get("GPU", 0.0)
    return f"one takes {share}, and the cluster has {cpus:g} CPUs and {gpus:g} GPUs free; Ctrl-C ends the waiting"


class Actor:
    """A worker as an actor of Ray: the `Handle` of a pool. make: what it opens, which is pickled."""

    def __init__(self, make: Callable[[], Held], share: Share) -> None:
        ray = _ray()
        self._actor = (
            ray.remote(Worker)
            .options(
                num_cpus=share.cpus,
                num_gpus=share.gpus,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=MOST_AHEAD + 1,
                scheduling_strategy="SPREAD",
            )
            .remote(make)
        )

    def call(self, method: str, arguments: tuple[Any, ...], then: Callable[[Any], None]) -> None:
        try:
            reference = getattr(self._actor, method).remote(*arguments)
        except Exception as error:
            then(_translated(error))
            return

        def done(future: Any) -> None:
            error = future.exception()
            then(future.result() if error is None else _translated(error))

        reference.future().add_done_callback(done)

    def dismiss(self) -> None:
        with suppress(Exception):  # it has ended, or its cluster has
            _ray().kill(self._actor)


def _translated(error: BaseException) -> BaseException:
    """What is wrong, in words of ours where it is known."""
    from ray import exceptions

    said = str(error)
    if "No module named 'xqe'" in said:
        return XqeError("a worker of the cluster has no xqe", "install the same on all of its machines")
    if isinstance(error, exceptions.RayTaskError):
        cause = getattr(error, "cause", None)
        return RuntimeError(f"a worker failed: {type(cause).__name__}: {one_line(str(cause))[:_SAID]}")
    if isinstance(error, exceptions.RayError):
        return WorkerLostError(_cause(said))
    return error


_CAUSES = {
    "out of memory": "its machine ran out of memory",
    "OutOfMemory": "its machine ran out of memory",
    "node died": "its machine is gone",
    "node failure": "its machine is gone",
    "worker process has died": "its process was killed, or crashed",
}
"""By what Ray says of an actor that has died."""


def _cause(said: str) -> str:
    known = next((cause for words, cause in _CAUSES.items() if words in said), None)
    return known or one_line(said)[:_SAID]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Files of a machine of the cluster, which workers on other ones read. Can be pickled."""

    node: str
    paths: tuple[Path, ...]

    @contextmanager
    def reading(self) -> Iterator[Callable[[int, int, int], bytes]]:
        """A function of the number of a file, an offset and a size, which returns so many bytes, fewer where the file
        ends. Raises XqeError where it cannot be read."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ray, there = _ray(), NodeAffinitySchedulingStrategy(self.node, soft=False)
        actor = ray.remote(_Files).options(num_cpus=0, scheduling_strategy=there).remote(self.paths)

        def read(number: int, offset: int, size: int) -> bytes:
            try:
                data: bytes = ray.get(actor.read.remote(number, offset, size))
            except Exception as error:
                said = _translated(error)
                raise XqeError(f"{self.paths[number]}: cannot be brought ({said})", "copy it to each machine") from None
            return data

        try:
            yield read
        finally:
            ray.kill(actor)


class _Files:
    """What reads files on their machine."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = paths

    def read(self, number: int, offset: int, size: int) -> bytes:
        with self._paths[number].open("rb") as file:
            file.seek(offset)
            return file.read(size)


def shelf(paths: tuple[Path, ...]) -> Shelf | None:
    """Files of this machine for the others of the cluster that this process is connected to; None for one that has no
    others. Of a process that is no part of the cluster, it is the machine of the head."""
    if _connection is None or not _connection.place[0]:
        return None
    return Shelf(_ray().get_runtime_context().get_node_id(), paths)
