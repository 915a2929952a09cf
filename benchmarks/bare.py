"""What llama.cpp can do from Python: a batched loop over its C functions, with no abstraction and nothing of xqe.

The yardstick of `generation.py`. All prompts are known beforehand, so the loop decodes the beginning that the prompts
of a group share once, lets every text start from those cells, keeps `SEQUENCES` texts going until none wait, and takes
the likeliest token right from the logits. It checks nothing and recovers from nothing.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass, field
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

N_BATCH = 2048
N_UBATCH = 512
REFILL = 8  # new texts start once this part of the sequences is free: graphs of a batch of one shape are reused
LOGS_NOTHING = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)


@dataclass(frozen=True, slots=True)
class Ask:
    """A text to generate. prompt: as the model sees it, special tokens spelled out, without BOS. group: prompts with
    the same one begin alike. seed: unused at temperature 0, which is greedy."""

    prompt: str
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_k: int = 64
    top_p: float = 0.95
    seed: int = 0
    group: str = ""


@dataclass(slots=True)
class Answer:
    """tokens: how many were sampled, one that ended the text included."""

    text: str
    tokens: int


@dataclass(slots=True, eq=False)
class _Text:
    number: int
    ask: Ask
    prompt: NDArray[np.int32]
    sampler: Any = None
    generated: list[int] = field(default_factory=list)
    text: bytearray = field(default_factory=bytearray)


class Bare:
    """A loaded model. gpu_layers: -1 is all, where there is a GPU. `seconds` is what the latest `generate` took,
    without making its context."""

    def __init__(self, path: str, threads: int, sequences: int, gpu_layers: int = -1) -> None:
        llama_cpp.llama_log_set(LOGS_NOTHING, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        model = llama_cpp.llama_model_default_params()
        model.n_gpu_layers = gpu_layers
        self._model = llama_cpp.llama_model_load_from_file(path.encode(), model)
        if not self._model:
            raise SystemExit(f"{path}: cannot be loaded")
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        self._threads, self._sequences = threads, sequences
        self._pieces: dict[int, bytes | None] = {}
        self.seconds = 0.0
        self.prompt_tokens = self.prefix_tokens = 0

    def generate(self, asks: list[Ask]) -> list[Answer]:
        """The answers, in order. Counts the tokens of the prompts in `prompt_tokens`, and those of the shared
        beginnings, one for each group, in `prefix_tokens`."""
        start = time.perf_counter()
        texts = [_Text(number, ask, self._tokenize(ask.prompt)) for number, ask in enumerate(asks)]
        groups: dict[str, list[_Text]] = {}
        for text in texts:
            groups.setdefault(text.ask.group, []).append(text)
        prefixes = {group: _shared([text.prompt for text in members]) for group, members in groups.items()}
        self.prompt_tokens, self.prefix_tokens = sum(len(t.prompt) for t in texts), sum(map(len, prefixes.values()))
        own = max(len(text.prompt) - len(prefixes[text.ask.group]) + text.ask.max_tokens for text in texts)
        opening = time.perf_counter()
        context = self._open(self.prefix_tokens + self._sequences * own, self._sequences + len(groups))
        opened = time.perf_counter()
        try:
            answers = self._run(context, texts, prefixes)
        finally:
            llama_cpp.llama_free(context)
        self.seconds = time.perf_counter() - start - (opened - opening)
        return answers

    def _run(self, context: Any, texts: list[_Text], prefixes: dict[str, NDArray[np.int32]]) -> list[Answer]:
        memory = llama_cpp.llama_get_memory(context)
        batch, token, position, sequence, wanted = self._batch()
        holders = {group: self._sequences + number for number, group in enumerate(prefixes)}
        for group, prefix in prefixes.items():
            for first in range(0, len(prefix), N_BATCH):
                part = prefix[first : first + N_BATCH]
                batch.n_tokens = n = len(part)
                token[:n], position[:n], sequence[:n], wanted[:n] = part, np.arange(first, first + n), holders[group], 0
                _check(llama_cpp.llama_decode(context, batch))
        answers: list[Answer | None] = [None] * len(texts)
        waiting = texts[::-1]
        free = list(range(self._sequences))[::-1]
        running: dict[int, _Text] = {}
        next_position = np.zeros(self._sequences, dtype=np.int32)
        while waiting or running:
            slots = list(running)
            n = len(slots)
            if n:
                token[:n] = [running[slot].generated[-1] for slot in slots]
                sequence[:n] = slots
                position[:n] = next_position[slots]
                next_position[slots] += 1
                wanted[:n] = 1
            rows = [(slot, i) for i, slot in enumerate(slots)]
            if len(free) * REFILL >= self._sequences or not running:
                while waiting and free:
                    text = waiting[-1]
                    shared = len(prefixes[text.ask.group])
                    suffix = text.prompt[shared:]
                    end = n + len(suffix)
                    if end > N_BATCH:
                        break
                    waiting.pop()
                    slot = free.pop()
                    running[slot] = text
                    llama_cpp.llama_memory_seq_cp(memory, holders[text.ask.group], slot, 0, shared)
                    token[n:end], position[n:end] = suffix, np.arange(shared, len(text.prompt))
                    sequence[n:end], wanted[n:end] = slot, 0
                    wanted[end - 1] = 1
                    rows.append((slot, end - 1))
                    next_position[slot] = len(text.prompt)
                    text.sampler = self._sampler(text.ask)
                    n = end
            batch.n_tokens = n
            _check(llama_cpp.llama_decode(context, batch))
            logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), shape=(len(rows), self._size))
            for row, (slot, entry) in enumerate(rows):
                text = running[slot]
                chosen = (
                    int(logits[row].argmax())
                    if text.sampler is None
                    else llama_cpp.llama_sampler_sample(text.sampler, context, entry)
                )
                if (answer := self._accept(text, chosen)) is not None:
                    answers[text.number] = answer
                    del running[slot]
                    free.append(slot)
                    llama_cpp.llama_memory_seq_rm(memory, slot, -1, -1)
                    if text.sampler is not None:
                        llama_cpp.llama_sampler_free(text.sampler)
        return [answer for answer in answers if answer is not None]

    def _accept(self, text: _Text, token: int) -> Answer | None:
        """Add a token; the answer if the text ends with it. A stop string before any text is none, as in xqe."""
        text.generated.append(token)
        piece = self._piece(token)
        ended, count = piece is None, len(text.generated)
        if piece is not None:
            text.text += piece
            for stop in text.ask.stop:
                first = len(text.text) - len(text.text.lstrip())
                raw = stop.encode()
                end = text.text.find(raw, max(first, len(text.text) - len(piece) - len(raw) + 1))
                if end >= 0:
                    del text.text[end:]
                    ended = True
        if not ended and count < text.ask.max_tokens:
            return None
        return Answer(text.text.decode("utf-8", "ignore"), count)

    def _piece(self, token: int) -> bytes | None:
        """The bytes of a token; None for one that ends the text."""
        if token not in self._pieces:
            buffer = ctypes.create_string_buffer(512)
            length = llama_cpp.llama_token_to_piece(self._vocabulary, token, buffer, 512, 0, False)
            is_end = llama_cpp.llama_vocab_is_eog(self._vocabulary, token)
            self._pieces[token] = None if is_end else buffer.raw[:length]
        return self._pieces[token]

    def _tokenize(self, text: str) -> NDArray[np.int32]:
        raw = text.encode()
        tokens = np.empty(len(raw) + 8, dtype=np.int32)
        pointer = tokens.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token))
        return tokens[: llama_cpp.llama_tokenize(self._vocabulary, raw, len(raw), pointer, len(tokens), True, True)]

    def _sampler(self, ask: Ask) -> Any:
        if ask.temperature == 0:
            return None
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        for sampler in (
            llama_cpp.llama_sampler_init_top_k(ask.top_k),
            llama_cpp.llama_sampler_init_top_p(ask.top_p, 1),
            llama_cpp.llama_sampler_init_temp(ask.temperature),
            llama_cpp.llama_sampler_init_dist(ask.seed),
        ):
            llama_cpp.llama_sampler_chain_add(chain, sampler)
        return chain

    def _open(self, cells: int, sequences: int) -> Any:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = -(-cells // 256) * 256
        parameters.n_batch, parameters.n_ubatch = N_BATCH, N_UBATCH
        parameters.n_seq_max = parameters.n_outputs_max = sequences
        parameters.n_threads = parameters.n_threads_batch = self._threads
        parameters.flash_attn_type = -1  # auto
        parameters.kv_unified = parameters.swa_full = parameters.no_perf = True
        context = llama_cpp.llama_init_from_model(self._model, parameters)
        if not context:
            raise SystemExit(f"no context of {cells} tokens")
        return context

    def _batch(self) -> tuple[Any, NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
        """A llama_batch whose arrays are numpy's; it lives as long as they do."""
        token, position, sequence, ones = (np.ones(N_BATCH, dtype=np.int32) for _ in range(4))
        wanted = np.zeros(N_BATCH, dtype=np.int8)
        int32, int8 = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_int8)
        addresses = range(sequence.ctypes.data, sequence.ctypes.data + 4 * N_BATCH, 4)
        pointers = (int32 * N_BATCH)(*(ctypes.cast(address, int32) for address in addresses))
        arrays = [array.ctypes.data_as(int32) for array in (token, position, ones)]
        batch = llama_cpp.llama_batch(
            0,
            arrays[0],
            None,
            arrays[1],
            arrays[2],
            ctypes.cast(pointers, ctypes.POINTER(int32)),
            wanted.ctypes.data_as(int8),
        )
        self._kept = (token, position, sequence, ones, wanted, pointers)
        return batch, token, position, sequence, wanted


def _shared(prompts: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    """The longest beginning that all prompts have, shorter than each of them; empty for a prompt alone."""
    first = prompts[0]
    length = min(map(len, prompts)) - 1 if len(prompts) > 1 else 0
    for prompt in prompts[1:]:
        different = np.flatnonzero(first[:length] != prompt[:length])
        length = int(different[0]) if len(different) else length
    return first[:length]


def _check(status: int) -> None:
    if status:
        raise SystemExit(f"llama_decode: {status}")
