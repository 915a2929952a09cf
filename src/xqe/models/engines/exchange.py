"""A request to a server and the whole of its answer: bytes of a limited number, over connections that are kept.

Why httpx2 and not the openai package: that one retries before it reads the answer, so that broken JSON is not
retried, has no limit of time for a whole answer, and takes a second to import.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from xqe import __version__
from xqe.errors import MissingExtraError, ModelError, XqeError
from xqe.messages import amount

try:
    import httpx2
except ModuleNotFoundError:
    raise MissingExtraError("a model on a server needs httpx2", "server") from None

CONNECT_SECONDS = 10.0
MOST_BYTES = 8 << 20
"""Of an answer, where it is not told how long one may be: a thousand times a text, or the list of a thousand models."""

_VERSION = "/v1"
_PLAIN = {"", "identity"}
_PACKED = {"gzip", "x-gzip", "deflate"}
_EITHER_HEADER = zlib.MAX_WBITS | 32  # zlib's or gzip's
_BODY_IS_READ = "http11.receive_response_body.complete"
_LEAST_SECRET = 3  # characters; what is shorter is in many a message by chance


class FailedError(Exception):
    """A request that got no usable answer.

    is_passing: it may go better another time. is_away: nobody was there to answer it. is_slow: the time ran out.
    wait: seconds that the server asks to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        is_passing: bool = True,
        is_away: bool = False,
        is_slow: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(message)
        self.is_passing = is_passing
        self.is_away = is_away
        self.is_slow = is_slow
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answers. headers: by their names in lower case. reason: the words beside the status."""

    status: int
    headers: dict[str, str]
    content: bytes
    reason: str = ""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def redirection(self) -> str | None:
        """Where the server says that something else is."""
        return self.headers.get("location") if 300 <= self.status < 400 else None

    @property
    def text(self) -> str:
        """The content as UTF-8, whatever the server calls it: JSON is in no other encoding, and charsets are many."""
        return self.content.decode("utf-8", "replace")

    @property
    def is_page(self) -> bool:
        return "html" in self.headers.get("content-type", "") or self.text.lstrip().startswith("<")

    def json(self) -> Any:
        """The value of the content. Raises ValueError and RecursionError for what is none."""
        return json.loads(self.content)

    def value(self) -> Any:
        """The value of the content, None for what is none."""
        with suppress(ValueError, RecursionError):
            return self.json()
        return None


class Exchange:
    """Sends requests to one server, at most `in_flight` at a time, with a key or the credentials of its URL.

    shown: the URL of the server, as it may be shown. Raises XqeError for what is no URL, and ModelError where the
    settings of the environment for the network cannot be used.
    """

    def __init__(self, base_url: str, key: str, in_flight: int) -> None:
        self._url = _parsed(base_url)
        self.shown = _shown(self._url)
        self._secrets = _secrets(self._url, key)
        headers = {
            "user-agent": f"xqe/{__version__}",
            "content-type": "application/json",
            "accept-encoding": "identity",
        }
        if key and not self._url.userinfo:
            headers["authorization"] = f"Bearer {key}"
        try:
            self._client = httpx2.AsyncClient(
                headers=headers,
                verify=self._url.scheme == "https",  # to read the certificates takes longer than all the rest
                timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
                limits=httpx2.Limits(max_connections=in_flight, max_keepalive_connections=in_flight),
            )
        except (ValueError, ImportError, OSError) as error:  # a proxy or a certificate that cannot be used
            raise ModelError(
                f"the network settings of the environment cannot be used: {error}",
                "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE",
            ) from None

    @property
    def ends_in_version(self) -> bool:
        """Whether the URL ends in /v1, as those of most servers do."""
        return self._url.path.rstrip("/").endswith(_VERSION)

    def redacted(self, text: str) -> str:
        """`text` without the key and the credentials of the URL, which a server may repeat."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text

    async def ask(
        self, method: str, path: str, seconds: float, content: bytes = b"", most: int = MOST_BYTES, own: bool = False
    ) -> Answer:
        """Send a request and read the whole answer, of at most so many bytes. Raises FailedError if there is none.

        path: put behind that of the URL as it is; own: one of the server's own interface, which is beside /v1.
        """
        base = self._url.path.rstrip("/")
        url = self._url.copy_with(path=(base.removesuffix(_VERSION) if own else base) + path)
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(method, url, content, most)
        except TimeoutError:
            raise FailedError(f"no answer within {seconds:g} s (--timeout)", is_away=True, is_slow=True) from None
        except httpx2.ConnectTimeout:
            raise FailedError(f"no connection within {CONNECT_SECONDS:g} s", is_away=True) from None
        except httpx2.ConnectError as error:
            raise FailedError(self.redacted(f"no connection ({_reason(error)})"), is_away=True) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise FailedError(self.redacted(f"the connection broke ({_reason(error)})"), is_away=True) from None

    async def _answer(self, method: str, url: httpx2.URL, content: bytes, most: int) -> Answer:
        responses: list[httpx2.Response] = []

        async def trace(event: str, _: Any) -> None:
            if event == _BODY_IS_READ and responses and _says_more(responses[0]):
                await responses[0].extensions["network_stream"].aclose()

        async with self._client.stream(method, url, content=content, extensions={"trace": trace}) as response:
            responses.append(response)
            headers = {name.lower(): value for name, value in response.headers.items()}
            try:
                body = await _body(response, headers.get("content-encoding", "").strip().lower(), most)
            except FailedError:
                if response.is_success:
                    raise
                body = b""  # of an error, of which the status says enough
            return Answer(response.status_code, headers, body, response.reason_phrase)

    async def close(self) -> None:
        await self._client.aclose()


def shown_url(base_url: str) -> str:
    """The URL of a server as it may be shown and kept: without credentials, query, and a slash at its end.

    It is what the identity of a served model has of it, so that a new password makes no text anew. Raises XqeError for
    what is no URL.
    """
    return _shown(_parsed(base_url))


def _parsed(base_url: str) -> httpx2.URL:
    with suppress(httpx2.InvalidURL, ValueError):
        url = httpx2.URL(base_url)
        if url.scheme in ("http", "https") and url.host:
            return url
    raise XqeError("--base-url is no URL of a server", "it looks like http://localhost:8080/v1")


def _shown(url: httpx2.URL) -> str:
    return str(url.copy_with(userinfo=b"", query=None, fragment=None)).rstrip("/")


def _secrets(url: httpx2.URL, key: str) -> tuple[str, ...]:
    """What of a URL and a key nobody may see, longest first: as it stands in the URL, and decoded."""
    name, _, password = url.userinfo.decode("ascii", "replace").partition(":")
    credentials = (password, url.password) if password else (name, url.username)
    found = {key, *credentials, url.query.decode("ascii", "replace"), *url.params.values()}
    return tuple(sorted((one for one in found if len(one) >= _LEAST_SECRET), key=len, reverse=True))


async def _body(response: httpx2.Response, encoding: str, most: int) -> bytes:
    """The content of an answer, unpacked: servers are asked not to pack it, and some do all the same."""
    if encoding not in _PLAIN | _PACKED:
        raise FailedError(f"the answer is packed in a way that was not asked for ({encoding[:40]})", is_passing=False)
    unpacking = zlib.decompressobj(_EITHER_HEADER) if encoding in _PACKED else None
    content = bytearray()
    async for part in response.aiter_raw():
        if unpacking is None:
            content += part
        else:
            try:
                content += unpacking.decompress(part, most + 1 - len(content))
            except zlib.error:
                raise FailedError(f"the answer is not packed as it says ({encoding})") from None
        if len(content) > most:
            raise FailedError(f"the answer has more than {amount(most)}", is_passing=False)
    return bytes(content)


def _says_more(response: httpx2.Response) -> bool:
    """Whether a server has sent more than one answer, of which the second would be taken for the next request's.

    What has been received and not read is known to h11 alone, which the libraries around it do not show. Where it
    cannot be reached the answer is yes, so that connections are not used twice.
    """
    stream: Any = response.stream
    while (inner := getattr(stream, "_stream", None) or getattr(stream, "_httpcore_stream", None)) is not None:
        stream = inner
    try:
        received, _ = stream._connection._h11_state.trailing_data
    except AttributeError:
        return True
    return bool(received)


def _reason(error: BaseException) -> str:
    """Why a connection failed: what the system says, where it is at the root of the error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (ssl.SSLError, socket.gaierror)) and cause.strerror:
            return cause.strerror.lower()
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
        inner = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else None
        cause = inner or cause.__cause__ or cause.__context__
    return (str(error) or type(error).__name__).lower().rstrip(".")
