"""How much of documents goes into a prompt: so many tokens of each, or what the context of the model has room for."""

from __future__ import annotations

from collections.abc import Sequence

from xqe.errors import XqeError
from xqe.models.engines.base import Engine
from xqe.models.prompts import Prompt

BYTES_A_TOKEN = 4
"""Of text in UTF-8, for a token of a multilingual vocabulary: about as many in every script."""
MOST_A_TOKEN = 16
"""Characters of a token, as good as never exceeded: a text is not read further."""
NEAR = 0.8  # of a text's length: white space that is behind this is a good place to cut it


def room_for_texts(engine: Engine, around: Prompt, answer: int) -> int | None:
    """How many tokens there is room for in a prompt; None where the engine does not know. around: the prompt with empty
    texts in it. answer: tokens that follow. Raises XqeError where there is no room for any."""
    room = engine.room()
    if room is None:
        return None
    left = room - answer - _length(engine.rendered(around), engine)
    if left < 1:
        raise XqeError(f"there is no room for documents: the rest of the prompt fills the {room} tokens of context")
    return left


def fitted(texts: Sequence[str], tokens: int, engine: Engine, room: int | None) -> tuple[list[str], int]:
    """The beginnings of texts that stand in one prompt, and the most tokens that each of them has: so many, or as many
    fewer as bring them into the room together."""
    read = [beginning(text, tokens, engine) for text in texts]
    lengths = [_length(text, engine) for text in read]
    if room is None or sum(lengths) <= room:
        return read, tokens
    most = _level(lengths, room)
    return [beginning(text, most, engine) for text in read], most


def numbered(texts: Sequence[str]) -> str:
    """Texts as a model reads several, a line each, with a number from 1."""
    return "\n".join(f"[{number}] {text}" for number, text in enumerate(texts, 1))


def _level(lengths: Sequence[int], room: int) -> int:
    """The greatest length that all can be cut to so that they have room together."""
    left = room
    for place, length in enumerate(rising := sorted(lengths)):
        share = left // (len(rising) - place)
        if length > share:
            return share
        left -= length
    return rising[-1]


def beginning(text: str, tokens: int, engine: Engine) -> str:
    """The beginning of a text that has so many tokens at most, up to a white space where one is near."""
    cut = text[: tokens * MOST_A_TOKEN]
    while (length := _length(cut, engine)) > tokens:
        cut = cut[: min(len(cut) - 1, len(cut) * tokens // length)]
    if len(cut) == len(text):
        return text
    head, space, _ = cut.rpartition(" ")
    return head if space and len(head) >= NEAR * len(cut) else cut


def _length(text: str, engine: Engine) -> int:
    counted = engine.count(text)
    return -(-len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN) if counted is None else counted
