"""A mirror of an archive as Debian's, in a folder: packages of a few files, their indexes, and who serves them."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Files = Mapping[str, bytes | str]
"""Path in a package -> its content; of a link, the path that it points to."""


def package(files: Files, kind: str = "xz") -> bytes:
    """A package, by ar(5) and tar(5)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz" if kind == "xz" else "w") as members:
        for path, content in files.items():
            member = tarfile.TarInfo(f"./{path}")
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                members.addfile(member)
            else:
                member.size = len(content)
                members.addfile(member, io.BytesIO(content))
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", f"data.tar.{kind}": data.getvalue()}
    packed = b"!<arch>\n"
    for name, content in parts.items():
        packed += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        packed += b"\n" * (len(content) % 2)
    return packed


def mirror(folder: Path, packages: Mapping[str, Files], kind: str = "xz") -> None:
    """Write what a mirror has of a release "test"."""
    release = folder / "dists" / "test"
    stanzas, contents = [], []
    for name, files in packages.items():
        path = f"pool/main/{name}_1.0_all.deb"
        packed = package(files, kind)
        _put(folder / path, packed)
        digest = hashlib.sha256(packed).hexdigest()
        stanzas.append(f"Package: {name}\nVersion: 1.0\nFilename: {path}\nSize: {len(packed)}\nSHA256: {digest}\n")
        contents += [f"{file:<55} misc/{name}\n" for file in files]
    indexes = {
        "main/binary-amd64/Packages.xz": lzma.compress("\n".join(stanzas).encode()),
        "main/Contents-all.gz": gzip.compress("".join(contents).encode(), mtime=0),
        "main/Contents-amd64.gz": gzip.compress(b"", mtime=0),
    }
    for name, content in indexes.items():
        _put(release / name, content)
    sums = [f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}\n" for name, content in indexes.items()]
    _put(release / "Release", ("Date: Sat, 21 Nov 2026 09:15:44 UTC\nSHA256:\n" + "".join(sums)).encode())


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


class _Quiet(SimpleHTTPRequestHandler):
    asked: list[str]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; its address, and what is asked of it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    asked: list[str] = []
    server.asked = asked  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
