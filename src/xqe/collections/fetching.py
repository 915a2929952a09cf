"""Files from the network: resumed where an earlier try stopped, checked, and put in place when they are whole.

With the standard library alone, so that fetching needs no extra. A download that breaks off is tried again from where
it stopped; one that another process left, too. Servers that know no ranges send the file from its beginning.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, BinaryIO
from urllib.parse import urlsplit

from xqe import __version__
from xqe.collections.downloads import Download
from xqe.errors import XqeError, why
from xqe.files.hashes import is_sha256
from xqe.files.parts import empty, part_of, part_path, put_in_place
from xqe.lines import one_line
from xqe.messages import Progress, amount, say

_BLOCK = 1 << 18
_TRIES = 5
_PAUSE = 1.0  # seconds before the second try; twice as many before each further one
_TIMEOUT = 60.0
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_NO_RANGE = 416
_SPARE = 100_000_000  # bytes to leave on the disk
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]+/(?:[0-9]+|\*)")
_ONWARD = {"https": {"https"}, "http": {"http", "https"}}  # the scheme of a URL -> those that it may be sent on to
_LENGTH = re.compile(r"[0-9]{1,18}")


def fetch(downloads: Sequence[Download], folder: Path, force: bool = False) -> list[Path]:
    """Download what is not there yet, and return where all of it is.

    Says how much it is before anything is sent. Raises XqeError where the disk is too full for all that is missing,
    where a server does not give a file, and where what arrived is not the file that was announced.
    """
    missing = [one for one in downloads if force or not _is_there(one, folder)]
    asked = [one if one.size is not None and one.digest else _asked(one) for one in missing]
    sizes = [one.size for one in asked]
    if missing:
        known = sum(size or 0 for size in sizes)
        least = "at least " if None in sizes else ""
        files = "1 file" if len(missing) == 1 else f"{len(missing)} files"
        say(f"downloading {files}, {least}{amount(known)}, to {folder}")
        check_room(folder, known - sum(_arrived(one, folder) for one in asked))
    for one in asked:
        _fetch(one, folder, force)
    return [folder / one.path for one in downloads]


def check_room(folder: Path, needed: int) -> None:
    """Raise XqeError where the disk of a folder, which need not be there yet, has no room for so many bytes."""
    at = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(at).free
    if needed + _SPARE > free:
        raise XqeError(
            f"{folder}: needs {amount(needed)}, {amount(free)} are free", "make room, or give another folder"
        )


def _is_there(one: Download, folder: Path) -> bool:
    path = folder / one.path
    return path.is_file() and one.size in (None, path.stat().st_size)


def _version(one: Download) -> str:
    return one.digest[:16] or one.version


def _arrived(one: Download, folder: Path) -> int:
    part = part_path(folder / one.path, _version(one))
    return part.stat().st_size if part.exists() else 0


# ---------------------------------------------------------------- one file


def _fetch(one: Download, folder: Path, force: bool) -> None:
    target = folder / one.path
    try:
        with part_of(target, _version(one)) as part:
            if not force and _is_there(one, folder):  # the process that this one waited for has fetched it
                return
            if not _version(one) or part.tell() > (one.size or part.tell()):
                empty(part)  # nothing tells that what is there is of the same file, or it is not
            with Progress(one_line(Path(one.path).name), one.size, part.tell(), shown=amount) as bar:
                _receive(one, part, bar)
            _check(one, part)
            put_in_place(part, target)
    except OSError as error:
        raise XqeError(
            f"{error.filename or target}: {why(error)}", "make room or give access; what arrived is kept"
        ) from None


def _receive(one: Download, part: BinaryIO, bar: Progress) -> None:
    """Append to the part what is missing of the file, trying again where the connection breaks."""
    failures = 0
    while one.size is None or part.tell() < one.size:
        before = part.tell()
        try:
            _append(one, part, bar)
            return
        except KeyboardInterrupt:
            part.flush()
            say(f"stopped; {amount(part.tell())} of {one.path} are kept, and the same command goes on from there")
            raise
        except _BrokenError as error:
            if error.status == _NO_RANGE:
                empty(part)
            failures = 1 if part.tell() > before else failures + 1
            if failures >= _TRIES:
                raise XqeError(f"{one.url}: {error}", "run the same command later; what arrived is kept") from None
            time.sleep(_PAUSE * 2 ** (failures - 1))


class _BrokenError(Exception):
    """A download that broke off, or that the server could not do at the moment. status: what it answered, if it did."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def _append(one: Download, part: BinaryIO, bar: Progress) -> None:
    """Ask for what is missing and append it."""
    start = part.tell()
    headers = {"Range": f"bytes={start}-"} if start else {}
    with _answer(one.url, headers) as answer:
        if start and not _continues(answer, start):
            empty(part)
            bar.done = 0
        expected = _length(answer.headers.get("Content-Length"))
        received = 0
        while True:
            try:
                block = answer.read(_BLOCK)
            except (http.client.HTTPException, OSError) as error:
                raise _BrokenError(f"the connection broke ({error})") from None
            if not block:
                break
            _check_fits(one, part, len(block))
            part.write(block)
            bar.count(len(block))
            received += len(block)
        if expected is not None and received < expected:
            raise _BrokenError(f"the connection broke after {amount(part.tell())}")


def _check_fits(one: Download, part: BinaryIO, more: int) -> None:
    """Raise XqeError, having emptied the part, where a server sends more than it should, or has room on the disk."""
    size = part.tell() + more
    if one.size is not None and size > one.size:
        empty(part)
        raise XqeError(f"{one.url}: more than {one.size} bytes arrive", "try again; the file may have changed")
    if one.size is None and shutil.disk_usage(Path(part.name).parent).free < _SPARE:
        empty(part)
        raise XqeError(
            f"{one.url}: no room for more than {amount(size)}, and the server does not say how much comes",
            "make room, or give another folder",
        )


def _length(text: str | None) -> int | None:
    """What a header says of a size; None where it says none."""
    return int(text) if text is not None and _LENGTH.fullmatch(text) else None


def _continues(answer: Any, start: int) -> bool:
    match = _RANGE.fullmatch(answer.headers.get("Content-Range") or "")
    return answer.status == 206 and match is not None and int(match[1]) == start


def _check(one: Download, part: BinaryIO) -> None:
    """Raise XqeError, having emptied the part, if it is not the file that it should be."""
    part.flush()
    if one.size is not None and part.tell() != one.size:
        arrived = part.tell()
        empty(part)
        raise XqeError(f"{one.url}: {arrived} bytes arrived of {one.size}", "try again; the file may have changed")
    if not one.digest:
        return
    with open(part.name, "rb") as whole:
        digest = hashlib.file_digest(whole, one.algorithm).hexdigest()
    if digest != one.digest:
        empty(part)
        raise XqeError(
            f"{one.url}: what arrived has {one.algorithm} {digest} instead of {one.digest}",
            "try again; a proxy may have changed it, or the source has a new version",
        )


# ---------------------------------------------------------------- requests


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects and keeps what the hub says of a file before it sends to its storage.

    From https only to https: what anybody on the way could change is not what was asked for.
    """

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage
    ) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except BaseException:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in _ONWARD[urlsplit(req.full_url).scheme]:
            raise XqeError(
                f"{req.full_url}: the server sends on to {newurl}, where the file could be another's",
                "download it by hand and use xqe data convert",
            )
        self.said |= {name: headers[name] for name in ("X-Linked-Etag", "X-Linked-Size") if headers[name]}
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            request.method = req.get_method()
        return request


def _answer(url: str, headers: dict[str, str], method: str = "GET", redirects: _Redirects | None = None) -> Any:
    """The server's answer. Raises XqeError for a refusal, _BrokenError for what may pass."""
    agent = {"User-Agent": f"xqe/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers={**agent, **headers}, method=method)
    opener = urllib.request.build_opener(redirects or _Redirects())
    try:
        return opener.open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _PASSING or error.code == _NO_RANGE:
            raise _BrokenError(f"the server answers {error.code}", error.code) from None
        hint = "it may have moved; upgrade xqe, or download it by hand and use xqe data convert"
        raise XqeError(f"{url}: the server answers {error.code} {error.reason}", hint) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:  # of what is no URL
        reason = getattr(error, "reason", None) or error
        raise _BrokenError(f"no answer ({reason})") from None


def _asked(one: Download) -> Download:
    """What the server says of a file: its size, its sha256 if it is a hub's, its version."""
    redirects = _Redirects()
    for attempt in range(_TRIES):
        try:
            with _answer(one.url, {}, "HEAD", redirects) as answer:
                headers = answer.headers
            break
        except _BrokenError as error:
            if attempt == _TRIES - 1:
                raise XqeError(f"{one.url}: {error}", "check the network, or run the same command later") from None
            time.sleep(_PAUSE * 2**attempt)
    size = _length(redirects.said.get("X-Linked-Size") or headers.get("Content-Length"))
    digest = (redirects.said.get("X-Linked-Etag") or headers.get("X-Linked-Etag") or "").strip('"')
    found = replace(one, size=size if one.size is None else one.size)
    if not one.digest and is_sha256(digest):
        found = replace(found, algorithm="sha256", digest=digest)
    mark = (headers.get("ETag") or "").removeprefix("W/") or headers.get("Last-Modified") or ""
    return replace(found, version=re.sub(r"\W", "", mark)[:32])
