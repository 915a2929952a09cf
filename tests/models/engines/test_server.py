"""Generation on a server: a real one, and one that misbehaves in every way there is."""

from __future__ import annotations

import json
import os
import random
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import small_models
from conftest import Run, command, jsonl, records, start

from xqe.errors import ModelError
from xqe.models.engines import client
from xqe.models.engines.client import GIVE_UP_AFTER
from xqe.models.engines.jobs import Job
from xqe.models.engines.openai import OpenAIEngine, Settings
from xqe.models.engines.requests import Completion, Request, Sampling
from xqe.models.prompts import Chat, Text

KEY = "sk-a-key-that-nobody-may-see"
NAME = "some-model"
SLOW_SECONDS = 0.05
PATIENCE = 2  # seconds to wait for an answer where some never come; a good one takes less on the busiest machine
Answer = tuple[int, dict[str, str], bytes]


pytestmark = pytest.mark.usefixtures("no_keys_or_proxies")


def query(number: int) -> dict[str, Any]:
    return {"id": f"q{number}", "query": f"question {number}", "lang": "fr"}


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


# -- a server that misbehaves ------------------------------------------------------------------------------------


def reply(text: str | None, finish: str = "stop", tokens: int = 3, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {"id": "1", "model": NAME, "choices": [choice], "usage": {"completion_tokens": tokens}, **more}


def as_json(status: int, value: Any, **headers: str) -> Answer:
    return status, {"content-type": "application/json", **headers}, json.dumps(value).encode()


def error(status: int, message: str, **headers: str) -> Answer:
    return as_json(status, {"error": {"message": message, "type": "t", "code": status}}, **headers)


PAGE = (200, {"content-type": "text/html"}, b"<!doctype html><html>Welcome</html>")
KINDS: dict[str, Answer] = {
    "500": error(500, "out of order"),
    "503": error(503, "Loading model"),
    "408": error(408, "too late"),
    "429": error(429, "too many requests", **{"retry-after": "0.05"}),
    "not JSON": (200, {"content-type": "application/json"}, b'{"choices": [{'),
    "page": PAGE,
    "no choices": as_json(200, {"choices": []}),
    "a list": as_json(200, [1, 2]),
    "null": as_json(200, reply(None)),
}
SILENT = {"hang", "cut", "cut in the body", "drip"}  # no whole answer comes
PASSING = [*KINDS, *sorted(SILENT)]


class Server(ThreadingHTTPServer):
    """Answers a chat with "answer to SUBJECT", where the subject is the last line of the user's turn.

    plan: what becomes of the attempt of a number (from 0) for a subject: a key of KINDS, one of SILENT, an answer, or
    None for a good one. decides: the answer to a request's body, or None to
    leave it to the plan. models: what GET /models answers. seen: the
    times of the attempts for each subject. most: how many requests were open at once.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: Callable[[str, int], str | Answer | None] = lambda subject, attempt: None
        self.decides: Callable[[dict[str, Any]], Answer | None] = lambda body: None
        self.models: Answer = as_json(200, {"object": "list", "data": [{"id": NAME, "object": "model"}]})
        self.root = "/v1"
        self.lock = threading.Lock()
        self.seen: defaultdict[str, list[float]] = defaultdict(list)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.open = self.most = 0
        self.is_slow = False
        self.ended = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{self.root}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what these tests are about."""

    def stop(self) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.headers.append({key.lower(): value for key, value in self.headers.items()})
        self.send(self.server.models if self.path == f"{self.server.root}/models" else error(404, "no such page"))

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != f"{server.root}/chat/completions":
            self.send(error(404, "no such page"))
            return
        subject = body["messages"][-1]["content"].splitlines()[-1]
        with server.lock:
            attempt = len(server.seen[subject])
            server.seen[subject].append(time.monotonic())
            server.bodies.append(body)
            server.headers.append({key.lower(): value for key, value in self.headers.items()})
            server.open += 1
            server.most = max(server.most, server.open)
        try:
            time.sleep(SLOW_SECONDS if server.is_slow else 0)
            kind = server.decides(body) or server.plan(subject, attempt)
        finally:
            with server.lock:
                server.open -= 1
        if isinstance(kind, str) and kind in SILENT:
            self.close_connection = True
            self.misbehave(kind)
            return
        good = as_json(200, reply(f"answer to {subject}"))
        self.send(KINDS[kind] if isinstance(kind, str) else kind or good)

    def send(self, answer: Answer) -> None:
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def misbehave(self, kind: str) -> None:
        if kind != "hang" and kind != "cut":
            self.send_response(200)
            self.send_header("content-length", "100000")
            self.end_headers()
            self.wfile.write(b'{"choices"')
            self.wfile.flush()
        if kind == "hang":
            while not self.server.ended.is_set() and not select.select([self.connection], [], [], 0.05)[0]:
                pass
        while kind == "drip" and not self.server.ended.wait(0.02):
            self.wfile.write(b" ")
            self.wfile.flush()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries that follow each other at once."""
    monkeypatch.setattr(client, "FIRST_DELAY", 0.005)


def chat(subject: str, **more: Any) -> Request:
    return Request(Chat("Be brief.", f"Say something about\n{subject}"), subject, 20, **more)


def complete(engine: OpenAIEngine, subjects: Sequence[str], **more: Any) -> list[Completion]:
    """What an engine makes of subjects; asserts that each is answered once, in order."""
    jobs = list(engine.generate(Job(subject, [chat(subject, **more)]) for subject in subjects))
    assert [job.item for job in jobs] == list(subjects)
    return [job.results()[0] for job in jobs]


def test_a_seeded_plan_of_failures_loses_nothing(server: Server, quick: None) -> None:
    """Of 60 texts a third fails for a while, four for ever, each attempt in a way of its own."""
    retries, batch = 3, 7
    chance = random.Random(5)
    failures = {}
    for number in range(60):
        times = retries + 5 if number % 15 == 7 else chance.choice([0, 0, 0, 0, 1, 2, retries])
        failures[f"text {number}"] = [chance.choice(PASSING) for _ in range(times)]
    server.plan = lambda subject, attempt: dict(enumerate(failures[subject])).get(attempt)
    used = Counter(kind for kinds in failures.values() for kind in kinds[: retries + 1])
    assert set(used) == set(PASSING), "the plan has every kind"

    with OpenAIEngine(NAME, Settings(server.url, batch=batch, timeout=PATIENCE, retries=retries)) as engine:
        completions = complete(engine, list(failures))
    lost = 0
    for (subject, kinds), completion in zip(failures.items(), completions, strict=True):
        assert len(server.seen[subject]) == min(len(kinds), retries) + 1, (subject, kinds)
        if len(kinds) <= retries:
            assert (completion.text, completion.finish, completion.tokens) == (f"answer to {subject}", "stop", 3)
        else:
            lost += 1
            assert completion.text == "" and completion.finish == "error"
            assert completion.error.startswith(f"{server.url}: ") and completion.error.endswith("(4 attempts)")
            assert SAID[kinds[retries]] in completion.error
    assert lost == 4
    assert server.most <= batch


SAID = {
    "500": "answers 500: out of order",
    "503": "answers 503: Loading model",
    "408": "answers 408: too late",
    "429": "answers 429: too many requests",
    "not JSON": 'the answer is not JSON: {"choices": [{',
    "page": "the answer is not JSON: a web page",
    "no choices": "the answer has no choices",
    "a list": "the answer has no choices: [1, 2]",
    "null": "the answer has no text (finish_reason stop)",
    "hang": f"no answer within {PATIENCE} s",
    "drip": f"no answer within {PATIENCE} s",
    "cut": "the connection broke",
    "cut in the body": "the connection broke",
}


@pytest.mark.parametrize("batch", [1, 4])
def test_as_many_requests_are_in_flight_as_batch_says(server: Server, batch: int) -> None:
    server.is_slow = True
    with OpenAIEngine(NAME, Settings(server.url, batch=batch)) as engine:
        complete(engine, [f"text {i}" for i in range(12)])
    assert server.most == batch


DELAYS: list[tuple[Callable[[], str], float, float]] = [
    (lambda: "1", 1.0, 3.0),
    (lambda: "0.6", 0.6, 2.0),
    (lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True), 1.5, 5.0),
    (lambda: format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True), 0.0, 1.0),
    (lambda: "soon", 0.0, 1.0),
    (lambda: "-5", 0.0, 1.0),
]


@pytest.mark.parametrize(("header", "least", "most"), DELAYS, ids=["1", "0.6", "date", "past date", "soon", "-5"])
def test_retry_after_is_heeded(
    server: Server, quick: None, header: Callable[[], str], least: float, most: float
) -> None:
    server.plan = lambda _, attempt: error(429, "slowly", **{"retry-after": header()}) if attempt == 0 else None
    with OpenAIEngine(NAME, Settings(server.url)) as engine:
        (completion,) = complete(engine, ["text"])
    first, second = server.seen["text"]
    assert least <= second - first < most
    assert completion.text == "answer to text"


def test_a_server_that_asks_to_wait_for_hours_is_not_waited_for(server: Server) -> None:
    server.plan = lambda *_: error(429, "quota", **{"retry-after": "4000"})
    with OpenAIEngine(NAME, Settings(server.url)) as engine:
        (completion,) = complete(engine, ["text"])
    assert completion.error == f"{server.url}: answers 429: quota; it asks to wait 4000 s"
    assert len(server.seen["text"]) == 1


def test_delays_double_and_are_not_all_the_same(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(client, "FIRST_DELAY", 0.1)
    server.plan = lambda subject, attempt: "500" if attempt < 3 else None
    with OpenAIEngine(NAME, Settings(server.url)) as engine:
        complete(engine, ["a", "b", "c"])
    gaps = [[late - early for early, late in pairwise(times)] for times in server.seen.values()]
    for gap in gaps:
        for waited, base in zip(gap, (0.1, 0.2, 0.4), strict=True):
            assert waited >= 0.75 * base
    assert len({round(gap[2], 3) for gap in gaps}) > 1


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422])
def test_what_would_fail_again_is_not_tried_again(server: Server, status: int) -> None:
    server.plan = lambda subject, _: error(status, "this   one\nnot") if subject == "b" else None
    with OpenAIEngine(NAME, Settings(server.url, batch=1)) as engine:
        completions = complete(engine, ["a", "b", "c"])
    assert completions[1].error == f"{server.url}: answers {status}: this one not"
    assert [len(server.seen[subject]) for subject in "abc"] == [1, 1, 1]
    assert [completion.finish for completion in completions] == ["stop", "error", "stop"]


FORMS = [
    ({"error": {"message": "m1"}}, "m1"),
    ({"error": "m2"}, "m2"),
    ({"object": "error", "message": "m3"}, "m3"),
    ({"detail": "m4"}, "m4"),
    ({"detail": [{"msg": "m5"}]}, '[{"msg": "m5"}]'),
    ({"error": {"code": 7}}, '{"error": {"code": 7}}'),
]


@pytest.mark.parametrize(("answer", "said"), FORMS, ids=[said[:5] for _, said in FORMS])
def test_what_the_server_says_is_in_the_error(server: Server, answer: Any, said: str) -> None:
    server.plan = lambda *_: as_json(400, answer)
    with OpenAIEngine(NAME, Settings(server.url)) as engine:
        (completion,) = complete(engine, ["text"])
    assert completion.error == f"{server.url}: answers 400: {said}"


ANSWERS = [
    (reply("a b", "length", 7), Completion("a b", "length", 7)),
    (reply("", "stop", 1), Completion("", "stop", 1)),
    ({**reply("x"), "usage": None}, Completion("x", "stop", 0)),
    (reply("x", model="m.gguf", system_fingerprint="b1"),
     Completion("x", "stop", 3, made_by={"served": "m.gguf", "fingerprint": "b1"})),
    (reply(None, "length"),
     "the answer has no text (finish_reason length); give it more --max-tokens if it thinks first"),
    (reply("x", "content_filter"), "the server's content filter stopped the answer"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "expected"), ANSWERS, ids=range(len(ANSWERS)))
def test_what_an_answer_says(server: Server, answer: Any, expected: Completion | str) -> None:
    server.plan = lambda *_: as_json(200, answer)
    with OpenAIEngine(NAME, Settings(server.url)) as engine:
        (completion,) = complete(engine, ["text"])
    if isinstance(expected, str):
        assert completion.error == f"{server.url}: {expected}"
        assert len(server.seen["text"]) == 1, "it would say the same again"
    else:
        assert completion == expected


def test_a_server_that_hangs_for_good_is_given_up(server: Server, quick: None) -> None:
    subjects = [f"text {i}" for i in range(3000)]
    server.plan = lambda subject, _: None if int(subject.split()[1]) < 20 else "hang"
    with OpenAIEngine(NAME, Settings(server.url, batch=8, timeout=PATIENCE, retries=1)) as engine:
        completions = complete(engine, subjects)
    assert [completion.finish for completion in completions] == ["stop"] * 20 + ["error"] * 2980
    assert sum(map(len, server.seen.values())) < 20 + 3 * 8 + GIVE_UP_AFTER
    assert completions[20].error == f"{server.url}: no answer within {PATIENCE} s (--timeout) (2 attempts)"
    assert (
        completions[-1].error
        == f"{server.url}: no answer within {PATIENCE} s (--timeout); not asked any more after 5 such requests in a row"
    )


def test_a_server_that_dies_and_comes_back_within_the_retries_loses_nothing(server: Server, quick: None) -> None:
    down = threading.Event()
    server.plan = lambda subject, attempt: "cut" if down.is_set() else None
    subjects = [f"text {i}" for i in range(300)]
    threading.Timer(0.05, down.set).start()
    threading.Timer(0.6, down.clear).start()
    server.is_slow = True
    with OpenAIEngine(NAME, Settings(server.url, batch=8, retries=12)) as engine:
        assert {completion.finish for completion in complete(engine, subjects)} == {"stop"}


@pytest.mark.parametrize(
    "kinds",
    [["null"] * 40, ["503", "503", "503", "503", None] * 3, ["503", "503", "503", "503", "null"] * 3],
    ids=["answers of no use", "an answer between", "an answer of no use between"],
)
def test_a_server_that_answers_now_and_then_is_not_given_up(server: Server, kinds: list[str | None]) -> None:
    server.plan = lambda subject, _: kinds[int(subject)]
    with OpenAIEngine(NAME, Settings(server.url, batch=1, retries=0)) as engine:
        completions = complete(engine, list(map(str, range(len(kinds)))))
    assert [completion.finish for completion in completions] == ["error" if kind else "stop" for kind in kinds]
    assert len(server.bodies) == len(kinds), "each was asked"


# -- what is sent ------------------------------------------------------------------------------------------------


def test_the_request_of_a_chat(server: Server) -> None:
    with OpenAIEngine(NAME, Settings(server.url)) as engine:
        complete(engine, ["a"])
        sampling = Sampling(0.7, None, 5, 1.1, 3)
        complete(engine, ["b"], sampling=sampling, seed=99)
        assert engine.parameters(sampling) == {"temperature": 0.7, "top_k": 5, "repeat_penalty": 1.1}
        assert engine.identity() == {"model": NAME, "server": server.url, "api": "chat"}
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say something about\na"}]
    assert server.bodies[0] == {"model": NAME, "messages": turns, "max_tokens": 20, "temperature": 0.0}
    sent = {"temperature": 0.7, "top_k": 5, "repeat_penalty": 1.1, "repetition_penalty": 1.1, "seed": 99}
    assert server.bodies[1].items() >= sent.items()
    assert "top_p" not in server.bodies[1]


def test_the_request_of_a_completion() -> None:
    with OpenAIEngine(NAME, Settings("http://h/v1", "completions"), check=False) as engine:
        body = engine.body(Request(Text("Once \ud800", ("\n", "END")), "s", 9, Sampling(0, 0.5, 5)))
    expected = {"model": NAME, "prompt": "Once ?", "stop": ["\n", "END"], "max_tokens": 9, "temperature": 0}
    assert body == expected, "what is drawn from has no effect when nothing is drawn"
    assert not engine.is_chat


def test_no_empty_system_turn_is_sent(server: Server) -> None:
    with OpenAIEngine(NAME, Settings(server.url)) as engine:
        list(engine.generate([Job(0, [Request(Chat("", "hello"), "hello", 5)])]))
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "hello"}]


def test_a_server_that_wants_it_in_another_way_is_asked_in_that_way(server: Server) -> None:
    def refuses(body: dict[str, Any]) -> Answer | None:
        if "max_tokens" in body:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if body["messages"][0]["role"] == "system":
            return error(400, "System role not supported")
        return None

    server.decides = refuses
    with OpenAIEngine(NAME, Settings(server.url, batch=2)) as engine:
        completions = complete(engine, [f"text {i}" for i in range(10)])
    assert {completion.finish for completion in completions} == {"stop"}
    taken = [body for body in server.bodies if refuses(body) is None]
    assert {body["max_completion_tokens"] for body in taken} == {20}
    said = [[message["content"] for message in body["messages"]] for body in taken]
    assert sorted(said) == [[f"Be brief.\n\nSay something about\ntext {number}"] for number in range(10)]
    assert len(server.bodies) <= 10 + 2 * 2, "it is told once, by each request in flight"


@pytest.mark.parametrize("tail", ["", "/"])
def test_a_url_with_a_password_keeps_it_to_itself(server: Server, tail: str) -> None:
    url = server.url.replace("http://", "http://user:secret@") + tail
    server.plan = lambda *_: "500"
    with OpenAIEngine(NAME, Settings(url, retries=0)) as engine:
        (completion,) = complete(engine, ["text"])
        assert engine.identity()["server"] == server.url
    assert server.headers[-1]["authorization"].startswith("Basic ")
    assert "secret" not in completion.error


# -- the command -------------------------------------------------------------------------------------------------


def options(url: str, *more: str) -> tuple[str, ...]:
    return ("--to", "en", "--model", f"openai:{NAME}", "--base-url", url, "--no-store", *more)


def test_the_command_translates_and_says_where(xqe: Run, server: Server) -> None:
    server.plan = lambda subject, _: as_json(200, reply("<think>hm</think> Mercury's name", system_fingerprint="b7"))
    done = xqe("translate", *options(server.url), stdin=jsonl({"id": "q7", "query": "nom du mercure", "lang": "fr"}))
    step = {
        "step": "translate", "from": "fr", "to": "en", "model": NAME, "server": server.url, "api": "chat",
        "fingerprint": "b7", "temperature": 0.0, "max_tokens": 64, "finish": "stop", "tokens": 3,
        "taken_off": ["reasoning"], "raw": ["<think>hm</think> Mercury's name"],
    }  # fmt: skip
    assert records(done) == [
        {"id": "q7", "query": "Mercury's name", "lang": "en",
         "source": {"query": "nom du mercure", "lang": "fr"}, "steps": [step]}
    ]  # fmt: skip
    assert done.returncode == 0


def test_records_that_fail_stay_in_their_place(xqe: Run, server: Server) -> None:
    server.plan = lambda subject, _: error(400, "too long") if subject in ("question 1", "question 4") else None
    done = xqe("translate", *options(server.url, "--batch", "3"), stdin=jsonl(*map(query, range(6))))
    out = records(done)
    assert [record["id"] for record in out] == [f"q{i}" for i in range(6)]
    assert [i for i, record in enumerate(out) if "error" in record] == [1, 4]
    assert out[1]["error"] == {"step": "translate", "message": f"{server.url}: answers 400: too long"}
    assert done.returncode == 1


def test_a_slow_producer_gets_each_answer_before_its_next_question(server: Server) -> None:
    with start("translate", *options(server.url, "--quiet")) as process:
        assert process.stdin is not None and process.stdout is not None
        for number in range(3):
            process.stdin.write(jsonl(query(number)))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["query"] == f"answer to question {number}"
        process.stdin.close()
        assert process.wait(20) == 0


def test_a_closed_pipe_ends_it(server: Server) -> None:
    line = json.dumps(query(1)).replace('"q1"', '"q&"')
    translating = shlex.join(command("translate", *options(server.url)))
    shell = f"seq 1000000 | sed 's/.*/{line}/' | {translating} | head -3; echo ${{PIPESTATUS[2]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "141"
    assert (len(done.stdout.splitlines()), done.stderr) == (4, "")


def test_ctrl_c_with_requests_that_hang_writes_what_is_finished(server: Server) -> None:
    server.plan = lambda subject, _: "hang" if subject in ("question 3", "question 5") else None
    with start("translate", *options(server.url, "--quiet")) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(jsonl(*map(query, range(9))))
        process.stdin.flush()
        first = [json.loads(process.stdout.readline())["id"] for _ in range(3)]
        wait_for(lambda: len(server.seen) == 9)
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert first == ["q0", "q1", "q2"]
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["q4", "q6", "q7", "q8"]
    assert (process.returncode, err) == (130, "")
    assert time.monotonic() - began < 5, "the requests hang for two minutes"


def test_ctrl_c_while_a_name_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, sys, time\n"
        "def slowly(*a, **k):\n    print('looking', file=sys.stderr, flush=True)\n    time.sleep(60)\n"
        "socket.getaddrinfo = slowly\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with start("translate", "q", "--from", "fr", *options("http://slow.example/v1")) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "looking\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")


def test_the_key_is_sent_and_never_shown(xqe: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    server.plan = lambda subject, attempt: error(500, f"Bearer {KEY} is not welcome")
    monkeypatch.setenv("XQE_API_KEY", KEY)
    done = xqe("translate", *options(server.url, "--retries", "1", "--verbose"), stdin=jsonl(query(1)))
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert records(done)[0]["error"]["message"] == f"{server.url}: answers 500: Bearer … is not welcome (2 attempts)"
    assert "retry 1 of 1 in " in done.stderr
    server.models = error(401, f"Incorrect API key provided: {KEY}")
    refused = xqe("translate", *options(server.url), stdin=jsonl(query(1)))
    assert refused.returncode == 2 and "check the key in XQE_API_KEY" in refused.stderr
    monkeypatch.setenv("XQE_API_KEY", f"{KEY}\x01")
    broken = xqe("translate", *options(server.url), stdin=jsonl(query(1)))
    assert broken.returncode == 2 and "check XQE_API_KEY" in broken.stderr
    assert KEY not in "".join(run.stdout + run.stderr for run in (done, refused, broken))
    monkeypatch.delenv("XQE_API_KEY")
    xqe("translate", *options(server.url), stdin=jsonl(query(1)))
    assert server.headers[-1]["authorization"] == "Bearer another"


def listing(*names: str) -> Answer:
    return as_json(200, {"data": [{"id": name} for name in names]})


OPENINGS: list[tuple[str, dict[str, Any], str]] = [
    ("401", {"models": error(401, "no key")}, "{url}: answers 401: no key; set XQE_API_KEY to a key of it"),
    ("another model", {"models": listing("a", "b")}, f'{{url}}: no model "{NAME}" there; it has a, b'),
    ("page", {"models": PAGE}, "{url}: answers with a web page"),
    ("page, no v1", {"models": PAGE, "root": "/x"}, "{url}: answers with a web page; does the URL end in /v1?"),
    ("503", {"models": KINDS["503"]}, "{url}: answers 503: Loading model; try again later"),
    ("moved", {"models": (308, {"location": "https://h/v1/models"}, b"")},
     "{url}: redirects to https://h/v1/models; give that to --base-url"),
    ("401 later", {"plan": lambda *_: error(401, "no key")}, "{url}: answers 401: no key; set XQE_API_KEY"),
    ("404 later", {"plan": lambda *_: error(404, "no such model")},
     f"{{url}}: answers 404: no such model; it has {NAME}"),
    ("no list, 404", {"models": error(404, "no"), "plan": lambda *_: error(404, "who?")},
     f'{{url}}: answers 404: who?; does it have the model "{NAME}"?'),
]  # fmt: skip


@pytest.mark.parametrize(("how", "said"), [row[1:] for row in OPENINGS], ids=[row[0] for row in OPENINGS])
def test_a_server_that_cannot_do_the_work_is_one_line(xqe: Run, server: Server, how: dict[str, Any], said: str) -> None:
    for name, value in how.items():
        setattr(server, name, value)
    done = xqe("translate", *options(server.url, "--retries", "1", "--quiet"), stdin=jsonl(*map(query, range(40))))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith(f"xqe: {said.format(url=server.url)}")


@pytest.mark.parametrize(
    "models",
    [listing("/models/the file.gguf"), listing(), listing("x", NAME), listing("x", f"{NAME}:latest"), error(404, "?"),
     error(405, "?"), error(403, "?"), as_json(200, {"models": 3}), as_json(200, [{"id": NAME}, {"id": "x"}])],
    ids=["one other", "none", "listed", "with a tag", "404", "405", "403", "no list", "bare list"],
)  # fmt: skip
def test_a_server_that_does_not_contradict_is_believed(server: Server, models: Answer) -> None:
    server.models = models
    with OpenAIEngine(NAME, Settings(server.url)) as engine:
        assert complete(engine, ["text"])[0].text == "answer to text"


@pytest.mark.parametrize(
    ("name", "listed", "is_another"),
    [
        ("gemma-3-4b", "qwen3-8b", True),
        ("gemma-3-4b", "/models/Gemma-3-4B.gguf", False),  # llama.cpp's file
        ("gemma-3-4b", "C:\\models\\gemma-3-4b.gguf", False),
        ("gemma-3-4b", "google/gemma-3-4b", False),  # vLLM's name at the hub
        ("gemma-3-4b", "gemma-3-4b:latest", False),
        ("google/gemma-3-4b", "gemma-3-12b", True),
    ],
)
def test_the_one_model_of_a_server_that_has_another_name_is_named(
    server: Server, capfd: pytest.CaptureFixture[str], name: str, listed: str, is_another: bool
) -> None:
    server.models = listing(listed)
    with OpenAIEngine(name, Settings(server.url)) as engine:
        assert complete(engine, ["text"])[0].text == "answer to text"
    said = f'xqe: {server.url}: asked for "{name}", and has only "{listed}", which may answer instead\n'
    assert capfd.readouterr().err == (said if is_another else "")


def test_a_url_that_lacks_v1_is_told_so(server: Server) -> None:
    url = server.url.removesuffix("/v1")
    with pytest.raises(ModelError) as caught:
        OpenAIEngine(NAME, Settings(url))
    assert str(caught.value) == f"{url}: there is no API there; give --base-url {url}/v1"


def test_a_server_that_is_busy_at_first_is_not_taken_for_absent(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(Handler, "do_GET", lambda self: time.sleep(0.5))
    with OpenAIEngine(NAME, Settings(server.url)) as engine:
        assert complete(engine, ["text"])[0].text == "answer to text"


BAD = [
    (("--model", "openai:m"), "openai:m names no server; add --base-url URL"),
    (("--base-url", "http://127.0.0.1:9/v1"), "--base-url names a server but no model of it; add --model openai:NAME"),
    (("--model", "openai:", "--base-url", "http://h/v1"), "--model openai: names no model"),
    (("--model", "openai:m", "--base-url", "localhost:8080/v1"), "--base-url is no URL of a server"),
    (("--model", "openai:m", "--base-url", "http://h:port/v1"), "--base-url is no URL of a server"),
    (("--model", "openai:m", "--base-url", "http://127.0.0.1:9/v1"),
     "http://127.0.0.1:9/v1: no connection (connection refused)"),
    (("--model", "openai:m", "--base-url", "http://none.invalid/v1"), "http://none.invalid/v1: no connection ("),
    (("--model", "openai:m", "--base-url", "http://h/v1", "--lora", "f.gguf"), "--lora has no effect"),
    (("--model", "openai:m", "--base-url", "http://h/v1", "--deterministic"), "--deterministic has no effect"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[said[:40] for _, said in BAD])
def test_bad_input_is_one_line_and_status_2(xqe: Run, arguments: tuple[str, ...], said: str) -> None:
    done = xqe("translate", "--to", "en", "--no-store", *arguments, stdin=jsonl(query(1)))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith(f"xqe: {said}")


def test_without_the_extra(xqe_alone: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "httpx2.py").write_text("raise ModuleNotFoundError(\"No module named 'httpx2'\")")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    done = xqe_alone("translate", *options("http://h/v1"), stdin=jsonl(query(1)))
    said = 'xqe: a model on a server needs httpx2; install it with: pip install "xqe[server]"\n'
    assert (done.returncode, done.stderr) == (2, said)


def test_prompts_are_shown_without_a_server(xqe: Run) -> None:
    done = xqe("translate", "bonjour", "--from", "fr", *options("http://none.invalid/v1", "--show-prompt"))
    turns = json.loads(done.stdout)
    assert done.returncode == 0
    assert [turn["role"] for turn in turns] == ["system", "user"]
    assert turns[1]["content"].endswith("\n\nbonjour")


# -- a real server -----------------------------------------------------------------------------------------------


WRITTEN = small_models.SAID
TEMPLATE = "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}{% endfor %}<s>assistant:"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, certain_path: Path) -> Iterator[str]:
    """The URL of a llama_cpp.server with a chat model, "chat", and a pretrained one, "plain"; both say WRITTEN."""
    folder = tmp_path_factory.mktemp("server")
    chat = small_models.bigrams(folder / "chat.gguf", small_models.saying(WRITTEN), TEMPLATE)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    models = [
        {"model": str(path), "model_alias": alias, "n_ctx": small_models.CONTEXT, "n_threads": 1, "verbose": False}
        for alias, path in (("chat", chat), ("plain", certain_path))
    ]
    (folder / "config.json").write_text(json.dumps({"host": "127.0.0.1", "port": port, "models": models}))
    url = f"http://127.0.0.1:{port}/v1"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "llama_cpp.server", "--config_file", str(folder / "config.json")],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:

        def answers() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with suppress(OSError), urllib.request.urlopen(f"{url}/models", timeout=5):
                return True
            return False

        wait_for(answers, 60)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def ask(url: str, path: str, body: Any) -> dict[str, Any]:
    """An answer of a server, by other means."""
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


QUESTIONS = [
    {"id": "1", "query": "Die Hauptstadt von Frankreich", "lang": "de"},
    {"id": "2", "query": "la maison rouge", "lang": "fr"},
    {"id": "3", "query": "el perro y el gato", "lang": "es"},
    {"id": "4", "query": "il mare blu", "lang": "it"},
]


def of(url: str, model: str, *more: str) -> tuple[str, ...]:
    return ("--model", f"openai:{model}", "--base-url", url, "--no-store", "--quiet", *more)


def test_a_chat_model_of_a_real_server_through_a_pipe_of_two_stages(real: str, server: Server) -> None:
    """Through a server that passes on and remembers what it was asked."""
    asked: list[dict[str, Any]] = []

    def pass_on(body: dict[str, Any]) -> Answer:
        asked.append(body)
        return as_json(200, ask(real, "/chat/completions", body))

    server.models = listing("chat")
    server.decides = pass_on
    translate = shlex.join(command("translate", "--to", "en", *of(server.url, "chat")))
    expand = shlex.join(command("expand", "--max-tokens", "5", *of(server.url, "chat", "--batch", "2")))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{translate} | {expand}"],
        input=jsonl(*QUESTIONS), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    out = records(done)
    assert [record["id"] for record in out] == ["1", "2", "3", "4"]
    assert len(asked) == 8
    system = "You are a translator for a search engine. Respond only with the translation."
    names = {"de": "German", "fr": "French", "es": "Spanish", "it": "Italian"}
    for question, record in zip(QUESTIONS, out, strict=True):
        text = (
            f"Translate the following search query from {names[question['lang']]} to English. "
            f"Keep names, numbers and code as they are.\n\n{question['query']}"
        )
        turns = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        limit = 16 + len(question["query"].encode()) // 2
        assert {"model": "chat", "messages": turns, "temperature": 0.0, "max_tokens": limit} in asked
        first, second = record["steps"]
        assert (record["query"], first["tokens"], first["finish"]) == (WRITTEN, len(WRITTEN), "stop")
        assert first.items() >= {"model": "chat", "server": server.url, "api": "chat", "to": "en"}.items()
        assert second.items() >= {"strategy": "zeroshot", "model": "chat", "max_tokens": 5, "tokens": 5}.items()
        assert (record["passages"], second["finish"]) == ([WRITTEN[:5]], "length")


def test_a_pretrained_model_of_a_real_server_completes(xqe: Run, real: str) -> None:
    done = xqe("translate", "--to", "en", *of(real, "plain", "--api", "completions"), stdin=jsonl(*QUESTIONS[:3]))
    assert [record["query"] for record in records(done)] == [WRITTEN] * 3
    step = {"model": "plain", "api": "completions", "finish": "stop", "tokens": len(WRITTEN)}
    assert all(record["steps"][0].items() >= step.items() for record in records(done))
    assert done.returncode == 0


def test_a_real_server_of_two_models_is_asked_for_a_third(xqe: Run, real: str) -> None:
    done = xqe("translate", "--to", "en", *of(real, "large"), stdin=jsonl(*QUESTIONS))
    assert (done.returncode, done.stderr) == (2, f'xqe: {real}: no model "large" there; it has chat, plain\n')


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_batch_makes_the_same_records_as_asking_the_server(xqe: Run, real: str, api: str, tmp_path: Path) -> None:
    model = {"chat": "chat", "completions": "plain"}[api]
    work = ("--to", "en", "--max-tokens", "10", "--api", api)
    stdin = jsonl(*QUESTIONS)
    batch = xqe("batch", "export", *work, "--model", f"openai:{model}", stdin=stdin)
    rows = []
    for request in records(batch):
        answer = ask(real.removesuffix("/v1"), request["url"], request["body"])
        response = {"status_code": 200, "request_id": "r", "body": answer}
        rows.append({"id": "b", "custom_id": request["custom_id"], "response": response, "error": None})
    results = tmp_path / "results.jsonl"
    results.write_text(jsonl(*reversed(rows)))
    joined = xqe("batch", "import", *work, "--model", f"openai:{model}", "--results", str(results), stdin=stdin)
    out, expected = records(joined), records(xqe("translate", *work, *of(real, model), stdin=stdin))
    assert [record["query"] for record in out] == [WRITTEN[:10]] * 4
    for record in expected:
        assert record["steps"][0].pop("server") == real
    assert out == expected
    assert joined.returncode == 0
