"""Debian's archive over HTTP: which packages a release has, which files are in them, and the files themselves.

A release is described by its file Release, which has the hash of each index; the index of packages has that of each
package, and Contents says which package a file is in. So all but Release is checked, and is downloaded once.

    http://deb.debian.org/debian/dists/bookworm/Release
    .../dists/bookworm/main/binary-amd64/Packages.xz    .../dists/bookworm/main/Contents-all.gz
    .../pool/main/m/manpages-l10n/manpages-de_4.26.0-1_all.deb
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from xqe.collections.downloads import Download
from xqe.collections.fetching import fetch
from xqe.errors import XqeError
from xqe.files.hashes import is_sha256

MIRROR = "http://deb.debian.org/debian"
RELEASE = "bookworm"
"""One that hardly changes any more, so that the same command makes the same collection."""

_COMPONENT = "main"  # free software by Debian's guidelines
_ARCHITECTURE = "amd64"
_HASH = re.compile(r" ([0-9a-f]{64}) +(\d+) (\S+)")
_FIELD = re.compile(r"^(Package|Filename|Size|SHA256): (.*)$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*")
_AR = b"!<arch>\n"
_AR_HEADER = 60  # bytes: name 16, date 12, owner 6, group 6, mode 8, size 10, end 2
_MOST = 1 << 26  # bytes of one file in a package that is read


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the archive. path: below its root. size: in bytes."""

    name: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a package, by its path without a leading slash. content: None for a link."""

    path: str
    content: bytes | None


class Archive:
    """A release on a mirror. folder: where downloads are kept. Raises XqeError for what is no mirror of it."""

    def __init__(self, mirror: str, release: str, folder: Path) -> None:
        if urlsplit(mirror).scheme not in ("http", "https"):
            raise XqeError(f'--mirror: "{mirror}" is not an address', f"for example {MIRROR}")
        if not _NAME.fullmatch(release):
            raise XqeError(f'--release: "{release}" is not the name of a release', f"for example {RELEASE}")
        self.mirror, self.release, self.folder = mirror.rstrip("/"), release, folder / "archive"
        self.date = ""
        self._indexes = self._release()

    def packages(self) -> dict[str, Package]:
        """Name -> package, those for every architecture among them."""
        path = self._index(f"{_COMPONENT}/binary-{_ARCHITECTURE}/Packages.xz")
        try:
            text = lzma.decompress(path.read_bytes()).decode("utf-8", "replace")
        except lzma.LZMAError:
            raise XqeError(f"{path}: damaged", "remove it, and run the same command again") from None
        found: dict[str, Package] = {}
        for stanza in text.split("\n\n"):
            fields = dict(_FIELD.findall(stanza))
            if len(fields) == 4 and fields["Size"].isdecimal() and is_sha256(fields["SHA256"]):
                name = fields["Package"]
                found[name] = Package(name, fields["Filename"], int(fields["Size"]), fields["SHA256"])
        return found

    def contents(self, below: str) -> dict[str, list[str]]:
        """File below a folder -> the packages that have it. below: such as "usr/share/man/"."""
        start = below.encode()
        found: dict[str, list[str]] = defaultdict(list)
        for kind in ("all", _ARCHITECTURE):
            path = self._index(f"{_COMPONENT}/Contents-{kind}.gz")
            try:
                with gzip.open(path) as lines:
                    for line in lines:
                        if line.startswith(start):
                            name, _, places = line.decode("utf-8", "replace").rstrip().rpartition(" ")
                            found[name.rstrip()] += [place.rpartition("/")[2] for place in places.split(",")]
            except (OSError, EOFError, zlib.error):
                raise XqeError(f"{path}: damaged", "remove it, and run the same command again") from None
        return found

    def fetched(self, packages: Sequence[Package]) -> list[Path]:
        """The files of packages, downloaded where they are not there yet."""
        for one in packages:
            if ".." in Path(one.path).parts or Path(one.path).is_absolute():
                raise XqeError(f"{self.mirror}: lists a package at {one.path}", "give another mirror")
        downloads = [
            Download(f"{self.mirror}/{one.path}", one.path, one.size, "sha256", one.sha256) for one in packages
        ]
        return fetch(downloads, self.folder)

    def origin(self, name: str, packages: Iterable[Package]) -> dict[str, Any]:
        """What a manifest says of where a collection is from."""
        files = [
            {"file": one.path, "bytes": one.size, "sha256": one.sha256}
            for one in sorted(packages, key=lambda one: one.name)
        ]
        return {"name": name, "release": self.release, "date": self.date, "files": files}

    def _release(self) -> dict[str, tuple[int, str]]:
        """Index -> its size and sha256."""
        path = f"dists/{self.release}/Release"
        place = f"{urlsplit(self.mirror).netloc.replace(':', '-')}-{self.release}-Release"
        try:
            [file] = fetch([Download(f"{self.mirror}/{path}", place)], self.folder, force=True)
        except XqeError as error:
            raise XqeError(error.message, "is it a mirror that has the release? see --mirror and --release") from None
        text = file.read_text("utf-8", "replace")
        date = re.search(r"^Date: (.*)$", text, re.MULTILINE)
        self.date = date[1] if date else ""
        found = {match[3]: (int(match[2]), match[1]) for match in map(_HASH.fullmatch, text.splitlines()) if match}
        if not found:
            raise XqeError(f"{self.mirror}/{path}: no list of indexes", "is it a mirror of Debian? see --mirror")
        return found

    def _index(self, name: str) -> Path:
        if name not in self._indexes:
            raise XqeError(f"{self.mirror}: {self.release} has no {name}", "give another release, or another mirror")
        size, digest = self._indexes[name]
        place = f"indexes/{digest[:16]}-{Path(name).name}"
        [file] = fetch(
            [Download(f"{self.mirror}/dists/{self.release}/{name}", place, size, "sha256", digest)], self.folder
        )
        return file


def members(path: Path, below: str | Collection[str]) -> Iterator[Member]:
    """The files of a package that are below a folder, or that are named. Raises XqeError for what is no package."""
    data = _data(path)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as files:
            for one in files:
                name = one.name.removeprefix("./")
                if not (name.startswith(below) if isinstance(below, str) else name in below):
                    continue
                if one.issym() or one.islnk():
                    yield Member(name, None)
                elif one.isfile() and one.size <= _MOST and (file := files.extractfile(one)) is not None:
                    yield Member(name, file.read())
    except (tarfile.TarError, lzma.LZMAError, OSError, EOFError, zlib.error):
        raise XqeError(
            f"{path}: packed in a way that is not read here", "xqe reads packages packed by xz or gzip, as Debian's are"
        ) from None


def _data(path: Path) -> bytes:
    """The archive of files within a package, which is an archive of ar(5)."""
    content = path.read_bytes()
    at = len(_AR)
    if content.startswith(_AR):
        while at + _AR_HEADER <= len(content):
            name, size = content[at : at + 16].rstrip(b" /"), content[at + 48 : at + 58].strip()
            if not size.isdigit():
                break
            start = at + _AR_HEADER
            if name.startswith(b"data.tar"):
                return content[start : start + int(size)]
            at = start + int(size) + int(size) % 2
    raise XqeError(f"{path}: is no package", "remove it, and run the same command again")
