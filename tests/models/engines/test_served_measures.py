"""Log-probabilities of servers: what is asked, what their answers say, and servers that tell none."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from serving import NAME, Json, Server

from xqe.errors import ModelError
from xqe.models.engines import client
from xqe.models.engines.batchfile import RequestWriter
from xqe.models.engines.jobs import Job
from xqe.models.engines.measuring import UntoldError, found
from xqe.models.engines.openai import OpenAIEngine, Settings
from xqe.models.engines.requests import Completion, Request
from xqe.models.engines.stored import StoredEngine
from xqe.models.prompts import Chat, Text
from xqe.models.store.run import Store

CHOICES = (("yes", "Yes", " yes"), ("no", "No", " no"))


@pytest.fixture(autouse=True)
def own_environment(no_keys_or_proxies: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_DELAY", 0.001)


def asked(subject: str, is_chat: bool = True, **what: Any) -> Request:
    return Request(Chat("", subject) if is_chat else Text(subject, ()), subject, 0, **what)


def measured(engine: Any, *requests: Request) -> list[Completion]:
    return [job.results()[0] for job in engine.generate(Job("", [one]) for one in requests)]


def opened(server: Server, **more: Any) -> OpenAIEngine:
    return OpenAIEngine(NAME, Settings(server.url, retries=1, **more))


def chat_answer(likeliest: dict[str, float | None], **more: Any) -> Json:
    """As OpenAI, vLLM, SGLang and llama-server answer a chat; llama-server a completion, too."""
    top = [{"token": token, "logprob": value, "bytes": list(token.encode())} for token, value in likeliest.items()]
    return {
        "message": {"role": "assistant", "content": next(iter(likeliest))},
        "finish_reason": "length",
        "logprobs": {"content": [{**top[0], "top_logprobs": top}]},
        **more,
    }


def echoed(tokens: list[str], numbers: list[float | None], offsets: list[int] | None = None) -> Json:
    """As vLLM, SGLang and llama_cpp.server answer a completion with echo."""
    offsets = offsets if offsets is not None else [sum(map(len, tokens[:at])) for at in range(len(tokens))]
    told = {"tokens": tokens, "token_logprobs": numbers, "text_offset": offsets, "top_logprobs": [None] * len(tokens)}
    return {"text": "".join(tokens), "finish_reason": "length", "logprobs": told}


# ---- what an answer says ----


def test_each_choice_has_the_probability_of_all_of_its_spellings() -> None:
    told = chat_answer({"yes": math.log(0.3), " yes": math.log(0.1), "Maybe": math.log(0.25), "No": math.log(0.2)})
    completion = found(asked("x", choices=CHOICES), told, "", "")
    assert completion.measured == pytest.approx([math.log(0.4), math.log(0.2)], abs=1e-5)


@pytest.mark.parametrize(
    ("likeliest", "bound"),
    [
        ({"yes": math.log(0.9), "a": math.log(0.05), "b": math.log(0.01)}, math.log(0.01)),
        ({"yes": math.log(0.99), "a": math.log(0.006)}, math.log(0.004)),
        ({"yes": 0.0}, -1e6),
    ],
)
def test_a_choice_that_is_not_told_has_at_most_what_is_left(likeliest: dict[str, float], bound: float) -> None:
    yes, no = found(asked("x", choices=CHOICES), chat_answer(dict(likeliest)), "", "").measured
    assert yes == pytest.approx(likeliest["yes"], abs=1e-5)
    assert no == pytest.approx(bound, abs=1e-3)


@pytest.mark.parametrize(
    "logprobs",
    [
        {"tokens": ["▁no"], "token_logprobs": [-0.2], "top_logprobs": [{"▁no": -0.2, "Ġyes": -3.0}]},
        chat_answer({" no": -0.2, "yes": -3.0, "?": None})["logprobs"],
    ],
)
def test_completions_say_it_in_either_form(logprobs: Json) -> None:
    choice = {"text": " no", "logprobs": logprobs}
    assert found(asked("x", is_chat=False, choices=CHOICES), choice, "", "").measured == [-3.0, -0.2]


def test_where_no_choice_is_told_the_pair_fails_and_says_what_came() -> None:
    told = chat_answer({"<think>": -0.1, "The": -3.0, "Well": -4.0, "So": -5.0})
    with pytest.raises(ValueError, match='neither with "yes" or "no", but with "<think>", "The", "Well"'):
        found(asked("x", choices=CHOICES), told, "", "")


PROMPT, QUERY = "Passage: Öl. Question:", " prix du zinc"
NUMBERS = [None, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0]
ECHOES: dict[str, Json] = {
    "vLLM": echoed(["Passage:", " Öl.", " Question:", " prix", " du", " zinc", "?"], NUMBERS),
    "vLLM with a BOS": echoed(["<s>", "Passage: Öl.", " Question:", " prix", " du", " zinc", "?"], NUMBERS),
    "SGLang": echoed(["Passage:", " Öl.", " Question:", " prix", " du", " zinc", "?"], NUMBERS, [-1] * 7),
    "half a character before": echoed(["Passage: ", "", "l. Question:", " prix", " du", " zinc", "?"], NUMBERS),
    "none generated": echoed(["P", "assage:", " Öl.", " Question:", " prix", " du", " zinc"], [None, 0, *NUMBERS[1:6]]),
}  # fmt: skip


@pytest.mark.parametrize("name", ECHOES)
def test_the_tokens_of_a_continuation_are_found(name: str) -> None:
    request = asked(PROMPT, is_chat=False, continuation=QUERY)
    completion = found(request, ECHOES[name], PROMPT, QUERY)
    right = [-3.0, -4.0, -5.0]
    assert completion.measured == [sum(right)] and completion.tokens == 3


def test_a_token_over_the_end_of_the_prompt_counts_whole() -> None:
    told = echoed(["the", " water", " is", "!"], [None, -1.0, -2.0, -9.0])
    completion = found(asked("the wat", is_chat=False, continuation="er is"), told, "the wat", "er is")
    assert (completion.measured, completion.tokens) == ([-3.0], 2)


def test_repeated_words_are_not_taken_for_one_another() -> None:
    told = echoed(["x", " a", " a", " a", " a"], [None, -1.0, -2.0, -4.0, -8.0])
    assert found(asked("x a", is_chat=False, continuation=" a a"), told, "x a", " a a").measured == [-6.0]


def test_characters_in_several_tokens_are_found_by_their_offsets() -> None:
    """As llama_cpp.server says it: a token that ends within a character has no text, and begins where it does."""
    told = echoed(["ab", "", "", "c", "."], [None, -1.0, -2.0, -4.0, -8.0], [0, 2, 2, 3, 4])
    assert found(asked("ab", is_chat=False, continuation="éc"), told, "ab", "éc").measured == [-7.0]
    told["logprobs"]["text_offset"] = [-1] * 5
    with pytest.raises(ValueError, match="cannot be told"):
        found(asked("ab", is_chat=False, continuation="éc"), told, "ab", "éc")


@pytest.mark.parametrize(
    "choice", [{}, {"logprobs": None}, {"logprobs": {"content": None}}, {"logprobs": {"tokens": []}}]
)
def test_an_answer_without_numbers_is_told_from_one_with(choice: Json) -> None:
    for request in (asked("x", choices=CHOICES), asked("x", is_chat=False, continuation="y")):
        with pytest.raises(UntoldError):
            found(request, choice, "x", "y")


# ---- the engine ----


def test_a_chat_is_asked_for_one_token_and_the_answer_is_kept(server: Server, tmp_path: Path) -> None:
    server.post = lambda subject: {"choices": [chat_answer({"yes": -0.5, "no": -1.5})], "system_fingerprint": "fp"}
    request = asked("zinc?", choices=CHOICES)
    with Store(tmp_path / "s.sqlite") as store:
        for is_reused in (False, True):
            with StoredEngine(opened(server), store) as engine:
                [completion] = measured(engine, request)
            assert (completion.measured, completion.reused, completion.tokens) == ([-0.5, -1.5], is_reused, 1)
            assert completion.made_by == {"fingerprint": "fp"}
    assert server.asked["zinc?"] == 1
    body = RequestWriter(NAME).body(request)
    assert body.items() >= {"logprobs": True, "top_logprobs": 20, "max_tokens": 1, "temperature": 0.0}.items()


def test_a_prompt_is_echoed(server: Server) -> None:
    server.post = lambda subject: {"choices": [ECHOES["vLLM"]]}
    request = asked(PROMPT, is_chat=False, continuation=QUERY)
    with opened(server, api="completions") as engine:
        [completion] = measured(engine, request)
        body = engine.body(request)
    assert completion.measured == [-12.0]
    assert body["prompt"] == PROMPT + QUERY and server.asked[PROMPT + QUERY] == 1
    assert body.items() >= {"echo": True, "logprobs": 1, "max_tokens": 1}.items() and "stop" not in body


def test_a_pair_that_fails_is_one_of_many_and_is_tried_again_where_that_may_help(server: Server) -> None:
    answers = {
        "good": {"choices": [chat_answer({"yes": -0.5, "no": -1.5})]},
        "talk": {"choices": [chat_answer({"Sure": -0.5})]},
        "late": {"error": {"code": 503, "message": "busy"}},
        "filter": {"choices": [chat_answer({"yes": 0.0}, finish_reason="content_filter")]},
        "dumb": {"choices": [{"message": {"content": "yes"}, "finish_reason": "length"}]},
    }
    server.post = answers.__getitem__
    with opened(server, batch=1) as engine:
        completions = dict(
            zip(answers, measured(engine, *(asked(name, choices=CHOICES) for name in answers)), strict=True)
        )
    assert {name: server.asked[name] for name in answers} == {"good": 1, "talk": 1, "late": 2, "filter": 1, "dumb": 2}
    assert completions["good"].measured == [-0.5, -1.5]
    assert 'but with "Sure"' in completions["talk"].error and "busy" in completions["late"].error
    assert "filter" in completions["filter"].error and "no log-probabilities" in completions["dumb"].error


@pytest.mark.parametrize(
    ("status", "answer", "is_chat"),
    [
        (200, {"choices": [{"message": {"content": "yes"}, "finish_reason": "length"}]}, True),
        (200, {"choices": [{"text": "x y", "logprobs": None, "finish_reason": "length"}]}, False),
        (500, {"error": {"code": 500, "message": "Only no echo is supported", "type": "server_error"}}, False),
        (400, {"error": {"message": "logprobs is not supported for this model"}}, True),
    ],
)
def test_a_server_that_tells_none_ends_the_run_in_one_line(
    server: Server, status: int, answer: Json, is_chat: bool
) -> None:
    server.status, server.post = status, lambda subject: answer
    request = asked("x", choices=CHOICES) if is_chat else asked("x", is_chat=False, continuation=" y")
    with opened(server, api="chat" if is_chat else "completions") as engine, pytest.raises(ModelError) as raised:
        measured(engine, request)
    assert "tells no log-probabilities of" in raised.value.message and "--kind" in str(raised.value.hint)
    assert sum(server.asked.values()) <= 2


def test_a_server_that_tells_of_fewer_tokens_is_asked_for_fewer(server: Server) -> None:
    """As OpenAI's completions: five."""
    bodies: list[Json] = []

    def engine_body(request: Request, dialect: Any = None) -> Json:
        bodies.append(OpenAIEngine.body(engine, request, dialect))
        server.status = 400 if bodies[-1]["logprobs"] > 5 else 200
        return bodies[-1]

    refused = {"error": {"message": "Invalid value for 'logprobs': must be at most 5"}}
    told = {"choices": [{"text": " no", "logprobs": {"top_logprobs": [{" no": -0.2, " yes": -3.0}]}}]}
    server.post = lambda subject: refused if server.status == 400 else told
    with opened(server, api="completions") as engine:
        engine.body = engine_body  # type: ignore[method-assign]
        [completion] = measured(engine, asked("x", is_chat=False, choices=CHOICES))
    assert completion.measured == [-3.0, -0.2]
    assert [body["logprobs"] for body in bodies] == [20, 5]
    assert json.dumps(bodies)


# ---- texts that are generated


def weighed(is_chat: bool = True) -> Request:
    return asked("x", is_chat, is_weighed=True)


def text_answer(told: Any, is_chat: bool = True) -> Json:
    said = {"message": {"role": "assistant", "content": "fine"}} if is_chat else {"text": "fine"}
    return {"model": NAME, "choices": [{**said, "finish_reason": "stop", "logprobs": told}]}


@pytest.mark.parametrize(
    ("told", "is_chat", "expected"),
    [
        ({"content": [{"token": "fi", "logprob": -0.5}, {"token": "ne", "logprob": -1.0}]}, True, (-1.5, 2)),
        ({"tokens": ["fi", "ne"], "token_logprobs": [-0.25, -1.0]}, False, (-1.25, 2)),
        ({"content": [{"token": "fine", "logprob": -2.0}]}, False, (-2.0, 1)),  # llama-server
        ({"content": [{"token": "fine"}]}, True, None),
        ({"content": []}, True, None),
        ({"content": None}, True, None),
        ({"token_logprobs": [-1.0, None]}, False, None),
        (None, True, None),
    ],
)
def test_how_likely_a_text_is_is_read_from_either_form(
    server: Server, told: Any, is_chat: bool, expected: tuple[float, int] | None
) -> None:
    server.post = lambda subject: text_answer(told, is_chat)
    with opened(server, api="chat" if is_chat else "completions") as engine:
        [done] = measured(engine, weighed(is_chat))
    assert done.text == "fine"
    found = done.likelihood
    assert (found and (found.logprob, found.tokens)) == expected


def test_it_is_asked_for_in_either_form_and_only_where_it_is_wanted() -> None:
    bodies = [RequestWriter(NAME, api).body(weighed(api == "chat")) for api in ("chat", "completions")]
    assert [body.get("logprobs") for body in bodies] == [True, 1]
    assert "logprobs" not in RequestWriter(NAME).body(asked("x"))


def test_a_server_that_refuses_to_tell_is_asked_without(server: Server) -> None:
    bodies: list[Json] = []

    class Telling(OpenAIEngine):
        def body(self, request: Request, dialect: Any = None) -> Json:
            body = super().body(request, dialect)
            bodies.append(body)
            server.status = 400 if "logprobs" in body else 200
            return body

    server.post = lambda subject: (
        {"error": {"message": "logprobs are not supported"}} if server.status == 400 else text_answer(None)
    )
    with Telling(NAME, Settings(server.url, retries=0, batch=1)) as engine:
        done = measured(engine, weighed(), weighed())
    assert [one.text for one in done] == ["fine", "fine"]
    assert ["logprobs" in body for body in bodies] == [True, False, False]
