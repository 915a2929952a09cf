"""llama-server as a side of `generation.py`: as many clients as slots, each with a connection that it keeps."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from dataclasses import replace
from typing import Any

from bare import Ask
from cases import Work
from sides import LONGEST, SEQUENCES, Outcome, Setup

HOST = "127.0.0.1"
START_SECONDS = 120
WARM_TOKENS = 16


class Server:
    """A llama-server process with a slot for each client.

    Slots keep the cells of their last prompt and no slot takes over those of another, so that each slot decodes a
    shared beginning for itself. `run` starts with empty slots.
    """

    def __init__(self, program: str, setup: Setup) -> None:
        self._folder = tempfile.TemporaryDirectory()  # without one it refuses to empty a slot
        self._port = _free_port()
        threads = str(setup.threads)
        options = {
            "--model": setup.path,
            "--host": HOST,
            "--port": str(self._port),
            "--threads": threads,
            "--threads-batch": threads,
            "--parallel": str(SEQUENCES),
            "--ctx-size": str(SEQUENCES * LONGEST),
            "--batch-size": "2048",
            "--ubatch-size": "512",
            "--cache-ram": "0",  # else an idle slot's cells are moved away, and the next prompt begins anew
            "--slot-save-path": self._folder.name,
        }
        flags = ["--kv-unified", "--swa-full", "--no-webui", "--no-warmup"]
        arguments = [program, *(word for option in options.items() for word in option), *flags]
        self._process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise SystemExit(f"{' '.join(arguments)}: does not start")
            time.sleep(0.05)

    def run(self, work: Work) -> Outcome:
        self.empty()
        return self.answer(work.asks)

    def empty(self) -> None:
        connection = http.client.HTTPConnection(HOST, self._port)
        for slot in range(SEQUENCES):
            _post(connection, f"/slots/{slot}?action=erase", {})
        connection.close()

    def answer(self, asks: list[Ask]) -> Outcome:
        """Let the clients take one text after the other until there are none left."""
        waiting = deque(enumerate(asks))
        answers: list[dict[str, Any]] = [{}] * len(asks)

        def client() -> None:
            connection = http.client.HTTPConnection(HOST, self._port)
            while True:
                try:
                    number, ask = waiting.popleft()
                except IndexError:
                    break
                answers[number] = _post(connection, "/completion", _body(ask))
            connection.close()

        clients = [threading.Thread(target=client) for _ in range(SEQUENCES)]
        start = time.perf_counter()
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        seconds = time.perf_counter() - start
        if not all(answers):
            raise SystemExit("llama-server left a request without an answer")
        return Outcome(
            seconds,
            sum(int(answer["tokens_predicted"]) for answer in answers),
            [str(answer["content"]) for answer in answers],
            prompt=sum(int(answer["tokens_evaluated"]) for answer in answers),
        )

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class WarmServer:
    """The same process with its slots as a long stream leaves them: each has decoded the beginning that the prompts
    share, for other queries. No other side gets that for nothing."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def run(self, work: Work) -> Outcome:
        others = ((work.others or work.asks) * SEQUENCES)[:SEQUENCES]
        self._server.answer([replace(ask, max_tokens=WARM_TOKENS, stop=()) for ask in others])
        return self._server.answer(work.asks)

    def close(self) -> None:
        """The server is another side's."""


def _body(ask: Ask) -> dict[str, Any]:
    """A request; the samplers are the fewest that do what is asked, since each costs time for each token."""
    greedy = {"samplers": ["top_k"], "top_k": 1, "temperature": 0.0}
    drawn = {
        "samplers": ["top_k", "top_p", "temperature"],
        "top_k": ask.top_k,
        "top_p": ask.top_p,
        "temperature": ask.temperature,
        "seed": ask.seed,
    }
    return {
        "prompt": ask.prompt,
        "n_predict": ask.max_tokens,
        "stop": list(ask.stop),
        "repeat_penalty": 1.0,
        "cache_prompt": True,
        **(greedy if ask.temperature == 0 else drawn),
    }


def _post(connection: http.client.HTTPConnection, path: str, body: dict[str, Any]) -> dict[str, Any]:
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    if response.status != 200:
        raise SystemExit(f"llama-server {path}: {answer}")
    return answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
