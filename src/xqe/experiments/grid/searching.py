"""What a cell is searched with and by: its records; and the words of an index, its vectors, or both, with one encoder
for a whole run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from xqe.errors import XqeError
from xqe.experiments.grid.asked import Asked
from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.plan import Cell
from xqe.experiments.grid.settings import Grid
from xqe.files.records import Record
from xqe.models.encoders.base import Encoder
from xqe.models.encoders.remembering import Remembering
from xqe.retrieval.bm25 import BM25
from xqe.retrieval.choices import MASS, By, Use
from xqe.retrieval.dense import Vectors, open_vectors
from xqe.retrieval.dense.building import folder_of
from xqe.retrieval.hybrid import Hybrid, Mixture
from xqe.retrieval.lexical import Index, open_index
from xqe.retrieval.meaning import Known, Meant
from xqe.retrieval.nearest import Dense
from xqe.retrieval.retriever import Retriever
from xqe.retrieval.twice import Twice
from xqe.retrieval.weighting import Weighting
from xqe.stages.judging.judge import Judge


class Encoding:
    """The encoder of a run, opened when a query first needs it, and the vectors of the texts that it has encoded: what
    several cells search with is encoded once. Use as a context manager."""

    def __init__(self, open_encoder: Callable[[], Encoder]) -> None:
        self._open_encoder = open_encoder
        self._opened = ExitStack()
        self._error: XqeError | None = None
        self.known = Known()

    @cached_property
    def _encoder(self) -> Encoder:
        return self._opened.enter_context(Remembering(self._open_encoder()))

    def encoder(self) -> Encoder:
        """Raises XqeError where it cannot be opened, each time that which the first time did."""
        if self._error is not None:
            raise self._error
        try:
            return self._encoder
        except XqeError as error:
            self._error = error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()


class Opened:
    """An index of the grid, opened with its vectors when a cell first needs them. Raises XqeError where it cannot."""

    def __init__(self, directory: Path, grid: Grid, encoding: Encoding, threads: int) -> None:
        self._directory, self._grid, self._encoding, self._threads = directory, grid, encoding, threads
        self._opened: dict[float, Vectors] = {}

    @cached_property
    def _index(self) -> Index:
        return open_index(self._directory)

    def _vectors(self, share: float) -> Vectors:
        """share: of questions in the vectors of their documents. Vectors that were mixed are kept until other ones
        are."""
        if share not in self._opened:
            index, encoder = self._index, self._encoding.encoder()
            named = folder_of(index.documents, encoder).name
            owners = {code: index.owners(code) for code in self._questions_of()} if share else {}
            kept = {0.0: self._opened[0.0]} if 0.0 in self._opened else {}
            opened = open_vectors(self._directory, index.documents, named, self._threads, owners, share)
            self._opened = {**kept, share: opened}
        return self._opened[share]

    def _questions_of(self) -> list[str]:
        """The languages of questions that count."""
        wanted = self._grid.questions.languages if self._grid.questions is not None else ()
        return [code for code in self._index.manifest.questions if wanted is None or code in wanted]

    def judged(self, cell: Cell, records: list[Record]) -> list[Record]:
        """The records of a cell as its judge leaves them, where it has one."""
        if cell.guided is None or cell.guided.judge is None:
            return records
        return list(Judge(self._encoding.encoder(), cell.guided.judge).over(records))

    def retriever(self, cell: Cell) -> Retriever[Any]:
        """What finds the documents of a cell, as xqe search does by the same choices."""
        once = self._once(cell)
        return Twice(once) if cell.use is Use.QUERY_DOC else once

    def _once(self, cell: Cell) -> Retriever[Any]:
        """What searches with all of a record at once."""
        if cell.retriever is By.BM25:
            return self._words(cell)
        if cell.retriever is By.DENSE:
            return self._meanings(cell)
        sides: dict[By, Retriever[Any]] = {By.BM25: self._words(cell), By.DENSE: self._meanings(cell)}
        return Hybrid(sides, Mixture(dense_weight=self._grid.dense_weight))

    def _words(self, cell: Cell) -> BM25:
        weight = cell.questions.weight if cell.questions is not None else 0.0
        of = tuple(self._questions_of()) if weight else None
        source_weight, mass = self._grid.source_weights[cell.retriever], MASS
        if cell.preset is not None:
            source_weight, mass = cell.preset.choices.source_weight, cell.preset.choices.nbest_mass
        weighting = Weighting(cell.use, cell.query_weight, source_weight, None, weight, of, mass)
        return BM25(self._index, weighting)

    def _meanings(self, cell: Cell) -> Dense:
        index = self._index
        return Dense(
            index.name,
            index.manifest.language,
            index.documents,
            self._vectors(cell.questions.share if cell.questions is not None else 0.0),
            self._encoding.encoder(),
            Meant(cell.use, self._grid.encode if cell.preset is None else cell.preset.choices.encode),
            known=self._encoding.known,
        )


def records_of(cell: Cell, asked: Asked, folder: Folder) -> list[Record]:
    """What a cell is searched with."""
    if cell.texts is not None:
        done = folder.read_texts(cell.texts)
        return [done[one] for one in cell.ids]
    lang = cell.target if cell.kind == "human" else cell.source
    return [{"id": one, "query": asked.queries[lang][one], "lang": lang} for one in cell.ids]
