"""What a server says of a text and of its model: whether it is finished, what of it is text, and which model it is."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Run, jsonl, records
from serving import NAME, Handler, Json, Server, reply

from xqe.commands.encoding import check_made
from xqe.errors import InputError, XqeError
from xqe.models.encoders.base import Side
from xqe.models.encoders.openai import OpenAIEncoder
from xqe.models.encoders.openai import Settings as Asking
from xqe.models.engines import client
from xqe.models.engines.exchange import MOST_BYTES, shown_url
from xqe.models.engines.jobs import Job
from xqe.models.engines.openai import OpenAIEngine, Settings
from xqe.models.engines.requests import Completion, Request
from xqe.models.engines.stored import StoredEngine
from xqe.models.prompts import Chat, Text
from xqe.models.store.generation import Asked, Generation
from xqe.models.store.run import Store

CHARSETS = ["idna", "undefined", "punycode", "hex", "base64", "zlib_codec", "rot13", "unicode_escape"]


@pytest.fixture(autouse=True)
def own_environment(no_keys_or_proxies: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_DELAY", 0.001)


def complete(engine: Any, *subjects: str) -> list[Completion]:
    prompts = [Chat("", subject) if engine.is_chat else Text(subject, ()) for subject in subjects]
    jobs = [Job(prompt, [Request(prompt, subject, 20)]) for prompt, subject in zip(prompts, subjects, strict=True)]
    return [job.results()[0] for job in engine.generate(jobs)]


def opened(server: Server, retries: int = 1, **more: Any) -> OpenAIEngine:
    return OpenAIEngine(NAME, Settings(server.url, retries=retries, **more))


# -- whether a text is finished ----------------------------------------------------------------------------------

# What the documentation of OpenAI, Mistral, Gemini, Anthropic, text-generation-inference, Together, Cohere, DeepSeek,
# Zhipu and OpenRouter, and the sources of vLLM, SGLang and Ollama, say that their finish reasons mean.
FINISHED = ["stop", "STOP", "end_turn", "stop_sequence", "eos_token", "eos", "COMPLETE", {"type": "stop", "matched": 2}]
CUT = [
    "length",
    "max_tokens",
    "MAX_TOKENS",
    "model_length",
    "model_context_window_exceeded",
    {"type": "length", "length": 9},
]
PASSING = ["error", "abort", "ERROR", "network_error", "insufficient_system_resource", "load", None, "",
           {"type": "abort", "message": "Aborted"}]  # fmt: skip
FILTERED = ["content_filter", "SAFETY", "sensitive", "refusal", "guardrail_intervened"]
UNKNOWN = ["tool_calls", "function_call", "pause_turn", "other", "no-such-reason", 7, True, ["stop"], {"stop": 1}, {}]
ENDINGS: list[tuple[Any, str, int]] = [
    *((reason, "stop", 1) for reason in FINISHED),
    *((reason, "length", 1) for reason in CUT),
    *((reason, "error", 2) for reason in PASSING),
    *((reason, "error", 1) for reason in FILTERED + UNKNOWN),
]


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_how_a_text_has_ended(server: Server, api: str) -> None:
    """Each reason, the finish that it is, and how many times it is asked for with one retry."""
    reasons = {f"text {number}": reason for number, (reason, _, _) in enumerate(ENDINGS)}
    server.post = lambda subject: reply("zinc pri", reasons[subject], text="zinc pri")
    with opened(server, api=api) as engine:
        completions = complete(engine, *reasons)
    found = [
        (completion.finish, server.asked[subject]) for subject, completion in zip(reasons, completions, strict=True)
    ]
    assert found == [(finish, asked) for _, finish, asked in ENDINGS]
    assert {completion.text for completion in completions if completion.has_failed} == {""}


NATIVE = [
    ("stop", "STOP", "stop"),
    ("stop", "completed", "stop"),
    ("stop", "MAX_TOKENS", "length"),
    ("stop", "error", "error"),
    ("stop", "a new word", "stop"),
    (None, "end_turn", "stop"),
    ("error", "stop", "error"),
]


def test_what_the_provider_behind_has_said(server: Server) -> None:
    answers = {f"{row}": reply("text", row[0], native_finish_reason=row[1]) for row in NATIVE}
    server.post = answers.__getitem__
    with opened(server, retries=0) as engine:
        assert [completion.finish for completion in complete(engine, *answers)] == [row[2] for row in NATIVE]


ERRORS: dict[str, tuple[Any, int, str]] = {
    "in a choice": (
        reply("zinc pri", "error", error={"code": 502, "message": "idle"}),
        2,
        "the answer is an error: idle",
    ),
    "beside a finished text": (reply("zinc", error={"message": "oh"}), 2, "the answer is an error: oh"),
    "in place of choices": ({"error": {"code": 429, "message": "slowly"}}, 2, "the answer is an error: slowly"),
    "a bad request": ({"error": {"code": 400, "message": "too long"}}, 1, "the answer is an error: too long"),
    "a filter": ({"error": {"code": "content_filter", "message": "no"}}, 1, "the answer is an error: no"),
    "of no object": ({"error": "gone", "choices": []}, 2, "the answer is an error: gone"),
    "of none": ({**reply("zinc"), "error": None}, 1, ""),
}


def test_errors_in_answers_that_succeed(server: Server) -> None:
    server.post = lambda subject: ERRORS[subject][0]
    with opened(server) as engine:
        completions = dict(zip(ERRORS, complete(engine, *ERRORS), strict=True))
    for name, (_, asked, message) in ERRORS.items():
        assert server.asked[name] == asked, name
        tried = " (2 attempts)" if asked == 2 else ""
        assert completions[name].error == (f"{server.url}: {message}{tried}" if message else ""), name


def test_a_text_that_broke_off_is_not_kept(server: Server, tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        for finish, text in (("error", "zinc pri"), ("stop", "zinc prices"), ("error", "zinc pri")):
            server.post = lambda _, finish=finish, text=text: reply(text, finish)  # type: ignore[misc]
            with StoredEngine(opened(server, retries=0), store) as engine:
                (completion,) = complete(engine, "Zinkpreise")
            assert completion.text == ("" if completion.has_failed else "zinc prices")
    assert server.asked["Zinkpreise"] == 2, "the third time it was there"


# -- what of it is text ------------------------------------------------------------------------------------------

THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
CONTENTS: dict[str, tuple[Any, str]] = {
    "parts": ([THOUGHT, {"type": "text", "text": "zinc prices"}], "zinc prices"),
    "several": ([{"type": "text", "text": "zinc "}, {"type": "output_text", "text": "prices"}], "zinc prices"),
    "strings": (["zinc ", "prices"], "zinc prices"),
    "one part": ({"type": "text", "text": "zinc prices"}, "zinc prices"),
    "no type": ([{"text": "hm", "thought": True}, {"text": "zinc prices"}], "zinc prices"),
    "a part that reasons": (
        [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "zinc prices"}],
        "zinc prices",
    ),
    "a picture": ([{"type": "image_url", "text": "hm"}, {"type": "text", "text": "zinc prices"}], "zinc prices"),
}
NO_TEXT: dict[str, tuple[Json, str, int]] = {
    "only thoughts": ({"content": [THOUGHT]}, "the answer has only thoughts, and no text (finish_reason stop)", 1),
    "reasoning_content": ({"content": "", "reasoning_content": "hm"}, "only thoughts, and no text", 1),
    "reasoning": ({"content": None, "reasoning": "hm"}, "only thoughts, and no text", 1),
    "refusal": ({"content": None, "refusal": "I cannot"}, "the model refuses: I cannot", 1),
    "refusing part": ({"content": [{"type": "refusal", "refusal": "No"}]}, "the model refuses: No", 1),
    "nothing": ({"content": None}, "the answer has no text (finish_reason stop) (2 attempts)", 2),
    "a number": ({"content": 7}, "the answer has no text", 2),
    "parts of nothing": ({"content": [None, 7, [], {"type": {}}, {"type": "text", "text": 7}]}, "has no text", 2),
    "no message": ({}, "the answer has no text", 2),
}


def test_content_in_parts_and_without_text(server: Server) -> None:
    messages = {name: {"role": "assistant", "content": content} for name, (content, _) in CONTENTS.items()}
    messages |= {name: message for name, (message, _, _) in NO_TEXT.items()}
    server.post = lambda subject: reply(None, message=messages[subject])
    with opened(server) as engine:
        completions = dict(zip(messages, complete(engine, *messages), strict=True))
    assert {name: completions[name].text for name in CONTENTS} == {name: text for name, (_, text) in CONTENTS.items()}
    for name, (_, message, asked) in NO_TEXT.items():
        assert message in completions[name].error, name
        assert server.asked[name] == asked, name


def test_thinking_that_was_cut_off_asks_for_more_tokens(server: Server) -> None:
    server.post = lambda _: reply(None, "length", message={"content": "", "reasoning_content": "hm"})
    with opened(server) as engine:
        (completion,) = complete(engine, "a")
    assert completion.error.endswith("(finish_reason length); give it more --max-tokens if it thinks first")


TOKENS = [(3, 3), (None, 0), (True, 0), (-1, 0), (10**30, 0), ("4", 0), (1.5, 0), ([3], 0)]


def test_numbers_of_tokens_that_are_none(server: Server, tmp_path: Path) -> None:
    answers = {str(given): {**reply("zinc"), "usage": {"completion_tokens": given}} for given, _ in TOKENS}
    server.post = answers.__getitem__
    with Store(tmp_path / "s.sqlite") as store, StoredEngine(opened(server), store) as engine:
        assert [completion.tokens for completion in complete(engine, *answers)] == [tokens for _, tokens in TOKENS]


# -- answers that are none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 500])
def test_charsets_that_nobody_has(server: Server, status: int) -> None:
    def answer(subject: str) -> Any:
        charset, what = subject.split()
        server.headers = {"content-type": f"application/json; charset={charset}"}
        return reply("zinc") if what == "whole" else b"\xff\xfe oh"

    server.status, server.post = status, answer
    subjects = [f"{charset} {what}" for charset in CHARSETS for what in ("whole", "broken")]
    with opened(server, retries=0, batch=1) as engine:
        completions = complete(engine, *subjects)
    assert [completion.text for completion in completions[::2]] == ["zinc" if status == 200 else ""] * len(CHARSETS)
    assert all(completion.has_failed for completion in completions[1::2])


BOMB = gzip.compress(bytes(8 * MOST_BYTES), 1)
SHAPES: dict[str, tuple[bytes, dict[str, str], str]] = {
    "packed": (gzip.compress(json.dumps(reply("zinc")).encode()), {"content-encoding": "gzip"}, ""),
    "deflated": (zlib.compress(json.dumps(reply("zinc")).encode()), {"content-encoding": "deflate"}, ""),
    "a bomb": (BOMB, {"content-encoding": "gzip"}, "the answer has more than 8.39 MB"),
    "too long": (b" " * (MOST_BYTES + 1), {}, "the answer has more than 8.39 MB"),
    "of another packing": (b"x", {"content-encoding": "br"}, "packed in a way that was not asked for (br)"),
    "not packed": (b"{}", {"content-encoding": "gzip"}, "the answer is not packed as it says (gzip)"),
    "nested": (b"[" * 500_000, {}, "the answer is not JSON"),
    "nested and an error": (b'{"error":' * 100_000, {}, "the answer is not JSON"),
    "a long number": (b'{"choices": ' + b"1" * 50_000, {}, "the answer is not JSON"),
    "no UTF-8": (b'{"choices": "\xff', {}, "the answer is not JSON"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_answers_that_are_none_are_failed_records(server: Server, shape: str) -> None:
    body, server.headers, message = SHAPES[shape]
    server.post = lambda _: body
    with opened(server, retries=0) as engine:
        (completion,) = complete(engine, "a")
    assert completion.text == ("" if message else "zinc")
    assert message in completion.error
    assert server.encodings == {"identity"}


@pytest.mark.parametrize("body", [BOMB, b"x"], ids=["a bomb", "of another packing"])
def test_an_error_is_told_by_its_status_however_it_is_packed(server: Server, body: bytes) -> None:
    server.status, server.headers = 503, {"content-encoding": "gzip" if body == BOMB else "br"}
    server.post = lambda _: body
    with opened(server) as engine:
        (completion,) = complete(engine, "a")
    assert completion.error == f"{server.url}: answers 503: Service Unavailable (2 attempts)"


def test_answers_nested_as_deep_as_is_read(server: Server) -> None:
    """Python reads deeper JSON than it writes, and the error quotes the answer."""
    server.post = lambda subject: b'{"choices":' + b"[" * int(subject) + b"]" * int(subject) + b"}"
    with opened(server, retries=0) as engine:
        completions = complete(engine, *map(str, range(300, 1000, 50)))
    assert all(completion.has_failed for completion in completions)


def test_a_server_that_answers_twice_is_heard_once(server: Server) -> None:
    def twice(subject: str) -> bytes:
        body, other = (json.dumps(reply(f"{word} {subject}")).encode() for word in ("answer to", "second to"))
        server.headers = {"content-length": str(len(body))}
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(other)}\r\n\r\n"
        return body + head.encode() + other

    server.post = twice
    with opened(server, retries=0, batch=1) as engine:
        texts = [completion.text for completion in complete(engine, "a", "b", "c")]
    assert texts == ["answer to a", "answer to b", "answer to c"]


def test_connections_are_kept(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[Any] = []
    setup = Handler.setup

    def counted(self: Handler) -> None:
        connections.append(self)
        setup(self)

    monkeypatch.setattr(Handler, "setup", counted)
    with opened(server, batch=1) as engine:
        complete(engine, "a", "b", "c")
    assert len(connections) == 1


def test_vectors_of_such_answers(server: Server) -> None:
    """What is read of generation's answers is read of these by the same means; a vector has more room."""
    row = {"index": 0, "embedding": [1.0, 0.0]}
    server.post = lambda _: {"data": [row]}
    with OpenAIEncoder(NAME, Asking(server.url, retries=0)) as encoder:
        for body, message in (
            ({"error": {"message": "out of memory"}, "data": [row]}, "the answer is an error: out of memory"),
            (BOMB, "the answer has more than 8.39 MB"),
        ):
            server.headers = {"content-encoding": "gzip"} if isinstance(body, bytes) else {}
            server.post = lambda _, body=body: body  # type: ignore[misc]
            with pytest.raises(XqeError, match=message):
                encoder.encode(["a"], Side.QUERY)


# -- which model it is -------------------------------------------------------------------------------------------

LLAMA: Json = {
    "id": "m.gguf",
    "owned_by": "llamacpp",
    "created": 1,
    "meta": {"n_params": 10, "size": 20, "n_vocab": 30},
}
VLLM = {"id": NAME, "owned_by": "vllm", "root": "/models/a", "parent": None, "max_model_len": 512, "created": 1}
GATEWAY = [{"id": f"other-{number}", "created": number} for number in range(300)]


def listing(*rows: Json) -> Json:
    return {"/v1/models": {"object": "list", "data": list(rows)}}


OLLAMA = listing({"id": f"{NAME}:latest", "owned_by": "library"}, {"id": "x:7b", "owned_by": "library"})
TAGS = [{"name": "x:7b", "digest": "00"}, {"name": f"{NAME}:latest", "digest": "aa"}]
LLAMA_TOLD = {"id": "m.gguf", "size": 20, "parameters": 10, "vocabulary": 30}
TOLD: dict[str, tuple[Json, Json]] = {
    "its name": (listing({"id": NAME}), {}),
    "another name": (listing({"id": "m-a"}), {"id": "m-a"}),
    "llama-server": (listing(LLAMA), LLAMA_TOLD),
    "llama-server's file": ({**listing(LLAMA), "/props": {"model_path": "/m.gguf"}}, {**LLAMA_TOLD, "path": "/m.gguf"}),
    "llama-server's adapters": (
        {**listing(LLAMA), "/lora-adapters": [{"id": 0, "path": "a.gguf", "scale": 0.5}]},
        {**LLAMA_TOLD, "lora": "a.gguf:0.5"},
    ),
    "no adapters": ({**listing(LLAMA), "/lora-adapters": []}, LLAMA_TOLD),
    "vLLM": (listing(VLLM), {"root": "/models/a"}),
    "vLLM, an adapter": (
        listing({"id": "base", "root": "/models/a"}, {"id": NAME, "root": "/lora", "parent": "base"}),
        {"root": "/lora", "parent": "/models/a"},
    ),
    "Ollama": ({**OLLAMA, "/api/tags": {"models": TAGS}}, {"id": f"{NAME}:latest", "digest": "aa"}),
    "Ollama without tags": (OLLAMA, {"id": f"{NAME}:latest"}),
    "a gateway": (listing(*GATEWAY, {"id": NAME, "created": 5, "pricing": {"prompt": "1"}}), {}),
    "OpenRouter": (listing(*GATEWAY, {"id": NAME, "canonical_slug": f"{NAME}-20250219"}), {"slug": f"{NAME}-20250219"}),
    "an alias": (listing({"id": "m", "aliases": [NAME]}, {"id": "n"}), {"id": "m"}),
    "nonsense": (listing({"id": NAME, "root": ["x"], "meta": {"size": True}, "canonical_slug": "x" * 5000}), {}),
    "no list": ({}, {}),
}  # fmt: skip


@pytest.mark.parametrize("form", TOLD)
def test_what_a_server_tells_of_its_model(server: Server, form: str) -> None:
    server.gets, listed = TOLD[form]
    with opened(server) as engine:
        told = {"listed": listed} if listed else {}
        assert engine.identity() == {"model": NAME, "server": server.url, "api": "chat", **told}


CHANGES: dict[str, tuple[Json, Json]] = {
    "another name": (listing({"id": "m-a"}), listing({"id": "m-b"})),
    "another file": (listing(LLAMA), listing({**LLAMA, "meta": {**LLAMA["meta"], "size": 21}})),
    "a file of the same shape": (
        {**listing(LLAMA), "/props": {"model_path": "/a.gguf"}},
        {**listing(LLAMA), "/props": {"model_path": "/b.gguf"}},
    ),
    "another template": (
        {**listing(LLAMA), "/props": {"chat_template": "{{ a }}"}},
        {**listing(LLAMA), "/props": {"chat_template": "{{ b }}"}},
    ),
    "an adapter": (listing(LLAMA), {**listing(LLAMA), "/lora-adapters": [{"id": 0, "path": "a.gguf", "scale": 1.0}]}),
    "another root": (listing(VLLM), listing({**VLLM, "root": "/models/b"})),
    "another digest": (
        {**OLLAMA, "/api/tags": {"models": TAGS}},
        {**OLLAMA, "/api/tags": {"models": [{**row, "digest": "bb"} for row in TAGS]}},
    ),
}


def said_but_for_names(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said, but that a server's only model has another name than the one asked for."""
    lines = capsys.readouterr().err.splitlines(keepends=True)
    return "".join(line for line in lines if "which may answer instead" not in line)


@pytest.mark.parametrize("change", CHANGES)
def test_another_model_behind_the_same_name_makes_its_own_texts(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    first, second = CHANGES[change]
    texts = []
    with Store(tmp_path / "s.sqlite") as store:
        for gets, text in ((first, "of a"), (second, "of b"), (first, "of c"), (second, "of d")):
            server.gets = gets
            server.post = lambda _, text=text: reply(text)  # type: ignore[misc]
            with StoredEngine(opened(server), store) as engine:
                texts.append(complete(engine, "a")[0].text)
    assert texts == ["of a", "of b", "of a", "of b"]
    assert said_but_for_names(capsys) == ""


SAME = [
    (listing({**LLAMA, "created": 1}), listing({**LLAMA, "created": 2, "meta": {**LLAMA["meta"], "n_ctx": 9}})),
    (listing({**VLLM, "permission": [{"id": "a"}]}), listing({**VLLM, "created": 9, "permission": [{"id": "b"}]})),
    (listing(*GATEWAY, {"id": NAME}), listing({"id": NAME, "created": 9, "pricing": 7}, *GATEWAY[::-1])),
]


@pytest.mark.parametrize(("first", "second"), SAME, ids=["llama-server", "vLLM", "a gateway"])
def test_the_same_model_told_of_in_other_words(server: Server, tmp_path: Path, first: Json, second: Json) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        for gets in (first, second):
            server.gets = gets
            with StoredEngine(opened(server), store) as engine:
                complete(engine, "a")
    assert server.asked == {"a": 1}


WARNINGS = [
    ({"model": "m-2025"}, {"model": "m-2026"}, "came from the model m-2025, and it is m-2026 now"),
    ({"model": "m-2025"}, {}, f"came from the model m-2025, and it is {NAME} now"),
    ({"system_fingerprint": "fp1"}, {"system_fingerprint": "fp2"}, "came from the version fp1, and it is fp2 now"),
    ({"model": "m-2025", "system_fingerprint": "fp1"}, {"model": "m-2025", "system_fingerprint": "fp1"}, ""),
    ({"system_fingerprint": "fp1"}, {}, ""),
    ({}, {"system_fingerprint": "fp2"}, ""),
]


@pytest.mark.parametrize(("then", "now", "said"), WARNINGS, ids=range(len(WARNINGS)))
def test_what_answers_tell_is_compared_and_said_once(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], then: Json, now: Json, said: str
) -> None:
    """Where the list of models tells nothing, a token is asked for before texts of an earlier run are taken."""
    server.gets = listing(*GATEWAY, {"id": NAME})
    with Store(tmp_path / "s.sqlite") as store:
        for fields, tokens in ((then, 3), (now, 0)):
            server.post = lambda _, fields=fields: {**reply("fine"), **fields}  # type: ignore[misc]
            with StoredEngine(opened(server), store) as engine:
                completions = complete(engine, "a", "b")
                assert [completion.text for completion in completions] == ["fine", "fine"]
                assert all(completion.reused == (tokens == 0) for completion in completions)
    hint = f"xqe: {server.url}: texts that are reused {said}; --no-store generates anew\n"
    assert capsys.readouterr().err == (hint if said else "")
    assert server.asked == Counter({"a": 1, "b": 1, **({".": 1} if then else {})})


def test_a_server_that_changes_its_model_meanwhile(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.post = lambda subject: reply("fine", model="m-b" if subject in "cd" else "m-a")
    with opened(server, batch=1) as engine:
        complete(engine, "a", "b", "c", "d")
    said = "it answered as m-a, and answers as m-b now; its texts are of several models"
    assert capsys.readouterr().err == f"xqe: {server.url}: {said}\n"


EARLIER: list[tuple[Json, str, str]] = [
    ({"served": "m-a"}, "kept", ""),
    ({"served": "m-b"}, "fine", ""),
    ({}, "kept", "texts that are reused were made before it told which model it has"),
]


@pytest.mark.parametrize(("made_by", "text", "said"), EARLIER, ids=["the same", "another", "not known"])
def test_texts_of_a_store_from_before_servers_were_listened_to(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], made_by: Json, text: str, said: str
) -> None:
    server.gets = listing({"id": "m-a"})
    server.post = lambda _: reply("fine", model="m-a")
    with Store(tmp_path / "s.sqlite") as store:
        identity = {"model": NAME, "server": server.url, "api": "chat"}
        prompt = json.dumps([{"role": "user", "content": "a"}])
        store.put(Asked(identity, {"temperature": 0.0}, 20, prompt), Generation("kept", "stop", 1, NAME, made_by))
        with StoredEngine(opened(server), store) as engine:
            assert complete(engine, "a")[0].text == text
    told = said_but_for_names(capsys)
    assert said in told and told.count("\n") == bool(said)


def test_vectors_of_another_model_behind_the_same_name(server: Server) -> None:
    server.post = lambda _: {"data": [{"index": 0, "embedding": [1.0, 0.0]}]}
    server.gets = listing(VLLM)
    with OpenAIEncoder(NAME, Asking(server.url)) as encoder:
        made = SimpleNamespace(encoder=encoder.name, contract=encoder.contract.as_json(), making=encoder.making())
        check_made("here", made, encoder)
    server.gets = listing({**VLLM, "root": "/models/b"})
    with OpenAIEncoder(NAME, Asking(server.url)) as encoder:
        with pytest.raises(InputError, match=r"made by another encoder \(/models/a, now /models/b\)"):
            check_made("here", made, encoder)
        made.making = {"server": server.url}  # as an earlier version has it
        check_made("here", made, encoder)


# -- credentials -------------------------------------------------------------------------------------------------

SECRETS = ("pa%40ss", "pa@ss", "zzzkey")


@pytest.mark.parametrize("status", [200, 307, 401, 500])
def test_credentials_of_the_url_are_nowhere(xqe: Run, server: Server, tmp_path: Path, status: int) -> None:
    """The server repeats all that it is sent, in an answer, an error and a redirection."""
    url = server.url.replace("http://", "http://user:pa%40ss@") + "?api_key=zzzkey"
    echoed = f"{url} pa@ss"
    server.status = status
    server.headers = {"location": url}
    server.post = lambda _: reply("fine") if status == 200 else {"error": {"message": "x" * 270 + echoed}}
    store = tmp_path / "s.sqlite"
    query = jsonl({"id": "q1", "query": "Zinkpreise", "lang": "de"})
    asking = ("--to", "en", "--model", f"openai:{NAME}", "--base-url", url, "--store", str(store), "--retries", "1")
    done = xqe("translate", *asking, "--verbose", stdin=query)
    held = done.stdout + done.stderr + xqe("store", "export", "--store", str(store)).stdout + repr(store.read_bytes())
    assert not [secret for secret in SECRETS if secret in held]
    if status == 200:
        assert records(done)[0]["steps"][0]["server"] == server.url
        changed = [text.replace("pa%40ss", "other").replace("zzzkey", "else") for text in asking]
        assert "0 generated, 1 reused" in xqe("translate", *changed, stdin=query).stderr


def test_a_redirected_list_of_models_does_not_show_them(
    xqe: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url.replace("http://", "http://user:pa%40ss@") + "?api_key=zzzkey"
    moved = {"location": "https://user:pa%40ss@h/v1/models?api_key=zzzkey"}
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.send(308, {}, moved))
    done = xqe(
        "translate", "a", "--from", "de", "--to", "en", "--model", f"openai:{NAME}", "--base-url", url, "--no-store"
    )
    assert done.returncode == 2 and "redirects to https://" in done.stderr
    assert not [secret for secret in SECRETS if secret in done.stderr]


def test_the_url_that_is_shown() -> None:
    assert shown_url("HTTP://user:pw@Host.example:80/v1/?api_key=z#f") == "http://host.example/v1"
    with pytest.raises(XqeError) as caught:
        shown_url("ftp://user:pw@h/v1")
    assert "pw" not in str(caught.value)


def test_what_does_not_pass_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_DELAY", 30.0)
    server.post = lambda _: reply("", "tool_calls")
    began = time.monotonic()
    with opened(server, retries=5) as engine:
        assert complete(engine, "a")[0].has_failed
    assert time.monotonic() - began < 10
