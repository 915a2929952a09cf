"""xqe serve: what it runs is what a command does by itself; whatever happens to either side, the other goes on."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from conftest import FIXTURES, command

from xqe import __file__ as package
from xqe import __version__
from xqe.models.encoders.base import Side
from xqe.models.encoders.fake import FakeEncoder
from xqe.models.engines.fake import FakeEngine
from xqe.resident.client import address
from xqe.resident.endpoint import Endpoint, Models
from xqe.resident.server import ask

TRACE = ("trace", "nom du mercure", "--lang", "fr", "--to", "en", "-s", "zeroshot", "--index", "english", "--no-store")
SEARCH = ("search", "english", "symbol of mercury", "-k", "3")


class Place:
    """A folder with an index in it, and a runtime folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._servers: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(*arguments),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        return done

    def serve(self, *options: str) -> subprocess.Popen[str]:
        server = subprocess.Popen(command("serve", *options), cwd="/", stderr=subprocess.PIPE, text=True)
        self._servers.append(server)
        assert server.stderr is not None
        assert "listening at" in server.stderr.readline()
        return server

    def state(self) -> dict[str, Any]:
        told = ask(Path(address()), "state")
        assert told is not None
        return told

    def close(self) -> None:
        for server in self._servers:
            server.kill()
            server.wait()
            assert server.stderr is not None
            server.stderr.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XQE_MODEL", "fake")
    monkeypatch.delenv("XQE_SERVER", raising=False)
    made = Place(tmp_path)
    made.run("index", "english", "--lang", "en", "-i", str(FIXTURES / "documents" / "en.jsonl"))
    yield made
    made.close()


def test_what_it_runs_is_what_a_command_does_by_itself(place: Place) -> None:
    """Output, messages, statuses; and an index that was built anew is read anew."""
    wrong = ("explain", "english", "mercury", "nothing")
    alone = [place.run(*SEARCH), place.run(*wrong, status=2)]
    place.serve()
    for _ in range(2):
        there = [place.run(*SEARCH), place.run(*wrong, status=2)]
        assert [(one.stdout, one.stderr) for one in there] == [(one.stdout, one.stderr) for one in alone]
    assert place.state()["commands"] == 4
    assert place.state()["open"] == {"index": [str(place.folder / "english")]}
    place.run("index", "english", "--force", "--lang", "en", "-i", str(FIXTURES / "documents" / "es.jsonl"))
    own = place.run("--server", "off", *SEARCH)
    assert place.run(*SEARCH).stdout == own.stdout != alone[0].stdout
    assert place.state()["commands"] == 5


def test_a_trace_is_that_of_a_process_of_its_own(place: Place) -> None:
    def told(done: subprocess.CompletedProcess[str]) -> str:
        return re.sub(r'"(seconds|share)":[0-9.e-]+', "", done.stdout)

    alone = place.run(*TRACE)
    place.serve()
    for _ in range(2):
        assert told(place.run(*TRACE)) == told(alone)
    assert place.state()["commands"] == 2


def test_a_pipe_and_other_commands_run_by_themselves(place: Place) -> None:
    place.serve()
    place.run("store", "info")
    first = f"{' '.join(command('translate', '--to', 'en', '--from', 'fr'))} 'nom du mercure' < /dev/null"
    piped = f"{first} | {' '.join(command('search', 'english', '-k', '1'))}"
    done = subprocess.run(["bash", "-c", piped], cwd=place.folder, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["hits"]
    assert place.state()["commands"] == 1  # the first stage, which reads no pipe


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupt_ends_the_command_and_not_the_server(sent: signal.Signals, place: Place) -> None:
    server = place.serve()
    lines = [{"id": f"q{number}", "query": f"fake:slow {number}", "lang": "fr"} for number in range(60)]
    (place.folder / "slow.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    slow = subprocess.Popen(
        command("translate", "--to", "en", "-i", "slow.jsonl", "--quiet"),
        cwd=place.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert slow.stdout is not None
    first = json.loads(slow.stdout.readline())
    slow.send_signal(sent)
    assert slow.communicate(timeout=30)[1] == ""
    assert first["id"] == "q0"
    assert slow.returncode == (130 if sent is signal.SIGINT else -9)
    deadline = time.monotonic() + 30
    while place.state()["commands"] < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    place.run(*SEARCH)
    assert place.state()["commands"] == 2
    assert server.poll() is None


def test_a_server_that_was_killed_leaves_nothing_in_the_way(place: Place) -> None:
    server = place.serve()
    again = place.run("serve", status=2)
    assert again.stderr == f"xqe: {address()}: a server is there already; xqe serve --stop ends it\n"
    server.kill()
    server.wait()
    assert Path(address()).exists()
    assert place.run(*SEARCH).stderr == ""
    assert place.run("serve", "--status", status=2).stderr == "xqe: no server is there; xqe serve starts one\n"
    last = place.serve()
    place.run(*SEARCH)
    place.run("serve", "--stop")
    assert last.wait(timeout=30) == 0
    assert not Path(address()).exists()


def test_it_ends_by_itself_and_no_other_user_can_connect(place: Place) -> None:
    server = place.serve("--idle", "0.02")
    path = Path(address())
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert server.wait(timeout=30) == 0
    assert not path.exists()


def test_a_client_of_another_version_is_refused(place: Place) -> None:
    place.serve()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address())
        socket.send_fds(connection, [b"\0"], [0, 1, 2])
        connection.sendall(json.dumps({"version": "0.0.1", "package": package, "arguments": []}).encode() + b"\n")
        told = json.loads(connection.makefile("rb").readline())
    assert told == {"refused": f"is xqe {__version__} in {Path(package).parent}"}


def listener(answers: bytes) -> threading.Thread:
    """Something else at the address, that answers one that connects."""
    path = Path(address())
    path.parent.mkdir(mode=0o700, parents=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def answer() -> None:
        with listening:
            connection, _ = listening.accept()
            with connection:
                connection.makefile("rb").readline()
                connection.sendall(answers)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def test_what_a_server_refuses_the_command_does_itself(place: Place) -> None:
    thread = listener(b'{"refused": "is xqe 0.0.1 in /elsewhere"}\n')
    done = place.run(*SEARCH)
    assert json.loads(done.stdout)["hits"]
    assert done.stderr == "xqe: the server is xqe 0.0.1 in /elsewhere; the command runs by itself\n"
    thread.join()


def test_a_server_that_ends_before_its_command_is_said(place: Place) -> None:
    thread = listener(b'{"accepted": true}\n')
    done = place.run(*SEARCH, status=2)
    assert done.stderr.startswith("xqe: the server ended before the command did; run it again")
    thread.join()


def test_a_socket_that_others_could_have_made_is_not_asked(place: Place) -> None:
    thread = listener(b'{"accepted": true}\n{"status": 0}\n')
    Path(address()).parent.chmod(0o777)
    assert json.loads(place.run(*SEARCH).stdout)["hits"]
    Path(address()).parent.chmod(0o700)
    assert place.run(*SEARCH).stdout == ""
    thread.join()


# ---------------------------------------------------------------- the endpoint


def posted(url: str, body: dict[str, Any], key: str = "secret") -> tuple[int, dict[str, Any]]:
    request = Request(url, json.dumps(body).encode(), {"Authorization": f"Bearer {key}"})
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def in_process() -> Iterator[str]:
    """An endpoint of the fake engine in this process."""
    models = Models(lambda: ["fake"], lambda _: FakeEngine(), lambda _: FakeEncoder(), threading.Lock(), lambda: None)
    endpoint = Endpoint(models, "127.0.0.1", 0, "secret")
    endpoint.start()
    yield f"http://127.0.0.1:{endpoint.port}/v1"
    endpoint.close()


@pytest.fixture
def endpoint(place: Place, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XQE_API_KEY", "secret")
    server = place.serve("--port", "0")
    assert server.stderr is not None
    said = server.stderr.readline()
    assert said.endswith("/v1; the key is that of XQE_API_KEY\n")
    return said.split()[3].rstrip(";")


def test_xqe_itself_asks_the_endpoint(endpoint: str, place: Place) -> None:
    """Chats of one turn, many at a time, in their order: what the engine says when it is asked in process."""
    words = [f"mot{letter} ici" for letter in ascii_lowercase]
    lines = [{"id": word[:4], "query": word, "lang": "fr"} for word in words]
    (place.folder / "q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    own = ("translate", "--to", "en", "-i", "q.jsonl", "--no-store", "-q")
    there = place.run("--server", "off", *own, "-m", "openai:fake", "--base-url", endpoint)
    records = [json.loads(line) for line in there.stdout.splitlines()]
    assert [record["id"] for record in records] == [word[:4] for word in words]
    assert all(f" {record['id']}" in record["query"] for record in records)
    listed = json.loads(urlopen(Request(f"{endpoint}/models", headers={"Authorization": "Bearer secret"})).read())
    assert listed["data"][0]["id"] == "fake"


def test_embeddings_are_those_of_the_encoder(endpoint: str) -> None:
    texts = ["symbol of mercury", "a harbour"]
    status, answer = posted(f"{endpoint}/embeddings", {"model": "fake", "input": texts})
    assert status == 200
    expected = FakeEncoder().encode(texts, Side.PASSAGE).vectors
    for row, vector in zip(answer["data"], expected, strict=True):
        assert row["embedding"] == pytest.approx(vector.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        (
            "chat/completions",
            {"model": "none", "messages": [{"role": "user", "content": "a"}]},
            404,
            'no model "none" is here, only fake',
        ),
        ("chat/completions", {"model": "fake", "messages": [{"role": "assistant", "content": "a"}]}, 400, "user turn"),
        ("chat/completions", {"model": "fake", "messages": "a"}, 400, '"messages" is no list'),
        ("completions", {"model": "fake", "prompt": []}, 400, '"prompt" is no text'),
        ("completions", {"model": "fake", "prompt": "a", "stream": True}, 400, '"stream" is not done here'),
        ("completions", {"model": "fake", "prompt": "a", "n": "two"}, 400, '"n" is no number'),
        ("completions", {"model": "fake", "prompt": "a", "max_tokens": 0}, 400, "out of range"),
        ("embeddings", {"model": "fake", "input": [1]}, 400, '"input" is no text'),
    ],
)
def test_what_it_cannot_answer_is_said(
    path: str, body: dict[str, Any], status: int, said: str, in_process: str
) -> None:
    found, answer = posted(f"{in_process}/{path}", body)
    assert (found, said in answer["error"]["message"]) == (status, True), answer


def test_without_the_key_nothing_is_told(in_process: str) -> None:
    assert posted(f"{in_process}/completions", {"model": "fake", "prompt": "a"}, key="other")[0] == 401


def test_texts_are_cut_where_they_are_to_stop(in_process: str) -> None:
    asked = {"model": "fake", "prompt": ["one two", "three"], "n": 2, "stop": "e"}
    status, answer = posted(f"{in_process}/completions", asked)
    assert status == 200
    assert len(answer["choices"]) == 4
    assert not any("e" in choice["text"] for choice in answer["choices"])
