"""Whether llama.cpp does with a GGUF adapter what transformers does with the adapter it was made of.

Both compute the logits after every token of some texts, without the adapter and with it. The difference that the
adapter makes on one side is held against the one it makes on the other.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xqe.errors import InputError, ModelError, XqeError
from xqe.machine import available_cores
from xqe.models import examples
from xqe.models.engines.llama.adapters import adapter, check_architecture
from xqe.models.engines.llama.cached import CELL_PADDING, CachedContext
from xqe.models.engines.llama.model import Model
from xqe.models.engines.llama.settings import Settings
from xqe.training.base import find_base
from xqe.training.library import peft, quiet, torch
from xqe.training.tokenizing import first_line
from xqe.training.training import load_model

Logits = NDArray[np.float32]
Sequences = Sequence[Sequence[int]]

TOKENS = 32  # of each text; the logits of a vocabulary of 262,144 take a megabyte a token, twice
LANGUAGES = ("en", "de", "ru", "ar", "zh")  # of the built-in texts
_AT_ONCE = 8  # tokens decoded together
_MARGIN = 1.1  # of the noise that is expected, for what it is by chance
_AVERAGED = 10  # how much less of the noise is in a mean over all logits
_OTHER_BASE = "give --base the checkpoint that it was trained on"
_EXACT = Settings(cache_type="f32", flash_attention="off")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far llama.cpp's logits are from transformers'. largest, mean: absolute difference. kl: mean divergence of
    llama.cpp's next-token distribution from transformers', in nats. same_top: share of tokens after which both think
    the same token the likeliest."""

    largest: float
    mean: float
    kl: float
    same_top: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What the adapter adds to the logits in llama.cpp, against what it adds in transformers.

    kl: mean divergence, in nats, of the adapted distribution from the plain one in transformers. carried: the part of
    it that llama.cpp adds too: 1 is all of it, 0 an adapter that does nothing there, 2 one that does it twice. error:
    the root mean square of the difference between the two, as a share of that of what transformers adds. noise: the
    error to expect of a faultless adapter, from how far the two are apart without one.
    """

    kl: float
    carried: float
    error: float
    noise: float

    def agrees(self, tolerance: float) -> bool:
        """Whether the difference is within a share of the effect, beyond what the arithmetic makes by itself."""
        error_limit = math.hypot(tolerance, _MARGIN * self.noise)
        return self.error <= error_limit and abs(1 - self.carried) <= tolerance + self.noise / _AVERAGED


@dataclass(frozen=True, slots=True)
class Comparison:
    """plain: without the adapter, which is what the arithmetic and the quantization make. adapted: with it."""

    texts: int
    tokens: int
    plain: Agreement
    adapted: Agreement
    effect: Effect

    def record(self) -> dict[str, Any]:
        return {name: _rounded(value) for name, value in asdict(self).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def builtin_texts() -> list[str]:
    """A built-in example of each of a few languages, as one text: a query and its passage."""
    return [f"{example['query']} {example['passage']}" for code in LANGUAGES for example in examples.builtin(code)[:1]]


def compare(
    base: str, folder: Path, model: str, adapter_file: Path, texts: Sequence[str] = (), threads: int | None = None
) -> Comparison:
    """Compare a GGUF adapter on a GGUF model with PEFT's adapter on its base, on the first `TOKENS` tokens of texts.

    base: as in `find_base`. folder: of PEFT's adapter. model, adapter_file: GGUF files. texts: none for the built-in
    ones. Raises XqeError for what cannot be loaded, or does not go together.
    """
    used = adapter(str(adapter_file))
    check_architecture((used,), model, model)
    with closing(Model(model, _EXACT, gpu_layers=0)) as loaded:
        sequences = [tokens for text in texts or builtin_texts() if (tokens := _tokens(loaded, text))]
        if not sequences:
            raise InputError("none of the texts to compare on has a token", "give others with --text")
        adapters = [(loaded.adapter(str(adapter_file)), used.scale)]
        reference = load_reference(base, folder)
        theirs = list(reference_logits(reference, sequences))
        del reference
        return agreement(
            theirs,
            llama_logits(loaded, sequences, threads=threads),
            llama_logits(loaded, sequences, adapters, threads),
        )


def agreement(
    theirs: Iterable[tuple[Logits, Logits]], plain: Iterable[Logits], adapted: Iterable[Logits]
) -> Comparison:
    """Hold the logits of llama.cpp, text by text, against transformers' without and with the adapter."""
    sums = _Sums()
    for (their_plain, their_adapted), our_plain, our_adapted in zip(theirs, plain, adapted, strict=True):
        sums.add(their_plain, their_adapted, our_plain, our_adapted)
    return sums.comparison()


def _tokens(model: Model, text: str) -> list[int]:
    tokens = model.vocabulary.tokenize(text, add_special=True, parse_special=False)
    return [int(token) for token in tokens[:TOKENS]]


# ---------------------------------------------------------------- transformers


def load_reference(base: str, folder: Path) -> Any:
    """A base model with PEFT's adapter, in 32-bit floats on the CPU. Raises XqeError for what cannot be loaded."""
    model = load_model(find_base(base))
    with quiet(), warnings.catch_warnings(record=True) as told:
        warnings.filterwarnings("always", message=".*missing adapter keys")
        try:
            adapted = peft.PeftModel.from_pretrained(model, str(folder))
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ModelError(
                f"{folder}: transformers cannot load it on {base} ({first_line(error)[:200]})", _OTHER_BASE
            ) from None
    if told:
        raise ModelError(f"{folder}: transformers does not find all of its modules in {base}", _OTHER_BASE)
    return adapted.eval()


def reference_logits(model: Any, sequences: Sequences) -> Iterator[tuple[Logits, Logits]]:
    """The logits of each sequence without and with the adapter: two arrays of shape (tokens, vocabulary)."""
    for sequence in sequences:
        tokens = torch.tensor([list(sequence)])
        with torch.inference_mode():
            with model.disable_adapter():
                plain = model(tokens).logits[0].float().numpy()
            yield plain, model(tokens).logits[0].float().numpy()


# ---------------------------------------------------------------- llama.cpp


def llama_logits(
    model: Model,
    sequences: Sequences,
    adapters: Sequence[tuple[Any, float]] = (),
    threads: int | None = None,
) -> Iterator[Logits]:
    """The logits after every token of each sequence, shape (tokens, vocabulary), with a cache of 32-bit floats."""
    longest = -(-max(map(len, sequences)) // CELL_PADDING) * CELL_PADDING
    # as many sequences as tokens that want logits together; only the first is used, and has its part of the cells
    context = CachedContext(model, longest * _AT_ONCE, _AT_ONCE, threads or available_cores(), _EXACT, adapters)
    with closing(context):
        for sequence in sequences:
            context.clear()
            yield np.concatenate([_decoded(context, sequence, start) for start in range(0, len(sequence), _AT_ONCE)])


def _decoded(context: CachedContext, sequence: Sequence[int], start: int) -> Logits:
    """The logits of the tokens from `start` on that are decoded together."""
    tokens = sequence[start : start + _AT_ONCE]
    count = len(tokens)
    context.token[:count] = tokens
    context.position[:count] = range(start, start + count)
    context.sequence[:count] = 0
    context.wants_logits[:count] = 1
    status = context.decode(count)
    if status != 0:
        raise XqeError(f"llama.cpp could not decode a text (status {status})", "give another --text")
    return context.logits(count).copy()


# ---------------------------------------------------------------- numbers


class _Sums:
    """Adds up what `Comparison` says, text by text."""

    def __init__(self) -> None:
        self._plain, self._adapted = _Agreements(), _Agreements()
        self._texts = self._tokens = 0
        self._kl = 0.0
        self._effect = self._both = self._error = self._apart = 0.0  # sums of squares, and of products for both

    def add(self, their_plain: Logits, their_adapted: Logits, our_plain: Logits, our_adapted: Logits) -> None:
        self._texts += 1
        self._tokens += len(their_plain)
        width = min(their_plain.shape[1], our_plain.shape[1])  # either side may have padded its vocabulary
        for rows in zip(their_plain, their_adapted, our_plain, our_adapted, strict=True):
            theirs, their_changed, ours, our_changed = (row[:width].astype(np.float64) for row in rows)
            self._plain.add(theirs, ours)
            self._adapted.add(their_changed, our_changed)
            self._kl += divergence(their_changed, theirs)
            effect, our_effect = their_changed - theirs, our_changed - ours
            self._effect += _product(effect, effect)
            self._both += _product(effect, our_effect)
            self._error += _product(our_effect - effect, our_effect - effect)
            self._apart += _product(ours - theirs, ours - theirs)

    def comparison(self) -> Comparison:
        agreements = self._plain.agreement(self._tokens), self._adapted.agreement(self._tokens)
        return Comparison(self._texts, self._tokens, *agreements, self._made())

    def _made(self) -> Effect:
        if not self._effect:  # an adapter that does nothing should do nothing
            return Effect(0.0, float(self._error == 0), float(self._error > 0), 0.0)
        # what the arithmetic makes, it makes without the adapter and with it, each time anew
        noise = (2 * self._apart / self._effect) ** 0.5
        return Effect(self._kl / self._tokens, self._both / self._effect, (self._error / self._effect) ** 0.5, noise)


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a @ b)


class _Agreements:
    """Adds up an `Agreement`, token by token."""

    def __init__(self) -> None:
        self._largest = self._mean = self._kl = 0.0
        self._same = 0

    def add(self, theirs: NDArray[np.float64], ours: NDArray[np.float64]) -> None:
        difference = np.abs(ours - theirs)
        self._largest = max(self._largest, float(difference.max()))
        self._mean += float(difference.mean())
        self._kl += divergence(theirs, ours)
        self._same += int(theirs.argmax() == ours.argmax())

    def agreement(self, tokens: int) -> Agreement:
        return Agreement(self._largest, self._mean / tokens, self._kl / tokens, self._same / tokens)


def divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """The Kullback-Leibler divergence of softmax(q) from softmax(p), in nats."""
    log_p, log_q = _log_softmax(p), _log_softmax(q)
    return max(0.0, float(np.exp(log_p) @ (log_p - log_q)))


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max()
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result
