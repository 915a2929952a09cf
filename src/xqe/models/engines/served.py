"""What the engines of a model behind the OpenAI API share: what is asked, and what an answer says. No network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from xqe.lines import cut
from xqe.models.engines import measuring
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Completion, Request, Sampling
from xqe.models.prompts import Chat, Prompt

CHAT = "chat"
PATHS = {CHAT: "/chat/completions", "completions": "/completions"}

# What servers call the parameters of sampling. Only temperature and top_p are OpenAI's: llama.cpp's and vLLM's servers
# have the others as extensions, one of them under two names, and ignore the name that they do not know.
SPELLINGS = {
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "repeat_penalty": ("repeat_penalty", "repetition_penalty"),
}
_SAID = 300  # characters of what a server says that go into an error
_TOLD = 200  # characters of what it calls its model that go into a record
_MOST_TOKENS = 2**31  # a number of tokens that is none

FINISHED, CUT, BROKEN, FILTERED = "stop", "length", "broken", "filtered"
"""How a text may have ended: whole, cut at the limit of tokens, broken off in passing, stopped by a filter."""

_REASONS = {
    FINISHED: ("stop", "stop_sequence", "end_turn", "eos_token", "eos", "eos_found", "complete", "completed"),
    CUT: ("length", "max_tokens", "model_length", "max_output_tokens", "max_new_tokens", "max_length",
          "model_context_window_exceeded", "context_length_exceeded"),
    BROKEN: ("", "error", "abort", "aborted", "cancel", "cancelled", "canceled", "network_error", "timeout",
             "insufficient_system_resource", "load", "unload"),
    FILTERED: ("content_filter", "content_filtered", "content-filter", "guardrail_intervened", "refusal", "sensitive",
               "safety", "recitation", "language", "blocklist", "prohibited_content", "spii", "error_toxic"),
}  # fmt: skip
"""What servers send as finish_reason, in lower case. Whoever sends another one ("tool_calls", "other") has not finished
a text.

OpenAI: stop, length, content_filter, tool_calls, function_call; Mistral: model_length, error; Gemini: STOP, MAX_TOKENS,
SAFETY and its kin; Anthropic: end_turn, stop_sequence, max_tokens, refusal, model_context_window_exceeded;
text-generation-inference: eos_token, stop_sequence; Together: eos; Cohere: COMPLETE, ERROR_TOXIC; vLLM, SGLang and
LMDeploy: abort, error; OpenRouter: error; Ollama: load, unload; DeepSeek: insufficient_system_resource; Zhipu:
sensitive, network_error; Bedrock: guardrail_intervened, content_filtered. None at all ("") comes from what was broken
off, too.
"""
_IS_FILTERED = "the server's content filter stopped the answer"
_ENDINGS = {reason: ending for ending, reasons in _REASONS.items() for reason in reasons}

_TEXT, _THOUGHT, _REFUSAL = "text", "thought", "refusal"
_PARTS = {
    "text": _TEXT,
    "output_text": _TEXT,
    "refusal": _REFUSAL,
    "thinking": _THOUGHT,
    "redacted_thinking": _THOUGHT,
    "reasoning": _THOUGHT,
    "reasoning_text": _THOUGHT,
    "summary_text": _THOUGHT,
}
"""What parts of a content are, by their type; no other is text."""
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
"""Fields of a message that hold what the model thought, apart from what it said."""

# Statuses of HTTP, and codes of errors in answers.
_PASSING = {408, 429}
_FIRST_OF_ERRORS = 400
_FIRST_OF_SERVER_ERRORS = 500
_NOT_IMPLEMENTED = 501  # llama-server says so where it was started for something else


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server may refuse, and then wants another way.

    limit: the name of the most tokens to generate; OpenAI's newest models know only max_completion_tokens, and
    compatible servers know max_tokens. has_system: there are system turns; without, theirs begins the user's.
    likeliest: how many of the likeliest tokens are told. weighs: the log-probabilities of what is generated are told.
    """

    limit: str = "max_tokens"
    has_system: bool = True
    likeliest: int = measuring.MOST
    weighs: bool = True


class AnswerError(Exception):
    """An answer of a server is of no use. is_final: it would be the same another time."""

    def __init__(self, message: str, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class ServedEngine(Engine):
    """A model behind the OpenAI API. api: a key of PATHS, to chat or to let a pretrained model complete."""

    def __init__(self, name: str, api: str = CHAT) -> None:
        self.name = name
        self.api = api
        self.is_chat = api == CHAT

    def rendered(self, prompt: Prompt) -> str:
        return json.dumps(_turns(prompt), ensure_ascii=False) if isinstance(prompt, Chat) else prompt.text

    def body(self, request: Request, dialect: Dialect | None = None) -> dict[str, Any]:
        """The request as JSON, in the default dialect unless told."""
        dialect = dialect or Dialect()
        prompt = request.prompt
        asked: dict[str, Any]
        if isinstance(prompt, Chat):
            asked = {"messages": _turns(prompt, dialect.has_system)}
        elif request.is_measured:
            asked = {"prompt": valid(prompt.text) + valid(request.continuation)}
        else:
            asked = {"prompt": valid(prompt.text), "stop": list(prompt.stop)}
        measured = measuring.asked(request, dialect.likeliest) if request.is_measured else {}
        if request.is_weighed and dialect.weighs:
            measured = measuring.ASKED_OF_TEXT[isinstance(prompt, Chat)]
        parameters = self.parameters(request.sampling)
        return {
            "model": self.name,
            **asked,
            **measured,
            dialect.limit: 1 if request.is_measured else request.max_tokens,
            **{spelling: value for name, value in parameters.items() for spelling in SPELLINGS[name]},
            **({"seed": request.seed} if request.sampling.temperature > 0 else {}),
        }

    def completion(self, answer: Any) -> Completion:
        """What an answer says; its `made_by` is what the server tells of its making. Raises AnswerError."""
        choice = _choice(answer)
        finish = _finish(choice)
        message = choice.get("message") if self.is_chat else {"content": choice.get("text")}
        text = _text(message if isinstance(message, dict) else {}, finish)
        likelihood = measuring.likelihood(choice.get("logprobs"))
        return Completion(text, finish, _tokens(answer), made_by=made_by(answer, self.name), likelihood=likelihood)

    def measured(self, answer: Any, request: Request) -> Completion:
        """The log-probabilities in an answer to what is measured. Raises AnswerError, and UntoldError where there are
        none."""
        choice = _choice(answer)
        check_error(choice)
        if _ending(choice.get("finish_reason")) == FILTERED:
            raise AnswerError(_IS_FILTERED, is_final=True)
        prompt = "" if isinstance(request.prompt, Chat) else valid(request.prompt.text)
        try:
            found = measuring.found(request, choice, prompt, valid(request.continuation))
        except ValueError as error:
            raise AnswerError(str(error), is_final=True) from None
        return replace(found, made_by=made_by(answer, self.name))

    def identity(self) -> dict[str, Any]:
        return {"model": self.name, "api": self.api}

    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        """As sent: what is left out is the server's choice."""
        drawn = {"top_p": sampling.top_p, "top_k": sampling.top_k} if sampling.temperature > 0 else {}
        given = {"temperature": sampling.temperature, **drawn, "repeat_penalty": sampling.repeat_penalty}
        return {name: value for name, value in given.items() if value is not None}

    def close(self) -> None:
        """There is nothing to free."""


def passes(status: int) -> bool:
    """Whether what a server answers with this status may go better another time."""
    return status in _PASSING or (status >= _FIRST_OF_SERVER_ERRORS and status != _NOT_IMPLEMENTED)


def check_error(answer: Any) -> None:
    """Raise AnswerError for an answer, or a choice of one, that is an error, whatever its status is."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not error:
        return
    code = error.get("code") if isinstance(error, dict) else None
    is_refused = isinstance(code, int) and code >= _FIRST_OF_ERRORS and not passes(code)
    raise AnswerError(f"the answer is an error: {said(error)}", is_refused or _ending(code) == FILTERED)


def _choice(answer: Any) -> Mapping[str, Any]:
    """The first choice of an answer. Raises AnswerError for an error, and where there is none."""
    check_error(answer)
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise AnswerError(f"the answer has no choices: {said(answer)}")
    choice: Mapping[str, Any] = choices[0]
    return choice


def _finish(choice: Mapping[str, Any]) -> str:
    """FINISHED or CUT. Raises AnswerError for a text that is neither, of which there may be a beginning."""
    check_error(choice)
    reason = choice.get("finish_reason")
    native = choice.get("native_finish_reason")  # what the provider behind OpenRouter has said
    if native and (not reason or (_ending(reason) == FINISHED and _ending(native) is not None)):
        reason = native
    ending = _ending(reason)
    if ending in (FINISHED, CUT):
        return ending
    if ending == FILTERED:
        raise AnswerError(_IS_FILTERED, is_final=True)
    raise AnswerError(f"the text is not finished (finish_reason {said(reason) or 'empty'})", is_final=ending != BROKEN)


def _ending(reason: Any) -> str | None:
    """How a text has ended, None where nobody knows. SGLang tells more than a word: {"type": "stop", "matched": 2}."""
    word = "" if reason is None else reason.get("type") if isinstance(reason, dict) else reason
    return _ENDINGS.get(word.strip().lower()) if isinstance(word, str) else None


def _text(message: Mapping[str, Any], finish: str) -> str:
    """What a message says, without what the model thought. Raises AnswerError where it says nothing."""
    content = message.get("content")
    found: dict[str, list[str]] = {_TEXT: [], _THOUGHT: [], _REFUSAL: []}
    for part in content if isinstance(content, list) else [content]:
        kind, words = _part(part)
        found[kind] += words
    refusal = message.get("refusal") or "".join(found[_REFUSAL])
    if refusal:
        raise AnswerError(f"the model refuses: {said(refusal)}", is_final=True)
    text = "".join(found[_TEXT])
    has_thought = bool(found[_THOUGHT]) or any(message.get(field) for field in _THOUGHTS)
    if not found[_TEXT] or (has_thought and not text.strip()):
        hint = "; give it more --max-tokens if it thinks first" if finish == CUT else ""
        what = "only thoughts, and no text" if has_thought else "no text"
        raise AnswerError(f"the answer has {what} (finish_reason {finish}){hint}", finish == CUT or has_thought)
    return text


def _part(part: Any) -> tuple[str, list[str]]:
    """What a part of a content is, and its words; those of a thought do not matter."""
    if isinstance(part, str):
        return _TEXT, [part]
    if not isinstance(part, dict):
        return _TEXT, []
    type_ = part.get("type", "text")
    kind = _PARTS.get(type_, "") if isinstance(type_, str) else ""
    if kind == _THOUGHT or part.get("thought") is True:  # Gemini's
        return _THOUGHT, [""]
    words = part.get(kind)
    return kind or _TEXT, [words] if isinstance(words, str) else []


def _tokens(answer: Mapping[str, Any]) -> int:
    usage = answer.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if not isinstance(tokens, int) or isinstance(tokens, bool):
        return 0
    return tokens if 0 <= tokens < _MOST_TOKENS else 0


def said(answer: Any) -> str:
    """What an answer that is of no use says, in one line: its message in one of the forms in use, or its beginning."""
    found = answer
    while isinstance(found, dict):
        found = next((found[key] for key in ("error", "message", "detail") if found.get(key)), None)
    if not isinstance(found, str):
        try:
            found = json.dumps(answer if found is None else found, ensure_ascii=False)
        except RecursionError:
            found = "what is nested too deep"
    return cut(" ".join(found.split()), _SAID)


def made_by(answer: Any, name: str) -> dict[str, str]:
    """What the server calls the model, where it differs from what it was asked for, and its fingerprint."""
    fields = answer if isinstance(answer, dict) else {}
    told = {"served": fields.get("model"), "fingerprint": fields.get("system_fingerprint")}
    return {key: value[:_TOLD] for key, value in told.items() if isinstance(value, str) and value not in ("", name)}


def _turns(prompt: Chat, has_system: bool = True) -> list[dict[str, str]]:
    system, user = valid(prompt.system), valid(prompt.user)
    if not system:
        return [{"role": "user", "content": user}]
    if not has_system:
        return [{"role": "user", "content": f"{system}\n\n{user}"}]
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def valid(text: str) -> str:
    """`text` without lone surrogates, which servers refuse as broken JSON."""
    return text.encode("utf-8", "replace").decode("utf-8")
