"""What a grid comes to: texts to generate, each once however many cells need it, and cells to evaluate.

    queries ── translate ── T ──┬── expand ──── T+E
        │                       └── (searched alone: a baseline)
        ├───── expand ──── E ───┬── translate ─ E+T
        │                       └── (searched alone: a baseline)
        ├───── expand into the documents' language (a baseline)
        └───── (searched untranslated: a baseline)

A translation serves all strategies, and an expansion in the source language all languages of documents. What decides a
text or a value is in its key: what has the same key need not be done again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from xqe import __version__
from xqe.collections.layout import Collection
from xqe.errors import InputError, XqeError
from xqe.evaluation.values import judged
from xqe.experiments.grid.settings import BUILTIN, FAKE, SERVER, TRAIN, CollectionRow, Grid, ModelRow, Pair, told_at
from xqe.files.trec import Qrels
from xqe.models import examples, prompts, registry
from xqe.retrieval.choices import Use
from xqe.stages.strategies import Strategy

TRANSLATE, EXPAND, DIRECT = "translate", "expand", "direct"
EXPANSION = "expansion"

Identity = dict[str, Any]

_FILE_NAME = re.compile(r"[^\s/.][^\s/]*")


def digest(*parts: object) -> str:
    """The sha256 of some JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Asked:
    """A collection as the grid uses it. name: unique in the grid. queries: of a language, all that some pair asks,
    id -> text. pairs: the ids that a pair asks, in order. qrels: the judgements of those."""

    name: str
    row: CollectionRow
    collection: Collection
    queries: dict[str, dict[str, str]]
    pairs: dict[Pair, tuple[str, ...]]
    qrels: dict[Pair, Qrels]

    def all_ids(self) -> dict[str, tuple[str, ...]]:
        """The ids that some pair asks, by the language of the queries."""
        found: dict[str, dict[str, None]] = {}
        for (source, _), ids in self.pairs.items():
            found.setdefault(source, {}).update(dict.fromkeys(ids))
        return {lang: tuple(ids) for lang, ids in found.items()}

    def digest_of(self, lang: str, ids: Sequence[str]) -> str:
        return digest([(one, self.queries[lang][one]) for one in ids])

    def documents_sha256(self, lang: str) -> str:
        return str(self.collection.manifest["documents"][lang]["sha256"])


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts to generate: a stage over the queries of a language or a pair.

    name: of its file. adapted: made with the row's adapters. after: the texts it works on, None for the queries.
    count: how many texts a record needs, without those that an earlier one has made already.
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

    @property
    def place(self) -> str:
        """Where it lies in the folder of the grid, without a suffix."""
        return f"texts/{self.collection}/{self.model.name}/{self.name}"

    @property
    def engine(self) -> ModelRow:
        """The model that makes them, with its adapters or without, by its own name: rows that share it load it once."""
        return replace(self.model, name=self.model.model, lora=self.model.lora if self.adapted else ())

    @property
    def count(self) -> int:
        return len(self.ids) * self.samples


@dataclass(frozen=True, slots=True)
class Cell:
    """One system on one language pair. texts: what is searched with, None for queries as they are."""

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

    @property
    def pair(self) -> Pair:
        return self.source, self.target

    @property
    def place(self) -> str:
        return f"{self.collection}/{self.source}-{self.target}/{self.system}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do. texts stand after those they need. identities: of each model row, by its name. systems: of
    the whole grid. part: which of several it is ("1/4"), None for all."""

    grid: Grid
    asked: dict[str, Asked]
    texts: tuple[Texts, ...]
    cells: tuple[Cell, ...]
    identities: dict[str, Identity] = field(repr=False)
    systems: frozenset[str]
    impossible: tuple[str, ...] = ()
    part: str | None = None

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
        return replace(self, cells=cells, texts=_needed(self.texts, cells), part=f"{number + 1}/{count}")


def _unit(cell: Cell, first: str) -> tuple[str, str, str]:
    return cell.collection, cell.source, cell.texts.model.model if cell.texts else first


def _needed(texts: Iterable[Texts], cells: Iterable[Cell]) -> tuple[Texts, ...]:
    wanted: set[str] = set()
    for cell in cells:
        one = cell.texts
        while one is not None:
            wanted.add(one.place)
            one = one.after
    return tuple(one for one in texts if one.place in wanted)


# ---------------------------------------------------------------- collections


def ask(row: CollectionRow, grid: Grid, name: str) -> Asked:
    """Open a collection and choose its queries. Raises InputError for a pair without queries, qrels that match none of
    them, and files that are not those of the manifest."""
    with told_at(row.where):
        collection = Collection(row.path)
    if row.split not in collection.splits:
        has = ", ".join(collection.splits)
        raise InputError(f'{row.where}: {row.path} has no split "{row.split}"', f"it has {has}")
    pairs = _pairs(row, collection)
    with told_at(row.where):
        for pair in pairs:
            _check_files(collection, row.split, pair)
    spoken = sorted({source for source, _ in pairs} | ({target for _, target in pairs} & _spoken(collection, row)))
    queries = {lang: collection.read_queries(row.split, lang) for lang in spoken}
    qrels = {pair: judged(collection.read_qrels(row.split, *pair), grid.rel) for pair in pairs}
    eligible = {}
    for pair in pairs:
        eligible[pair] = [one for one in queries[pair[0]] if one in qrels[pair]]
        if not eligible[pair]:
            what = f"no query of {row.path} ({row.split}) is judged for {pair[0]}-{pair[1]}"
            raise InputError(f"{row.where}: {what}", "check the ids in the qrels, or leave the pair out")
    is_parallel = bool(collection.manifest.get("parallel"))
    chosen = _draw(eligible, row.queries, grid.sampling.seed, is_parallel)
    return Asked(
        name,
        row,
        collection,
        queries,
        chosen,
        {pair: {one: dict(qrels[pair][one]) for one in ids} for pair, ids in chosen.items()},
    )


def _spoken(collection: Collection, row: CollectionRow) -> set[str]:
    return set(collection.query_languages(row.split))


def _pairs(row: CollectionRow, collection: Collection) -> list[Pair]:
    there = collection.pairs(row.split)
    if row.pairs is not None:
        for pair in row.pairs:
            if pair not in there:
                raise InputError(
                    f"{row.where}.pairs: {row.path} ({row.split}) has no queries and qrels for {pair[0]}-{pair[1]}",
                    f"it has {_listed(there)}",
                )
        return list(row.pairs)
    if row.languages is not None:
        for lang in row.languages:
            if not any(lang in pair for pair in there):
                raise InputError(f"{row.where}.languages: {row.path} has no {lang}", f"it has {_listed(there)}")
        there = [pair for pair in there if set(pair) <= set(row.languages)]
    pairs = [pair for pair in there if pair[0] != pair[1]]
    if not pairs:
        raise InputError(f"{row.where}: no pair of two languages is judged", "name pairs, such as pairs = ['en-en']")
    return pairs


def _listed(pairs: Sequence[Pair]) -> str:
    shown = ", ".join("-".join(pair) for pair in pairs[:12])
    return f"{shown} and {len(pairs) - 12} more" if len(pairs) > 12 else shown or "none"


def _check_files(collection: Collection, split: str, pair: Pair) -> None:
    """Raise InputError for a file of a pair that is not what the manifest says."""
    source, target = pair
    named = {entry["file"]: entry["sha256"] for entry in collection.entries()}
    for path in (
        collection.queries(split, source),
        collection.qrels(split, source, target),
        collection.documents(target),
    ):
        if registry.sha256_of(path) != named[path.relative_to(collection.directory).as_posix()]:
            raise InputError(f"{path}: not the file that collection.json names", "convert or copy the collection again")


def _draw(
    eligible: dict[Pair, list[str]], count: int | None, seed: int, is_parallel: bool
) -> dict[Pair, tuple[str, ...]]:
    """Choose queries: the same for all pairs if enough are judged in all, else for those of a source language, else
    for each pair. A query's place in the draw depends on the seed and its id alone."""
    if count is None:
        return {pair: tuple(ids) for pair, ids in eligible.items()}
    chosen: dict[Pair, tuple[str, ...]] = {}
    together: list[Callable[[Pair], object]] = [lambda pair: pair[0], lambda pair: pair]
    for group_of in [lambda _: 0, *together] if is_parallel else together:
        for group in {group_of(pair): None for pair in eligible if pair not in chosen}:
            pairs = [pair for pair in eligible if group_of(pair) == group and pair not in chosen]
            common = set.intersection(*(set(eligible[pair]) for pair in pairs))
            if len(common) >= count or len(pairs) == 1:
                drawn = set(sorted(common, key=lambda one: (digest(seed, one), one))[:count])
                for pair in pairs:
                    chosen[pair] = tuple(one for one in eligible[pair] if one in drawn)
    return {pair: chosen[pair] for pair in eligible}


def ask_all(grid: Grid) -> dict[str, Asked]:
    """Open all collections of a grid; one that comes twice is named with its split."""
    asked: dict[str, Asked] = {}
    for row in grid.collections:
        with told_at(row.where):
            name = Collection(row.path).name
        if not _FILE_NAME.fullmatch(name):
            raise InputError(
                f'{row.where}: the name "{name}" of {row.path} cannot be that of a folder',
                "give it another by its manifest",
            )
        name = f"{name}-{row.split}" if name in asked else name
        if name in asked:
            raise InputError(f"{row.where}: the collection {name} again", "one of the two is enough")
        asked[name] = ask(row, grid, name)
    return asked


# ---------------------------------------------------------------- models


def identity(row: ModelRow) -> Identity:
    """What a text depends on in a model: the hash of its file and of its adapters, or its name on a server.

    Raises XqeError for a model or an adapter that is not there.
    """
    if row.model == FAKE:
        return {"model": FAKE}
    if row.model.startswith(SERVER):
        return {"model": row.model, "base_url": row.base_url}
    found = registry.resolve(row.model)
    adapters = []
    if row.lora:
        from xqe.models.engines.llama.settings import adapter

        adapters = [(one.sha256, one.scale) for one in map(adapter, row.lora)]
    return {
        "model": row.model,
        "file": found.path.name,
        "size": found.path.stat().st_size,
        "sha256": registry.sha256_of(found.path),
        "lora": adapters,
    }


# ---------------------------------------------------------------- texts and cells


def make_plan(grid: Grid) -> Plan:
    """Return what a grid comes to. Raises InputError, with the row of the grid file, for whatever cannot be done."""
    identities = {}
    for number, row in enumerate(grid.models, 1):
        with told_at(f"{grid.file}: models[{number}]"):
            identities[row.name] = identity(row)
    asked = ask_all(grid)
    planner = _Planner(grid, identities)
    cells: list[Cell] = []
    impossible: list[str] = []
    for one in asked.values():
        for pair in one.pairs:
            cells += planner.cells(one, pair)
            if "human" in grid.baselines and not _has_human(one, pair):
                impossible.append(f"{one.name} {pair[0]}-{pair[1]}: no queries that people translated")
    texts = tuple(planner.texts.values())
    systems = frozenset(cell.system for cell in cells)
    return Plan(grid, asked, _needed(texts, cells), tuple(cells), identities, systems, tuple(impossible))


def _has_human(one: Asked, pair: Pair) -> bool:
    """Whether each query of a pair is there in the documents' language too, in the words of people."""
    manifest, there = one.collection.manifest, one.queries.get(pair[1], {})
    by_people = manifest.get("parallel") and manifest.get("translated_by") != "machine"
    return bool(by_people) and all(query in there for query in one.pairs[pair])


class _Planner:
    def __init__(self, grid: Grid, identities: dict[str, Identity]) -> None:
        self.grid = grid
        self.identities = identities
        self.texts: dict[str, Texts] = {}

    def cells(self, one: Asked, pair: Pair) -> Iterator[Cell]:
        grid = self.grid
        if "original" in grid.baselines:
            yield self._cell(one, pair, "original", None, Use.QUERY)
        if "human" in grid.baselines and _has_human(one, pair):
            yield self._cell(one, pair, "human", None, Use.QUERY)
        for model in grid.models:
            if "translation" in grid.baselines and not model.lora:
                yield self._cell(one, pair, "translation", self.translated(one, pair, model), Use.QUERY)
            for strategy in grid.strategies:
                for samples in grid.samples:
                    for kind, texts in self._expanded(one, pair, model, strategy, samples):
                        for use in grid.uses:
                            weights = grid.query_weights if use is Use.QUERY_DOC else grid.query_weights[:1]
                            for weight in weights if use is not Use.QUERY else [None]:
                                yield self._cell(one, pair, kind, texts, use, weight)

    def _expanded(
        self, one: Asked, pair: Pair, model: ModelRow, strategy: Strategy, samples: int
    ) -> Iterator[tuple[str, Texts]]:
        source = self.expanded(one, pair[0], model, strategy, samples)
        if "te" in self.grid.orders:
            after = self.translated(one, pair, model)
            yield EXPANSION, self._texts(one, EXPAND, pair, model, strategy, "te", samples, after)
        if "et" in self.grid.orders:
            yield EXPANSION, self._texts(one, TRANSLATE, pair, model, strategy, "et", samples, source)
        if "source-expansion" in self.grid.baselines:
            yield "source-expansion", source
        if "direct" in self.grid.baselines:
            yield "direct", self._texts(one, DIRECT, pair, model, strategy, None, samples)

    def translated(self, one: Asked, pair: Pair, model: ModelRow) -> Texts:
        return self._texts(one, TRANSLATE, pair, model)

    def expanded(self, one: Asked, source: str, model: ModelRow, strategy: Strategy, samples: int) -> Texts:
        """Expansions of all queries of a language that some pair asks."""
        ids = one.all_ids()[source]
        return self._texts(one, EXPAND, (source, None), model, strategy, None, samples, None, ids)

    def _texts(
        self,
        one: Asked,
        kind: str,
        pair: tuple[str, str | None],
        model: ModelRow,
        strategy: Strategy | None = None,
        order: str | None = None,
        samples: int = 1,
        after: Texts | None = None,
        ids: tuple[str, ...] | None = None,
    ) -> Texts:
        source, target = pair
        if ids is None:
            ids = one.pairs[source, target]  # type: ignore[index]
        prefix = order or {TRANSLATE: "t", EXPAND: "e", DIRECT: "d"}[kind]
        several = [f"n{samples}"] if strategy and len(self.grid.samples) > 1 else []
        languages = source if target is None else f"{source}-{target}"
        name = ".".join([prefix, *([str(strategy)] if strategy else []), *several, languages])
        adapted = kind != TRANSLATE
        identity_of = self.identities[model.name]
        made_by = identity_of if adapted else {**identity_of, "lora": []}
        limit = self.grid.passage_tokens if kind != TRANSLATE else None
        key = digest(
            __version__,
            kind,
            after.key if after else None,
            one.digest_of(source, ids),
            target,
            made_by,
            self._shown(one, kind, source, target, strategy),
            [asdict(self.grid.sampling), samples, limit],
        )
        texts = Texts(name, kind, one.name, model, source, target, strategy, order, samples, adapted, ids, key, after)
        return self.texts.setdefault(texts.place, texts)

    def _shown(self, one: Asked, kind: str, source: str, target: str | None, strategy: Strategy | None) -> str:
        """The digest of prompts and worked examples."""
        languages = [source, *([target] if target else [])]
        parts: list[object] = [examples.builtin(lang) for lang in languages]
        if kind == TRANSLATE:
            parts += [repr(prompts.builtin(f"translate-{what}")) for what in ("query", "passage")]
        elif strategy is not None:
            parts += [repr(strategy.template), self.grid.shots]
            if self.grid.examples != BUILTIN:
                parts += [_sha256_of_examples(one, lang) for lang in languages]
        return digest(parts)

    def _cell(
        self, one: Asked, pair: Pair, kind: str, texts: Texts | None, use: Use, weight: float | None = None
    ) -> Cell:
        ids = one.pairs[pair]
        searched = texts.key if texts else one.digest_of(pair[1] if kind == "human" else pair[0], ids)
        with_passages = texts is not None and use is not Use.QUERY
        key = digest(
            __version__,
            kind,
            searched,
            use,
            weight,
            self.grid.depth,
            list(map(str, self.grid.measures)),
            self.grid.rel,
            one.qrels[pair],
            one.documents_sha256(pair[1]),
            pair,
        )
        return Cell(
            one.name,
            *pair,
            self._system(kind, texts, use, weight),
            kind,
            use,
            ids,
            texts,
            weight if with_passages else None,
            key,
        )

    def _system(self, kind: str, texts: Texts | None, use: Use, weight: float | None) -> str:
        """The name of a system: what is the same in all of the grid is left out, but for the paper's parameters."""
        if texts is None:
            return kind
        parts = [texts.model.name]
        if kind == "translation":
            return ".".join([*parts, kind])
        parts += [
            str(texts.strategy),
            texts.order or {"source-expansion": "source", "direct": "direct"}[kind],
            str(use),
        ]
        if use is Use.QUERY_DOC and len(self.grid.query_weights) > 1:
            parts.append("auto" if weight is None else f"w{weight:g}".replace(".", "_"))
        if len(self.grid.samples) > 1:
            parts.append(f"n{texts.samples}")
        return ".".join(parts)


def _sha256_of_examples(one: Asked, lang: str) -> str:
    return registry.sha256_of(examples_file(one, lang))


def examples_file(one: Asked, lang: str) -> Path:
    """The worked examples of a collection's train split, in a language. Raises InputError where it has none."""
    try:
        return one.collection.examples(TRAIN, lang)
    except XqeError as error:
        raise InputError(
            f'{one.row.where}: examples = "{TRAIN}", and {error.message}', "draw some: xqe data sample --examples N"
        ) from None
