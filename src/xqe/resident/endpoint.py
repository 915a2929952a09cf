"""The models of this process over HTTP, by OpenAI's interface: completions of chats and of texts, and embeddings.

What arrives meanwhile is generated together with what is under way. A key is asked for: a port of this machine is open
to all of its users.
"""

from __future__ import annotations

import asyncio
import hmac
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from xqe.errors import MissingExtraError, XqeError, why
from xqe.models.encoders.base import Encoded, Encoder, Side
from xqe.models.engines.base import Engine
from xqe.models.engines.jobs import Job
from xqe.models.engines.requests import Completion, Request, Sampling
from xqe.models.prompts import Chat, Prompt, Text

EXTRA = "serve"
MOST_TOKENS = 512  # of a text, where a request does not say
MOST_TEXTS = 2048  # of one request
_GATHER_SECONDS = 0.05


class Models(NamedTuple):
    """What is served. names: of the models that generate, and of the encoders; generator, encoder: open one by its
    name, an encoder without prefixes. lock: whoever holds it computes. used: is told of each request."""

    names: Callable[[], Sequence[str]]
    generator: Callable[[str], Engine]
    encoder: Callable[[str], Encoder]
    lock: threading.Lock
    used: Callable[[], None]


class RefusedError(Exception):
    """A request that cannot be answered. status: of HTTP."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Generating:
    """One model and the requests that wait for it, generated in a thread of its own. open: gives the model, which is
    kept by somebody else and may have been closed meanwhile."""

    def __init__(self, open: Callable[[], Engine], lock: threading.Lock) -> None:
        self._open, self._lock = open, lock
        self.is_chat = open().is_chat
        self._waiting: queue.Queue[Job[None]] = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()

    async def texts(self, requests: list[Request]) -> list[Completion]:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        job = Job(None, requests)

        def filled(_: int, __: Completion) -> None:
            if job.is_done:
                loop.call_soon_threadsafe(done.set)

        job.on_completion = filled
        self._waiting.put(job)
        await done.wait()
        return job.results()

    def _work(self) -> None:
        while True:
            first = self._waiting.get()
            with self._lock:
                try:
                    for _ in self._open().generate(self._arriving(first)):
                        pass
                except XqeError as error:
                    self._fail(first, str(error))

    def _arriving(self, first: Job[None]) -> Iterator[Job[None]]:
        """The jobs that are there, and those that come while they are done."""
        yield first
        while True:
            try:
                yield self._waiting.get(timeout=_GATHER_SECONDS)
            except queue.Empty:
                return

    def _fail(self, job: Job[None], why: str) -> None:
        for position in job.open():
            job.fill(position, Completion("", "error", 0, why))


class Endpoint:
    """Listens at a host and a port, in a thread. key: what a request must name. Raises XqeError where it cannot."""

    def __init__(self, models: Models, host: str, port: int, key: str) -> None:
        try:
            import uvicorn
        except ModuleNotFoundError:
            raise MissingExtraError("an endpoint needs uvicorn and starlette", EXTRA) from None
        self._models, self._key = models, key
        self._opened: dict[str, Generating] = {}
        config = uvicorn.Config(self._app(), host=host, port=port, log_level="error", access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        try:
            self._socket = config.bind_socket()
            self._socket.listen()  # from now on, and not when the thread has begun
        except (OSError, SystemExit) as error:
            said = why(error) if isinstance(error, OSError) else "cannot be listened at"
            raise XqeError(f"{host}:{port}: {said}", "name a free port") from None
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self.port: int = self._socket.getsockname()[1]

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _app(self) -> Any:
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse
        from starlette.routing import Route

        def answered(by: Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]) -> Callable[[Any], Awaitable[Any]]:
            async def answer(request: Any) -> Any:
                self._models.used()
                try:
                    given = request.headers.get("authorization", "").removeprefix("Bearer ")
                    if not hmac.compare_digest(given.encode(), self._key.encode()):
                        raise RefusedError("the key is not that of this server", 401)
                    body = await request.json() if request.method == "POST" else {}
                    if not isinstance(body, dict):
                        raise RefusedError("the request is no JSON object")
                    return JSONResponse(await by(body))
                except RefusedError as refused:
                    return _refusal(str(refused), refused.status)
                except XqeError as error:
                    return _refusal(str(error), 400)
                except ValueError as error:
                    return _refusal(f"the request is no JSON ({error})", 400)

            return answer

        def _refusal(message: str, status: int) -> Any:
            return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status)

        return Starlette(
            routes=[
                Route("/v1/models", answered(self._list), methods=["GET"]),
                Route("/v1/chat/completions", answered(self._chat), methods=["POST"]),
                Route("/v1/completions", answered(self._texts), methods=["POST"]),
                Route("/v1/embeddings", answered(self._embeddings), methods=["POST"]),
            ]
        )

    async def _list(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in self._models.names()]}

    async def _chat(self, body: Mapping[str, Any]) -> dict[str, Any]:
        turns = body.get("messages")
        if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
            raise RefusedError('"messages" is no list of objects')
        said = [(turn.get("role"), turn.get("content")) for turn in turns]
        roles = [role for role, _ in said]
        if roles not in (["user"], ["system", "user"]) or not all(isinstance(content, str) for _, content in said):
            raise RefusedError("only a user turn is answered, perhaps behind a system turn, each of them a text")
        prompt = Chat(said[0][1] if len(said) == 2 else "", said[-1][1])
        chosen = await self._completed(body, [prompt])
        choices = [
            {"index": number, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
            for number, (text, finish) in enumerate(chosen.texts)
        ]
        return {"object": "chat.completion", "model": chosen.model, "choices": choices, "usage": chosen.usage}

    async def _texts(self, body: Mapping[str, Any]) -> dict[str, Any]:
        texts = _several(body.get("prompt"), "prompt")
        chosen = await self._completed(body, [Text(text, _stops(body)) for text in texts])
        choices = [
            {"index": number, "text": text, "finish_reason": finish, "logprobs": None}
            for number, (text, finish) in enumerate(chosen.texts)
        ]
        return {"object": "text_completion", "model": chosen.model, "choices": choices, "usage": chosen.usage}

    async def _embeddings(self, body: Mapping[str, Any]) -> dict[str, Any]:
        name, texts = self._named(body), _several(body.get("input"), "input")
        encoded = await asyncio.to_thread(self._encoded, name, texts)
        rows = [
            {"object": "embedding", "index": number, "embedding": [float(value) for value in vector]}
            for number, vector in enumerate(encoded.vectors)
        ]
        return {"object": "list", "model": name, "data": rows, "usage": {"prompt_tokens": 0, "total_tokens": 0}}

    def _encoded(self, name: str, texts: Sequence[str]) -> Encoded:
        with self._models.lock:
            return self._models.encoder(name).encode(texts, Side.PASSAGE)

    def _named(self, body: Mapping[str, Any]) -> str:
        name = body.get("model")
        if name not in self._models.names():
            raise RefusedError(f'no model "{name}" is here, only {", ".join(self._models.names())}', 404)
        return str(name)

    async def _completed(self, body: Mapping[str, Any], prompts: Sequence[Prompt]) -> _Chosen:
        for field in ("stream", "logprobs"):
            if body.get(field):
                raise RefusedError(f'"{field}" is not done here')
        name, count = self._named(body), _number(body, "n", 1, int)
        seed = _number(body, "seed", 0, int)
        top_p, top_k = body.get("top_p"), body.get("top_k")
        sampling = Sampling(_number(body, "temperature", 1.0, float), top_p, top_k, None, seed)
        most = _number(body, "max_completion_tokens", _number(body, "max_tokens", MOST_TOKENS, int), int)
        if count * len(prompts) > MOST_TEXTS or count < 1 or most < 1:
            raise RefusedError('"n" or "max_tokens" is out of range')
        generating = await asyncio.to_thread(self._generating, name)
        if isinstance(prompts[0], Chat) and not generating.is_chat:
            raise RefusedError(f'"{name}" is a pretrained model without a chat template: ask /v1/completions')
        requests = [
            Request(prompt, _subject(prompt), most, sampling, seed + number)
            for prompt in prompts
            for number in range(count)
        ]
        made = await generating.texts(requests)
        failed = next((one.error for one in made if one.has_failed), None)
        if failed is not None:
            raise RefusedError(failed)
        cut = [_cut(one, _stops(body)) for one in made]
        tokens = sum(one.tokens for one in made)
        return _Chosen(name, cut, {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens})

    def _generating(self, name: str) -> Generating:
        with self._models.lock:
            if name not in self._opened:
                self._opened[name] = Generating(partial(self._models.generator, name), self._models.lock)
            return self._opened[name]


class _Chosen(NamedTuple):
    """Texts with why each ended, of the model that is named."""

    model: str
    texts: list[tuple[str, str]]
    usage: dict[str, int]


def _subject(prompt: Prompt) -> str:
    return prompt.user if isinstance(prompt, Chat) else prompt.text


def _cut(completion: Completion, stops: Sequence[str]) -> tuple[str, str]:
    """The text up to the first of the strings that end it, and why it ended."""
    ends = [at for at in (completion.text.find(stop) for stop in stops) if at >= 0]
    return (completion.text[: min(ends)], "stop") if ends else (completion.text, completion.finish)


def _stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop") or []
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(one, str) and one for one in stops):
        raise RefusedError('"stop" is no text and no list of texts')
    return tuple(stops)


def _several(value: Any, field: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise RefusedError(f'"{field}" is no text and no list of texts')
    if len(texts) > MOST_TEXTS:
        raise RefusedError(f'"{field}" has more than {MOST_TEXTS} texts')
    return texts


def _number(body: Mapping[str, Any], field: str, default: Any, kind: type) -> Any:
    value = body.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | kind):
        raise RefusedError(f'"{field}" is no number')
    return kind(value)
