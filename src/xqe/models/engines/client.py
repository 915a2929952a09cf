"""A connection to an OpenAI-compatible server: the key, the checks, retries, and errors that say what is wrong.

Why httpx2 and not the openai package: that one retries before it reads the answer, so that broken JSON is not
retried, has no limit of time for a whole answer, and takes a second to import.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, NoReturn, TypeVar

from xqe import __version__
from xqe.errors import MissingExtraError, ModelError, XqeError
from xqe.messages import say
from xqe.models.engines.network import Network
from xqe.models.engines.served import AnswerError, said

try:
    import httpx2
except ModuleNotFoundError:
    raise MissingExtraError("a model on a server needs httpx2", "server") from None

T = TypeVar("T")
Response = httpx2.Response

KEY_VARIABLES = ("XQE_API_KEY", "OPENAI_API_KEY")
CONNECT_SECONDS = 10.0
CHECK_SECONDS = 15.0  # a server that has taken the connection and says nothing for so long is busy
FIRST_DELAY, GREATEST_DELAY = 0.5, 30.0
GREATEST_WAIT = 300.0  # what a server may ask for with Retry-After
GIVE_UP_AFTER = 5

# Statuses. Those that pass are tried again, and those of a server that is away count towards giving it up.
_PASSING = {408, 429}
_AWAY = {429, 502, 503, 504}
_REFUSED = {401, 403}
_NOT_FOUND = 404
_FIRST_OF_SERVER_ERRORS = 500
_NOT_IMPLEMENTED = 501  # llama-server says so where it was started for something else


@dataclass(frozen=True, slots=True)
class Connection:
    """How a server is asked.

    base_url: with or without a slash at its end; paths are put behind it as it is. in_flight: the most requests at a
    time. timeout: seconds for a whole answer. retries: of what fails in passing. verbose: say when something is tried
    again.
    """

    base_url: str
    in_flight: int
    timeout: float
    retries: int
    verbose: bool


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


class Client:
    """Asks a server for what one of its models makes. The key is taken from the first of KEY_VARIABLES that is set.

    shown: the URL of the server, as it may be shown. A request that fails in passing (429, 408, 5xx, no answer in time,
    a broken connection, an answer of no use) is tried again after a delay that doubles, or after what Retry-After says.
    If GIVE_UP_AFTER requests in a row find nobody there to the last of their retries, the server is not asked any more,
    and all that is left fails at once.
    """

    def __init__(self, model: str, connection: Connection) -> None:
        self._model = model
        self._connection = connection
        self._key = _key()
        self._url = _url(connection.base_url)
        self.shown = _shown(self._url)
        self._has_succeeded = False
        self._away_in_a_row = 0
        self._given_up = ""
        self._listed: list[str] = []
        self._client = self._open()
        self._slots = asyncio.Semaphore(connection.in_flight)
        self._network = Network()

    def _open(self) -> httpx2.AsyncClient:
        headers = {"user-agent": f"xqe/{__version__}", "content-type": "application/json"}
        if self._key and not self._url.userinfo:
            headers["authorization"] = f"Bearer {self._key}"
        try:
            return httpx2.AsyncClient(
                headers=headers,
                timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
                limits=httpx2.Limits(
                    max_connections=self._connection.in_flight, max_keepalive_connections=self._connection.in_flight
                ),
            )
        except (ValueError, ImportError, OSError) as error:  # a proxy or a certificate that cannot be used
            raise ModelError(
                f"the network settings of the environment cannot be used: {error}",
                "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE",
            ) from None

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin work in the thread of the network."""
        return self._network.start(work)

    def close(self) -> None:
        self._network.close(self._client.aclose)

    # What follows runs in the thread of the network.

    async def answered(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What an attempt comes to, which is made as often as it takes and is allowed, once there is a slot for it.

        Raises FailedError for what got no usable answer, and ModelError where no other would get one either.
        """
        async with self._slots:
            return await self._answered(attempt)

    async def _answered(self, attempt: Callable[[], Awaitable[T]]) -> T:
        attempts = 0
        while True:
            if self._given_up:
                raise FailedError(self._given_up)
            attempts += 1
            try:
                answer = await attempt()
            except FailedError as failure:
                if not failure.is_away:
                    self._away_in_a_row = 0
                if not failure.is_passing:
                    raise
                if attempts > self._connection.retries:
                    self._exhausted(failure, attempts)
                await self._delay(failure, attempts)
            else:
                self._away_in_a_row, self._has_succeeded = 0, True
                return answer

    def _exhausted(self, failure: FailedError, attempts: int) -> NoReturn:
        if failure.is_away:
            self._away_in_a_row += 1
            if self._away_in_a_row >= GIVE_UP_AFTER:
                self._given_up = f"{failure}; not asked any more after {GIVE_UP_AFTER} such requests in a row"
        raise FailedError(f"{failure} ({attempts} attempts)" if attempts > 1 else str(failure))

    async def _delay(self, failure: FailedError, attempt: int) -> None:
        """Wait before the attempt after this one: as long as the server asks, else longer each time."""
        delay = min(GREATEST_DELAY, FIRST_DELAY * 2 ** (attempt - 1)) * random.uniform(0.75, 1.25)
        if failure.wait is not None:
            delay = failure.wait + random.uniform(0, FIRST_DELAY)
        if self._connection.verbose:
            say(f"{self.shown}: {failure}; retry {attempt} of {self._connection.retries} in {delay:.1f} s")
        await asyncio.sleep(delay)

    async def post(self, path: str, body: Mapping[str, Any]) -> Response:
        """Send a request and read the whole answer. Raises FailedError if there is none."""
        return await self._exchange("POST", path, self._connection.timeout, json.dumps(body).encode())

    async def _exchange(self, method: str, path: str, seconds: float, content: bytes = b"") -> Response:
        url = self._url.copy_with(path=self._url.path.rstrip("/") + path)
        try:
            async with asyncio.timeout(seconds):
                return await self._client.request(method, url, content=content)
        except TimeoutError:
            raise FailedError(f"no answer within {seconds:g} s (--timeout)", is_away=True, is_slow=True) from None
        except httpx2.ConnectTimeout:
            raise FailedError(f"no connection within {CONNECT_SECONDS:g} s", is_away=True) from None
        except httpx2.ConnectError as error:
            raise FailedError(f"no connection ({_reason(error)})", is_away=True) from None
        except (httpx2.HTTPError, OSError) as error:
            raise FailedError(f"the connection broke ({_reason(error)})", is_away=True) from None

    def read(self, response: Response, understood: Callable[[Any], T]) -> T:
        """What `understood` makes of the JSON of an answer; it may raise AnswerError.

        Raises FailedError, and ModelError where the server refuses the key or the model and has accepted neither yet.
        """
        status = response.status_code
        if not response.is_success:
            if status in _REFUSED | {_NOT_FOUND} and not self._has_succeeded:
                raise self._refusal(response)
            raise self.failure(response)
        try:
            return understood(response.json())
        except (ValueError, RecursionError):
            raise FailedError(self._hinted(f"the answer is not JSON: {_said(response)}", response)) from None
        except AnswerError as error:
            raise FailedError(self._redacted(str(error)), is_passing=not error.is_final) from None

    def failure(self, response: Response) -> FailedError:
        """What an answer with the status of an error means."""
        status = response.status_code
        wait = _retry_after(response)
        is_passing = status in _PASSING or (status >= _FIRST_OF_SERVER_ERRORS and status != _NOT_IMPLEMENTED)
        message = f"answers {status}: {_said(response)}"
        if is_passing and wait is not None and wait > GREATEST_WAIT:
            is_passing, message = False, f"{message}; it asks to wait {wait:.0f} s"
        message = self._hinted(message, response)
        return FailedError(message, is_passing=is_passing, is_away=status in _AWAY, wait=wait)

    def _refusal(self, response: Response) -> ModelError:
        """The error that ends the run: the key, the model or the URL is wrong."""
        message = self._redacted(f"{self.shown}: answers {response.status_code}: {_said(response)}")
        if response.status_code in _REFUSED:
            hint = f"check the key in {_key_variable()}" if self._key else f"set {KEY_VARIABLES[0]} to a key of it"
        elif self._listed:
            hint = f"it has {', '.join(self._listed)}"
        else:
            hint = f'does it have the model "{self._model}"' + (
                "?" if self._ends_in_v1 else ", and the URL end in /v1?"
            )
        return ModelError(message, hint)

    async def check(self) -> None:
        """Ask for the models. Raises ModelError where no request could be answered."""
        for attempt in count(1):
            try:
                response = await self._exchange("GET", "/models", min(CHECK_SECONDS, self._connection.timeout))
            except FailedError as failure:
                if failure.is_slow:  # one that is busy with the requests of others
                    return
                raise ModelError(f"{self.shown}: {failure}", "is the server running, and the URL right?") from None
            answered = self.failure(response)
            if response.is_success or not answered.is_passing:
                break
            if attempt > self._connection.retries:
                raise ModelError(f"{self.shown}: {answered}", "try again later")
            await self._delay(answered, attempt)
        answer = _json(response)
        if response.is_success and answer is not None:
            self._check_name(answer)
        elif response.status_code == 401:
            raise self._refusal(response)
        elif response.has_redirect_location:
            raise ModelError(f"{self.shown}: redirects to {response.headers['location']}", "give that to --base-url")
        elif await self._is_below():
            raise ModelError(f"{self.shown}: there is no API there", f"give --base-url {self.shown}/v1")
        elif response.is_success:
            raise ModelError(self._hinted(f"{self.shown}: answers with {_said(response)}", response))

    def _check_name(self, answer: Any) -> None:
        """Raise ModelError if there are several models and none is meant.

        The server of one model serves it whatever it is called (llama.cpp's) or refuses a wrong name itself (vLLM).
        """
        rows = answer.get("data") if isinstance(answer, dict) else answer
        if not isinstance(rows, list):
            return
        names = [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
        self._listed = names[:20]
        if len(names) > 1 and _bare(self._model) not in map(_bare, names):
            shown = ", ".join(self._listed) + (", …" if len(names) > len(self._listed) else "")
            raise ModelError(f'{self.shown}: no model "{self._model}" there', f"it has {shown}")

    async def _is_below(self) -> bool:
        """Whether the URL lacks just /v1."""
        if self._ends_in_v1:
            return False
        try:
            response = await self._exchange("GET", "/v1/models", min(CHECK_SECONDS, self._connection.timeout))
        except FailedError:
            return False
        return isinstance(_json(response), dict) and response.status_code != _NOT_FOUND

    @property
    def _ends_in_v1(self) -> bool:
        return self._url.path.rstrip("/").endswith("/v1")

    def _hinted(self, message: str, response: Response) -> str:
        is_page = _is_page(response) and response.status_code < _FIRST_OF_SERVER_ERRORS
        is_elsewhere = (is_page or response.status_code == _NOT_FOUND) and not self._ends_in_v1
        return self._redacted(f"{message}; does the URL end in /v1?" if is_elsewhere else message)

    def _redacted(self, text: str) -> str:
        """`text` without the key, which a server may repeat."""
        return text.replace(self._key, "…") if self._key else text


def _key_variable() -> str:
    return next((name for name in KEY_VARIABLES if os.environ.get(name)), KEY_VARIABLES[0])


def _key() -> str:
    key = os.environ.get(_key_variable(), "").strip()
    if not (key.isascii() and key.isprintable()):  # the HTTP library would quote it in its error
        raise ModelError("the key of the server holds characters that no key has", f"check {_key_variable()}")
    return key


def _url(text: str) -> httpx2.URL:
    """The URL of --base-url. Raises XqeError for what is none."""
    with suppress(httpx2.InvalidURL, ValueError):
        url = httpx2.URL(text)
        if url.scheme in ("http", "https") and url.host:
            return url
    raise XqeError("--base-url is no URL of a server", "it looks like http://localhost:8080/v1")


def _shown(url: httpx2.URL) -> str:
    """A URL without credentials, and without a slash at its end."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None)).rstrip("/")


def _bare(name: str) -> str:
    """A model's name without what may be left out or added: Ollama's ":latest", Gemini's "models/"."""
    return name.removeprefix("models/").partition(":")[0]


def _json(response: Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _is_page(response: Response) -> bool:
    return "html" in response.headers.get("content-type", "") or response.text.lstrip().startswith("<")


def _said(response: Response) -> str:
    """What a response says, in one line."""
    if _is_page(response):
        return "a web page"
    answer = _json(response)
    return said(response.text if answer is None else answer) or response.reason_phrase or "nothing"


def _retry_after(response: Response) -> float | None:
    """The seconds that a Retry-After header asks to wait: it gives them, or a date. None without one."""
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if seconds < float("inf") else None


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
