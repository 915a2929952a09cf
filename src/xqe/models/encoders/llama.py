"""Encoders that llama.cpp computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xqe.models.encoders.recipes import Recipe
from xqe.models.encoders.tokenized import TokenizedEncoder
from xqe.models.engines.llama import library
from xqe.models.engines.llama.library import llama_cpp
from xqe.models.engines.llama.loading import LoadedModel
from xqe.models.engines.llama.pooled import Pooled
from xqe.models.engines.llama.settings import Hardware
from xqe.models.engines.llama.vocabulary import Tokens

if TYPE_CHECKING:
    from xqe.models.encoders.base import Matrix


class LlamaEncoder(TokenizedEncoder):
    """A GGUF file that llama.cpp loads. Raises ModelError for one that cannot be loaded or makes no vectors."""

    def __init__(self, name: str, recipe: Recipe, sha256: str, hardware: Hardware | None = None) -> None:
        super().__init__(name, recipe, sha256)
        hardware = hardware or Hardware()
        self._loaded = loaded = LoadedModel(name, str(recipe.path), sha256, hardware)
        dimension = int(llama_cpp.llama_model_n_embd_out(loaded.model.pointer))
        self._pooled = Pooled(loaded, recipe.pooling, dimension, hardware)
        try:
            self._begin(loaded.model.vocabulary, dimension)
        except BaseException:
            self.close()
            raise

    def making(self) -> dict[str, Any]:
        return {"runtime": library.version(), **self._loaded.making()}

    def close(self) -> None:
        self._pooled.close()
        self._loaded.close()

    def _compute(self, texts: Sequence[Tokens]) -> Matrix:
        return self._pooled.compute(texts)
