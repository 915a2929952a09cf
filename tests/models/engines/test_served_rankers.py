"""Cross-encoders of a server: the forms of those that are in use, and answers that are of no use."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, jsonl, records

from xqe.commands.options.generation import Generation
from xqe.commands.options.reranking import Reranking
from xqe.commands.ranking import how_of, open_reranker
from xqe.errors import ModelError, XqeError
from xqe.files.records import Document
from xqe.models.engines import client
from xqe.models.engines.jobs import Job
from xqe.models.engines.requests import Completion, Request
from xqe.models.engines.rerankers import scores_of
from xqe.models.engines.served import AnswerError
from xqe.models.engines.stored import StoredEngine
from xqe.models.prompts import Pair
from xqe.models.store.run import Store
from xqe.retrieval.lexical import build
from xqe.stages.rerank.kinds import Kind

NAME = "some-model"
Answer = tuple[int, Any]


@pytest.fixture(autouse=True)
def own_environment(no_keys_or_proxies: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no proxy, and retries that follow each other at once."""
    monkeypatch.setattr(client, "FIRST_DELAY", 0.005)


class Server(ThreadingHTTPServer):
    """answer: what comes of (path, body). asked: (path, body, key) of each POST."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str, Any], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: list[tuple[str, Any, str | None]] = []
        self.root = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        is_told = self.path.endswith("/models") and self.server.answer is not tei
        self.send(*((200, {"data": [{"id": NAME}]}) if is_told else (404, {})))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, body, self.headers["authorization"]))
        self.send(*self.server.answer(self.path, body))

    def send(self, status: int, answer: Any) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str, Any], Answer]], Server]]:
    servers: list[Server] = []

    def start(answer: Callable[[str, Any], Answer]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def score(query: str, document: str) -> float:
    """What all of these servers give for a pair: how many words they share."""
    return float(len({*query.split()} & {*document.split()}))


def sorted_rows(query: str, documents: list[str], field: str) -> list[dict[str, Any]]:
    rows = [{"index": at, field: score(query, document)} for at, document in enumerate(documents)]
    return sorted(rows, key=lambda row: -row[field])


def llama_server(path: str, body: Any) -> Answer:
    """server-context.cpp, post_rerank; Jina and Cohere answer the same."""
    if path not in ("/v1/rerank", "/rerank"):
        return 404, {"error": {"code": 404, "message": "File Not Found"}}
    rows = sorted_rows(body["query"], body["documents"], "relevance_score")
    return 200, {"model": NAME, "object": "list", "usage": {}, "results": rows}


def tei(path: str, body: Any) -> Answer:
    """text-embeddings-inference: router/src/http/server.rs, of which a client may send 32 texts."""
    if path != "/rerank":
        return 404, b""
    if "texts" not in body:
        return (
            422,
            b"Failed to deserialize the JSON body into the target type: missing field `texts` at line 1",
        )
    if (number := len(body["texts"])) > 4:
        return 422, {"error": f"batch size {number} > maximum allowed batch size 4", "error_type": "Validation"}
    assert body["raw_scores"] is True and body["truncate"] is True
    return 200, sorted_rows(body["query"], body["texts"], "score")


def old_vllm(path: str, body: Any) -> Answer:
    """vLLM 0.6: serving_score.py."""
    if path != "/v1/score":
        return 404, {"detail": "Not Found"}
    data = [{"object": "score"} | row for row in sorted_rows(body["text_1"], body["text_2"], "score")]
    return 200, {"object": "list", "model": body["model"], "data": data}


def sglang(path: str, body: Any) -> Answer:
    """serving_rerank.py: a list, with the documents."""
    return (200, sorted_rows(body["query"], body["documents"], "score")) if path == "/v1/rerank" else (404, {})


PAIRS = [("a b c", text) for text in ("c x", "a b c", "", "x", "b a", "y")]


def opened(server: Server, beneath: str = "/v1", **options: Any) -> Any:
    return open_reranker(Kind.CROSS, Generation(model=f"openai:{NAME}", base_url=server.root + beneath, **options))


def completions(engine: Any, pairs: list[tuple[str, str]]) -> list[Completion]:
    (done,) = engine.generate([Job(0, [Request(Pair(*pair), pair[0], 0) for pair in pairs])])
    return list(done.results())


@pytest.mark.parametrize(
    ("answer", "beneath", "path", "said", "calls"),
    [
        (llama_server, "/v1", "/v1/rerank", "served", 1),
        (llama_server, "", "/rerank", "served", 1),
        (tei, "/v1", "/rerank", "logit", 3),
        (tei, "", "/rerank", "logit", 3),
        (old_vllm, "/v1", "/v1/score", "served", 1),
        (sglang, "/v1/", "/v1/rerank", "served", 1),
    ],
)
def test_each_server_is_asked_in_its_way(
    serve: Any, monkeypatch: pytest.MonkeyPatch, answer: Any, beneath: str, path: str, said: str, calls: int
) -> None:
    monkeypatch.setenv("XQE_API_KEY", "sk-a-key")
    server = serve(answer)
    with opened(server, beneath) as engine:
        probes = len(server.asked)
        found = completions(engine, PAIRS)
    assert [done.measured for done in found] == [[score(*pair)] for pair in PAIRS]
    assert {done.made_by["score"] for done in found} == {said}
    asked = server.asked[probes:]
    assert {asked_path for asked_path, _, _ in asked} == {path} and len(asked) == calls
    assert {key for _, _, key in server.asked} == {"Bearer sk-a-key"}
    assert all("xqe" not in body and body["model"] == NAME for _, body, _ in asked)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"results": [{"index": 0, "relevance_score": 1.0}]}, "1 results for 2 documents"),
        ([{"index": 0, "score": 1.0}, {"index": 0, "score": 2.0}], "of document 0, of 2, or two"),
        ([{"index": 0, "score": 1.0}, {"index": 2, "score": 2.0}], "of document 2, of 2"),
        ([{"index": 0, "score": 1.0}, {"index": -1, "score": 2.0}], "of document -1"),
        ([{"index": True, "score": 1.0}, {"index": 0, "score": 2.0}], "of document true"),
        ([{"score": 1.0}, {"score": 2.0}], "of document null"),
        ([{"index": 0, "score": None}, {"index": 1, "score": 2.0}], "no number"),
        ([{"index": 0, "score": float("nan")}, {"index": 1, "score": 2.0}], "no number"),
        ({"results": "none"}, "has no results"),
        ([1, 2], "has no results"),
        ({"error": {"message": "out of memory"}}, "is an error: out of memory"),
    ],
)
def test_an_answer_without_a_score_for_each_document(answer: Any, message: str) -> None:
    with pytest.raises(AnswerError, match=message):
        scores_of(answer, 2)


def test_what_fails_is_an_error_of_its_pairs(serve: Any) -> None:
    broken = iter(range(100))

    def answer(path: str, body: Any) -> Answer:
        if body["query"] == "in passing" and next(broken) < 2:
            return 503, {"error": "loading"}
        if body["query"] == "twice":
            return 200, {"results": [{"index": 0, "relevance_score": 1}] * len(body["documents"])}
        if any("forbidden" in document for document in body["documents"]):
            return 400, {"error": {"message": "no such words"}}
        return llama_server(path, body)

    with opened(serve(answer)) as engine:
        assert [done.measured for done in completions(engine, [("in passing", "in"), ("in passing", "x")])] == [
            [1],
            [0],
        ]
        assert {done.error.partition(": ")[2] for done in completions(engine, [("twice", "a"), ("twice", "b")])} == {
            "the answer has a result of document 0, of 2, or two"
        }
        good, bad, other = completions(engine, [("a", "a"), ("a", "forbidden"), ("a", "b")])
    assert (good.measured, other.measured) == ([1], [0])
    assert "no such words" in bad.error


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (501, {"error": {"message": "does not support reranking"}}, "501: does not support reranking.*--reranking"),
        (404, {"detail": "Not Found"}, "answers 404.*does the server rank"),
        (424, {"error": "model is not a re-ranker model"}, "not a re-ranker model"),
        (401, {"error": "no key"}, "set XQE_API_KEY"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_rank_ends_the_run(serve: Any, status: int, answer: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        opened(serve(lambda path, body: (status, answer)))
    assert "\n" not in str(caught.value)


def test_options_that_do_not_go_together() -> None:
    for given, message in (
        (Generation(model="openai:x"), "names no server"),
        (Generation(model="openai:", base_url="http://localhost:1/v1"), "names no model"),
    ):
        with pytest.raises(XqeError, match=message):
            open_reranker(Kind.CROSS, given)
    for given, message in (
        (Generation(model="fake", deterministic=True), "--deterministic has no effect on a cross-encoder"),
        (Generation(model="fake", lora=["x.gguf"]), "--lora has no effect"),
        (Generation(), "cross needs a re-ranker, and no model is named"),
    ):
        with pytest.raises(XqeError, match=message):
            how_of(Reranking(kind=Kind.CROSS), given)


def test_a_server_reranks(xqe: Run, serve: Any, tmp_path: Path) -> None:
    index = tmp_path / "index"
    build(index, "en", [("t:1", Document("d1", "a")), ("t:2", Document("d2", "a b"))])
    record = {"id": "1", "query": "a b", "lang": "en", "hits": [{"id": "d1", "score": 2}, {"id": "d2", "score": 1}]}
    server = serve(llama_server)
    options = ("--kind", "cross", "--model", f"openai:{NAME}", "--base-url", f"{server.root}/v1")
    done = xqe("rerank", str(index), *options, "--first-weight", "0", stdin=jsonl(record))
    (again,) = records(done)
    assert done.returncode == 0 and [hit["id"] for hit in again["hits"]] == ["d2", "d1"]
    assert again["steps"][-1]["score"] == "served"


def test_what_a_server_said_is_kept(serve: Any, tmp_path: Path) -> None:
    server = serve(llama_server)
    with Store(tmp_path / "store.sqlite") as store:
        for pairs in (PAIRS[:5], PAIRS):
            with opened(server) as engine:  # which asks for a pair of its own first
                found = completions(StoredEngine(engine, store), pairs)
            assert [done.measured for done in found] == [[score(*pair)] for pair in pairs]
    assert [len(body["documents"]) for _, body, _ in server.asked] == [1, 5, 1, 1]
