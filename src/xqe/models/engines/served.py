"""What the engines of a model behind the OpenAI API share: what is asked, and what an answer says. No network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server may refuse, and then wants another way.

    limit: the name of the most tokens to generate; OpenAI's newest models know only max_completion_tokens, and
    compatible servers know max_tokens. has_system: there are system turns; without, theirs begins the user's.
    """

    limit: str = "max_tokens"
    has_system: bool = True


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
        self._making: Mapping[str, Any] = {}

    def rendered(self, prompt: Prompt) -> str:
        return json.dumps(_turns(prompt), ensure_ascii=False) if isinstance(prompt, Chat) else prompt.text

    def body(self, request: Request, dialect: Dialect | None = None) -> dict[str, Any]:
        """The request as JSON, in the default dialect unless told."""
        dialect = dialect or Dialect()
        prompt = request.prompt
        asked: dict[str, Any]
        if isinstance(prompt, Chat):
            asked = {"messages": _turns(prompt, dialect.has_system)}
        else:
            asked = {"prompt": valid(prompt.text), "stop": list(prompt.stop)}
        parameters = self.parameters(request.sampling)
        return {
            "model": self.name,
            **asked,
            dialect.limit: request.max_tokens,
            **{spelling: value for name, value in parameters.items() for spelling in SPELLINGS[name]},
            **({"seed": request.seed} if request.sampling.temperature > 0 else {}),
        }

    def completion(self, answer: Any) -> Completion:
        """What an answer says; its `made_by` is what the server tells of its making. Raises AnswerError."""
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise AnswerError(f"the answer has no choices: {said(answer)}")
        choice = choices[0]
        message = choice.get("message") if self.is_chat else choice
        text = message.get("content" if self.is_chat else "text") if isinstance(message, dict) else None
        finish = choice.get("finish_reason")
        if finish == "content_filter":
            raise AnswerError("the server's content filter stopped the answer", is_final=True)
        if not isinstance(text, str):
            is_cut = finish == "length"
            hint = "; give it more --max-tokens if it thinks first" if is_cut else ""
            raise AnswerError(f"the answer has no text (finish_reason {finish}){hint}", is_final=is_cut)
        usage = answer.get("usage")
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
        return Completion(
            text,
            "length" if finish == "length" else "stop",
            tokens if isinstance(tokens, int) else 0,
            made_by=_made_by(answer, self.name),
        )

    def identity(self) -> dict[str, Any]:
        return {"model": self.name, "api": self.api}

    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        """As sent: what is left out is the server's choice."""
        drawn = {"top_p": sampling.top_p, "top_k": sampling.top_k} if sampling.temperature > 0 else {}
        given = {"temperature": sampling.temperature, **drawn, "repeat_penalty": sampling.repeat_penalty}
        return {name: value for name, value in given.items() if value is not None}

    def making(self) -> dict[str, Any]:
        """What the server told of the text that came last."""
        return dict(self._making)

    def close(self) -> None:
        """There is nothing to free."""


def said(answer: Any) -> str:
    """What an answer that is of no use says, in one line: its message in one of the forms in use, or its beginning."""
    found = answer
    while isinstance(found, dict):
        found = next((found[key] for key in ("error", "message", "detail") if found.get(key)), None)
    text = found if isinstance(found, str) else json.dumps(answer if found is None else found, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= _SAID else f"{line[:_SAID]}…"


def _made_by(answer: Mapping[str, Any], name: str) -> dict[str, str]:
    """What the server calls the model, where it differs from what it was asked for, and its fingerprint."""
    told = {"served": answer.get("model"), "fingerprint": answer.get("system_fingerprint")}
    return {key: value for key, value in told.items() if isinstance(value, str) and value not in ("", name)}


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
