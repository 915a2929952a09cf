"""What the grid asks of its collections: which queries of which language pairs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xqe.collections.layout import Collection
from xqe.errors import InputError, XqeError
from xqe.evaluation.values import without_relevant
from xqe.experiments.grid.keys import digest
from xqe.experiments.grid.pairs import Pair, chosen, listed, told
from xqe.experiments.grid.settings import TRAIN, CollectionRow, Grid
from xqe.experiments.grid.tables import told_at
from xqe.files.hashes import cached_sha256
from xqe.files.trec import Qrels

_FILE_NAME = re.compile(r"[^\s/.][^\s/]*")


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

    @property
    def drop_self(self) -> bool:
        """Whether hits with the query's own id are left out: as the grid says, else as the collection does."""
        return bool(self.collection.manifest.get("drop_self")) if self.row.drop_self is None else self.row.drop_self

    @property
    def told_pairs(self) -> str | None:
        """How many pairs the patterns of the grid file made; None where it has none."""
        return None if self.row.pairs is None else told(self.row.pairs, list(self.pairs))

    def all_ids(self) -> dict[str, tuple[str, ...]]:
        """The ids that some pair asks, by the language of the queries."""
        found: dict[str, dict[str, None]] = {}
        for (source, _), ids in self.pairs.items():
            found.setdefault(source, {}).update(dict.fromkeys(ids))
        return {lang: tuple(ids) for lang, ids in found.items()}

    def has_human(self, pair: Pair) -> bool:
        """Whether each query of a pair is there in the documents' language too, in the words of people."""
        manifest, there = self.collection.manifest, self.queries.get(pair[1], {})
        by_people = manifest.get("parallel") and manifest.get("translated_by") != "machine"
        return bool(by_people) and all(query in there for query in self.pairs[pair])

    def digest_of(self, lang: str, ids: Sequence[str]) -> str:
        return digest([(one, self.queries[lang][one]) for one in ids])

    def documents_sha256(self, lang: str) -> str:
        return str(self.collection.manifest["documents"][lang]["sha256"])

    def questions_sha256(self, lang: str) -> str | None:
        """Of the documents with questions; None where none have any."""
        file = self.row.questions.get(lang)
        return None if file is None else cached_sha256(file)


def ask(row: CollectionRow, grid: Grid, name: str) -> Asked:
    """Open a collection and choose its queries. Raises InputError for a pair without queries, qrels that match none of
    them, and files that are not those of the manifest."""
    with told_at(row.where):
        collection = Collection(row.path)
    if row.split not in collection.splits:
        has = ", ".join(collection.splits)
        raise InputError(f'{row.where}: {row.path} has no split "{row.split}"', f"it has {has}")
    pairs = _pairs(row, collection)
    there = set(collection.query_languages(row.split))
    spoken = sorted({source for source, _ in pairs} | {target for _, target in pairs if target in there})
    if alien := set(row.questions) - {target for _, target in pairs}:
        raise InputError(f"{row.where}.questions: no pair has documents in {sorted(alien)[0]}", "leave it out")
    with told_at(row.where):
        for _, target in pairs:
            collection.documents(target)  # is there and whole, before anything is built of it
        queries = {lang: collection.read_queries(row.split, lang) for lang in spoken}
        qrels = {pair: collection.read_qrels(row.split, *pair) for pair in pairs}
    eligible = {}
    for pair in pairs:
        eligible[pair] = [one for one in queries[pair[0]] if one in qrels[pair]]
        if not eligible[pair]:
            what = f"no query of {row.path} ({row.split}) is judged for {pair[0]}-{pair[1]}"
            raise InputError(f"{row.where}: {what}", "check the ids in the qrels, or leave the pair out")
    is_parallel = bool(collection.manifest.get("parallel"))
    if is_parallel and "human" in grid.baselines and row.queries is not None:
        for pair, able in eligible.items():  # a query that people have translated is as good as any, and has a ceiling
            translated = [one for one in able if one in queries.get(pair[1], {})]
            if len(translated) >= row.queries:
                eligible[pair] = translated
    chosen = _draw(eligible, row.queries, grid.sampling.seed, is_parallel)
    for pair, ids in chosen.items():
        if len(without_relevant({one: qrels[pair][one] for one in ids}, grid.rel)) == len(ids):
            what = f"no query of {row.path} ({row.split}) has a document of grade {grid.rel} or more for"
            raise InputError(f"{row.where}: {what} {pair[0]}-{pair[1]}", "check rel, and the grades in the qrels")
    return Asked(
        name,
        row,
        collection,
        queries,
        chosen,
        {pair: {one: dict(qrels[pair][one]) for one in ids} for pair, ids in chosen.items()},
    )


def _pairs(row: CollectionRow, collection: Collection) -> list[Pair]:
    there = collection.pairs(row.split)
    if row.pairs is not None:
        return chosen(row.pairs, there, row.where, f"{row.path} ({row.split})")
    if row.languages is not None:
        for lang in row.languages:
            if not any(lang in pair for pair in there):
                raise InputError(f"{row.where}.languages: {row.path} has no {lang}", f"it has {listed(there)}")
        there = [pair for pair in there if set(pair) <= set(row.languages)]
    pairs = [pair for pair in there if pair[0] != pair[1]]
    if not pairs:
        raise InputError(f"{row.where}: no pair of two languages is judged", "name pairs, such as pairs = ['en-en']")
    return pairs


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
                "convert it again with another --name",
            )
        name = f"{name}-{row.split}" if name in asked else name
        if name in asked:
            raise InputError(f"{row.where}: the collection {name} again", "one of the two is enough")
        asked[name] = ask(row, grid, name)
    return asked


def examples_file(one: Asked, lang: str) -> Path:
    """The worked examples of a collection's train split, in a language. Raises InputError where it has none."""
    try:
        return one.collection.examples(TRAIN, lang)
    except XqeError as error:
        raise InputError(
            f'{one.row.where}: examples = "{TRAIN}", and {error.message}', "draw some: xqe data sample --examples N"
        ) from None
