"""Encoders on a server: one that misbehaves in every way there is, and a real one."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy
import pytest

from xqe.commands.encoding import encoder_for, open_encoder
from xqe.commands.options.encoding import Encoding, Pooling, Runtime
from xqe.errors import InputError, ModelError, XqeError
from xqe.models.encoders.base import Encoded, Side
from xqe.models.encoders.openai import OpenAIEncoder, Settings
from xqe.models.engines import client
from xqe.models.lookup import resolve

KEY = "sk-a-key-that-nobody-may-see"
NAME = "some-model"
DIMENSION = 5
Answer = tuple[int, bytes]


@pytest.fixture(autouse=True)
def own_environment(no_keys_or_proxies: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no proxy, and retries that follow each other at once."""
    monkeypatch.setattr(client, "FIRST_DELAY", 0.005)


def vector(text: str, dimension: int = DIMENSION) -> list[float]:
    """What the server makes of a text: not of length 1."""
    chance = random.Random(text)
    return [chance.gauss(0, 1) for _ in range(dimension)]


def unit(text: str) -> numpy.ndarray:
    row = numpy.array(vector(text))
    return numpy.asarray(row / numpy.sqrt((row**2).sum()))


def as_json(status: int, value: Any) -> Answer:
    return status, json.dumps(value).encode()


def error(status: int, message: str) -> Answer:
    return as_json(status, {"error": {"message": message, "code": status}})


def rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"object": "embedding", "index": i, "embedding": vector(text)} for i, text in enumerate(body["input"])]


def data(rows: list[dict[str, Any]]) -> Answer:
    return as_json(200, {"object": "list", "data": rows, "model": NAME})


class Server(ThreadingHTTPServer):
    """Answers with `vector` of each text. decides: what becomes of a request, from its body and its number, None for a
    good answer. models: what GET /models answers. bodies, keys: what was asked, and with which key."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.decides: Callable[[dict[str, Any], int], Answer | None] = lambda body, number: None
        self.models: Answer = as_json(200, {"data": [{"id": NAME}]})
        self.lock = threading.Lock()
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.open = self.most = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.send(self.server.models)

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/embeddings":
            return self.send(error(404, "no such page"))
        with server.lock:
            number = len(server.bodies)
            server.bodies.append(body)
            server.keys.add(self.headers.get("authorization"))
            server.open += 1
            server.most = max(server.most, server.open)
        try:
            return self.send(server.decides(body, number) or data(rows(body)))
        finally:
            with server.lock:
                server.open -= 1

    def send(self, answer: Answer) -> None:
        status, body = answer
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


def encoded(server: Server, texts: list[str], **more: Any) -> Encoded:
    with OpenAIEncoder(NAME, Settings(server.url, **more)) as encoder:
        return encoder.encode(texts, Side.PASSAGE)


def check(made: Encoded, texts: list[str], without: tuple[int, ...] = ()) -> None:
    """Assert that each text has its own vector, and that those without one have an error and zeros."""
    assert made.vectors.shape == (len(texts), DIMENSION)
    assert made.vectors.dtype == numpy.float32
    assert tuple(made.errors) == without
    for place, text in enumerate(texts):
        expected = numpy.zeros(DIMENSION) if place in without else unit(text)
        numpy.testing.assert_allclose(made.vectors[place], expected, atol=1e-6)


def asked(server: Server) -> list[list[str]]:
    """The texts of each request after the first, which asks for the dimension."""
    return [body["input"] for body in server.bodies[1:]]


def test_texts_are_asked_for_together_and_have_their_own_vectors(server: Server) -> None:
    texts = [f"text {number}" for number in range(100)]

    def permuted(body: dict[str, Any], number: int) -> Answer:
        time.sleep(random.Random(number).random() / 20)
        made = rows(body)
        random.Random(number).shuffle(made)
        return data(made)

    server.decides = permuted
    check(encoded(server, texts), texts)
    assert sorted(map(len, asked(server))) == [4, 32, 32, 32]
    assert server.most > 1, "several requests are under way at once"
    body = {**server.bodies[1], "input": None}
    assert body == {"model": NAME, "input": None, "encoding_format": "float"}


def test_none_of_no_texts(server: Server) -> None:
    check(encoded(server, []), [])
    assert asked(server) == []


@pytest.mark.parametrize("batch", [1, 7])
def test_the_size_of_a_request(server: Server, batch: int) -> None:
    texts = [f"text {number}" for number in range(20)]
    check(encoded(server, texts, batch=batch), texts)
    assert {len(some) for some in asked(server)} <= {batch, 20 % batch or batch}


def test_base64_is_read_and_a_missing_index_is_the_place(server: Server) -> None:
    def plain(body: dict[str, Any], number: int) -> Answer:
        packed = [base64.b64encode(numpy.array(vector(text), "<f4").tobytes()).decode() for text in body["input"]]
        return data([{"embedding": embedding} for embedding in packed])

    server.decides = plain
    check(encoded(server, ["a", "b"]), ["a", "b"])


def test_large_answers(server: Server) -> None:
    wide = 20_000
    known = cache(partial(vector, dimension=wide))
    server.decides = lambda body, _: data(
        [{"index": i, "embedding": known(text)} for i, text in enumerate(body["input"])]
    )
    with OpenAIEncoder(NAME, Settings(server.url)) as encoder:
        assert encoder.contract.dimension == wide
        made = encoder.encode(["a", "b"] * 40, Side.QUERY).vectors
    expected = numpy.array(vector("b", wide))
    numpy.testing.assert_allclose(made[79], expected / numpy.linalg.norm(expected), atol=1e-6)


def test_prefixes_are_of_the_family_unless_given(server: Server) -> None:
    server.models = error(404, "no list")
    with OpenAIEncoder("intfloat/multilingual-e5-small", Settings(server.url)) as encoder:
        encoder.encode(["q"], Side.QUERY)
        encoder.encode(["p", ""], Side.PASSAGE)
        assert encoder.contract.as_json() == {
            "model": {"model": "intfloat/multilingual-e5-small"}, "pooling": None, "query_prefix": "query: ",
            "passage_prefix": "passage: ", "dimension": DIMENSION, "limit": None,
        }  # fmt: skip
        assert encoder.name == "openai:intfloat/multilingual-e5-small"
        assert encoder.making() == {"server": server.url}
    with OpenAIEncoder("multilingual-e5", Settings(server.url), "Q ", "") as encoder:
        encoder.encode(["q"], Side.QUERY)
        encoder.encode(["p", "", "a \ud800"], Side.PASSAGE)
    assert asked(server)[:2] == [["query: q"], ["passage: p", "passage: "]]
    assert asked(server)[3:] == [["Q q"], ["p", " ", "a ?"]], "servers refuse an empty text"


# -- what goes wrong ---------------------------------------------------------------------------------------------


def bad(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[dict[str, Any]], Answer]:
    return lambda body: data(change(rows(body)))


PASSING: dict[str, Callable[[dict[str, Any]], Answer]] = {
    "answers 429: slowly": lambda _: error(429, "slowly"),
    "answers 503: Loading model": lambda _: error(503, "Loading model"),
    "answers 500: oh": lambda _: error(500, "oh"),
    "the answer is not JSON: {": lambda _: (200, b'{"data": ['),
    "the answer has no data: [1]": lambda _: as_json(200, [1]),
    "the answer has 1 vectors for 2 texts": bad(lambda rows: rows[:1]),
    "the answer has 3 vectors for 2 texts": bad(lambda rows: [*rows, rows[0]]),
    "the answer has 2 vectors for 2 texts, or not each once": bad(lambda rows: [rows[0], rows[0]]),
    "an embedding is no list of numbers: x": bad(lambda rows: [{**row, "embedding": "x"} for row in rows]),
}


@pytest.mark.parametrize("said", PASSING)
def test_what_passes_is_asked_for_again_and_what_does_not_ends_it(server: Server, said: str) -> None:
    server.decides = lambda body, number: PASSING[said](body) if number in (1, 2) else None
    check(encoded(server, ["a", "b"]), ["a", "b"])
    assert len(server.bodies) == 4
    server.decides = lambda body, number: PASSING[said](body) if number > 4 else None
    with pytest.raises(ModelError) as caught:
        encoded(server, ["a", "b"], retries=2)
    assert str(caught.value).startswith(f"{server.url}: {said}")
    assert str(caught.value).endswith("(3 attempts); is the server still running?")


def test_a_server_that_goes_away_ends_it(server: Server) -> None:
    with OpenAIEncoder(NAME, Settings(server.url, retries=1)) as encoder:
        server.shutdown()
        server.server_close()
        with pytest.raises(ModelError, match=r"no connection \(connection refused\)|the connection broke"):
            encoder.encode(["a"] * 500, Side.QUERY)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e308, None])
def test_a_vector_that_is_none_is_an_error_of_its_text(server: Server, number: float | None) -> None:
    def one_off(body: dict[str, Any], _: int) -> Answer:
        made = rows(body)
        for row, text in zip(made, body["input"], strict=True):
            if text == "b":
                row["embedding"] = [number] * DIMENSION
        return data(made)

    server.decides = one_off
    made = encoded(server, ["a", "b", "c"])
    check(made, ["a", "b", "c"], without=(1,))
    assert made.errors[1].startswith(f"{server.url}: the vector of the text holds numbers that are none")


def test_another_dimension_later_ends_it(server: Server) -> None:
    server.decides = lambda body, number: data([{"embedding": [1.0]} for _ in body["input"]]) if number else None
    with pytest.raises(ModelError, match="a vector has 1 numbers, where others had 5"):
        encoded(server, ["a", "b"])


TOO_LONG = {
    "OpenAI, vLLM": error(400, "This model's maximum context length is 512 tokens, however you requested 600"),
    "text-embeddings-inference": as_json(413, {"error": "Input validation error: `inputs` must have less than 512"}),
    "llama-server": error(500, "input is too large to process. increase the physical batch size"),
}


@pytest.mark.parametrize("refusal", TOO_LONG.values(), ids=list(TOO_LONG))
@pytest.mark.parametrize("cuts", [True, False])
def test_a_text_that_is_too_long_is_cut_by_the_server_or_an_error_of_its_own(
    server: Server, refusal: Answer, cuts: bool
) -> None:
    texts = [f"text {number}" for number in range(40)]
    texts[11] = texts[30] = "long " * 600

    def refuses(body: dict[str, Any], _: int) -> Answer | None:
        is_cut = cuts and body.get("truncate") is True and body.get("truncate_prompt_tokens") == -1
        return refusal if any(len(text) > 600 for text in body["input"]) and not is_cut else None

    server.decides = refuses
    made = encoded(server, texts, retries=0)
    check(made, texts, without=() if cuts else (11, 30))
    assert made.truncated == (2 if cuts else 0)
    assert all(text.startswith(f"{server.url}: answers {refusal[0]}: ") for text in made.errors.values())
    assert sum("truncate" in body for body in server.bodies) == 2


def test_too_many_texts_are_halved_for_good(server: Server) -> None:
    texts = [f"text {number}" for number in range(400)]
    refusal = as_json(422, {"error": "batch size 32 > maximum allowed batch size 8", "error_type": "Validation"})
    server.decides = lambda body, _: refusal if len(body["input"]) > 8 else None
    check(encoded(server, texts, retries=0), texts)
    refused = [some for some in asked(server) if len(some) > 8]
    assert len(refused) <= 8 * 3, "each of those under way at first is halved twice, and none later"


OPENINGS: list[tuple[str, dict[str, Any], str]] = [
    ("another", {"models": as_json(200, {"data": [{"id": "a"}, {"id": "b"}]})}, 'no model "some-model" there'),
    ("401", {"models": error(401, f"Incorrect key {KEY}")}, "answers 401: Incorrect key …; check the key in XQE_API"),
    ("401 later", {"decides": lambda *_: error(401, f"not {KEY}")}, "answers 401: not …; check the key in XQE_API_KEY"),
    ("404", {"decides": lambda *_: error(404, "who?")}, "answers 404: who?; it has some-model"),
    ("501", {"decides": lambda *_: error(501, "start it with --embeddings")},
     "answers 501: start it with --embeddings; does the server make embeddings?"),
    ("400", {"decides": lambda *_: error(400, "no")}, "answers 400: no; does the server make embeddings?"),
    ("not pooled", {"decides": lambda *_: data([{"embedding": [[1.0, 2.0]]}])},
     "an embedding is no list of numbers; does the server pool them?; does the server make embeddings?"),
    ("zeros", {"decides": lambda *_: data([{"embedding": [0.0] * 3}])}, "the vector of the text holds numbers that"),
]  # fmt: skip


@pytest.mark.parametrize(("how", "said"), [row[1:] for row in OPENINGS], ids=[row[0] for row in OPENINGS])
def test_what_cannot_work_is_one_line_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("XQE_API_KEY", KEY)
    for name, value in how.items():
        setattr(server, name, value)
    with pytest.raises(ModelError) as caught:
        OpenAIEncoder(NAME, Settings(server.url))
    assert str(caught.value).startswith(f"{server.url}: {said}")
    assert len(server.bodies) <= 1, "nothing is asked for twice"


def test_the_key_is_sent_and_never_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.decides = lambda body, number: error(500 if number % 2 else 400, f"{KEY}!") if number else None
    with pytest.raises(ModelError) as caught:
        encoded(server, ["a"], retries=0)
    server.decides = lambda body, number: error(400, f"{KEY}!") if body["input"] == ["a"] else None
    made = encoded(server, ["a"], verbose=True)
    assert made.errors == {0: f"{server.url}: answers 400: …!"}
    assert server.keys == {f"Bearer {KEY}"}
    assert KEY not in str(caught.value) + capsys.readouterr().err


def test_ctrl_c_does_not_wait_for_requests_that_hang(server: Server) -> None:
    server.decides = lambda body, number: time.sleep(60) if number else None
    program = (
        "import sys\n"
        "from xqe.models.encoders.base import Side\n"
        "from xqe.models.encoders.openai import OpenAIEncoder, Settings\n"
        "with OpenAIEncoder(sys.argv[1], Settings(sys.argv[2])) as encoder:\n"
        "    try:\n        encoder.encode(['a'] * 100, Side.QUERY)\n"
        "    except KeyboardInterrupt:\n        sys.exit(7)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, NAME, server.url]) as process:
        end = time.monotonic() + 60
        while len(server.bodies) < 3 and time.monotonic() < end:
            time.sleep(0.02)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 7
        assert time.monotonic() - began < 10


def test_windows_are_not_guessed(server: Server) -> None:
    with OpenAIEncoder(NAME, Settings(server.url)) as encoder, pytest.raises(XqeError, match="cut them beforehand"):
        encoder.windows(["a b c"], 2, 1)


# -- a real server -----------------------------------------------------------------------------------------------


@pytest.mark.xdist_group("model")
def test_a_real_server_makes_the_vectors_that_are_made_here(tmp_path: Path) -> None:
    """llama_cpp.server on e5-small, which is asked by its family's name, so that the prefixes are known."""
    texts = ["the house", "das Haus am großen Fluss", ""]
    with open_encoder(Encoding(encoder="e5-small", runtime=Runtime.LLAMA_CPP)) as encoder:
        expected = encoder.encode(texts, Side.QUERY).vectors
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = ["--model", str(resolve("e5-small").path), "--embedding", "true", "--n_ctx", "512", "--n_threads", "1",
                 "--port", str(port), "--verbose", "false"]  # fmt: skip
    url = f"http://127.0.0.1:{port}/v1"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "llama_cpp.server", *arguments], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 120
        while not answers(f"{url}/models"):
            assert process.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.1)
        options = Encoding(encoder="openai:multilingual-e5-small", base_url=url)
        with open_encoder(options) as encoder:
            made = encoder.encode(texts, Side.QUERY)
            other = encoder.encode(texts[:1], Side.PASSAGE).vectors[0]
    finally:
        process.terminate()
        process.wait(20)
    assert made.errors == {}
    assert (made.vectors * expected).sum(1).min() > 0.999
    assert other @ expected[0] < 0.99, "the prefix of a passage is another"


def answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


# -- opened by the options ---------------------------------------------------------------------------------------


def test_the_encoder_that_made_vectors_is_opened_again(server: Server) -> None:
    options = Encoding(encoder=f"openai:{NAME}", base_url=server.url, query_prefix="q ", passage_prefix="p ")
    with open_encoder(options) as encoder:
        made = Described(encoder.name, encoder.contract.as_json())
    with encoder_for("DIR", made, Encoding(base_url=server.url)) as encoder:
        assert encoder.contract.as_json() == made.contract
    with encoder_for("DIR", made, Encoding(base_url=server.url, query_prefix="other ")) as encoder:
        assert encoder.contract.query_prefix == "other ", "which no vector of a passage depends on"
    with pytest.raises(InputError) as caught:
        encoder_for("DIR", made, Encoding(base_url=server.url, passage_prefix="other "))
    assert str(caught.value) == (
        'DIR: its vectors of openai:some-model were made by another encoder (passage_prefix "p ", now "other "); '
        "give the encoder and the options that they were made with, or make them anew"
    )
    server.decides = lambda body, _: data([{"embedding": [1.0, 2.0]}])
    with pytest.raises(InputError, match=r"another encoder \(dimension 5, now 2\)"):
        encoder_for("DIR", made, Encoding(base_url=server.url))
    with pytest.raises(InputError) as caught:
        encoder_for("DIR", made, Encoding(encoder="fake"))
    assert "(model some-model, now fake; pooling None, now " in str(caught.value)
    assert str(caught.value).endswith("leave out --encoder and XQE_ENCODER to search with openai:some-model, or make "
                                      "them anew")  # fmt: skip


class Described:
    def __init__(self, encoder: str, contract: dict[str, Any]) -> None:
        self.encoder = encoder
        self.contract = contract
        self.making: dict[str, Any] = {}


def test_another_file_of_the_same_name_is_told_by_its_hash() -> None:
    with open_encoder(Encoding(encoder="fake")) as encoder:
        contract = encoder.contract.as_json()
    with pytest.raises(InputError, match=r"\(model sha256 abcdefghijkl, now fake\)"):
        encoder_for("DIR", Described("fake", {**contract, "model": {"sha256": "abcdefghijklmnop"}}), Encoding())


BAD: list[tuple[Encoding, str]] = [
    (Encoding(encoder="openai:m"), "--encoder openai:m names no server; add --base-url URL"),
    (Encoding(encoder="openai:", base_url="http://h/v1"), "--encoder openai: names no model"),
    (Encoding(base_url="http://h/v1"), "--base-url names a server but no encoder of it; add --encoder openai:NAME"),
    (Encoding(encoder="openai:m", pooling=Pooling.CLS), "--pooling has no effect on the encoder of a server"),
    (Encoding(encoder="openai:m", limit=9), "--max-text-tokens has no effect on the encoder of a server"),
    (Encoding(encoder="openai:m", runtime=Runtime.LLAMA_CPP), "--runtime has no effect on the encoder of a server"),
    (Encoding(encoder="fake", query_prefix=""), "--query-prefix has no effect on the fake encoder"),
    (Encoding(encoder="fake", encode_batch=3), "--encode-batch has no effect on the fake encoder"),
    (Encoding(encoder="e5-small", encode_batch=3), "--encode-batch has no effect on an encoder in this process"),
    (Encoding(encoder="sentence-transformers:", limit=9), "--encoder sentence-transformers: names no model"),
    (Encoding(encoder="sentence-transformers:m", pooling=Pooling.CLS), "--pooling has no effect on an encoder of sent"),
]


@pytest.mark.parametrize(("options", "said"), BAD, ids=[said[:60] for _, said in BAD])
def test_what_has_no_effect_is_refused_before_anything_is_opened(options: Encoding, said: str) -> None:
    with pytest.raises(XqeError) as caught:
        open_encoder(options)
    assert str(caught.value).startswith(said)
