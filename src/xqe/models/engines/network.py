"""Work on the network in a thread of its own, so that it holds up neither the input nor a Ctrl-C."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

CLOSE_SECONDS = 0.5


class Network:
    """An event loop in a thread, which can be left behind with whatever hangs in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(_Lookups())
        self._thread = threading.Thread(target=self._loop.run_forever, name="xqe-network", daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """End all work, do `last`, and stop. What does not end soon is left to the end of the process."""
        if self._loop.is_closed():
            return
        with suppress(TimeoutError):
            self.start(_end(last)).result(CLOSE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()


async def _end(last: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while tasks := _others():  # one that is cancelled may have begun another
        while any(map(_is_new, tasks)):
            await asyncio.sleep(0)
            tasks = _others()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await last()


def _others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def _is_new(task: asyncio.Task[Any]) -> bool:
    """Whether a task has not begun: anyio 4.16 wraps a coroutine in another, and one that is cancelled before it begins
    leaves the inner one, of which Python warns at its end that nobody awaited it."""
    work = task.get_coro()
    return inspect.iscoroutine(work) and inspect.getcoroutinestate(work) == inspect.CORO_CREATED


class _Lookups(ThreadPoolExecutor):
    """Looks up names of hosts in threads that the end of the process does not wait for, as it does for a pool's."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # raised again where the result is awaited
                future.set_exception(error)

        threading.Thread(target=run, name="xqe-lookup", daemon=True).start()
        return future
