"""The results of a grid as its folders hold them: read, checked, and merged where a grid was run in shards."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

from xqe.errors import InputError, why
from xqe.experiments.report.shapes import (
    Shape,
    amount,
    anything,
    by_name,
    count,
    misfit,
    or_none,
    part,
    rank,
    several,
    share,
    text,
    whole,
)
from xqe.files import jsonl
from xqe.files.records import Document, Record, check_document, check_query
from xqe.files.trec import Qrels, read_qrels
from xqe.stages.presets import Preset
from xqe.stages.strategies import Strategy

FORMAT = 1
MANIFEST, HISTORY = "manifest.json", "history.jsonl"
CELLS, QUERIES, HUMAN_QUERIES, DOCUMENT_TEXTS, QRELS = "cells", "queries", "human", "documents", "qrels"

ORIGINAL, TRANSLATION, HUMAN, DOCUMENTS = "original", "translation", "human", "documents"
SOURCE_EXPANSION, DIRECT, EXPANSION = "source-expansion", "direct", "expansion"
PRESETS = tuple(map(str, Preset))
KINDS = (ORIGINAL, TRANSLATION, HUMAN, DOCUMENTS, *PRESETS, SOURCE_EXPANSION, DIRECT, EXPANSION)
GENERATED = (SOURCE_EXPANSION, DIRECT, EXPANSION)  # those that have passages
# as they stand in the paper's tables
_STRATEGIES = tuple(map(str, Strategy))
_ORDERS = (None, "te", "et")
_GUIDES = ("", "nearby", "examples", "both")
_JUDGES = ("", "weigh", "drop", "closest")
_USES = ("query", "doc", "query+doc")
WORDS = "bm25"
RETRIEVERS = (WORDS, "dense", "hybrid")
"""What systems search by: words, as in the paper, vectors, or both. The name of a system ends in a dot and its
retriever, where that is not words."""

STAGES = ("translate documents", "index", "embed", "translate", "expand", "search", "rerank")
"""What a grid does, in the order in which a query meets it."""

Json = dict[str, Any]
Pair = tuple[str, str]
_AGAIN = "run the grid again with --resume, or copy all of its folder"


@dataclass(frozen=True, slots=True)
class Reranker:
    """What put the hits of a system in a new order. first: the name of the system that found them. name: of the way in
    the grid. first_weight: None where the model gives no scores. varies: whether others of the grid have another
    weight."""

    first: str
    name: str
    kind: str
    model: str
    n: int
    first_weight: float | None
    varies: bool = False


@dataclass(frozen=True, slots=True)
class Questions:
    """What the questions of documents count in a system. plain: the name of the one in which they count nothing.
    weight: among words. share: among vectors."""

    plain: str
    weight: float
    share: float


@dataclass(frozen=True, slots=True)
class Guided:
    """How an encoder guided a system. plain: the name of the one that it did not guide. guide: what prompts showed
    besides, judge: what became of texts by how close they are to the query; "" for nothing."""

    plain: str
    guide: str
    judge: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage of a cell took. by: what does it. count: records that went through it. made: what was asked for them
    in that time, and reused: what was there already. part: of it all, what this cell takes."""

    stage: str
    by: str
    count: int
    made: int
    reused: int
    tokens: int
    seconds: float
    part: float = 1.0

    def of_each(self, amount: float) -> float | None:
        """What of an amount falls on each record, with all that it needs; None where nothing was made now."""
        if not self.made or not self.count:
            return None
        return amount / self.made * (self.made + self.reused) / self.count * self.part


@dataclass(frozen=True, slots=True)
class System:
    """What was searched with. name: unique in a language pair; model to samples: None where they do not apply.

    varies: whether the grid has several query weights, so that this one's is worth telling. retriever: what it searches
    by. reranker: what re-ranks its hits, None for nothing. questions: what those of the documents count, None for
    nothing. guided: how an encoder guided it, None for not at all. Systems with any of them stand in tables of their
    own.
    """

    name: str
    kind: str
    model: str | None
    strategy: str | None
    order: str | None
    use: str
    query_weight: str | None
    samples: int | None
    varies: bool = False
    retriever: str = WORDS
    reranker: Reranker | None = None
    questions: Questions | None = None
    guided: Guided | None = None

    @property
    def variant(self) -> tuple[str | None, str, str | None, int | None]:
        """All but model and strategy: order, use, query weight, samples."""
        return self.order, self.use, self.query_weight, self.samples


@dataclass(frozen=True, slots=True)
class Result:
    """A cell: one system on one language pair of a collection.

    queries: ids, in one order for all that a cell has of each query: `values` (measure -> 0..1), `first` (best hit),
    `ranks` (of the first relevant document, from 1). failures: query id -> reason. texts, run: files, from `folder`.
    error: why the cell could not be done; then there are no queries.
    """

    collection: str
    pair: Pair
    system: System
    queries: tuple[str, ...]
    values: Mapping[str, tuple[float, ...]]
    first: tuple[str | None, ...]
    ranks: tuple[int | None, ...]
    costs: tuple[Cost, ...]
    failures: Mapping[str, str]
    documents: int
    pool: bool
    missing: int
    seconds: float
    texts: str | None
    run: str | None
    error: str | None
    folder: Path

    @property
    def is_done(self) -> bool:
        return self.error is None and bool(self.queries)

    def place(self) -> str:
        return f"{self.collection} {self.pair[0]}-{self.pair[1]} {self.system.name}"


@dataclass(frozen=True)
class Results:
    """A grid, of one folder or of several that are shards of it.

    manifests: one a folder. results: cells that were done; broken: those that were not.
    """

    folders: tuple[Path, ...]
    manifests: tuple[Json, ...]
    results: tuple[Result, ...]
    broken: tuple[Result, ...]
    _cells: dict[tuple[str, Pair, str], Result] = field(default_factory=dict)
    _queries: dict[tuple[str, Pair], tuple[str, ...]] = field(default_factory=dict)
    _questions: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)
    _documents: dict[tuple[str, str], dict[str, Document]] = field(default_factory=dict)
    _qrels: dict[tuple[str, Pair], Qrels] = field(default_factory=dict)
    _texts: dict[Path, dict[str, Record]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.manifests[0].get("name") or self.folders[0].name)

    @property
    def measures(self) -> tuple[str, ...]:
        return tuple(self.manifests[0]["measures"])

    @property
    def collections(self) -> dict[str, Json]:
        """What is said of each collection that has results."""
        said = _merged(self.manifests, "collections")
        return {name: said.get(name, {}) for name in dict.fromkeys(one.collection for one in self.results)}

    @property
    def models(self) -> dict[str, Json]:
        return _merged(self.manifests, "models")

    @property
    def generation(self) -> list[tuple[str, Json]]:
        """What each model generated, a row for each folder."""
        return [
            (model, said) for manifest in self.manifests for model, said in (manifest.get("generation") or {}).items()
        ]

    @property
    def rerankers(self) -> dict[str, Json]:
        return _merged(self.manifests, "rerankers")

    def costs(self) -> list[Cost]:
        """What each stage took in all, by what does it, in the order of the stages."""
        sums: dict[tuple[str, str], Cost] = {}
        for manifest in self.manifests:
            for one in map(_cost, manifest.get("costs") or ()):
                before = sums.get((one.stage, one.by), replace(one, count=0, made=0, reused=0, tokens=0, seconds=0.0))
                sums[one.stage, one.by] = replace(
                    one,
                    count=before.count + one.count,
                    made=before.made + one.made,
                    reused=before.reused + one.reused,
                    tokens=before.tokens + one.tokens,
                    seconds=before.seconds + one.seconds,
                )
        return sorted(sums.values(), key=lambda one: _place(STAGES, one.stage))

    def systems(self, collection: str, retriever: str = WORDS) -> list[System]:
        """The systems of the first stage in which questions of documents count nothing, and that no encoder guided."""
        found = self._searched(collection, retriever)
        return [one for one in found if one.questions is None and one.guided is None]

    def with_guides(self, collection: str, retriever: str) -> dict[System, list[System]]:
        """The systems that an encoder guided, too, each with those that it did."""
        found = [one for one in self._searched(collection, retriever) if one.questions is None]
        return {
            plain: sorted(some, key=_order_of_guide)
            for plain in self.systems(collection, retriever)
            if (some := [one for one in found if one.guided is not None and one.guided.plain == plain.name])
        }

    def with_questions(self, collection: str, retriever: str) -> dict[System, list[System]]:
        """The systems that are searched with questions of documents, too, each with those that are."""
        found = self._searched(collection, retriever)
        return {
            plain: sorted(some, key=lambda one: astuple(one.questions) if one.questions else ())
            for plain in self.systems(collection, retriever)
            if (some := [one for one in found if one.questions is not None and one.questions.plain == plain.name])
        }

    def _searched(self, collection: str, retriever: str) -> list[System]:
        found = (one for one in self._systems(collection) if one.reranker is None)
        return sorted((one for one in found if one.retriever == retriever), key=self._order)

    def reranked(self, collection: str) -> dict[System, list[System]]:
        """The systems whose hits are re-ranked, by retriever, and for each the systems that do."""
        found = self._systems(collection)
        ways = list(self.rerankers)
        return {
            first: sorted(again, key=lambda one: _order_of_reranker(one, ways))
            for retriever in self.retrievers(collection)
            for first in self._searched(collection, retriever)
            if (again := [one for one in found if one.reranker is not None and one.reranker.first == first.name])
        }

    def everything(self, collection: str) -> list[System]:
        """All systems of a collection, whatever they search by, and whatever becomes of their hits."""
        return sorted(self._systems(collection), key=lambda one: (_place(RETRIEVERS, one.retriever), self._order(one)))

    def _systems(self, collection: str) -> list[System]:
        return list(dict.fromkeys(one.system for one in self.results if one.collection == collection))

    def retrievers(self, collection: str) -> list[str]:
        """What systems of a collection search by, words first."""
        found = {one.system.retriever for one in self.results if one.collection == collection}
        return sorted(found, key=lambda one: (_place(RETRIEVERS, one), one))

    def _order(self, system: System) -> tuple[Any, ...]:
        return (
            _place((None, *self.models), system.model),
            KINDS.index(system.kind),
            _place(_STRATEGIES, system.strategy),
            system.strategy or "",
            _place(_ORDERS, system.order),
            _place(_USES, system.use),
            system.query_weight or "",
            system.samples or 0,
            system.name,
        )

    def cell(self, collection: str, pair: Pair, system: System) -> Result | None:
        return self._cells.get((collection, pair, system.name))

    def pairs(self, collection: str) -> list[Pair]:
        return sorted({one.pair for one in self.results if one.collection == collection})

    def queries(self, collection: str, pair: Pair) -> tuple[str, ...]:
        """The ids that every cell of a pair was judged on, in the order of their values."""
        return self._queries[collection, pair]

    def question(self, collection: str, lang: str) -> dict[str, str]:
        """The texts of the queries asked in a language, by id; empty where the folder has none."""
        return self._queries_of(QUERIES, collection, lang)

    def human(self, collection: str, lang: str) -> dict[str, str]:
        """The same as people wrote them in a language of documents."""
        return self._queries_of(HUMAN_QUERIES, collection, lang)

    def _queries_of(self, kind: str, collection: str, lang: str) -> dict[str, str]:
        if (kind, collection, lang) not in self._questions:
            lines = self._lines(f"{kind}/{collection}/{lang}.jsonl")
            records = (check_query(raw, where) for where, raw in lines)
            self._questions[kind, collection, lang] = {record["id"]: record["query"] for record in records}
        return self._questions[kind, collection, lang]

    def document(self, collection: str, lang: str, name: str) -> Document | None:
        """How a document begins; None where the folder does not have it."""
        if (collection, lang) not in self._documents:
            lines = self._lines(f"{DOCUMENT_TEXTS}/{collection}/{lang}.jsonl")
            documents = (check_document(raw, where) for where, raw in lines)
            self._documents[collection, lang] = {one.id: one for one in documents}
        return self._documents[collection, lang].get(name)

    def _lines(self, place: str) -> Iterator[tuple[str, Any]]:
        """The lines of a file that some of the folders have."""
        for path in (folder / place for folder in self.folders):
            if path.is_file():
                yield from jsonl.objects(str(path))

    def relevant(self, collection: str, pair: Pair, query: str) -> list[str]:
        """The documents that are relevant to a query, those of the highest grade first; empty where the folder has no
        judgements."""
        if (collection, pair) not in self._qrels:
            paths = (folder / QRELS / collection / f"{'-'.join(pair)}.qrels" for folder in self.folders)
            found: Qrels = {}
            for path in paths:
                found |= read_qrels(str(path)) if path.is_file() else {}
            self._qrels[collection, pair] = found
        grades = self._qrels[collection, pair].get(query, {})
        rel = int(self.manifests[0].get("rel") or 1)
        return sorted((one for one in grades if grades[one] >= rel), key=lambda one: -grades[one])

    def text(self, result: Result, query: str) -> Record:
        """The record that a query of a cell was searched with; empty where it was searched with as it was asked."""
        if result.texts is None:
            return {}
        path = result.folder / result.texts
        if path not in self._texts:
            self._texts[path] = {record["id"]: record for record in self.records(result)}
        return self._texts[path].get(query, {})

    def records(self, result: Result) -> Iterator[Record]:
        """The records that a cell was searched with, in their order."""
        path = None if result.texts is None else result.folder / result.texts
        if path is not None and path.is_file():
            for where, raw in jsonl.objects(str(path)):
                yield check_query(raw, where)


def _order_of_guide(system: System) -> tuple[int, int]:
    assert system.guided is not None
    return _place(_GUIDES, system.guided.guide), _place(_JUDGES, system.guided.judge)


def _order_of_reranker(system: System, ways: Sequence[str]) -> tuple[Any, ...]:
    assert system.reranker is not None
    one = system.reranker
    return _place(ways, one.name), one.n, -1.0 if one.first_weight is None else one.first_weight


def _place(known: Sequence[str | None], value: str | None) -> int:
    """Where a value stands among those that are known, which is before all others."""
    return known.index(value) if value in known else len(known)


def read(folders: Sequence[Path]) -> Results:
    """Read the folders of a grid and merge them.

    Raises InputError for a folder that is not a grid's, is damaged, or holds no finished cell, for folders of
    different measures or settings, for a cell that two folders give different values, and for cells of one language
    pair that were judged on different queries.
    """
    manifests = [_manifest(folder) for folder in folders]
    for folder, manifest in zip(folders[1:], manifests[1:], strict=True):
        _check_same(folders[0], manifests[0], folder, manifest)
    cells: dict[tuple[str, Pair, str], Result] = {}
    for folder, manifest in zip(folders, manifests, strict=True):
        for one in _cells(folder, manifest["measures"]):
            key = (one.collection, one.pair, one.system.name)
            before = cells.get(key)
            if before is not None and before.is_done and one.is_done and before.values != one.values:
                raise InputError(
                    f"{one.folder}: {one.place()} has other values than in {before.folder}",
                    "leave out the older of the two",
                )
            if before is None or not before.is_done:
                cells[key] = one
    weights = {one.system.query_weight for one in cells.values()} - {None}
    if len(weights) > 1:
        cells = {key: replace(one, system=replace(one.system, varies=True)) for key, one in cells.items()}
    weighted: dict[str, set[float | None]] = {}
    for one in cells.values():
        if (again := one.system.reranker) is not None:
            weighted.setdefault(again.name, set()).add(again.first_weight)
    several = {name for name, some in weighted.items() if len(some) > 1}
    cells = {key: _with_weight(one, several) for key, one in cells.items()}
    results = _aligned([one for one in cells.values() if one.is_done])
    if not results:
        named = ", ".join(map(str, folders))
        raise InputError(f"{named}: no finished cell", "run xqe grid to its end, or see why its cells failed")
    return Results(
        tuple(folders),
        tuple(manifests),
        tuple(results),
        tuple(one for one in cells.values() if not one.is_done),
        {(one.collection, one.pair, one.system.name): one for one in results},
        {(one.collection, one.pair): one.queries for one in results},
    )


def _with_weight(one: Result, several: Container[str]) -> Result:
    """The cell, saying whether the weight of its first stage is worth telling. several: re-rankers of which it is."""
    again = one.system.reranker
    if again is None or again.name not in several:
        return one
    return replace(one, system=replace(one.system, reranker=replace(again, varies=True)))


_COST: Shape = {
    **dict.fromkeys(("stage", "by", "of"), text),
    **dict.fromkeys(("count", "made", "reused", "tokens"), count),
    "seconds": amount,
    "part": share,
}
_RERANKED: Shape = {
    **dict.fromkeys(("system", "name", "kind", "model"), text),
    "n": rank,
    "first_weight": share,
}
_GUIDED: Shape = {"plain": text, "guide": text, "judge": or_none(text)}
_QUESTIONS: Shape = {"plain": text, "weight": amount, "share": share}
_MANIFEST: Shape = {
    **dict.fromkeys(("name", "xqe", "python", "platform", "started", "finished"), text),
    "grid": by_name(anything),
    "rel": count,
    "part": part,
    "measures": several(text),
    "settings": by_name(anything),
    "libraries": by_name(text),
    "machine": whole({"gpus": several(text)}),
    "collections": by_name(by_name(anything)),
    "models": by_name(by_name(anything)),
    "encoder": by_name(anything),
    "rerankers": by_name(by_name(anything)),
    "costs": several(whole(_COST, _COST.keys() - {"of", "part"})),
    "generation": by_name(by_name(or_none(amount))),
    "seconds": amount,
}
_CELL: Shape = {
    **dict.fromkeys(("collection", "source", "target", "system", "kind", "model", "strategy", "order", "use"), text),
    **dict.fromkeys(("retriever", "texts", "run", "error"), text),
    "query_weight": lambda said: text(said) or amount(said),
    **dict.fromkeys(("samples", "documents", "missing"), count),
    "queries": several(text),
    "values": by_name(several(share)),
    "first": several(or_none(text)),
    "relevant": several(or_none(rank)),
    "failures": by_name(text),
    "seconds": amount,
    "questions": whole(_QUESTIONS, _QUESTIONS),
    "guided": whole(_GUIDED, ("plain", "guide")),
    "reranked": whole(_RERANKED, _RERANKED.keys() - {"first_weight"}),
    "costs": several(whole(_COST, _COST.keys() - {"of", "part"})),
}


_OF_A_CELL = ("system", "kind", "collection", "source", "target", "queries", "values")
"""What no cell lacks."""


def _check(path: Path, said: Json, shape: Shape, needed: Sequence[str]) -> None:
    for name in needed:
        if said.get(name) is None:
            raise InputError(f"{path}: damaged, no {name}", _AGAIN)
    if (unfit := misfit(said, shape)) is not None:
        raise InputError(f'{path}: damaged, "{unfit}" is not what a grid writes', _AGAIN)


def _manifest(folder: Path) -> Json:
    path = folder / MANIFEST
    if not path.is_file():
        what = f"holds no {MANIFEST}" if folder.is_dir() else "no such folder"
        raise InputError(f"{folder}: {what}", "give the folder that xqe grid wrote to (--out)")
    said = _json(path)
    if said.get("format") != FORMAT:
        raise InputError(f"{path}: not a grid of format {FORMAT}", _AGAIN)
    _check(path, said, _MANIFEST, ["measures"])
    if not said["measures"]:
        raise InputError(f"{path}: damaged, no measures", _AGAIN)
    return said


def _check_same(first: Path, one: Json, second: Path, other: Json) -> None:
    for key in ("name", "measures", "rel", "depth", "seed", "settings"):
        if one.get(key) != other.get(key):
            raise InputError(
                f"{second}: {key} {_short(other.get(key))}, but {_short(one.get(key))} in {first}",
                "report grids of different settings one by one",
            )
    for what in ("collections", "models", "rerankers"):
        for name, said in (other.get(what) or {}).items():
            before = (one.get(what) or {}).get(name, said)
            if before.get("sha256") != said.get("sha256"):
                raise InputError(
                    f'{second}: {what[:-1]} "{name}" is another one than in {first} (its sha256 differs)',
                    "report the grids one by one",
                )


def _short(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _cells(folder: Path, measures: Sequence[str]) -> Iterator[Result]:
    for path in sorted((folder / CELLS).glob("*/*/*.json")):
        yield _cell(folder, path, measures)


def _cell(folder: Path, path: Path, measures: Sequence[str]) -> Result:
    said = _json(path)
    if said.get("format") != FORMAT:
        raise InputError(f"{path}: not a cell of format {FORMAT}", _AGAIN)
    _check(path, said, _CELL, _OF_A_CELL)
    system = System(
        said["system"],
        said["kind"],
        said.get("model"),
        said.get("strategy"),
        said.get("order"),
        said.get("use") or "query",
        None if said.get("query_weight") is None else _weight(said["query_weight"]),
        said.get("samples"),
        retriever=said.get("retriever") or WORDS,
        reranker=_reranker(said["reranked"]) if said.get("reranked") else None,
        questions=_questions(said["questions"]) if said.get("questions") else None,
        guided=_guided(said["guided"]) if said.get("guided") else None,
    )
    queries = tuple(said["queries"])
    if queries and (lacking := [name for name in measures if said["values"].get(name) is None]):
        raise InputError(f"{path}: damaged, no values of {lacking[0]}", _AGAIN)
    values = {name: tuple(map(float, said["values"][name])) for name in measures} if queries else {}
    first = tuple(said.get("first") or (None,) * len(queries))
    ranks = tuple(said.get("relevant") or (None,) * len(queries))
    result = Result(
        said["collection"],
        (said["source"], said["target"]),
        system,
        queries,
        values,
        first,
        ranks,
        tuple(map(_cost, said.get("costs") or ())),
        dict(said.get("failures") or {}),
        said.get("documents") or 0,
        bool(said.get("pool")),
        said.get("missing") or 0,
        float(said.get("seconds") or 0.0),
        said.get("texts"),
        said.get("run"),
        said.get("error"),
        folder,
    )
    if system.kind not in KINDS:
        raise InputError(f'{path}: unknown kind "{system.kind}"', f"xqe knows {', '.join(KINDS)}")
    lengths = {len(queries), len(first), len(ranks), *map(len, values.values())}
    if len(lengths) > 1 or len(set(queries)) < len(queries):
        raise InputError(f"{path}: damaged, its lists do not fit its queries", _AGAIN)
    return result


def _reranker(said: Json) -> Reranker:
    weight = said.get("first_weight")
    return Reranker(said["system"], said["name"], said["kind"], said["model"], said["n"], weight)


def _guided(said: Json) -> Guided:
    return Guided(said["plain"], "" if said["guide"] == "plain" else said["guide"], said.get("judge") or "")


def _questions(said: Json) -> Questions:
    return Questions(said["plain"], float(said["weight"]), float(said["share"]))


def _cost(said: Json) -> Cost:
    count, made, reused, tokens = (said[name] for name in ("count", "made", "reused", "tokens"))
    seconds, part = float(said["seconds"]), float(said.get("part", 1.0))
    return Cost(said["stage"], said["by"], count, made, reused, tokens, seconds, part)


def _weight(value: Any) -> str:
    return value if isinstance(value, str) else f"{float(value):g}"


def _aligned(results: Iterable[Result]) -> list[Result]:
    """The results with the queries of each language pair in one order."""
    order: dict[tuple[str, Pair], tuple[str, ...]] = {}
    aligned = []
    for one in results:
        wanted = order.setdefault((one.collection, one.pair), one.queries)
        if one.queries != wanted:
            one = _reordered(one, wanted)
        aligned.append(one)
    return aligned


def _reordered(one: Result, wanted: tuple[str, ...]) -> Result:
    place = {query: number for number, query in enumerate(one.queries)}
    if place.keys() != set(wanted):
        raise InputError(
            f"{one.folder}: {one.place()} was judged on {len(place)} queries that are not the {len(wanted)} of the "
            "other cells of its pair",
            "run the grid again with --resume: averages over different queries cannot be compared",
        )
    numbers = [place[query] for query in wanted]
    return replace(
        one,
        queries=wanted,
        values={name: tuple(column[n] for n in numbers) for name, column in one.values.items()},
        first=tuple(one.first[n] for n in numbers),
        ranks=tuple(one.ranks[n] for n in numbers),
    )


def _json(path: Path) -> Json:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {why(error)}", "check the path") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: damaged, not JSON", _AGAIN) from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: damaged, not a JSON object", _AGAIN)
    return value


def _merged(manifests: Iterable[Json], key: str) -> dict[str, Json]:
    merged: dict[str, Json] = {}
    for manifest in manifests:
        for name, said in (manifest.get(key) or {}).items():
            merged.setdefault(name, said)
    return merged
