"""Text to tokens and back, as a model file says."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xqe.errors import ModelError
from xqe.models.engines.llama.library import llama_cpp
from xqe.text.answers.marks import is_written

Tokens = NDArray[np.int32]


class Vocabulary:
    """Text to tokens and back. Borrowed from a model: valid while the model is."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        self.size = int(llama_cpp.llama_vocab_n_tokens(pointer))
        self._pieces: dict[tuple[int, bool], bytes] = {}
        self._written: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}

    def tokenize(self, text: str, add_special: bool, parse_special: bool) -> Tokens:
        """Return the tokens of `text`, shape (n,). add_special: put BOS first if the model wants it.
        parse_special: read "<bos>" and the like as the special token, not as characters."""
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 8
        for _ in range(2):
            tokens = np.empty(room, dtype=np.int32)
            count = llama_cpp.llama_tokenize(
                self._pointer,
                raw,
                len(raw),
                tokens.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token)),
                room,
                add_special,
                parse_special,
            )
            if count >= 0:
                return tokens[:count].copy()
            room = -count
        raise ModelError("the text could not be tokenized", "check the model file with xqe models verify")

    def begun(self, text: str, add_special: bool, parse_special: bool) -> Tokens:
        """The tokens of a text that is to go on: without the EOS that some models have after every text."""
        tokens = self.tokenize(text, add_special, parse_special)
        return tokens[:-1] if add_special and llama_cpp.llama_vocab_get_add_eos(self._pointer) else tokens

    def piece(self, token: int, special: bool = False) -> bytes:
        """The bytes of one token, which may be part of a character; of a special token only if `special`."""
        known = self._pieces.get((token, special))
        if known is None:
            buffer = ctypes.create_string_buffer(64)
            length = llama_cpp.llama_token_to_piece(self._pointer, token, buffer, len(buffer), 0, special)
            if length < 0:
                buffer = ctypes.create_string_buffer(-length)
                length = llama_cpp.llama_token_to_piece(self._pointer, token, buffer, len(buffer), 0, special)
            known = self._pieces[token, special] = buffer.raw[:length]
        return known

    def written(self, token: int) -> bytes:
        """The bytes of a token that was generated; of special ones only those that mark reasoning have any."""
        known = self._written.get(token)
        if known is None:
            known = self.piece(token, special=True)
            known = self._written[token] = known if is_written(known) else self.piece(token)
        return known

    def text(self, tokens: Tokens) -> str:
        """The text of a token sequence, special tokens included."""
        return b"".join(self.piece(int(token), special=True) for token in tokens).decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        """True for a token that ends the generation (EOS, end of turn)."""
        known = self._ends.get(token)
        if known is None:
            known = self._ends[token] = bool(llama_cpp.llama_vocab_is_eog(self._pointer, token))
        return known

    def is_control(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_control(self._pointer, token))

    def defused(self, text: str) -> str:
        """Break up what would read as a special token: a query that says "<end_of_turn>" must not end the turn."""
        for token in self.tokenize(text, add_special=False, parse_special=True):
            if self.is_control(int(token)):
                literal = self.piece(int(token), special=True).decode("utf-8", "replace")
                text = text.replace(literal, f"{literal[0]} {literal[1:]}")
        return text

    @property
    def bos(self) -> int:
        """The token that begins a text; -1 where there is none."""
        return int(llama_cpp.llama_vocab_bos(self._pointer))

    @property
    def separator(self) -> int:
        """The token that stands between two texts and behind them, which some files know as the end of a text only; -1
        where there is none."""
        separator = int(llama_cpp.llama_vocab_sep(self._pointer))
        return separator if separator >= 0 else int(llama_cpp.llama_vocab_eos(self._pointer))

    def bos_text(self) -> str:
        token = self.bos
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""


def common(a: Tokens, b: Tokens) -> int:
    """The length of the longest common prefix of two token sequences."""
    length = min(len(a), len(b))
    different = np.flatnonzero(a[:length] != b[:length])
    return int(different[0]) if len(different) else length
