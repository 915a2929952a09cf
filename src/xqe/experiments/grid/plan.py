"""What a grid comes to: texts to generate, each once however many cells need it, and cells to evaluate.

    queries ── translate ── T ──┬── expand ──── T+E
        │                       └── (searched alone: a baseline)
        ├───── expand ──── E ───┬── translate ─ E+T
        │                       └── (searched alone: a baseline)
        ├───── expand into the documents' language (a baseline)
        └───── (searched untranslated: a baseline, as against documents that are translated)

A translation serves all strategies, and an expansion in the source language all languages of documents. Where hits are
re-ranked, a model reads the best of a cell once, and every depth and weight has a cell of its own. What decides a text
or a value is in its key: what has the same key need not be done again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from xqe.experiments.grid.asked import Asked
from xqe.experiments.grid.keys import Identity
from xqe.experiments.grid.pairs import Pair
from xqe.experiments.grid.settings import Grid, Guidance, ModelRow, RerankRow
from xqe.retrieval.choices import By, Use
from xqe.stages.judging.choices import Judging
from xqe.stages.presets import Preset
from xqe.stages.strategies import RECIPES, Strategy

TRANSLATE, EXPAND, DIRECT = "translate", "expand", "direct"
EXPANSION = "expansion"


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts to generate: a stage over the queries of a language or a pair.

    name: of its file. adapted: made with the row's adapters. after: the texts it works on, None for the queries.
    documents: how many it works on in place of queries, 0 for none. guide: what its prompts show besides.
    """

    name: str
    kind: str
    collection: str
    model: ModelRow
    source: str
    target: str | None
    strategy: Strategy | None
    order: str | None
    samples: int
    adapted: bool
    ids: tuple[str, ...]
    key: str
    after: Texts | None = None
    documents: int = 0
    guide: Guidance = Guidance.PLAIN

    @property
    def place(self) -> str:
        """Where it lies in the folder of the grid, without a suffix."""
        return f"texts/{self.collection}/{self.model.name}/{self.name}"

    @property
    def engine(self) -> ModelRow:
        """The model that makes them, with its adapters or without, by its own name: rows that share it load it once."""
        return replace(self.model, name=self.model.model, lora=self.model.lora if self.adapted else ())

    @property
    def reads(self) -> int:
        """How many documents it reads that each of its records finds before."""
        return self.strategy.reads if self.kind == EXPAND and self.strategy is not None else 0

    @property
    def records(self) -> int:
        return self.documents or len(self.ids)

    @property
    def count(self) -> int:
        """How many texts it makes, without those that an earlier stage has made already; of documents, how many of
        these."""
        kinds = self.strategy.recipe.kinds if self.strategy in RECIPES else 1
        return self.records * self.samples * kinds


@dataclass(frozen=True, slots=True)
class Cell:
    """One system on one language pair. texts: what is searched with, None for queries as they are. query_weight: among
    words, None for the automatic one and where it has no effect. again: how the hits of another cell are re-ranked,
    None where an index is searched. questions: what the questions of documents count, None for nothing.
    stock: translated documents that are searched, None for those of the collection. guided: how an encoder guided what
    is searched with, None for not at all. preset: what says how it is searched, None for the grid."""

    collection: str
    source: str
    target: str
    system: str
    kind: str
    use: Use
    ids: tuple[str, ...]
    texts: Texts | None
    query_weight: float | None
    key: str
    retriever: By = By.BM25
    again: Again | None = None
    questions: Questions | None = None
    stock: Texts | None = None
    guided: Guided | None = None
    preset: Preset | None = None

    @property
    def by_vectors(self) -> bool:
        return self.retriever is not By.BM25

    @property
    def stages(self) -> list[Texts]:
        """The texts that it is searched with, and those that they were made of."""
        found = []
        texts = self.texts
        while texts is not None:
            found.append(texts)
            texts = texts.after
        return found

    @property
    def index(self) -> str:
        """The name of the index that is searched, in the collection's folder: its language, unless documents are
        translated."""
        return self.target if self.stock is None else f"{self.stock.model.name}+{self.target}-{self.source}"

    @property
    def pair(self) -> Pair:
        return self.source, self.target

    @property
    def place(self) -> str:
        return f"{self.collection}/{self.source}-{self.target}/{self.system}"


@dataclass(frozen=True, slots=True)
class Questions:
    """What the questions of documents count in a cell. plain: the system in which they count nothing. weight: among
    words. share: among vectors."""

    plain: str
    weight: float
    share: float


@dataclass(frozen=True, slots=True)
class Guided:
    """How an encoder guided what a cell is searched with. plain: the system that it did not guide. guide: what prompts
    showed besides. judge: what became of texts by how close they are to the query, None for nothing."""

    plain: str
    guide: Guidance
    judge: Judging | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best hits of a cell, as a model ranks them. n: how many it reads of each query."""

    first: Cell
    row: RerankRow
    n: int
    key: str

    @property
    def name(self) -> str:
        """What it is called beside others of its cell: of a kind without scores, each depth is one of its own."""
        return self.row.name if self.row.kind.gives_scores else f"{self.row.name}@{self.n}"

    @property
    def place(self) -> str:
        """Where it lies in the folder of the grid, without a suffix."""
        return f"ranked/{self.first.place}+{self.name}"


@dataclass(frozen=True, slots=True)
class Again:
    """What of a model's ranking a cell takes: the best n, and the weight of the first stage's score, None where the
    model gives no scores."""

    ranked: Ranked
    n: int
    first_weight: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do. texts stand after those they need. identities: of each model row, by its name. encoder: its
    identity, None where nothing is searched by vectors. rerankers: what each way to re-rank is, by its name. systems:
    of the whole grid. part: which of several it is ("1/4"), None for all."""

    grid: Grid
    asked: dict[str, Asked]
    texts: tuple[Texts, ...]
    cells: tuple[Cell, ...]
    identities: dict[str, Identity] = field(repr=False)
    encoder: Identity | None
    rerankers: dict[str, Identity] = field(repr=False)
    systems: frozenset[str]
    impossible: tuple[str, ...] = ()
    part: str | None = None

    @property
    def searched(self) -> list[Cell]:
        """The cells of the first stage."""
        return [cell for cell in self.cells if cell.again is None]

    @property
    def reranked(self) -> list[Cell]:
        """The cells that re-rank those of the first stage."""
        return [cell for cell in self.cells if cell.again is not None]

    @property
    def ranked(self) -> list[Ranked]:
        """What models have to rank, each once however many cells take of it."""
        return list({cell.again.ranked.place: cell.again.ranked for cell in self.cells if cell.again}.values())

    def shard(self, number: int, count: int) -> Plan:
        """Part `number`, from 0, of the plan for `count` machines: whole (collection, source language, model) units.

        All that is shared is shared within a unit, with all adapters of a model, so nothing is made twice; units are
        dealt out by their size.
        """
        units: dict[tuple[str, str, str], int] = {}
        first = self.grid.models[0].model
        for cell in self.cells:
            unit = _unit(cell, first)
            units[unit] = units.get(unit, 0) + len(cell.ids)
        mine = {
            unit for place, unit in enumerate(sorted(units, key=lambda u: (-units[u], u))) if place % count == number
        }
        cells = tuple(cell for cell in self.cells if _unit(cell, first) in mine)
        return replace(self, cells=cells, texts=needed(self.texts, cells), part=f"{number + 1}/{count}")


def _unit(cell: Cell, first: str) -> tuple[str, str, str]:
    made = cell.texts or cell.stock
    return cell.collection, cell.source, made.model.model if made else first


def needed(texts: Iterable[Texts], cells: Iterable[Cell]) -> tuple[Texts, ...]:
    """The texts that some cell needs, itself or for texts that work on them."""
    wanted: set[str] = set()
    for cell in cells:
        if cell.stock is not None:
            wanted.add(cell.stock.place)
        wanted.update(texts.place for texts in cell.stages)
    return tuple(one for one in texts if one.place in wanted)
