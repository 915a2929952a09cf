"""A server with OpenAI's interface that answers as a test wants it to."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAME = "some-model"
Json = dict[str, Any]


def reply(content: Any, finish: Any = "stop", model: str = NAME, **more: Any) -> Json:
    """The answer to a chat; `more` is of its choice."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish, **more}
    return {"model": model, "choices": [choice], "usage": {"completion_tokens": 3}}


class Server(ThreadingHTTPServer):
    """gets: what a path of GET is answered with, 404 without. post: what the request for a subject is answered with: a
    value, sent as JSON, or bytes, as they are, with `headers` and `status`. asked: how often, by subject."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.gets: Json = {"/v1/models": {"data": [{"id": NAME}]}}
        self.post: Callable[[str], Any] = lambda subject: reply("fine")
        self.headers: dict[str, str] = {}
        self.status = 200
        self.asked: Counter[str] = Counter()
        self.encodings: set[str | None] = set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what some of these tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.send(200 if path in self.server.gets else 404, self.server.gets.get(path, {"error": "no such page"}), {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = body.get("prompt") or body.get("input") or body["messages"][-1]["content"]
        subject = asked if isinstance(asked, str) else asked[0]
        self.server.asked[subject] += 1
        self.server.encodings.add(self.headers["accept-encoding"])
        self.send(self.server.status, self.server.post(subject), self.server.headers)

    def send(self, status: int, answer: Any, headers: dict[str, str]) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
