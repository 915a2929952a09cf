"""What a server is asked for log-probabilities, and what its answers say of them. No network.

| what is measured | chat completions | completions |
| --- | --- | --- |
| choices | `logprobs`, `top_logprobs`: the likeliest first tokens of an answer | `logprobs`: the same |
| a continuation | none tells it | `echo` with `logprobs`: each token of the prompt |
| a text that is generated | `logprobs`: each of its tokens | `logprobs`: each of its tokens |

Sources: OpenAI's reference of both APIs; vLLM's and SGLang's serving_completion(s).py; llama-server's server-common.cpp
and server-task.cpp, which refuses `echo`, and answers completions in the form of chat completions; llama_cpp/llama.py,
which generates without end where `max_tokens` is 0, so that one token is asked for everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from xqe.models.engines.requests import LEAST, Completion, Likelihood, Request, measurement
from xqe.models.prompts import Chat

MOST = 20
"""Of the likeliest tokens: as many as OpenAI and vLLM tell of an answer in a chat."""
FEW = 5
"""As many as OpenAI tells of a completion."""

_SPACES = str.maketrans({"▁": " ", "Ġ": " "})  # how vocabularies write one that begins a token


class UntoldError(Exception):
    """An answer without the log-probabilities that were asked for: its server tells none."""


def asked(request: Request, most: int) -> dict[str, Any]:
    """The fields that ask for what a request measures. most: how many of the likeliest tokens are told."""
    if request.continuation:
        return {"echo": True, "logprobs": 1}
    if isinstance(request.prompt, Chat):
        return {"logprobs": True, "top_logprobs": most}
    return {"logprobs": most}


ASKED_OF_TEXT: dict[bool, dict[str, Any]] = {True: {"logprobs": True}, False: {"logprobs": 1}}
"""The fields that ask how likely a text is that is generated, by whether it is in a chat."""


def likelihood(logprobs: Any) -> Likelihood | None:
    """How likely the text of an answer is, in either form of an answer; None where that is not told of each token."""
    if not isinstance(logprobs, dict):
        return None
    content, numbers = logprobs.get("content"), logprobs.get("token_logprobs")
    if isinstance(content, list):
        numbers = [row.get("logprob") if isinstance(row, dict) else None for row in content]
    if not isinstance(numbers, list) or not numbers or not all(map(_is_probability, numbers)):
        return None
    return Likelihood(max(LEAST, math.fsum(numbers)), len(numbers))


def found(request: Request, choice: Mapping[str, Any], prompt: str, continuation: str) -> Completion:
    """What the choice of an answer says. prompt, continuation: as they were sent. Raises UntoldError, and ValueError
    with what is wrong."""
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, dict):
        raise UntoldError
    if request.continuation:
        numbers = _of_continuation(logprobs, prompt, continuation)
        return measurement([math.fsum(numbers)], len(numbers))
    return measurement(_of_choices(_likeliest(logprobs), request.choices), 1)


# ---- choices ----


def _likeliest(logprobs: Mapping[str, Any]) -> dict[str, float]:
    """The likeliest first tokens of an answer and their log-probabilities, in either form of an answer."""
    content, top = logprobs.get("content"), logprobs.get("top_logprobs")
    pairs: Any = ()
    if isinstance(content, list) and content and isinstance(content[0], dict):
        rows = [*_rows(content[0].get("top_logprobs")), content[0]]
        pairs = [(row.get("token"), row.get("logprob")) for row in rows]
    elif isinstance(top, list) and top and isinstance(top[0], dict):
        pairs = list(top[0].items())
    told = {token: float(value) for token, value in pairs if isinstance(token, str) and _is_probability(value)}
    if not told:
        raise UntoldError
    return told


def _rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value and value < math.inf


def _of_choices(told: Mapping[str, float], choices: Sequence[Sequence[str]]) -> list[float]:
    """The log-probability of each choice: the sum of the tokens that are one of its spellings.

    A choice that is not among those that are told has at most the probability of the least of them, and at most what
    all of them leave: the smaller of the two is taken. Raises ValueError where none of the choices is among them.
    """
    by_choice = [
        [value for token, value in told.items() if token.translate(_SPACES) in spellings] for spellings in choices
    ]
    if not any(by_choice):
        names = " or ".join(f'"{spellings[0]}"' for spellings in choices)
        likeliest = ", ".join(f'"{token}"' for token in sorted(told, key=lambda token: -told[token])[:3])
        raise ValueError(f"the model begins neither with {names}, but with {likeliest}")
    left = 1 - math.fsum(math.exp(value) for value in told.values())
    bound = min(min(told.values()), math.log(left) if left > 0 else -math.inf)
    sums = [math.fsum(map(math.exp, values)) for values in by_choice]
    return [math.log(total) if total else bound for total in sums]


# ---- a continuation ----


def _of_continuation(logprobs: Mapping[str, Any], prompt: str, continuation: str) -> list[float]:
    """The log-probabilities of the tokens of a continuation: of all that have a character of it, as some token may
    reach over the end of the prompt.

    Which these are is told by the texts of the tokens, read backwards from the end, where the one that was generated
    stands; where a character is divided among tokens, whose texts say nothing then, by their offsets in the text.
    """
    tokens, numbers, offsets = (logprobs.get(name) for name in ("tokens", "token_logprobs", "text_offset"))
    if not isinstance(tokens, list) or not isinstance(numbers, list) or len(tokens) != len(numbers) or not tokens:
        raise UntoldError
    texts = [token if isinstance(token, str) else "" for token in tokens]
    place = _by_texts(texts, prompt, continuation) or _by_offsets(offsets, texts, prompt, continuation)
    if place is None:
        raise ValueError("which tokens are the query's cannot be told from the answer")
    chosen = numbers[slice(*place)]
    if not chosen or not all(map(_is_probability, chosen)):
        raise UntoldError
    return [float(number) for number in chosen]


def _by_texts(texts: Sequence[str], prompt: str, continuation: str) -> tuple[int, int] | None:
    """The place of the continuation's first token and the one after its last; behind it one may have been generated."""
    whole = prompt + continuation
    is_whole = "".join(texts).endswith(whole)
    for end in (len(texts),) if is_whole else (len(texts) - 1, len(texts)):
        tail = ""
        for start in range(end - 1, -1, -1):
            tail = texts[start] + tail
            if not whole.endswith(tail):
                break
            if len(tail) >= len(continuation):
                return start, end
    return None


def _by_offsets(offsets: Any, texts: Sequence[str], prompt: str, continuation: str) -> tuple[int, int] | None:
    """The same by where the tokens begin in the text; None where a server does not say it, as SGLang with -1.

    vLLM counts the text of a BOS, too: then all begin so much later.
    """
    if not isinstance(offsets, list) or len(offsets) != len(texts) or not all(type(at) is int for at in offsets):
        return None
    before = len(texts[0]) if len(texts) > 1 and texts[0] and not prompt.startswith(texts[0]) else 0
    before = before if offsets[1:2] == [before] else 0
    begins = [at - before for at in offsets]
    end = len(prompt) + len(continuation)
    if begins != list(accumulate(begins, max)) or not any(at >= len(prompt) for at in begins) or begins[-1] > end:
        return None
    reaching = max((place for place, at in enumerate(begins) if at < len(prompt)), default=0)
    first = begins.index(len(prompt)) if len(prompt) in begins else reaching
    last = next((place for place, at in enumerate(begins) if at >= end), len(begins))
    return (first, last) if first < last else None
