"""A smaller collection out of one that is there: queries drawn, a pool of documents, examples that give nothing away.

Everything is drawn by a hash of the seed and an id, lowest first. So one query more or less in the source changes the
draw by one query, the same queries are drawn in every language where ids are shared, and the draw of 50 is part of
the draw of 100.

Leakage: a query of train is given away by one of the evaluated split that has the same text, in any case, or the same
best document: the one of the highest grade that it has. Such queries are no examples and not in train.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy

from xqe.collections.draws import key, rank
from xqe.collections.layout import Collection, CollectionWriter
from xqe.collections.leakage import Best, Mark, Naming, Pair, Query, best, groups, judgements, marks
from xqe.collections.target import check_apart, check_target
from xqe.errors import InputError, XqeError
from xqe.files.records import Document
from xqe.messages import plural, say

TEST, TRAIN = "test", "train"
_PASSAGE = (40, 1000)  # characters of a passage that can be an example
_KEPT = ("articles", "translated_by", "drop_self")  # of what the source's manifest says
_CANDIDATES = 20  # for each example, since passages may be too short or too long

Drawn = dict[Pair, list[str]]
"""Pair of languages -> the ids of the queries that are asked and judged there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to draw. queries: a pair of languages, or in all where they are shared. train: queries of train, likewise.
    pool: documents a language besides the judged ones, None for all. examples: a language. split: the evaluated one.
    split_train: the part of its queries that becomes train, for a source without it."""

    queries: int
    seed: int = 0
    split: str = TEST
    languages: tuple[str, ...] | None = None
    shared: bool = False
    pool: int | None = None
    examples: int = 0
    train: int = 0
    split_train: float | None = None


def sample(source: Collection, directory: Path, plan: Plan, force: bool = False) -> Collection:
    """Draw a collection. Raises XqeError where the source does not have what the plan asks for."""
    check_target(directory, force)
    check_apart(directory, [source.directory])
    judged = _Judged(source, plan)
    splits = judged.splits()
    drawn = {split: judged.drawn(split, count) for split, count in splits.items()}
    with CollectionWriter(directory, source.name, force) as writer:
        return _written(writer, source, judged, drawn, plan)


def _written(
    writer: CollectionWriter, source: Collection, judged: _Judged, drawn: Mapping[str, Drawn], plan: Plan
) -> Collection:
    for note in source.manifest.get("notes", []):
        writer.note(note)
    _write_queries(writer, source, judged, drawn)
    _write_documents(writer, source, judged, drawn, plan)
    if plan.examples:
        _write_examples(writer, source, judged, plan)
    for note in judged.notes:
        say(note)
        writer.note(note)
    of = {"name": source.name, "sha256": source.sha256(), "pool": source.manifest.get("pool")}
    pool = {"how": "judged documents and others, sampled", "others": plan.pool, "seed": plan.seed}
    return writer.finish(
        str(source.manifest.get("about", "")),
        dict(source.manifest.get("source", {})),
        str(source.manifest.get("licence", "")),
        pool if plan.pool is not None else source.manifest.get("pool"),
        sample={**asdict(plan), "of": of},
        parallel=judged.parallel,
        **{name: source.manifest[name] for name in _KEPT if name in source.manifest},
    )


# ---------------------------------------------------------------- what is judged


class _Judged:
    """Queries of a collection, and their best documents: (grade, ids of all documents of that grade)."""

    def __init__(self, source: Collection, plan: Plan) -> None:
        self.source, self.plan = source, plan
        self.naming = Naming.of(source)
        self.parallel, self.articles = self.naming.parallel, self.naming.articles
        self.notes: list[str] = []
        self._texts: dict[str, dict[str, dict[str, str]]] = {}
        self._best: dict[Path, Best] = {}
        self._leaking: set[tuple[str, str]] | None = None
        self._check()
        self.languages = self._languages()
        self._train_ids: set[tuple[str, str]] | None = None
        if plan.split_train is not None:
            self._train_ids = self._divided(plan.split_train)

    # ------------------------------------------------------------ what the source has

    def _check(self) -> None:
        plan, source = self.plan, self.source
        if plan.split not in source.splits:
            has = f"it has {', '.join(source.splits)}"
            hint = f"{has}; --split-train divides one of them" if TRAIN not in source.splits else has
            raise InputError(f"{source.directory}: no split {plan.split}", hint)
        wants_train = plan.examples or plan.train
        if plan.split == TRAIN and wants_train and plan.split_train is None:
            raise XqeError(
                f"--split {TRAIN}: examples would be drawn from the split that is evaluated",
                "evaluate another split, or divide this one with --split-train",
            )
        if wants_train and plan.split_train is None and TRAIN not in source.splits:
            raise XqeError(
                f"{source.directory}: no split {TRAIN} to draw examples from", "divide one: --split-train 0.5"
            )
        if plan.split_train is not None and TRAIN in source.splits and plan.split != TRAIN:
            raise XqeError(f"{source.directory}: has a split {TRAIN}", "leave out --split-train")

    def _languages(self) -> list[str]:
        there = {*self.source.document_languages, *self.source.query_languages(self.plan.split)}
        for lang in self.plan.languages or ():
            if lang not in there:
                raise InputError(f"{self.source.directory}: nothing in {lang}", f"it has {' '.join(sorted(there))}")
        return sorted(self.plan.languages or there)

    def pairs(self, split: str) -> list[Pair]:
        """The pairs of the chosen languages that are judged."""
        pairs = self.source.pairs(self.stored(split))
        return [pair for pair in pairs if pair[0] in self.languages and pair[1] in self.languages]

    def stored(self, split: str) -> str:
        """The split of the source that a split is taken from."""
        return self.plan.split if self.plan.split_train is not None else split

    def splits(self) -> dict[str, int]:
        """Split -> how many queries are drawn of it."""
        evaluated = self.evaluated
        return {evaluated: self.plan.queries, **({TRAIN: self.plan.train} if self.plan.train else {})}

    @property
    def evaluated(self) -> str:
        """What the evaluated split is called in the sample."""
        return TEST if self.plan.split_train is not None else self.plan.split

    def texts(self, split: str, lang: str) -> dict[str, str]:
        """Query id -> text, in a split of the sample, before anything is drawn."""
        stored = self.stored(split)
        by_lang = self._texts.setdefault(stored, {})
        if lang not in by_lang:
            there = lang in self.source.query_languages(stored)
            by_lang[lang] = self.source.read_queries(stored, lang) if there else {}
        if self._train_ids is None:
            return by_lang[lang]
        is_train = split == TRAIN
        return {name: text for name, text in by_lang[lang].items() if ((lang, name) in self._train_ids) is is_train}

    def best(self, split: str, pair: Pair) -> Best:
        """The best documents of a pair's queries. Pairs may share a file."""
        stored = self.stored(split)
        path = self.source.qrels(stored, *pair)
        if path not in self._best:
            self._best[path] = best(judgements(self.source, stored, pair))
        return self._best[path]

    # ------------------------------------------------------------ draws

    def drawn(self, split: str, count: int) -> Drawn:
        """The queries of each pair, drawn: those that have a relevant document there."""
        pairs = self.pairs(split)
        if not pairs:
            raise InputError(f"{self.source.directory}: nothing of {split} is judged in {' '.join(self.languages)}", "")
        barred = self.leaking() if split == TRAIN != self.evaluated else set()
        if self.plan.shared:
            self._check_shared()
            topics = [topic for topic in self._topics(split, pairs) if not barred & set(topic.items())]
            first = min(self.languages)
            topics = sorted(topics, key=lambda topic: rank(self.plan.seed, topic[first]))[:count]
            self._say_few(split, "all pairs", len(topics), count)
            return {pair: [topic[pair[0]] for topic in topics] for pair in pairs}
        chosen: Drawn = {}
        for pair in pairs:
            texts = self.texts(split, pair[0])
            able = [n for n in self.best(split, pair) if n in texts and (pair[0], n) not in barred]
            chosen[pair] = sorted(able, key=lambda name: rank(self.plan.seed, name))[:count]
            self._say_few(split, "-".join(pair), len(chosen[pair]), count)
        return chosen

    def _check_shared(self) -> None:
        if len(self.languages) > 1 and not (self.parallel or self.articles):
            raise InputError(
                f"{self.source.directory}: its queries have no counterparts in other languages",
                "leave out --shared, or choose one language",
            )

    def _say_few(self, split: str, where: str, there: int, wanted: int) -> None:
        if not there:
            raise InputError(f"{self.source.directory}: no queries of {split} to draw for {where}", "choose others")
        if there < wanted:
            self.notes.append(f"{split}, {where}: {plural(there, 'query')}, all that there are, of {wanted} wanted")

    def _topics(self, split: str, pairs: Sequence[Pair]) -> Iterator[dict[str, str]]:
        """Language -> query id, of topics that are asked in every language and have a relevant document in every pair.

        In CLIRMatrix a query's counterpart is the one whose id is that of its best document: both are the ids of
        articles.
        """
        first = min(self.languages)
        texts = {lang: self.texts(split, lang) for lang in self.languages}
        for name in texts[first]:
            topic: dict[str, str] | None = {first: name}
            for lang in self.languages:
                if lang != first and topic is not None:
                    there = {name} if self.parallel else self.best(split, (first, lang)).get(name, (0, set()))[1]
                    found = sorted(there & texts[lang].keys())
                    topic = {**topic, lang: found[0]} if found else None
            if topic is not None and all(topic[pair[0]] in self.best(split, pair) for pair in pairs):
                yield topic

    # ------------------------------------------------------------ leakage

    def marks(self, split: str) -> Iterator[tuple[Query, Mark]]:
        """The queries of a split, and what they must not share with those of another."""
        texts = {lang: self.texts(split, lang) for lang in self.languages}
        return marks(self.naming, texts, self.pairs(split), lambda pair: self.best(split, pair))

    def leaking(self) -> set[tuple[str, str]]:
        """The queries of train that the evaluated split gives away, as (language, id)."""
        if self._leaking is None:
            evaluated = {mark for _, mark in self.marks(self.evaluated)}
            self._leaking = {query for query, mark in self.marks(TRAIN) if mark in evaluated}
            if self._leaking:
                count = plural(len(self._leaking), "query")
                self.notes.append(
                    f"{TRAIN}: left out {count} whose text or best document is one of {self.evaluated}'s as well"
                )
        return self._leaking

    def _divided(self, size: float) -> set[Query]:
        """The queries of train, as (language, id), where one split is divided: queries that share a mark stay
        together, and each such group goes where the hash of its least id sends it."""
        limit = int(size * 2**64)
        least = groups(self.marks(self.plan.split))
        return {query for query, name in least.items() if key(self.plan.seed, f"split\n{name}") < limit}


# ---------------------------------------------------------------- writing


def _write_queries(writer: CollectionWriter, source: Collection, judged: _Judged, drawn: Mapping[str, Drawn]) -> None:
    for split, pairs in drawn.items():
        for lang in sorted({pair[0] for pair in pairs}):
            names = {name for pair, chosen in pairs.items() if pair[0] == lang for name in chosen}
            texts = judged.texts(split, lang)
            writer.queries(split, lang, ((name, text) for name, text in texts.items() if name in names))
        for pair, chosen in pairs.items():
            names = set(chosen)
            lines = judgements(source, judged.stored(split), pair)
            writer.qrels(split, *pair, (line for line in lines if line[0] in names))


def _write_documents(
    writer: CollectionWriter, source: Collection, judged: _Judged, drawn: Mapping[str, Drawn], plan: Plan
) -> None:
    for lang in sorted({pair[1] for pairs in drawn.values() for pair in pairs}):
        if plan.pool is None:
            writer.copy_documents(lang, source)
            continue
        kept = _judged_documents(source, judged, drawn, lang)
        others = _sampled_others(source, lang, kept, plan)
        count = writer.documents(
            lang, (one for one in source.read_documents(lang) if one.id in kept or key(plan.seed, one.id) <= others)
        )
        say(f"{lang}: {plural(count, 'document')} of {source.document_count(lang):,}")


def _judged_documents(source: Collection, judged: _Judged, drawn: Mapping[str, Drawn], lang: str) -> set[str]:
    kept = set()
    for split, pairs in drawn.items():
        for pair, chosen in pairs.items():
            if pair[1] == lang:
                names = set(chosen)
                kept |= {line[1] for line in judgements(source, judged.stored(split), pair) if line[0] in names}
    return kept


def _sampled_others(source: Collection, lang: str, kept: set[str], plan: Plan) -> int:
    """The greatest key of a document that is drawn besides the judged ones; -1 if none is."""
    others = (one.id for one in source.read_documents(lang) if one.id not in kept)
    keys = numpy.fromiter((key(plan.seed, name) for name in others), numpy.uint64)
    count = min(plan.pool or 0, len(keys))
    return int(numpy.partition(keys, count - 1)[count - 1]) if count else -1


def _write_examples(writer: CollectionWriter, source: Collection, judged: _Judged, plan: Plan) -> None:
    """Queries of train with their best document in the same language, the shortest id first among equals."""
    barred = judged.leaking()
    count = 0
    for lang in judged.languages:
        texts = judged.texts(TRAIN, lang)
        if lang not in source.document_languages or not texts:
            continue
        pair = (lang, lang)
        if pair in judged.pairs(TRAIN):
            best = {name: min(names) for name, (_, names) in judged.best(TRAIN, pair).items() if name in texts}
        else:
            best = {name: name for name in texts} if judged.articles else {}  # the article that a title is of
        names = [name for name in best if (lang, name) not in barred]
        names = sorted(names, key=lambda name: rank(plan.seed, f"example\n{name}"))[: _CANDIDATES * plan.examples]
        chosen = _with_passages(names, best, source.read_documents(lang))[: plan.examples]
        if len(chosen) < plan.examples:
            judged.notes.append(f"{lang}: {plural(len(chosen), 'example')} of {plan.examples}")
        if chosen:
            count += len(chosen)
            writer.examples(TRAIN, lang, ((texts[name], passage) for name, passage in chosen))
    if not count:
        raise InputError(f"{source.directory}: no examples in {TRAIN} to draw", "they need judgements in one language")


def _with_passages(
    names: Sequence[str], best: Mapping[str, str], passages: Iterable[Document]
) -> list[tuple[str, str]]:
    """(query id, passage), in the order of the names, for passages that are neither short nor long."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for name in names:
        wanted[best[name]].append(name)
    found: dict[str, str] = {}
    for one in passages:
        if one.id in wanted and _PASSAGE[0] <= len(one.text) <= _PASSAGE[1]:
            found |= dict.fromkeys(wanted[one.id], " ".join(one.text.split()))
    return [(name, found[name]) for name in names if name in found]
