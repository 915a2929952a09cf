"""The engine that asks an OpenAI-compatible server: llama-server, vLLM, SGLang, llama_cpp.server, a hosted one.

Why httpx2 and not the openai package: that one retries before it reads the answer, so that broken JSON is not
retried, has no limit of time for a whole answer, and takes a second to import.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import random
import socket
import ssl
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, NoReturn, TypeVar

from xqe import __version__
from xqe.errors import MissingExtraError, ModelError, XqeError
from xqe.messages import say
from xqe.models.engines.interrupts import deferred_interrupt
from xqe.models.engines.jobs import Feed, Job, Ticket
from xqe.models.engines.network import Network
from xqe.models.engines.requests import Completion, Request
from xqe.models.engines.served import CHAT, PATHS, AnswerError, Dialect, ServedEngine, said
from xqe.models.prompts import Prompt

try:
    import httpx2
except ModuleNotFoundError:
    raise MissingExtraError("a model on a server needs httpx2", "server") from None

T = TypeVar("T")

KEY_VARIABLES = ("XQE_API_KEY", "OPENAI_API_KEY")
# Servers that batch by themselves gain little beyond this on one GPU, and hosted ones begin to refuse.
IN_FLIGHT = 16
READ_AHEAD = 16  # jobs read for each request in flight, so that one that is retried does not hold up the others
POLL_SECONDS = 0.02
IDLE_SECONDS = 0.1
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


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is asked.

    base_url: with or without a slash at its end; paths are put behind it as it is. batch: the most requests in
    flight, None for IN_FLIGHT. timeout: seconds for a whole answer. retries: of what fails in passing. verbose: say
    when something is tried again.
    """

    base_url: str
    api: str = CHAT
    batch: int | None = None
    timeout: float = 120.0
    retries: int = 5
    verbose: bool = False


class _FailedError(Exception):
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


class OpenAIEngine(ServedEngine):
    """A model of a server. The key is taken from the first of KEY_VARIABLES that is set.

    check: ask the server for its models first. Raises ModelError where it is not there, refuses the key, or has
    several models and not this one; a server that does not tell its models is believed.

    A request that fails in passing (429, 408, 5xx, no answer in time, a broken connection, an answer without text)
    is tried again after a delay that doubles, or after what Retry-After says. If GIVE_UP_AFTER requests in a row find
    nobody there to the last of their retries, the server is not asked any more, and all that is left fails at once.
    """

    def __init__(self, name: str, settings: Settings, check: bool = True) -> None:
        super().__init__(name, settings.api)
        self._settings = settings
        self._batch = settings.batch or IN_FLIGHT
        self._key = _key()
        self._url = _url(settings.base_url)
        self._shown = _shown(self._url)
        self._dialect = Dialect()
        self._has_succeeded = False
        self._away_in_a_row = 0
        self._given_up = ""
        self._listed: list[str] = []
        self._client = self._open_client()
        self._slots = asyncio.Semaphore(self._batch)
        self._network = Network()
        if check:
            try:
                self._network.start(self._check()).result()
            except BaseException:
                self.close()
                raise

    def _open_client(self) -> httpx2.AsyncClient:
        headers = {"user-agent": f"xqe/{__version__}", "content-type": "application/json"}
        if self._key and not self._url.userinfo:
            headers["authorization"] = f"Bearer {self._key}"
        try:
            return httpx2.AsyncClient(
                headers=headers,
                timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
                limits=httpx2.Limits(max_connections=self._batch, max_keepalive_connections=self._batch),
            )
        except (ValueError, ImportError, OSError) as error:  # a proxy or a certificate that cannot be used
            raise ModelError(
                f"the network settings of the environment cannot be used: {error}",
                "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE",
            ) from None

    def show(self, prompt: Prompt) -> str:
        text = self.rendered(prompt)
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2) if self.is_chat else text

    def identity(self) -> dict[str, Any]:
        return {"model": self.name, "server": self._shown, "api": self.api}

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        feed = Feed(jobs, READ_AHEAD * self._batch)
        under_way: set[Future[None]] = set()
        ended: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
        try:
            with deferred_interrupt() as interrupt:
                while not feed.is_empty:
                    for ticket in feed.arrivals(0 if under_way else IDLE_SECONDS):
                        future = self._network.start(self._answer(ticket))
                        under_way.add(future)
                        future.add_done_callback(ended.put)
                    for future in _drained(ended, POLL_SECONDS if under_way else 0):
                        under_way.remove(future)
                        future.result()
                    if interrupt.requested:
                        yield from feed.finished_out_of_order()
                        raise KeyboardInterrupt
                    yield from feed.finished()
            feed.check()
        finally:
            feed.close()
            for future in under_way:
                future.cancel()

    def close(self) -> None:
        self._network.close(self._client.aclose)

    # What follows runs in the thread of the network.

    async def _answer(self, ticket: Ticket) -> None:
        async with self._slots:
            try:
                completion = await self._completed(ticket.request)
            except _FailedError as failure:
                ticket.failed(f"{self._shown}: {failure}")
            else:
                self._making = completion.made_by
                ticket.done(completion)

    async def _completed(self, request: Request) -> Completion:
        """The text of a request, tried as often as it takes and is allowed."""
        attempt = 0
        while True:
            if self._given_up:
                raise _FailedError(self._given_up)
            attempt += 1
            try:
                completion = await self._adapting(request)
            except _FailedError as failure:
                if not failure.is_away:
                    self._away_in_a_row = 0
                if not failure.is_passing:
                    raise
                if attempt > self._settings.retries:
                    self._exhausted(failure, attempt)
                await self._delay(failure, attempt)
            else:
                self._away_in_a_row, self._has_succeeded = 0, True
                return completion

    def _exhausted(self, failure: _FailedError, attempts: int) -> NoReturn:
        if failure.is_away:
            self._away_in_a_row += 1
            if self._away_in_a_row >= GIVE_UP_AFTER:
                self._given_up = f"{failure}; not asked any more after {GIVE_UP_AFTER} such requests in a row"
        raise _FailedError(f"{failure} ({attempts} attempts)" if attempts > 1 else str(failure))

    async def _delay(self, failure: _FailedError, attempt: int) -> None:
        """Wait before the attempt after this one: as long as the server asks, else longer each time."""
        delay = min(GREATEST_DELAY, FIRST_DELAY * 2 ** (attempt - 1)) * random.uniform(0.75, 1.25)
        if failure.wait is not None:
            delay = failure.wait + random.uniform(0, FIRST_DELAY)
        if self._settings.verbose:
            say(f"{self._shown}: {failure}; retry {attempt} of {self._settings.retries} in {delay:.1f} s")
        await asyncio.sleep(delay)

    async def _adapting(self, request: Request) -> Completion:
        """One attempt, asked again in the way that the server wants if it does not take the usual one."""
        while True:
            dialect = self._dialect
            response = await self._exchange(
                "POST", PATHS[self.api], self._settings.timeout, json.dumps(self.body(request, dialect)).encode()
            )
            change = _wanted(dialect, response)
            if not change:
                return self._read(response)
            self._dialect = replace(self._dialect, **change)  # which others may have changed meanwhile

    async def _exchange(self, method: str, path: str, seconds: float, content: bytes = b"") -> httpx2.Response:
        """Send a request and read the whole answer. Raises _FailedError if there is none."""
        url = self._url.copy_with(path=self._url.path.rstrip("/") + path)
        try:
            async with asyncio.timeout(seconds):
                return await self._client.request(method, url, content=content)
        except TimeoutError:
            raise _FailedError(f"no answer within {seconds:g} s (--timeout)", is_away=True, is_slow=True) from None
        except httpx2.ConnectTimeout:
            raise _FailedError(f"no connection within {CONNECT_SECONDS:g} s", is_away=True) from None
        except httpx2.ConnectError as error:
            raise _FailedError(f"no connection ({_reason(error)})", is_away=True) from None
        except (httpx2.HTTPError, OSError) as error:
            raise _FailedError(f"the connection broke ({_reason(error)})", is_away=True) from None

    def _read(self, response: httpx2.Response) -> Completion:
        status = response.status_code
        if not response.is_success:
            if status in _REFUSED | {_NOT_FOUND} and not self._has_succeeded:
                raise self._refusal(response)
            raise self._failure(response)
        try:
            return self.completion(response.json())
        except (ValueError, RecursionError):
            raise _FailedError(self._hinted(f"the answer is not JSON: {_said(response)}", response)) from None
        except AnswerError as error:
            raise _FailedError(self._redacted(str(error)), is_passing=not error.is_final) from None

    def _failure(self, response: httpx2.Response) -> _FailedError:
        """What an answer with the status of an error means."""
        status = response.status_code
        wait = _retry_after(response)
        is_passing = status in _PASSING or status >= _FIRST_OF_SERVER_ERRORS
        message = f"answers {status}: {_said(response)}"
        if is_passing and wait is not None and wait > GREATEST_WAIT:
            is_passing, message = False, f"{message}; it asks to wait {wait:.0f} s"
        message = self._hinted(message, response)
        return _FailedError(message, is_passing=is_passing, is_away=status in _AWAY, wait=wait)

    def _refusal(self, response: httpx2.Response) -> ModelError:
        """The error that ends the run: the key, the model or the URL is wrong."""
        message = self._redacted(f"{self._shown}: answers {response.status_code}: {_said(response)}")
        if response.status_code in _REFUSED:
            hint = f"check the key in {_key_variable()}" if self._key else f"set {KEY_VARIABLES[0]} to a key of it"
        elif self._listed:
            hint = f"it has {', '.join(self._listed)}"
        else:
            hint = f'does it have the model "{self.name}"' + ("?" if self._ends_in_v1 else ", and the URL end in /v1?")
        return ModelError(message, hint)

    async def _check(self) -> None:
        """Ask for the models. Raises ModelError where no request could be answered."""
        for attempt in count(1):
            try:
                response = await self._exchange("GET", "/models", min(CHECK_SECONDS, self._settings.timeout))
            except _FailedError as failure:
                if failure.is_slow:  # one that is busy with the requests of others
                    return
                raise ModelError(f"{self._shown}: {failure}", "is the server running, and the URL right?") from None
            answered = self._failure(response)
            if response.is_success or not answered.is_passing:
                break
            if attempt > self._settings.retries:
                raise ModelError(f"{self._shown}: {answered}", "try again later")
            await self._delay(answered, attempt)
        answer = _json(response)
        if response.is_success and answer is not None:
            self._check_name(answer)
        elif response.status_code == 401:
            raise self._refusal(response)
        elif response.has_redirect_location:
            raise ModelError(f"{self._shown}: redirects to {response.headers['location']}", "give that to --base-url")
        elif await self._is_below():
            raise ModelError(f"{self._shown}: there is no API there", f"give --base-url {self._shown}/v1")
        elif response.is_success:
            raise ModelError(self._hinted(f"{self._shown}: answers with {_said(response)}", response))

    def _check_name(self, answer: Any) -> None:
        """Raise ModelError if there are several models and none is meant.

        The server of one model serves it whatever it is called (llama.cpp's) or refuses a wrong name itself (vLLM).
        """
        rows = answer.get("data") if isinstance(answer, dict) else answer
        if not isinstance(rows, list):
            return
        names = [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
        self._listed = names[:20]
        if len(names) > 1 and _bare(self.name) not in map(_bare, names):
            shown = ", ".join(self._listed) + (", …" if len(names) > len(self._listed) else "")
            raise ModelError(f'{self._shown}: no model "{self.name}" there', f"it has {shown}")

    async def _is_below(self) -> bool:
        """Whether the URL lacks just /v1."""
        if self._ends_in_v1:
            return False
        try:
            response = await self._exchange("GET", "/v1/models", min(CHECK_SECONDS, self._settings.timeout))
        except _FailedError:
            return False
        return isinstance(_json(response), dict) and response.status_code != _NOT_FOUND

    @property
    def _ends_in_v1(self) -> bool:
        return self._url.path.rstrip("/").endswith("/v1")

    def _hinted(self, message: str, response: httpx2.Response) -> str:
        is_page = _is_page(response) and response.status_code < _FIRST_OF_SERVER_ERRORS
        is_elsewhere = (is_page or response.status_code == _NOT_FOUND) and not self._ends_in_v1
        return self._redacted(f"{message}; does the URL end in /v1?" if is_elsewhere else message)

    def _redacted(self, text: str) -> str:
        """`text` without the key, which a server may repeat."""
        return text.replace(self._key, "…") if self._key else text


def _drained(source: queue.SimpleQueue[T], wait: float) -> Iterator[T]:
    """All that is in a queue, after waiting at most `wait` seconds for a first one."""
    with suppress(queue.Empty):
        yield source.get(timeout=wait) if wait > 0 else source.get_nowait()
        while True:
            yield source.get_nowait()


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


def _wanted(dialect: Dialect, response: httpx2.Response) -> dict[str, Any]:
    """What a server that refuses this dialect wants to be different, if that is why it refuses."""
    text = "" if response.is_success else response.text.lower()
    if dialect.limit == "max_tokens" and "max_completion_tokens" in text:
        return {"limit": "max_completion_tokens"}
    if dialect.has_system and "system role" in text:
        return {"has_system": False}
    return {}


def _json(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _is_page(response: httpx2.Response) -> bool:
    return "html" in response.headers.get("content-type", "") or response.text.lstrip().startswith("<")


def _said(response: httpx2.Response) -> str:
    """What a response says, in one line."""
    if _is_page(response):
        return "a web page"
    answer = _json(response)
    return said(response.text if answer is None else answer) or response.reason_phrase or "nothing"


def _retry_after(response: httpx2.Response) -> float | None:
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
