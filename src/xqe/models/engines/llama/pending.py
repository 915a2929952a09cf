"""A text that is being generated: its tokens so far, when it ends, and what becomes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from xqe.models.engines.jobs import Ticket
from xqe.models.engines.llama.cached import CachedContext
from xqe.models.engines.llama.drawing import Comparing, Following, Picker, Weighing
from xqe.models.engines.llama.vocabulary import Tokens, Vocabulary
from xqe.models.engines.requests import Completion, Likelihood, measurement


@dataclass(slots=True)
class Counts:
    """What was decoded, in tokens: of all prompts, of these really decoded (the rest was shared), and generated."""

    prompt: int = 0
    prompt_decoded: int = 0
    generated: int = 0


@dataclass(slots=True, eq=False)
class Pending:
    """A tokenized request, from its arrival to its completion.

    picker: None where the likeliest token is taken, whatever came before. head: how many tokens the prompt begins with
    that it says others begin with, too. generated, text: what there is so far.
    """

    ticket: Ticket
    prompt: Tokens
    stop: tuple[bytes, ...]
    picker: Picker | None = None
    head: int = 0
    generated: list[int] = field(default_factory=list)
    text: bytearray = field(default_factory=bytearray)

    @property
    def most_cells(self) -> int:
        return len(self.prompt) + self.most_tokens

    @property
    def most_tokens(self) -> int:
        """How many tokens may follow the prompt."""
        return self.ticket.request.max_tokens

    @property
    def last_position(self) -> int:
        """The position of the token that was generated last."""
        return len(self.prompt) + len(self.generated) - 1

    def accept(self, token: int, vocabulary: Vocabulary) -> bool:
        """Add a token; True if the text is complete with it, and its ticket done."""
        self.generated.append(token)
        if vocabulary.is_end(token):
            return self._done(len(self.text), "stop")
        piece = vocabulary.written(token)
        self.text += piece
        end = stop_position(self.text, len(piece), self.stop)
        if end is not None:
            return self._done(end, "stop")
        if len(self.generated) >= self.ticket.request.max_tokens:
            return self._done(len(self.text), "length")
        return False

    def fail(self, message: str) -> None:
        self.ticket.failed(message, len(self.generated))

    def _done(self, end: int, finish: str) -> bool:
        text, tokens = whole_characters(bytes(self.text[:end])), len(self.generated)
        likelihood = Likelihood(self.picker.total, tokens) if isinstance(self.picker, Weighing) else None
        self.ticket.done(Completion(text, finish, tokens, likelihood=likelihood))
        return True


@dataclass(slots=True, eq=False)
class Measured(Pending):
    """A text that is known, whose tokens are read one after the other, or the choice between some at its end.

    They are read as if they were generated, for a row of logits is as long as the vocabulary: so there are never more
    of them than sequences.
    """

    picker: Following | Comparing

    @property
    def most_tokens(self) -> int:
        return len(self.picker.tokens)

    def accept(self, token: int, vocabulary: Vocabulary) -> bool:
        self.generated.append(token)
        if len(self.generated) < self.most_tokens:
            return False
        numbers = self.picker.measured()
        if any(map(math.isnan, numbers)):
            self.fail(NO_NUMBERS)
        elif max(numbers) == -math.inf:
            self.fail("the model gives what is measured no probability at all")
        else:
            self.ticket.done(measurement(numbers, self.most_tokens))
        return True


NO_NUMBERS = "the model's logits are no numbers: it is damaged, or made for more exact ones than it is computed with"


def next_token(pending: Pending, context: CachedContext, row: int, entry: int) -> int | None:
    """Pick a text's next token from a row of logits, those of a batch's entry; None where these are no numbers, whose
    likeliest one means nothing."""
    if context.picks:
        return context.likeliest(row, entry)
    logits = context.row(row)
    likeliest = context.likeliest(row, entry)
    if np.isnan(logits[likeliest]):  # numpy takes NaN for the greatest
        return None
    return likeliest if pending.picker is None else pending.picker.pick(logits, pending.generated)


class Decoder(Protocol):
    """What decodes pending texts: many together (`scheduler`) or one after the other (`sequential`)."""

    counts: Counts

    @property
    def is_idle(self) -> bool:
        """True if nothing waits and nothing is under way."""

    def add(self, pending: Pending) -> None:
        """Queue a text; one that can never fit fails at once."""

    def step(self, input_ended: bool) -> None:
        """Go on by one decoded batch. input_ended: no more texts will come than those that wait."""

    def close(self) -> None:
        """Free the context."""


def does_not_fit(pending: Pending, limit: int, whose: str) -> str:
    """Why a text has no place, where `limit` is what the context, the model or the memory (`whose`) allows."""
    return (
        f"the prompt has {len(pending.prompt)} tokens and up to {pending.most_tokens} may follow, but {whose} {limit}"
    )


def stop_position(text: bytearray, added: int, stop: tuple[bytes, ...]) -> int | None:
    """Where the first stop string begins that ends in the last `added` bytes; none counts before the text begins."""
    found: int | None = None
    start = len(text) - len(text.lstrip())
    for string in stop:
        position = text.find(string, max(start, len(text) - added - len(string) + 1))
        if position >= 0 and (found is None or position < found):
            found = position
    return found


def whole_characters(text: bytes) -> str:
    """Decode UTF-8, without a character whose last bytes were never generated."""
    end = len(text)
    for back in range(1, min(4, end) + 1):
        lead = text[end - back]
        if lead & 0xC0 == 0x80:
            continue
        length = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
        if length > back:
            end -= back
        break
    return text[:end].decode("utf-8", "replace")
