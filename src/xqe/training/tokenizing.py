"""Pairs as tokens: those that the model will see when xqe asks it, and those that it is to answer with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from xqe.errors import InputError, XqeError
from xqe.models.engines.llama.chat import ChatTemplate, Turn
from xqe.models.engines.llama.model import Model
from xqe.training.base import Base, Kind
from xqe.training.pairs import Pair

NOT_ON_HUB = "check the name and the network, or give the folder of a checkpoint"


class Tokenizer(Protocol):
    """A base model's own tokenizer and chat template.

    name: of the model. is_chat: it has a chat template.
    """

    name: str
    is_chat: bool

    def tokens(self, text: str, begins: bool, special: bool) -> list[int]:
        """The tokens of a text. begins: BOS comes first if the model wants it. special: "<bos>" and the like are read
        as the tokens they name."""

    def rendered(self, turns: Sequence[Turn], answered: bool) -> str:
        """Turns as text: up to where the answer begins, or, if the last one is the answer, with that and its end."""

    def is_end(self, token: int) -> bool:
        """True for a token that ends a generation."""

    def close(self) -> None:
        """Give back what it holds."""


class LlamaTokenizer:
    """That of a GGUF file, as llama.cpp reads it: what xqe expand will use, to the token."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self._model = Model(path, vocabulary_only=True)
        self._vocabulary = self._model.vocabulary
        self._bos = self._vocabulary.bos_text()
        source = self._model.chat_template
        self._template = ChatTemplate(source, self._model.special_texts(), name) if source else None
        self.is_chat = self._template is not None

    def tokens(self, text: str, begins: bool, special: bool) -> list[int]:
        begins = begins and not (special and self._bos and text.startswith(self._bos))
        return [int(one) for one in self._vocabulary.tokenize(text, begins, special)]

    def rendered(self, turns: Sequence[Turn], answered: bool) -> str:
        assert self._template is not None
        return self._template.render_turns(turns, answered)

    def is_end(self, token: int) -> bool:
        return self._vocabulary.is_end(token)

    def close(self) -> None:
        if self._template is not None:
            self._template.close()
        self._model.close()


class HubTokenizer:
    """That of a Hugging Face checkpoint."""

    def __init__(self, base: Base) -> None:
        from xqe.training.library import quiet, transformers

        self.name = base.name
        with quiet():
            try:
                self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(base.place)
            except Exception as error:  # of every kind, as a damaged tokenizer.json may hold anything
                is_there = base.kind is Kind.FOLDER
                raise InputError(
                    f"{base.place}: its tokenizer cannot be loaded ({first_line(error)})",
                    "a checkpoint has tokenizer.json beside its weights" if is_there else NOT_ON_HUB,
                ) from None
        self._template = self._chat_template() if self._tokenizer.chat_template else None
        self.is_chat = self._template is not None
        self._bos = self._tokenizer.bos_token or ""
        self._ends = {self._tokenizer.eos_token_id, *_ends_of(base)}

    def tokens(self, text: str, begins: bool, special: bool) -> list[int]:
        begins = begins and not (special and self._bos and text.startswith(self._bos))
        made = self._tokenizer(text, add_special_tokens=False, split_special_tokens=not special).input_ids
        front = [self._tokenizer.bos_token_id] if begins and self._adds_bos() else []
        return [*front, *made]

    def _adds_bos(self) -> bool:
        first = self._tokenizer("a").input_ids[:1]
        return bool(first) and first[0] == self._tokenizer.bos_token_id

    def _chat_template(self) -> ChatTemplate:
        try:
            source: str = self._tokenizer.get_chat_template()
        except ValueError as error:  # it has several, and none is the one that is meant unless told
            raise InputError(f"{self.name}: {first_line(error)}", "use another checkpoint") from None
        return ChatTemplate(source, self._tokenizer.special_tokens_map, self.name)

    def rendered(self, turns: Sequence[Turn], answered: bool) -> str:
        assert self._template is not None
        return self._template.render_turns(turns, answered)

    def is_end(self, token: int) -> bool:
        return token in self._ends

    def close(self) -> None:
        if self._template is not None:
            self._template.close()


def _ends_of(base: Base) -> list[int]:
    """The tokens that end a generation, as the checkpoint's generation_config.json has them; none if it has none."""
    from xqe.training.library import quiet, transformers

    with quiet():
        try:
            ends = transformers.GenerationConfig.from_pretrained(base.place).eos_token_id
        except (OSError, ValueError):
            return []
    return ends if isinstance(ends, list) else [ends]


def open_tokenizer(base: Base) -> Tokenizer:
    """Raises XqeError for a checkpoint without one."""
    return LlamaTokenizer(base.name, base.place) if base.kind is Kind.GGUF else HubTokenizer(base)


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A pair as tokens: those of the prompt, and those of the answer with what ends it, which alone are learnt."""

    prompt: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def encode(pair: Pair, tokenizer: Tokenizer) -> Encoded:
    """A pair as the model will see it. Raises InputError for turns that a model without a chat template cannot read."""
    if not pair.turns:
        return _divided(pair.prompt, pair.prompt + pair.completion, tokenizer, special=False)
    if not tokenizer.is_chat:
        raise InputError(
            f"{pair.where}: turns of a chat, and {tokenizer.name} has no chat template",
            f"make prompts and completions: xqe finetune data --model {tokenizer.name}, or --form completion",
        )
    prompt = tokenizer.rendered(pair.turns[:-1], answered=False)
    whole = tokenizer.rendered(pair.turns, answered=True)
    answer = pair.turns[-1]["content"]
    if not whole.startswith(prompt):  # templates that end the prompt in a switch, say for thinking
        answer = answer.strip()  # as templates have it
        _, found, end = whole.rpartition(answer)
        if not found:
            raise XqeError(f"the chat template of {tokenizer.name} does not show the answer", "use another checkpoint")
        whole = prompt + answer + end
    encoded = _divided(prompt, whole, tokenizer, special=True)
    ends = [place for place, token in enumerate(encoded.answer) if tokenizer.is_end(token)]
    return Encoded(encoded.prompt, encoded.answer[: ends[0] + 1]) if ends else encoded


def _divided(prompt: str, whole: str, tokenizer: Tokenizer, special: bool) -> Encoded:
    """The tokens of the prompt, as it has them alone, and of the rest: the model is asked with the prompt alone, so a
    token that would reach over its end is not what it learns from."""
    first = tokenizer.tokens(prompt, True, special)
    both = tokenizer.tokens(whole, True, special)
    if both[: len(first)] == first:
        return Encoded(first, both[len(first) :])
    return Encoded(first, tokenizer.tokens(whole[len(prompt) :], False, special))
