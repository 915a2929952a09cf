"""xqe models pull, as a process, against a local server that answers as the hub does."""

from __future__ import annotations

import hashlib
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, command
from forks import Forks
from gguf_files import gguf

PLACE = "owner/repo/little.gguf"
TOKEN = "hf_secretsecretsecret"
COMMIT = "0123456789" * 4
KEPT = 10 << 20  # huggingface_hub writes blocks of this size, and keeps whole blocks only
LITTLE, LARGE = gguf(), gguf(values=1_000_000)
DONE = {"little.gguf", "little.gguf.sha256"}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Hub:
    """A server for one file, as the hub or as the storage that it sends to.

    cuts: bytes at which the next GETs end, before whole answers. stalled: while it is clear, an answer that was cut
    keeps its connection. refusal: a status and headers in place of the file. requests: method, path, headers of each.
    files: for a hub with several, the content of each by its name.
    """

    def __init__(self, content: bytes, storage: Hub | None = None) -> None:
        self.content, self.storage, self.ranges = content, storage, True
        self.headers = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(len(content)),
            "X-Linked-Etag": f'"{sha(content)}"',
        }
        self.cuts: deque[int] = deque()
        self.stalled = threading.Event()
        self.stalled.set()
        self.refusal: tuple[int, dict[str, str]] | None = None
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.files: dict[str, bytes] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.answer(self)

            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a client that goes away is part of the tests

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.command, request.path, headers))
        if self.files:
            name = request.path.rpartition("/")[2]
            if name not in self.files:
                return send(request, 404, {"Content-Length": "0", "X-Error-Code": "EntryNotFound"})
            self.content = self.files[name]
            self.headers["X-Linked-Size"] = str(len(self.content))
            self.headers["X-Linked-Etag"] = f'"{sha(self.content)}"'
        if self.refusal is not None:
            status, said = self.refusal
            return send(request, status, {"Content-Length": "0", **said})
        if self.storage is not None:
            location = {
                "Location": f"http://localhost:{self.storage.server.server_port}/blob?signature=s",
                "Content-Length": "0",
            }
            return send(request, 302, location | self.headers)
        return self.serve(request)

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        size, start, asked = len(self.content), 0, request.headers.get("Range")
        if asked and self.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        headers = {"ETag": '"of-the-storage"', "Accept-Ranges": "bytes", "Content-Length": str(size - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        end = self.cuts.popleft() if self.cuts and request.command == "GET" else size
        body = self.content[start:end] if request.command == "GET" else b""
        send(request, 206 if start else 200, headers | self.headers, body)
        if end < size:
            self.stalled.wait(20)
            request.close_connection = True

    def sent(self, method: str, header: str) -> list[str | None]:
        """The values of a header in the requests with a method."""
        return [headers.get(header) for asked, _, headers in self.requests if asked == method]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def send(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes = b"") -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
    request.wfile.flush()


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own folders, and no variables of the user's."""
    for name in list(os.environ):
        if name.startswith(("XQE_", "HF_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("XQE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hub]]:
    """Start a server for a file, and make it the hub."""
    hubs: list[Hub] = []

    def start(content: bytes = LITTLE, storage: Hub | None = None) -> Hub:
        hubs.append(Hub(content, storage))
        monkeypatch.setenv("HF_ENDPOINT", hubs[-1].url)
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the file is to lie."""
    return tmp_path / "models" / PLACE


Pull = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """A process that no other module's tests share: huggingface_hub, which transformers imports, reads the environment
    when it is imported."""
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture
def pull(forks: Forks) -> Pull:
    """The status, standard output and standard error of a pull; too many tries are an error of the test."""

    def run(name: str = PLACE, *options: str) -> tuple[int, str, str]:
        done = forks("models", "pull", name, *options, timeout=20)
        assert "Traceback" not in done.stderr and all(line.startswith("xqe: ") for line in done.stderr.splitlines())
        return done.status, done.stdout, done.stderr

    return run


def start(**options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("models", "pull", PLACE), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def part_of(place: Path, content: bytes) -> Path:
    return place.with_name(f"{place.name}.{sha(content)[:16]}.part")


def put_part(place: Path, content: bytes, whole: bytes = LITTLE) -> Path:
    part = part_of(place, whole)
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def beside(place: Path) -> set[str]:
    """The files in the model's folder."""
    return {path.name for path in place.parent.iterdir()} if place.parent.exists() else set()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


# A file that arrives


def test_a_fresh_download_is_put_in_place_and_its_hash_recorded(
    serve: Callable[..., Hub], place: Path, monkeypatch: pytest.MonkeyPatch, pull: Pull
) -> None:
    for noisy in ("HF_DEBUG=1", "HF_HUB_ENABLE_HF_TRANSFER=1", "HF_HUB_DISABLE_PROGRESS_BARS=0"):
        monkeypatch.setenv(*noisy.split("="))
    hub = serve()
    status, out, err = pull(f"hf:{PLACE}")
    assert (status, out) == (0, f"{place}\n")
    assert place.read_bytes() == LITTLE
    assert place.with_name("little.gguf.sha256").read_text() == f"{sha(LITTLE)}  little.gguf\n"
    assert beside(place) == DONE
    begun, ended = err.splitlines()  # and no progress bar
    assert "licence" in begun and "161 kB, sha256 checked" in ended
    assert [(method, path) for method, path, _ in hub.requests] == [
        ("HEAD", "/owner/repo/resolve/main/little.gguf"),
        ("GET", f"/owner/repo/resolve/{COMMIT}/little.gguf"),
    ]


def test_a_second_pull_asks_nobody_and_force_asks_again(pull: Pull, serve: Callable[..., Hub]) -> None:
    hub = serve()
    assert pull()[0] == 0
    assert "is there already" in pull()[2]
    assert len(hub.requests) == 2
    assert pull(PLACE, "--force")[0] == 0
    assert len(hub.requests) == 4


def test_a_bar_is_drawn_on_a_terminal(serve: Callable[..., Hub]) -> None:
    serve()
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    with subprocess.Popen(command("models", "pull", PLACE), stdout=subprocess.PIPE, stderr=follower) as process:
        os.close(follower)
        shown = b""
        with suppress(OSError):  # Linux's way to say that the other end is closed
            while block := os.read(leader, 4096):
                shown += block
        os.close(leader)
    assert process.returncode == 0
    assert b"little.gguf: 100%" in shown


def test_a_cut_connection_is_resumed_and_the_token_stays_with_the_hub(
    serve: Callable[..., Hub], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pull: Pull
) -> None:
    storage = serve(LARGE)
    storage.headers = {"X-Linked-Etag": f'"{"0" * 64}"'}  # which only the hub may say
    storage.cuts.append(KEPT + 1000)
    hub = serve(LARGE, storage)
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text(f"{TOKEN}\n")
    status, out, err = pull()
    assert status == 0
    assert place.read_bytes() == LARGE
    assert hub.sent("HEAD", "authorization") == [f"Bearer {TOKEN}"]
    assert hub.sent("GET", "authorization") == [f"Bearer {TOKEN}"] * 2  # each try gets a new address of the storage
    assert storage.sent("GET", "authorization") == [None, None]
    assert storage.sent("GET", "range") == [None, f"bytes={KEPT}-"]
    assert TOKEN not in out + err and "signature" not in out + err


# A file that arrives in parts


def test_ctrl_c_keeps_the_part_for_the_next_pull(pull: Pull, serve: Callable[..., Hub], place: Path) -> None:
    hub = serve(LARGE)
    hub.cuts.append(KEPT + 1000)
    hub.stalled.clear()
    part = part_of(place, LARGE)
    with start() as process:
        try:
            wait_for(lambda: part.exists() and part.stat().st_size >= KEPT)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
            hub.stalled.set()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[1:] == ["xqe: stopped; the first 10.5 MB are kept, and the same command goes on from there"]
    assert beside(place) == {part.name}
    assert pull()[0] == 0
    assert hub.sent("GET", "range") == [None, f"bytes={KEPT}-"]
    assert place.read_bytes() == LARGE
    assert beside(place) == DONE


def test_of_two_pulls_at_once_one_waits_and_finds_the_file(serve: Callable[..., Hub], place: Path) -> None:
    hub = serve(LARGE)
    hub.cuts.append(KEPT + 1000)
    hub.stalled.clear()
    with start() as first:
        wait_for(lambda: len(hub.requests) == 2)
        with start() as second:
            assert second.stderr is not None
            assert "waiting for the process" in second.stderr.readline()
            hub.stalled.set()
            assert second.communicate(timeout=20)[0] == f"{place}\n"
        assert first.communicate(timeout=20)[0] == f"{place}\n"
    assert hub.sent("GET", "range") == [None, f"bytes={KEPT}-"]  # of the first pull, which was cut
    assert place.read_bytes() == LARGE
    assert beside(place) == DONE


@pytest.mark.parametrize(
    ("part", "ranges"),
    [(LITTLE, []), (LITTLE[:1000], ["bytes=1000-"]), (LITTLE + b"more", [None])],
    ids=["complete", "begun", "too long"],
)
def test_what_becomes_of_a_part(
    serve: Callable[..., Hub], place: Path, part: bytes, ranges: list[str | None], pull: Pull
) -> None:
    hub = serve()
    put_part(place, part)
    assert pull()[0] == 0
    assert hub.sent("GET", "range") == ranges
    assert place.read_bytes() == LITTLE


def test_a_server_without_ranges_starts_over(pull: Pull, serve: Callable[..., Hub], place: Path) -> None:
    serve().ranges = False
    put_part(place, b"x" * 1000)
    assert pull()[0] == 0
    assert place.read_bytes() == LITTLE


def test_a_part_of_another_version_is_not_used(pull: Pull, serve: Callable[..., Hub], place: Path) -> None:
    hub = serve()
    put_part(place, b"x" * 1000, whole=LARGE)
    assert pull()[0] == 0
    assert hub.sent("GET", "range") == [None]
    assert beside(place) == DONE


# A model in several files


PARTS = {f"m-{number:05}-of-00003.gguf": gguf(seed=number) for number in (1, 2, 3)}
FIRST = "owner/repo/sub/m-00001-of-00003.gguf"


def test_all_parts_arrive_and_only_those_that_are_missing(
    serve: Callable[..., Hub], tmp_path: Path, pull: Pull
) -> None:
    hub = serve()
    hub.files = PARTS
    folder = tmp_path / "models" / "owner" / "repo" / "sub"
    status, out, err = pull(f"hf:{FIRST}")
    assert (status, out) == (0, f"{folder / 'm-00001-of-00003.gguf'}\n")
    assert err.splitlines()[-1] == f"xqe: {FIRST}: 482 kB in 3 files, sha256 checked"
    assert {path.name: path.read_bytes() for path in folder.glob("*.gguf")} == PARTS
    for name, content in PARTS.items():
        assert (folder / f"{name}.sha256").read_text() == f"{sha(content)}  {name}\n"
    assert "is there already" in pull(FIRST)[2]

    def asked_again() -> list[str]:
        hub.requests.clear()
        assert pull(FIRST)[0] == 0
        return [path.rpartition("/")[2] for method, path, _ in hub.requests if method == "GET"]

    (folder / "m-00002-of-00003.gguf").unlink()
    assert asked_again() == ["m-00002-of-00003.gguf"]
    hub.files = {**PARTS, "m-00003-of-00003.gguf": gguf(seed=9)}  # another upload
    (folder / "m-00001-of-00003.gguf").unlink()
    assert asked_again() == ["m-00001-of-00003.gguf", "m-00003-of-00003.gguf"]
    assert (folder / "m-00003-of-00003.gguf").read_bytes() == gguf(seed=9)


def test_parts_that_cannot_all_arrive(serve: Callable[..., Hub], pull: Pull, tmp_path: Path) -> None:
    hub = serve()
    hub.files = {name: content for name, content in PARTS.items() if "00003-of" not in name}
    status, _, err = pull(FIRST)
    assert status == 2 and "m-00003-of-00003.gguf: not found on the hub" in err and err.count("\n") == 1
    hub.files = PARTS
    status, _, err = pull("owner/repo/sub/m-00002-of-00003.gguf")
    assert (status, err) == (
        2, f"xqe: owner/repo/sub/m-00002-of-00003.gguf: is part 2 of a model in 3 files; name the first: {FIRST}\n"
    )  # fmt: skip
    assert hub.sent("GET", "range") == [] and not list(tmp_path.rglob("*.gguf*"))


# What is not put in place


def test_a_file_with_the_wrong_sha256(pull: Pull, serve: Callable[..., Hub], place: Path) -> None:
    hub = serve()
    hub.content = LITTLE[:-1] + bytes([LITTLE[-1] ^ 1])
    status, out, err = pull()
    assert (status, out) == (2, "")
    assert f"what arrived has sha256 {sha(hub.content)} instead of {sha(LITTLE)}" in err.splitlines()[1]
    assert beside(place) == set()


def test_a_web_page_in_place_of_the_file(pull: Pull, serve: Callable[..., Hub], place: Path) -> None:
    hub = serve(b"<html>please log in</html>")
    hub.headers = {}
    status, _, err = pull()
    assert status == 2 and "what arrived is not a whole GGUF file" in err
    assert beside(place) == set()


def test_a_hub_that_gives_no_sha256_is_held_to_the_structure(
    serve: Callable[..., Hub], place: Path, pull: Pull
) -> None:
    serve().headers = {}
    status, _, err = pull()
    assert status == 0 and "structure checked (the hub gave no sha256)" in err
    assert place.with_name("little.gguf.sha256").read_text().split()[0] == sha(LITTLE)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gemma-4-12b", f"its sha256 is {sha(LITTLE)}, and xqe knows 93567e57"),
        ("gemma-3-12b", f"its size is {len(LITTLE)}, and xqe knows 8074473920"),
    ],
)
def test_a_file_other_than_the_known_one_is_not_downloaded(
    serve: Callable[..., Hub], name: str, message: str, pull: Pull
) -> None:
    hub = serve()
    status, _, err = pull(name)
    assert status == 2 and message in err and "xqe models pull hf:google/" in err
    assert hub.sent("GET", "range") == []


def test_a_file_larger_than_the_disk(pull: Pull, serve: Callable[..., Hub], place: Path) -> None:
    hub = serve()
    hub.headers["X-Linked-Size"] = str(1 << 60)
    status, _, err = pull()
    assert status == 2 and "more, " in err and " are free; make room" in err
    assert hub.sent("GET", "range") == [] and beside(place) == set()


# What the hub does not give


@pytest.mark.parametrize(("status", "code"), [(401, "GatedRepo"), (403, None)])
def test_a_gated_repository_says_what_to_do(
    serve: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch, status: int, code: str | None, pull: Pull
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    serve().refusal = (status, {"X-Error-Code": code} if code else {})
    left, _, err = pull("gemma-3-4b")
    page = "https://huggingface.co/google/gemma-3-4b-it-qat-q4_0-gguf"
    assert left == 2 and err.count("\n") == 1
    assert err.endswith(f"accept the licence at {page} and set HF_TOKEN to a token of that account\n")
    assert TOKEN not in err


@pytest.mark.parametrize(("status", "code"), [(404, "EntryNotFound"), (401, "RepoNotFound"), (404, None)])
def test_what_is_not_on_the_hub(
    serve: Callable[..., Hub], place: Path, status: int, code: str | None, pull: Pull
) -> None:
    serve().refusal = (status, {"X-Error-Code": code} if code else {})
    left, _, err = pull()
    assert left == 2
    assert err.startswith(f"xqe: {PLACE}: not found on the hub; check") and err.count("\n") == 1
    assert beside(place) == set()


def test_a_hub_that_is_out_of_order(pull: Pull, serve: Callable[..., Hub]) -> None:
    serve().refusal = (503, {})
    assert pull() == (2, "", f"xqe: {PLACE}: the hub answers 503; run the same command later\n")


def test_a_storage_that_refuses_is_no_question_of_the_licence(pull: Pull, serve: Callable[..., Hub]) -> None:
    storage = serve()
    storage.refusal = (403, {})
    serve(storage=storage)
    assert pull()[2].endswith(f"{PLACE}: the hub answers 403; run the same command later\n")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "huggingface.co"])
def test_no_answer_is_one_line(pull: Pull, monkeypatch: pytest.MonkeyPatch, place: Path, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    status, out, err = pull()
    assert (status, out) == (2, "")
    assert err.startswith(f"xqe: {PLACE}: no answer from the hub (") and err.count("\n") == 1
    assert beside(place) == set()


def test_variables_that_the_library_cannot_read(pull: Pull, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "soon")
    status, _, err = pull()
    assert status == 2 and "huggingface_hub does not start" in err and err.endswith("; check the HF_ variables\n")


@pytest.mark.parametrize("tail", ["\x01", "é"])
def test_a_token_that_cannot_be_one_is_not_printed(
    serve: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch, tail: str, pull: Pull
) -> None:
    hub = serve()
    monkeypatch.setenv("HF_TOKEN", TOKEN + tail)
    status, _, err = pull()
    assert status == 2 and "check HF_TOKEN" in err and TOKEN not in err
    assert not hub.requests


def test_without_the_extra(xqe_alone: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "huggingface_hub.py").write_text("raise ModuleNotFoundError(\"No module named 'huggingface_hub'\")")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    expected = 'xqe: downloading a model needs huggingface_hub; install it with: pip install "xqe[hub]"\n'
    done = xqe_alone("models", "pull", PLACE)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_other_commands_do_not_load_the_library() -> None:
    program = "import sys, xqe.cli, xqe.models.download; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
