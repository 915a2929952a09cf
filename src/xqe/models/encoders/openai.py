"""The encoder that asks an OpenAI-compatible server: llama-server, vLLM, text-embeddings-inference, a hosted one."""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy

from xqe.errors import ModelError, XqeError
from xqe.models.encoders.base import Contract, Encoded, Encoder, Side
from xqe.models.engines import SERVER
from xqe.models.engines.client import Client, Connection
from xqe.models.engines.exchange import MOST_BYTES, FailedError
from xqe.models.engines.refusals import TRUNCATING, RefusedError, check_refusal
from xqe.models.engines.served import AnswerError, check_error, said, valid
from xqe.models.families import family_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xqe.models.encoders.base import Matrix

PATH = "/embeddings"
BATCH = 32  # texts in a request: what text-embeddings-inference takes at most unless told
IN_FLIGHT = 8
MOST_OF_A_VECTOR = 1 << 20  # bytes as JSON: more than forty thousand numbers take
_PROBE = "a text"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is asked. base_url, timeout (seconds), retries, verbose: as of a Connection. batch: the most texts
    in a request, None for BATCH."""

    base_url: str
    batch: int | None = None
    timeout: float = 120.0
    retries: int = 5
    verbose: bool = False


class OpenAIEncoder(Encoder):
    """A model of a server, which `Client` asks, several requests at a time.

    The prefixes are those of the model's family, none where that is not known, unless they are given. How texts are
    pooled and how long they may be is the server's matter: what it finds too long it is asked to cut, and what it
    still refuses is an error of that text. Raises ModelError where the server is not there, refuses the key, has not
    this model, or makes no vectors.
    """

    def __init__(
        self, name: str, settings: Settings, query_prefix: str | None = None, passage_prefix: str | None = None
    ) -> None:
        self.name = f"{SERVER}{name}"
        self._model = name
        self._size = settings.batch or BATCH
        family = family_of(name)
        known = (family.query_prefix, family.passage_prefix) if family else ("", "")
        query_prefix, passage_prefix = (
            beginning if given is None else given
            for given, beginning in zip((query_prefix, passage_prefix), known, strict=True)
        )
        self._client = Client(
            name, Connection(settings.base_url, IN_FLIGHT, settings.timeout, settings.retries, settings.verbose)
        )
        try:
            self._client.start(self._client.check()).result()
            dimension = self._probed()
        except BaseException:
            self.close()
            raise
        self._contract = Contract({"model": name}, None, query_prefix, passage_prefix, dimension, None)

    @property
    def contract(self) -> Contract:
        return self._contract

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        prefix = self._contract.prefix(side)
        work = _Work([valid(prefix + text) or " " for text in texts], self._contract.dimension)
        under_way = [self._client.start(self._encode(work)) for _ in range(min(IN_FLIGHT, len(texts)))]
        try:
            done, _ = wait(under_way, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            for future in under_way:
                future.cancel()
        return Encoded(work.vectors, work.truncated, dict(sorted(work.errors.items())))

    def windows(self, texts: Sequence[str], tokens: int, overlap: int) -> list[list[str]]:
        raise XqeError(
            f"{self.name}: a server does not tell where the tokens of a text begin, so it cannot be cut into windows",
            "encode whole texts, cut them beforehand, or take an encoder in this process",
        )

    def making(self) -> dict[str, Any]:
        """The server, and what it lists of the model: vectors of another one are not compared with its own."""
        return {"server": self._client.shown, **({"listed": dict(self._client.listed)} if self._client.listed else {})}

    def close(self) -> None:
        self._client.close()

    def _probed(self) -> int:
        """The dimension of the model's vectors, by asking for one."""
        try:
            ((vector, problem),) = self._client.start(self._asked([_PROBE])).result()
        except (FailedError, RefusedError) as failure:
            raise ModelError(f"{self._client.shown}: {failure}", "does the server make embeddings?") from None
        if problem:
            raise ModelError(f"{self._client.shown}: {problem}", "does the server make embeddings?")
        return len(vector)

    # What follows runs in the thread of the network.

    async def _encode(self, work: _Work) -> None:
        """Ask for the texts of some work that nobody has asked for, until there are none left."""
        while places := work.taken(self._size):
            await self._fill(work, places)

    async def _fill(self, work: _Work, places: Sequence[int]) -> None:
        try:
            rows = await self._asked([work.texts[place] for place in places])
        except RefusedError as refusal:
            await self._fill_in_parts(work, places, refusal)
        except FailedError as failure:
            raise ModelError(f"{self._client.shown}: {failure}", "is the server still running?") from None
        else:
            self._put(work, places, rows)

    async def _fill_in_parts(self, work: _Work, places: Sequence[int], refusal: RefusedError) -> None:
        """After a refusal: each half by itself, and a single text cut by the server, if it does that."""
        if len(places) > 1:
            half = len(places) // 2
            if refusal.is_too_many:
                self._size = min(self._size, half)
            await self._fill(work, places[:half])
            await self._fill(work, places[half:])
            return
        if refusal.is_too_long:
            try:
                rows = await self._asked([work.texts[places[0]]], cutting=True)
            except (FailedError, RefusedError):  # of which the first refusal says more
                pass
            else:
                work.truncated += 1
                self._put(work, places, rows)
                return
        work.errors[places[0]] = f"{self._client.shown}: {refusal}"

    def _put(self, work: _Work, places: Sequence[int], rows: Sequence[tuple[Matrix, str]]) -> None:
        for place, (vector, problem) in zip(places, rows, strict=True):
            if problem:
                work.errors[place] = f"{self._client.shown}: {problem}"
            elif len(vector) != self._contract.dimension:
                raise ModelError(
                    f"{self._client.shown}: a vector has {len(vector)} numbers, where others had "
                    f"{self._contract.dimension}",
                    "does the server change its model?",
                )
            else:
                work.vectors[place] = vector

    async def _asked(self, texts: Sequence[str], cutting: bool = False) -> list[tuple[Matrix, str]]:
        """The vector of each text, and why it has none. Raises FailedError, RefusedError, and ModelError."""
        body: dict[str, Any] = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        if cutting:
            body |= TRUNCATING

        async def attempt() -> list[tuple[Matrix, str]]:
            response = await self._client.post(PATH, body, max(MOST_BYTES, MOST_OF_A_VECTOR * len(texts)))
            check_refusal(response, self._client)
            return self._client.read(response, lambda answer: list(_rows(answer, len(texts))))

        return await self._client.answered(attempt)


@dataclass(slots=True)
class _Work:
    """Texts with their prefixes, and what has come of them; only the thread of the network changes it."""

    texts: Sequence[str]
    dimension: int
    vectors: Matrix = field(init=False)
    truncated: int = 0
    errors: dict[int, str] = field(default_factory=dict)
    _waiting: deque[int] = field(init=False)

    def __post_init__(self) -> None:
        self.vectors = numpy.zeros((len(self.texts), self.dimension), numpy.float32)
        self._waiting = deque(range(len(self.texts)))

    def taken(self, most: int) -> list[int]:
        """The places of the next texts, which whoever takes them asks for."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]


def _rows(answer: Any, number: int) -> Iterator[tuple[Matrix, str]]:
    """The vectors of an answer, of length 1, in the order of what was asked, and why one is none.

    Raises AnswerError for another number of them than was asked for.
    """
    check_error(answer)
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise AnswerError(f"the answer has no data: {said(answer)}")
    indices = [row.get("index", place) for place, row in enumerate(rows)]
    by_index = {index: row.get("embedding") for index, row in zip(indices, rows, strict=True) if isinstance(index, int)}
    if len(rows) != number or set(by_index) != set(range(number)):
        raise AnswerError(f"the answer has {len(rows)} vectors for {number} texts, or not each once")
    for place in range(number):
        vector = _numbers(by_index[place])
        with numpy.errstate(over="ignore", invalid="ignore"):
            length = float(numpy.linalg.norm(vector))
        if not numpy.isfinite(length) or length == 0.0:
            yield (
                numpy.zeros(len(vector), numpy.float32),
                "the vector of the text holds numbers that are none, or only zeros",
            )
        else:
            yield (vector / length).astype(numpy.float32), ""


def _numbers(embedding: Any) -> NDArray[numpy.float64]:
    """An embedding: a list of numbers, or the base64 of float32. Raises AnswerError for what is neither."""
    try:
        if isinstance(embedding, str):
            return numpy.frombuffer(base64.b64decode(embedding, validate=True), "<f4").astype(numpy.float64)
        vector = numpy.asarray(embedding, numpy.float64)  # None, a NaN as llama-server writes it, becomes one again
    except (ValueError, TypeError, binascii.Error):
        raise AnswerError(f"an embedding is no list of numbers: {said(embedding)}") from None
    if vector.ndim != 1 or not len(vector):
        raise AnswerError("an embedding is no list of numbers; does the server pool them?", is_final=True)
    return vector
