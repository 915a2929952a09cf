"""Opening an encoder that computes in this process."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xqe.errors import MissingExtraError, XqeError
from xqe.messages import plural
from xqe.models.encoders.recipes import Recipe, check_makes_vectors, recipe
from xqe.models.lent import lent_encoder
from xqe.models.lookup import resolve
from xqe.models.registry import EXTRA, named
from xqe.models.split import parts_of
from xqe.models.verification import model_sha256

if TYPE_CHECKING:
    from xqe.models.encoders.base import Encoder
    from xqe.models.engines.llama.settings import Hardware

AUTO, LLAMA, ONNX = "auto", "llama.cpp", "onnxruntime"
_BERT = "bert"  # XLM-R, and with it multilingual-e5, bge-m3 and granite-embedding, among others
_PACKAGES = ("onnxruntime", "gguf")


@dataclass(frozen=True, slots=True)
class Found:
    """An encoder that can be opened. name: as provenance has it. sha256: of its file. runtime: what is to compute."""

    name: str
    how: Recipe
    sha256: str
    runtime: str

    def open(self, hardware: Hardware | None = None) -> Encoder:
        if _by_onnx(self.runtime, self.how, hardware):
            from xqe.models.encoders.onnx import OnnxEncoder

            return lent_encoder(
                (self.name, ONNX, self.sha256, self.how, hardware),
                lambda: OnnxEncoder(self.name, self.how, self.sha256, hardware),
            )
        from xqe.models.encoders.llama import LlamaEncoder

        return lent_encoder(
            (self.name, LLAMA, self.sha256, self.how, hardware),
            lambda: LlamaEncoder(self.name, self.how, self.sha256, hardware),
        )


def find_encoder(
    reference: str,
    pooling: str | None = None,
    query_prefix: str | None = None,
    passage_prefix: str | None = None,
    limit: int | None = None,
    runtime: str = AUTO,
) -> Found:
    """Find the encoder that a name of the table, or the path of a GGUF file, means.

    pooling, the prefixes and limit: instead of what is known of it. runtime: what computes; by itself ONNX Runtime,
    which is faster on a CPU, where it is installed, knows the architecture and no GPU is used, and else llama.cpp. The
    vectors are the same within what quantised arithmetic loses, and so is the contract. Raises ModelError and XqeError;
    nothing is loaded.
    """
    check_makes_vectors(reference)
    resolved = resolve(reference)
    how = recipe(reference, resolved.path, pooling, query_prefix, passage_prefix, limit)
    if runtime == ONNX:
        _by_onnx(runtime, how, None)
    name = resolved.name if reference in named() else str(Path(reference).expanduser().absolute())
    return Found(name, how, model_sha256(resolved.path), runtime)


def open_encoder(reference: str, hardware: Hardware | None = None, *asked: Any, **named: Any) -> Encoder:
    """Open an encoder in this process. asked, named: what else `find_encoder` takes. Raises ModelError and XqeError,
    before anything is loaded where it can be told."""
    return find_encoder(reference, *asked, **named).open(hardware)


def _by_onnx(runtime: str, how: Recipe, hardware: Hardware | None) -> bool:
    """Whether ONNX Runtime computes. Raises XqeError where it was asked for and cannot."""
    knows = how.architecture == _BERT and len(parts_of(how.path)) == 1
    if runtime == ONNX and not knows:
        raise XqeError(
            f"{how.reference}: {ONNX} computes BERT in one file, and it is of the architecture {how.architecture} "
            f"in {plural(len(parts_of(how.path)), 'file')}",
            f"use {LLAMA}",
        )
    if runtime == LLAMA or not knows:
        return False
    installed = all(find_spec(package) for package in _PACKAGES)
    if runtime == ONNX and not installed:
        raise MissingExtraError(f"{ONNX} is not installed", EXTRA)
    return installed and (runtime == ONNX or not _on_gpu(hardware))


def _on_gpu(hardware: Hardware | None) -> bool:
    if hardware is not None and hardware.gpu_layers is not None:
        return hardware.gpu_layers != 0
    from xqe.models.engines.llama.library import gpus

    return bool(gpus())
