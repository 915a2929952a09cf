"""The encoder that sentence-transformers runs: a folder, or a name of the hub, in whatever torch computes on."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from xqe.errors import MissingExtraError, ModelError, XqeError
from xqe.files.hashes import cached_sha256
from xqe.machine import available_cores
from xqe.models.encoders import SENTENCE_TRANSFORMERS
from xqe.models.encoders.base import Contract, Encoded, Encoder, Side
from xqe.models.families import family_of

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads would only complain of our processes

try:
    import sentence_transformers
    import torch
    import transformers
except ImportError as missing:
    raise MissingExtraError(f"an encoder of sentence-transformers needs {missing.name}", "encoders") from None

if TYPE_CHECKING:
    from xqe.models.encoders.base import Matrix

BATCH = 32
_PASSAGE_PROMPTS = ("document", "passage", "corpus")  # those that encode_document looks for
_WEIGHTS = ("*.safetensors", "*.bin")
_POOLINGS = {"lasttoken": "last"}  # their names for what is called otherwise here
_SAID = 300  # characters of what the libraries say that go into an error
_ENDLESS = 1_000_000  # tokens; what stands for "as long as you like"


class SentenceTransformersEncoder(Encoder):
    """A model of sentence-transformers.

    The prefixes are its prompts, or those of its family where it has none, unless they are given. It is computed in
    float32, on a GPU in float16, or bfloat16 where the model's numbers are too large for that. batch: texts computed
    together. threads: of the CPU, None for the cores there are. Raises ModelError for what is no such model.
    """

    def __init__(
        self,
        reference: str,
        query_prefix: str | None = None,
        passage_prefix: str | None = None,
        limit: int | None = None,
        batch: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.name = f"{SENTENCE_TRANSFORMERS}{reference}"
        self._batch = batch or BATCH
        torch.set_num_threads(threads or available_cores())
        with _quiet():
            self._model = _loaded(reference)
            known = _prefixes(self._model, reference)
            if limit is not None:
                self._model.max_seq_length = min(limit, _limit(self._model) or limit)
            dimension = self._probed()
        self._contract = Contract(
            _identity(self._model, reference),
            _pooling(self._model),
            known[0] if query_prefix is None else query_prefix,
            known[1] if passage_prefix is None else passage_prefix,
            dimension,
            _limit(self._model),
        )

    @property
    def contract(self) -> Contract:
        return self._contract

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]  # tokenizers fail on half a pair
        prefix = self._contract.prefix(side)
        with _quiet():
            vectors = self._vectors(whole, prefix, side)
            truncated = self._truncated([prefix + text for text in whole])
        is_sound = numpy.isfinite(vectors).all(axis=1)
        vectors[~is_sound] = 0
        problem = "the model makes numbers of the text that are none"
        return Encoded(vectors, truncated, {int(place): problem for place in numpy.flatnonzero(~is_sound)})

    def windows(self, texts: Sequence[str], tokens: int, overlap: int) -> list[list[str]]:
        tokenizer = self._tokenizer
        if not getattr(tokenizer, "is_fast", False):
            raise XqeError(
                f"{self.name}: its tokenizer does not tell where the tokens of a text begin, so it cannot be cut into "
                "windows",
                "encode whole texts, or cut them beforehand",
            )
        with _quiet():
            found = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return [_cut(text, places, tokens, overlap) for text, places in zip(texts, found, strict=True)]

    def making(self) -> dict[str, Any]:
        parameter = next(self._model.parameters())
        return {"device": parameter.device.type, "dtype": str(parameter.dtype).removeprefix("torch.")}

    def close(self) -> None:
        self._model = None

    @property
    def _tokenizer(self) -> Any:
        return self._model.tokenizer

    def _probed(self) -> int:
        """The dimension of the vectors, found by making one, in a number format that is wide enough for it."""
        if self._model.device.type == "cuda":
            self._model.half()
        vectors = self._vectors(["a text"], "", Side.PASSAGE)
        if not numpy.isfinite(vectors).all() and self._model.device.type == "cuda":
            self._model.bfloat16()
            vectors = self._vectors(["a text"], "", Side.PASSAGE)
        return int(vectors.shape[1])

    def _vectors(self, texts: Sequence[str], prefix: str, side: Side) -> Matrix:
        if not texts:
            return numpy.empty((0, self._contract.dimension), numpy.float32)
        encode = self._model.encode_query if side is Side.QUERY else self._model.encode_document
        made = encode(
            list(texts),
            prompt=prefix,
            batch_size=self._batch,
            show_progress_bar=False,
            convert_to_numpy=False,
            convert_to_tensor=True,
        )
        vectors = made.float().cpu().numpy()
        lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
        with numpy.errstate(divide="ignore", invalid="ignore"):
            unit: Matrix = vectors / lengths
        return unit

    def _truncated(self, texts: Sequence[str]) -> int:
        limit = self._contract.limit
        if limit is None or not texts or not isinstance(self._tokenizer, transformers.PreTrainedTokenizerBase):
            return 0
        ids = self._tokenizer(list(texts), truncation=False, padding=False)["input_ids"]
        return sum(len(some) > limit for some in ids)


def _loaded(reference: str) -> Any:
    """The model of a folder or of the hub, in float32. Raises ModelError."""
    folder = Path(reference).expanduser()
    if not folder.is_dir() and (reference.startswith((".", "/", "~")) or reference.count("/") > 1):
        raise ModelError(f"{reference}: no such folder", "give a folder that sentence-transformers saved")
    place = str(folder) if folder.is_dir() else reference
    try:
        is_one = sentence_transformers.util.is_sentence_transformer_model(place)
        model = (
            sentence_transformers.SentenceTransformer(place, model_kwargs={"dtype": torch.float32}) if is_one else None
        )
    except Exception as error:  # those of safetensors, tokenizers, torch and the hub have nothing in common
        raise ModelError(
            f"{reference}: sentence-transformers cannot load it: {' '.join(str(error).split())[:_SAID]}",
            "give a folder that it saved, or a name of the hub",
        ) from None
    if model is None:  # of which it would guess the pooling
        raise ModelError(
            f"{reference}: no model of sentence-transformers, for it has no modules.json",
            "give a folder that it saved, or a name of the hub",
        )
    return model


def _prefixes(model: Any, reference: str) -> tuple[str, str]:
    """What stands before queries and before passages: the model's prompts, else those of its family."""
    prompts = model.prompts or {}
    query = prompts.get("query") or ""
    passage = next((prompts[name] for name in _PASSAGE_PROMPTS if prompts.get(name)), "")
    family = None if query or passage else family_of(reference)
    return (family.query_prefix, family.passage_prefix) if family else (query, passage)


def _identity(model: Any, reference: str) -> dict[str, str]:
    """The sha256 of the weights in a folder; of the hub, the name and the commit."""
    folder = Path(reference).expanduser()
    if folder.is_dir():
        files = next((found for pattern in _WEIGHTS if (found := sorted(folder.rglob(pattern)))), [])
        hashes = [cached_sha256(file) for file in files]
        return {"sha256": hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()}
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    commit = getattr(config, "_commit_hash", None)
    return {"model": reference, **({"revision": commit} if commit else {})}


def _pooling(model: Any) -> str | None:
    """How the model pools, in the words of --pooling where there is one; None where no module of it does."""
    for module in model:
        if type(module).__name__ == "Pooling":
            mode = getattr(module, "pooling_mode", None) or module.get_pooling_mode_str()  # before release 6
            names = [mode] if isinstance(mode, str) else mode
            return "+".join(_POOLINGS.get(name, name) for name in names)
    return None


def _limit(model: Any) -> int | None:
    limit = model.max_seq_length
    return int(limit) if limit is not None and limit < _ENDLESS else None


def _cut(text: str, places: Sequence[tuple[int, int]], tokens: int, overlap: int) -> list[str]:
    """The pieces of a text whose tokens lie in these places."""
    if len(places) <= tokens:
        return [text]
    starts = range(0, len(places) - overlap, tokens - overlap)
    return [text[places[start][0] : places[min(start + tokens, len(places)) - 1][1]] for start in starts]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the libraries say off the terminal: it is for their users, not for ours."""
    log = transformers.utils.logging
    bars = log.is_progress_bar_enabled()
    log.disable_progress_bar()
    loggers = [logging.getLogger(name) for name in ("sentence_transformers", "transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            log.enable_progress_bar()
