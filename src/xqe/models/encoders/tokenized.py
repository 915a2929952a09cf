"""What encoders of GGUF files have in common: tokens come first, and vectors are held to what is known of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy

from xqe.errors import ModelError
from xqe.models.encoders.base import Contract, Encoded, Encoder, Side
from xqe.models.encoders.recipes import Recipe
from xqe.models.encoders.tokenizing import Tokenizer
from xqe.models.engines.llama.vocabulary import Tokens, Vocabulary

if TYPE_CHECKING:
    from xqe.models.encoders.base import Matrix

_TRIAL = ("The capital of France", "Wasser kocht bei hundert Grad")
_ALIKE = 0.99999


class TokenizedEncoder(Encoder):
    """An encoder of a GGUF file. sha256: of the file. Call `_begin` when the file is open."""

    def __init__(self, name: str, recipe: Recipe, sha256: str) -> None:
        self.name, self._recipe, self._sha256 = name, recipe, sha256

    def _begin(self, vocabulary: Vocabulary, dimension: int) -> None:
        """Set what the file decides, and try it out. Raises ModelError for a model that makes no vectors."""
        recipe = self._recipe
        self._tokenizer = Tokenizer(vocabulary, recipe)
        self._dimension = dimension
        if recipe.dimension not in (None, dimension):
            raise ModelError(
                f"{self.name}: its vectors have {dimension} numbers, and xqe knows {recipe.dimension}",
                "check it with xqe models verify, or give the path of another file",
            )
        first, second = self.encode(_TRIAL, Side.PASSAGE).vectors
        if not (numpy.isfinite(first).all() and numpy.isfinite(second).all() and first @ second < _ALIKE):
            raise ModelError(
                f"{self.name}: does not tell two texts apart, so it is no encoder, or is damaged",
                "check it with xqe models verify",
            )

    @property
    def contract(self) -> Contract:
        recipe = self._recipe
        return Contract(
            {"sha256": self._sha256},
            recipe.pooling,
            recipe.query_prefix,
            recipe.passage_prefix,
            self._dimension,
            recipe.limit,
        )

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        prefix = self.contract.prefix(side)
        encoded = [self._tokenizer.encode(text, prefix) for text in texts]
        vectors = self._compute([tokens for tokens, _ in encoded])
        lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
        return Encoded(vectors / numpy.maximum(lengths, 1e-12), sum(cut for _, cut in encoded))

    @abstractmethod
    def _compute(self, texts: Sequence[Tokens]) -> Matrix:
        """The vectors of texts, of any length, shape (texts, dimension). No text has more tokens than the limit."""

    def windows(self, texts: Sequence[str], tokens: int, overlap: int) -> list[list[str]]:
        return [self._tokenizer.windows(text, tokens, overlap) for text in texts]
