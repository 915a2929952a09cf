"""The interface of every encoder: texts in, vectors of length 1 out, in the order of the texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from xqe.models.closing import Closing

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Matrix = NDArray[numpy.float32]


class Side(StrEnum):
    """What a text is to be: many encoders put another prefix before what is searched with than before what is found."""

    QUERY = "query"
    PASSAGE = "passage"


@dataclass(frozen=True, slots=True)
class Contract:
    """What vectors depend on: only those of one contract may be compared.

    model: {"sha256": of the file}, or for what has no file here its name, {"model": name}. pooling: "mean", "cls" or
    "last"; None where a server decides. query_prefix, passage_prefix: what stands before a text. dimension: of the
    vectors. limit: the most tokens of a text with its prefix and what the tokenizer adds, None where a server decides.
    """

    model: Mapping[str, str]
    pooling: str | None
    query_prefix: str
    passage_prefix: str
    dimension: int
    limit: int | None

    def prefix(self, side: Side) -> str:
        return self.query_prefix if side is Side.QUERY else self.passage_prefix

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "model": dict(self.model)}


@dataclass(frozen=True, slots=True)
class Encoded:
    """What came of some texts. vectors: float32 of shape (texts, dimension), each of length 1; a row of zeros for a
    text that failed. truncated: how many texts were longer than the limit. errors: why a text has no vector, by its
    place; only what computes elsewhere fails on single texts."""

    vectors: Matrix
    truncated: int = 0
    errors: Mapping[int, str] = field(default_factory=dict)


class Encoder(Closing):
    """A model that makes vectors. Use as a context manager; `close` frees the model.

    name: as provenance names it, and as --encoder takes it.
    """

    name: str

    @property
    @abstractmethod
    def contract(self) -> Contract:
        """What the vectors depend on."""

    @abstractmethod
    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        """Return the vectors of texts, which are computed together, in whatever order is fastest.

        On a CPU a vector is the same whatever texts stand beside its own, within 1e-5; on a GPU, where llama.cpp rounds
        what it multiplies 4-bit weights with, within 2e-3. Any text has one: what is longer than the limit is cut at
        its end, a blank one is its prefix alone.
        """

    def windows(self, texts: Sequence[str], tokens: int, overlap: int) -> list[list[str]]:
        """Cut each text into pieces of at most so many tokens, of which each repeats the last `overlap` tokens of the
        one before; a text that is short enough is one piece. Raises XqeError where tokens are not known here."""
        raise NotImplementedError

    def encode_each(self, batches: Iterable[Sequence[str]], side: Side) -> Iterator[Encoded]:
        """Yield what `encode` returns for each of some batches, in their order. Where several are encoded at a time,
        a bounded number is read ahead."""
        return (self.encode(texts, side) for texts in batches)

    def windows_each(self, batches: Iterable[Sequence[str]], tokens: int, overlap: int) -> Iterator[list[list[str]]]:
        """Yield what `windows` returns for each of some batches, as `encode_each` does."""
        return (self.windows(texts, tokens, overlap) for texts in batches)

    def making(self) -> dict[str, Any]:
        """What provenance says of how the model is run, which vectors do not depend on."""
        return {}
