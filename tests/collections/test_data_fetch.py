"""Downloads, against a server of this process: whole, interrupted, wrong, missing."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import re
import shutil
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from conftest import FIXTURES

from xqe.cli import run
from xqe.collections import downloads, fetching, sources
from xqe.collections.downloads import Download
from xqe.collections.fetching import fetch
from xqe.collections.layout import Collection
from xqe.errors import XqeError
from xqe.files import parts
from xqe.messages import Progress

CONTENT = bytes(range(256)) * 4000  # a megabyte
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; `cut`: how many bytes of a body leave before the connection breaks, for as many answers as there
    are; `statuses`: what is answered instead, likewise."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/data/file": CONTENT}
        self.cut: list[int] = []
        self.statuses: list[int] = []
        self.ranges = True
        self.etag = '"one"'
        self.sent_to = self.location = ""
        self.length = "right"
        self.asked: list[tuple[str, str, str]] = []  # method, path, range

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range") or ""
        server.asked.append((self.command, self.path, wanted))
        if server.statuses and self.command == "GET":
            self.send_error(server.statuses.pop(0))
            return
        if server.sent_to and not self.path.startswith(server.sent_to):
            self.send_response(302)
            self.send_header("Location", f"{server.url}{server.sent_to}{self.path}")
            self.send_header("X-Linked-Etag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
            self.send_header("X-Linked-Size", str(len(CONTENT)))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if server.location:
            self.send_response(302)
            self.send_header("Location", server.location)
            self.end_headers()
            return
        body = server.files.get(self.path.removeprefix(server.sent_to))
        if body is None:
            self.send_error(404)
            return
        start = int(match[1]) if server.ranges and (match := re.fullmatch(r"bytes=(\d+)-", wanted)) else 0
        if start and start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.length != "none":
            length = str(len(body) - start) if server.length == "right" else server.length
            self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = body[start:]
        if server.cut:
            body = body[: server.cut.pop(0)]
        self.wfile.write(body)
        self.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetching, "_PAUSE", 0.001)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def wanted(server: Server, **fields: Any) -> Download:
    known: dict[str, Any] = {"size": len(CONTENT), "algorithm": "md5", "digest": MD5}
    return Download(f"{server.url}/data/file", "folder/file", **(known | fields))


def test_a_file_is_fetched_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch([wanted(server)], tmp_path) == [tmp_path / "folder/file"]
    assert (tmp_path / "folder/file").read_bytes() == CONTENT
    assert capsys.readouterr().err == f"xqe: downloading 1 file, 1.02 MB, to {tmp_path}\n"
    assert server.asked == [("GET", "/data/file", "")]
    fetch([wanted(server)], tmp_path)
    assert len(server.asked) == 1 and capsys.readouterr().err == ""
    fetch([wanted(server)], tmp_path, force=True)
    assert len(server.asked) == 2
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]


def test_a_connection_that_breaks_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.cut = [300_000, 200_000, 1]
    fetch([wanted(server)], tmp_path)
    assert (tmp_path / "folder/file").read_bytes() == CONTENT
    assert [asked for _, _, asked in server.asked] == ["", "bytes=300000-", "bytes=500000-", "bytes=500001-"]


def test_what_another_process_left_is_used(server: Server, tmp_path: Path) -> None:
    server.cut = [300_000]
    server.statuses = []
    real = fetching._TRIES
    fetching._TRIES = 1
    try:
        with pytest.raises(XqeError, match=r"the connection broke after 300 kB; .*what arrived is kept"):
            fetch([wanted(server)], tmp_path)
    finally:
        fetching._TRIES = real
    assert [path.name for path in (tmp_path / "folder").iterdir()] == [f"file.{MD5[:16]}.part"]
    fetch([wanted(server)], tmp_path)
    assert server.asked[-1] == ("GET", "/data/file", "bytes=300000-")
    assert (tmp_path / "folder/file").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_again(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cut = False, [300_000]
    fetch([wanted(server)], tmp_path)
    assert (tmp_path / "folder/file").read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / f"file.{MD5[:16]}.part").write_bytes(CONTENT + b"more")
    fetch([wanted(server)], tmp_path)
    assert (tmp_path / "folder/file").read_bytes() == CONTENT
    (tmp_path / "folder" / "file").unlink()
    (tmp_path / "folder" / f"file.{MD5[:16]}.part").write_bytes(CONTENT + b"more")
    fetch([wanted(server, size=None)], tmp_path)  # its size comes from the server
    assert (tmp_path / "folder/file").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.files["/data/file"] = CONTENT[:-1] + b"x"
    with pytest.raises(XqeError, match=f"what arrived has md5 [0-9a-f]{{32}} instead of {MD5}"):
        fetch([wanted(server)], tmp_path)
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_wrong_size_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.files["/data/file"] = CONTENT[:-1]
    with pytest.raises(XqeError, match="1023999 bytes arrived of 1024000"):
        fetch([wanted(server, digest="", algorithm="")], tmp_path)
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize("length", ["abc", "²", "-1", "1" * 5000, ""])
def test_a_length_that_is_none(server: Server, tmp_path: Path, length: str) -> None:
    server.length = length
    fetch([wanted(server, size=None, algorithm="", digest="")], tmp_path)
    assert (tmp_path / "folder/file").read_bytes() == CONTENT


def test_no_more_is_kept_than_was_announced(server: Server, tmp_path: Path) -> None:
    server.length = "none"
    with pytest.raises(XqeError, match="more than 300000 bytes arrive"):
        fetch([wanted(server, size=300_000)], tmp_path)
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_server_that_does_not_say_how_much_comes_does_not_fill_the_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.length = "none"
    free = iter([fetching._SPARE, fetching._SPARE, fetching._SPARE - 1])  # at the beginning, and before each block
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Mock(free=next(free)))
    with pytest.raises(XqeError, match="no room for more than 524 kB, and the server does not say how much comes"):
        fetch([wanted(server, size=None, algorithm="", digest="")], tmp_path)
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "sent_to", "is_followed"),
    [
        ("https://a.example/x", "http://a.example/x", False),
        ("https://a.example/x", "ftp://a.example/x", False),
        ("http://a.example/x", "ftp://a.example/x", False),
        ("https://a.example/x", "https://b.example/x", True),
        ("http://a.example/x", "https://a.example/x", True),
        ("http://a.example/x", "http://b.example/x", True),
    ],
)
def test_nothing_is_sent_on_to_where_it_could_be_changed(asked: str, sent_to: str, is_followed: bool) -> None:
    request, headers = urllib.request.Request(asked), http.client.HTTPMessage()
    redirected = partial(fetching._Redirects().redirect_request, request, io.BytesIO(), 302, "Found", headers, sent_to)
    if is_followed:
        assert getattr(redirected(), "full_url", "") == sent_to
    else:
        with pytest.raises(XqeError, match=f"{asked}: the server sends on to {sent_to}"):
            redirected()


def test_a_redirect_to_what_is_no_url(server: Server, tmp_path: Path) -> None:
    server.location = "http://[::1"
    with pytest.raises(XqeError, match=r"no answer .*; run the same command later"):
        fetch([wanted(server)], tmp_path)


def test_a_file_that_is_not_there(server: Server, tmp_path: Path) -> None:
    server.files.clear()
    with pytest.raises(XqeError, match="/data/file: the server answers 404 Not Found; it may have moved"):
        fetch([wanted(server)], tmp_path)
    assert len(server.asked) == 1


def test_what_may_pass_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    fetch([wanted(server)], tmp_path)
    assert (tmp_path / "folder/file").read_bytes() == CONTENT
    server.statuses = [503] * 9
    with pytest.raises(XqeError, match="the server answers 503; run the same command later"):
        fetch([wanted(server)], tmp_path, force=True)
    assert len(server.statuses) == 9 - 5
    assert (tmp_path / "folder/file").read_bytes() == CONTENT  # what was there stays


def test_the_server_is_asked_for_what_is_not_known(server: Server, tmp_path: Path, capsys: Any) -> None:
    unknown = wanted(server, size=None, algorithm="", digest="")
    server.cut = [300_000]
    fetch([unknown], tmp_path)
    assert (tmp_path / "folder/file").read_bytes() == CONTENT
    assert [one[0] for one in server.asked] == ["HEAD", "GET", "GET"]
    assert "downloading 1 file, 1.02 MB" in capsys.readouterr().err


def test_parts_of_two_versions_are_not_joined(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_TRIES", 1)
    unknown = wanted(server, size=None, algorithm="", digest="")
    server.cut = [300_000]
    with pytest.raises(XqeError, match="the connection broke"):
        fetch([unknown], tmp_path)
    server.etag, server.files["/data/file"] = '"two"', CONTENT[::-1]
    fetch([unknown], tmp_path)
    assert (tmp_path / "folder/file").read_bytes() == CONTENT[::-1]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]


def test_what_the_hub_says_before_it_redirects(server: Server, tmp_path: Path) -> None:
    server.sent_to = "/storage"
    unknown = wanted(server, size=None, algorithm="", digest="")
    asked = fetching._asked(unknown)
    assert (asked.size, asked.algorithm) == (len(CONTENT), "sha256")
    server.files["/data/file"] = CONTENT[:-1] + b"x"
    with pytest.raises(XqeError, match="what arrived has sha256"):
        fetch([unknown], tmp_path)
    server.files["/data/file"] = CONTENT
    fetch([unknown], tmp_path)
    assert (tmp_path / "folder/file").read_bytes() == CONTENT


def test_another_process_was_faster(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = parts.part_of

    @contextmanager
    def after_waiting(target: Path, version: str) -> Iterator[Any]:
        with real(target, version) as part:
            target.write_bytes(CONTENT)
            yield part

    monkeypatch.setattr(fetching, "part_of", after_waiting)
    fetch([wanted(server)], tmp_path)
    assert server.asked == [] and [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
    fetch([wanted(server)], tmp_path, force=True)
    assert [one[0] for one in server.asked] == ["GET"]


def test_whatever_breaks_the_connection_is_tried_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, broken = fetching._answer, [ssl.SSLEOFError(8, "EOF occurred in violation of protocol")]

    def answer(*arguments: Any) -> Any:
        found = real(*arguments)
        if broken:
            monkeypatch.setattr(found, "read", Mock(side_effect=broken.pop()))
        return found

    monkeypatch.setattr(fetching, "_answer", answer)
    fetch([wanted(server)], tmp_path)
    assert len(server.asked) == 2 and (tmp_path / "folder/file").read_bytes() == CONTENT


def test_a_disk_that_is_too_full_is_refused_before(server: Server, tmp_path: Path) -> None:
    with pytest.raises(XqeError, match=r"needs 1e\+06 GB, .* are free; make room"):
        fetch([wanted(server, size=10**15)], tmp_path)
    assert server.asked == []


def test_an_interrupt_keeps_what_arrived(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Progress, "count", interrupted)
        fetch([wanted(server)], tmp_path)
    assert "stopped; 262 kB of folder/file are kept, and the same command goes on from there" in capsys.readouterr().err
    fetch([wanted(server)], tmp_path)
    assert server.asked[-1] == ("GET", "/data/file", "bytes=262144-")
    assert (tmp_path / "folder/file").read_bytes() == CONTENT


def test_room_for_the_collection_is_asked_for_too(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    command = ["data", "fetch", "mmarco", "--lang", "de", "--cache", str(tmp_path / "cache"), "--out"]
    assert run([*command, str(tmp_path / "out")]) == 2
    assert (
        capsys.readouterr().err
        == f"xqe: {tmp_path / 'out'}: needs 1.75 GB, 1 GB are free; make room, or give another folder\n"
    )
    assert not (tmp_path / "out").exists() and not (tmp_path / "cache").exists()


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_PAUSE", 0.001)
    with pytest.raises(XqeError, match=r"no answer .*refused.*what arrived is kept"):
        fetch([Download("http://127.0.0.1:9/x", "x", 1, "md5", "0" * 32)], tmp_path)


# ---------------------------------------------------------------- the command


def serve_clirmatrix(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The miniature of CLIRMatrix and the list of its files, as its site has them."""
    table: dict[str, dict[str, dict[str, str]]] = {"clirmatrix_docs": {}, "clirmatrix_multi8": {}}
    for path in sorted((FIXTURES / "clirmatrix").rglob("*.gz")):
        below = path.relative_to(FIXTURES / "clirmatrix")
        url, data = f"/~x/data/{below}", path.read_bytes()
        server.files[url] = data
        entry = {"url": server.url + url, "expected_md5": hashlib.md5(data, usedforsecurity=False).hexdigest()}
        parts = path.name.split(".")
        if below.parts[0] == "DOCS":
            table["clirmatrix_docs"][f"docs/{parts[0]}"] = entry
        elif below.parts[0] == "MULTI-8":
            table["clirmatrix_multi8"][f"queries/{parts[0]}_{parts[1]}/{parts[2]}"] = entry
    index = gzip.compress(json.dumps(table).encode())
    server.files["/~x/data/downloads.json.gz"] = index
    md5 = hashlib.md5(index, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(
        sources,
        "CLIRMATRIX_INDEX",
        Download(f"{server.url}/~x/data/downloads.json.gz", "downloads.json.gz", len(index), "md5", md5),
    )


def test_fetch_and_convert(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve_clirmatrix(server, monkeypatch)
    monkeypatch.setenv("XQE_DATA", str(tmp_path / "cache"))
    command = [
        "data",
        "fetch",
        "clirmatrix-multi8",
        "--lang",
        "de,ja",
        "--split",
        "test1",
        "--out",
        str(tmp_path / "c"),
    ]
    assert run(command) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["documents"] == {"de": 8, "ja": 8}
    assert "licence: texts of Wikipedia, CC BY-SA 3.0" in err
    assert sorted(str(path.relative_to(tmp_path / "cache")) for path in (tmp_path / "cache").rglob("*.gz")) == [
        "clirmatrix/DOCS/de.tsv.gz",
        "clirmatrix/DOCS/ja.tsv.gz",
        "clirmatrix/MULTI-8/de/de.ja.test1.jl.gz",
        "clirmatrix/MULTI-8/ja/ja.de.test1.jl.gz",
        "clirmatrix/downloads.json.gz",
    ]
    collection = Collection(tmp_path / "c")
    assert collection.pairs("test1") == [("de", "ja"), ("ja", "de")]
    assert collection.read_qrels("test1", "de", "ja")["102"] == {"103": 6, "104": 4, "105": 1, "106": 0}


def test_fetch_alone(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve_clirmatrix(server, monkeypatch)
    command = ["data", "fetch", "clirmatrix-multi8", "--lang", "de,en", "--split", "train", "--cache", str(tmp_path)]
    assert run([*command, "--no-convert"]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in paths] == ["de.en.train.jl.gz", "en.de.train.jl.gz", "de.tsv.gz", "en.tsv.gz"]
    assert all(path.is_file() for path in paths)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], 'unknown collection "nosuch"; xqe knows debian, debian-graded, manpages'),
        (["mmarco", "--lang", "de"], "missing option --out"),
        (["mmarco", "--no-convert"], "mmarco is 53.2 GB in all languages; name those that you want with --lang"),
        (["miracl", "--lang", "vi", "--no-convert"], "miracl has nothing in vi"),
        (
            ["mmarco", "--lang", "de", "--split", "test", "--no-convert"],
            "mmarco has no split test; it has dev, dev.small",
        ),
        (["clirmatrix-multi8", "--lang", "de", "--no-convert"], "CLIRMatrix judges pairs of two languages"),
        (["debian", "--no-convert"], "debian is built, not downloaded; xqe data build debian --out"),
        (["debian-graded", "--no-convert"], "not downloaded; xqe data build debian-graded --out"),
        (["mmarco", "--lang", ",", "--no-convert"], "--lang names no language"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["data", "fetch", *arguments, "--cache", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_a_mirror_that_sends_something_else(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    path = "/datasets/unicamp-dl/mmarco/resolve/main/data/qrels.dev.small.tsv"
    server.files[path] = b"x" * 143_300  # as long as the real one
    monkeypatch.setattr(fetching, "check_room", lambda folder, needed: None)
    command = ["data", "fetch", "mmarco", "--lang", "de", "--split", "dev.small", "--no-convert"]
    # the queries come after the qrels, and the server does not have them; their size is asked for first
    queries = "/datasets/unicamp-dl/mmarco/resolve/main/data/google/queries/dev/german_queries.dev.small.tsv"
    server.files[queries] = b"1\tx\n"
    assert run([*command, "--cache", str(tmp_path)]) == 2
    assert "instead of 38a80559a561707ac2ec0f150ecd1e8a" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["", "/etc/x", "../x"])
def test_a_list_of_files_that_leads_elsewhere(path: str) -> None:
    with pytest.raises(XqeError, match="not a file of CLIRMatrix"):
        sources._published({"url": f"http://127.0.0.1/data/{path}"})


def test_the_table_of_downloads() -> None:
    rows = downloads._rows()
    assert len({row.path for row in rows}) == len(rows) > 250
    assert {row.source for row in rows} == {"mmarco", "miracl"}
    assert all(re.fullmatch(r"[0-9a-f]{32}|", row.md5) and bool(row.md5) == (row.size is not None) for row in rows)
    # German alone: the qrels of both splits, its documents, its queries twice
    mmarco = sources.source("mmarco")
    assert mmarco.files is not None
    files = mmarco.files(["de"], None, Path())
    assert [one.path for one in files] == [
        "data/qrels.dev.tsv",
        "data/qrels.dev.small.tsv",
        "data/google/queries/dev/german_queries.dev.tsv",
        "data/google/queries/dev/german_queries.dev.small.tsv",
        "data/google/collections/german_collection.tsv",
    ]
    assert files[-1].size == 3_488_187_566 and files[-1].digest == "dfedd22fef7e7e44966994e06cd7ec57"
