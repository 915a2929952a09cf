"""A connection to an OpenAI-compatible server: the key, the checks, retries, and errors that say what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, NoReturn, TypeVar

from xqe.errors import ModelError
from xqe.messages import say
from xqe.models.engines import listing
from xqe.models.engines.exchange import MOST_BYTES, Answer, Exchange, FailedError
from xqe.models.engines.network import Network
from xqe.models.engines.served import AnswerError, passes, said

T = TypeVar("T")

KEY_VARIABLES = ("XQE_API_KEY", "OPENAI_API_KEY")
CHECK_SECONDS = 15.0  # a server that has taken the connection and says nothing for so long is busy
FIRST_DELAY, GREATEST_DELAY = 0.5, 30.0
GREATEST_WAIT = 300.0  # what a server may ask for with Retry-After
GIVE_UP_AFTER = 5

# Statuses. Those of a server that is away count towards giving it up.
_AWAY = {429, 502, 503, 504}
_REFUSED = {401, 403}
_NOT_FOUND = 404
_FIRST_OF_SERVER_ERRORS = 500
_MOST_NAMED = 20  # models in an error


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


class Client:
    """Asks a server for what one of its models makes. The key is taken from the first of KEY_VARIABLES that is set.

    shown: the URL of the server, as it may be shown. listed: what the server told, when it was checked, of the model
    that it answers with; empty where it tells nothing. A request that fails in passing (429, 408, 5xx, no answer in
    time, a broken connection, an answer of no use) is tried again after a delay that doubles, or after what Retry-After
    says. If GIVE_UP_AFTER requests in a row find nobody there to the last of their retries, the server is not asked any
    more, and all that is left fails at once.
    """

    def __init__(self, model: str, connection: Connection) -> None:
        self._model = model
        self._connection = connection
        self._key = _key()
        self._exchange = Exchange(connection.base_url, self._key, connection.in_flight)
        self.shown = self._exchange.shown
        self.listed: Mapping[str, Any] = {}
        self._has_succeeded = False
        self._away_in_a_row = 0
        self._given_up = ""
        self._names: list[str] = []
        self._slots = asyncio.Semaphore(connection.in_flight)
        self._network = Network()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin work in the thread of the network."""
        return self._network.start(work)

    def close(self) -> None:
        self._network.close(self._exchange.close)

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

    @property
    def ends_in_version(self) -> bool:
        """Whether a server's own interface has another URL than the one that was given."""
        return self._exchange.ends_in_version

    async def post(self, path: str, body: Mapping[str, Any], most: int = MOST_BYTES, own: bool = False) -> Answer:
        """Send a request and read the whole answer, of at most so many bytes. Raises FailedError if there is none. own:
        the path is of the server's own interface."""
        return await self._exchange.ask("POST", path, self._connection.timeout, json.dumps(body).encode(), most, own)

    async def _get(self, path: str, own: bool = False) -> Answer:
        return await self._exchange.ask("GET", path, min(CHECK_SECONDS, self._connection.timeout), own=own)

    def read(self, response: Answer, understood: Callable[[Any], T]) -> T:
        """What `understood` makes of the JSON of an answer; it may raise AnswerError.

        Raises FailedError, and ModelError where the server refuses the key or the model and has accepted neither yet.
        """
        status = response.status
        if not response.is_success:
            if status in _REFUSED | {_NOT_FOUND} and not self._has_succeeded:
                raise self._refusal(response)
            raise self.failure(response)
        try:
            return understood(response.json())
        except (ValueError, RecursionError):
            raise FailedError(self._hinted(f"the answer is not JSON: {self._said(response)}", response)) from None
        except AnswerError as error:
            raise FailedError(self._exchange.redacted(str(error)), is_passing=not error.is_final) from None

    def failure(self, response: Answer) -> FailedError:
        """What an answer with the status of an error means."""
        status = response.status
        wait = _retry_after(response)
        is_passing = passes(status)
        message = f"answers {status}: {self._said(response)}"
        if is_passing and wait is not None and wait > GREATEST_WAIT:
            is_passing, message = False, f"{message}; it asks to wait {wait:.0f} s"
        message = self._hinted(message, response)
        return FailedError(message, is_passing=is_passing, is_away=status in _AWAY, wait=wait)

    def _refusal(self, response: Answer) -> ModelError:
        """The error that ends the run: the key, the model or the URL is wrong."""
        message = self._exchange.redacted(f"{self.shown}: answers {response.status}: {self._said(response)}")
        if response.status in _REFUSED:
            hint = f"check the key in {_key_variable()}" if self._key else f"set {KEY_VARIABLES[0]} to a key of it"
        elif self._names:
            hint = f"it has {', '.join(self._names)}"
        else:
            hint = f'does it have the model "{self._model}"' + (
                "?" if self._exchange.ends_in_version else ", and the URL end in /v1?"
            )
        return ModelError(message, hint)

    async def check(self) -> None:
        """Ask for the models. Raises ModelError where no request could be answered."""
        for attempt in count(1):
            try:
                response = await self._get("/models")
            except FailedError as failure:
                if failure.is_slow or not failure.is_away:  # busy with the requests of others, or bad at lists alone
                    return
                raise ModelError(f"{self.shown}: {failure}", "is the server running, and the URL right?") from None
            answered = self.failure(response)
            if response.is_success or not answered.is_passing:
                break
            if attempt > self._connection.retries:
                raise ModelError(f"{self.shown}: {answered}", "try again later")
            await self._delay(answered, attempt)
        answer = response.value()
        if response.is_success and answer is not None:
            rows = listing.rows_of(answer)
            self._check_name(rows)
            self.listed = {**listing.told(rows, self._model), **await self._told_besides(rows)}
        elif response.status == 401:
            raise self._refusal(response)
        elif response.redirection is not None:
            location = said(self._exchange.redacted(response.redirection))
            raise ModelError(f"{self.shown}: redirects to {location}", "give that to --base-url")
        elif await self._is_below():
            raise ModelError(f"{self.shown}: there is no API there", f"give --base-url {self.shown}/v1")
        elif response.is_success:
            raise ModelError(self._hinted(f"{self.shown}: answers with {self._said(response)}", response))

    def _check_name(self, rows: Sequence[listing.Row]) -> None:
        """Raise ModelError if there are several models and none is meant.

        The server of one model serves it whatever it is called (llama.cpp's), which is said, or refuses a wrong name
        itself (vLLM).
        """
        self._names = [row["id"] for row in rows[:_MOST_NAMED]]
        if len(rows) > 1 and not listing.has(rows, self._model):
            shown = ", ".join(self._names) + (", …" if len(rows) > len(self._names) else "")
            raise ModelError(f'{self.shown}: no model "{self._model}" there', f"it has {shown}")
        if len(rows) == 1 and not listing.may_be(rows[0], self._model):
            only = said(self._names[0])
            say(f'{self.shown}: asked for "{self._model}", and has only "{only}", which may answer instead')

    async def _told_besides(self, rows: Sequence[listing.Row]) -> dict[str, Any]:
        """What the server tells of the model by its own interface, if it has one that does."""
        told: dict[str, Any] = {}
        for path, read in listing.own_interface(rows, self._model).items():
            with suppress(FailedError):
                response = await self._get(path, own=True)
                told |= read(response.value()) if response.is_success else {}
        return told

    async def _is_below(self) -> bool:
        """Whether the URL lacks just /v1."""
        if self._exchange.ends_in_version:
            return False
        try:
            response = await self._get("/v1/models")
        except FailedError:
            return False
        return isinstance(response.value(), dict) and response.status != _NOT_FOUND

    def _said(self, response: Answer) -> str:
        """What a response says, in one line."""
        if response.is_page:
            return "a web page"
        text = self._exchange.redacted(response.text)  # before it is cut, maybe in a key
        answer: Any = text
        with suppress(ValueError, RecursionError):
            answer = json.loads(text)
        return said(answer) or response.reason or "nothing"

    def _hinted(self, message: str, response: Answer) -> str:
        is_page = response.is_page and response.status < _FIRST_OF_SERVER_ERRORS
        is_elsewhere = (is_page or response.status == _NOT_FOUND) and not self._exchange.ends_in_version
        return self._exchange.redacted(f"{message}; does the URL end in /v1?" if is_elsewhere else message)


def listed(model: str, base_url: str) -> dict[str, Any] | None:
    """What a server tells now of a model, None where it does not answer, or says that it cannot serve it."""
    with suppress(ModelError):
        client = Client(model, Connection(base_url, 1, CHECK_SECONDS, 0, False))
        try:
            client.start(client.check()).result()
        finally:
            client.close()
        return dict(client.listed)
    return None


def _key_variable() -> str:
    return next((name for name in KEY_VARIABLES if os.environ.get(name)), KEY_VARIABLES[0])


def _key() -> str:
    key = os.environ.get(_key_variable(), "").strip()
    if not (key.isascii() and key.isprintable()):  # the HTTP library would quote it in its error
        raise ModelError("the key of the server holds characters that no key has", f"check {_key_variable()}")
    return key


def _retry_after(response: Answer) -> float | None:
    """The seconds that a Retry-After header asks to wait: it gives them, or a date. None without one."""
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if seconds < float("inf") else None
