"""Fusing runs: the answers that several runs give to a query become one.

Queries are the same if they have the same id and the same language pair (`groups.PAIR`), as far as a run says it:
a run of columns has no language pair, and its ids say enough unless another run has several pairs under one id. Runs
of documents in several languages, for each of which a query may have been translated, have their ids in common alone.

Runs are read side by side. Where they are in one order, the answers to one query are held at a time. Where a run has
an answer that is not its turn yet, it is held in some 20 bytes a hit; a run that lacks a query is read to its end.
"""

from __future__ import annotations

import json
from array import array
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import Any, NamedTuple

from xqe.errors import InputError
from xqe.evaluation.groups import PAIR, field_value
from xqe.files.jsonl import dumps
from xqe.files.records import Record, has_failed
from xqe.files.trec import Answer, Hits
from xqe.retrieval.fusion import GREATEST_SCORE, Fusion, Ranked, check_usable, fuse_hits, in_32_bits, ranking
from xqe.text.languages import code_of

Pair = tuple[str | None, ...]  # the values of PAIR, None where they are not known

# fields that belong together
_STATE = ("query", "lang", "translations", "passages", "passages_lang", "source", "steps", "error")


@dataclass(frozen=True, slots=True)
class Run:
    """A run to be fused: its name in the result, its answers in their order, and what it counts."""

    name: str
    answers: Iterator[Answer]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How runs are fused. depth: how many hits of each run count, None for all. k: most hits for a query. languages:
    whether the runs are of documents in several languages, so that hits say theirs, and queries are the same by id."""

    fusion: Fusion = Fusion()  # noqa: RUF009  # frozen
    depth: int | None = None
    k: int = 1000
    languages: bool = False


class _Held(NamedTuple):
    """An answer in little memory: 8 bytes for a score, and an id in its own length and 3 more. languages: of each
    document, where it is said."""

    documents: str
    scores: array[float]
    where: str
    record: Record | None
    ranks_only: bool
    languages: Mapping[str, str]

    @property
    def hits(self) -> Hits:
        return dict(zip(json.loads(self.documents), self.scores, strict=True))


@dataclass(slots=True)
class _Query:
    """A query that runs answer; runs are known by their numbers.

    pairs, wheres: of each run that has answered. answers: what is held of them until they are fused.
    """

    id: str
    pairs: dict[int, Pair] = field(default_factory=dict)
    wheres: dict[int, str] = field(default_factory=dict)
    answers: dict[int, _Held] = field(default_factory=dict)
    done: bool = False


def fuse(runs: Sequence[Run], settings: Settings) -> Iterator[Record]:
    """Yield one record for each query of the runs, in the order of the first run, then of the others.

    Its "hits" are those of all runs that answer the query, each with "from", what these runs say of it; "fusion" says
    how they were fused, with the weights of these runs. The query, its passages and steps are those of the first run
    that has records; "index" keeps what is the same in all. A record that failed in one run is marked as failed.
    A 0 as weight leaves a run's hits out.

    Raises InputError, before anything is yielded, for a run that shares no query with the others, and at its place
    for a query that a run answers twice or does not tell apart, and for scores that cannot be used.
    """
    for query in _joined(runs, settings.languages):
        yield _fused(query, runs, settings)


def names_of_lacking(record: Record, runs: Sequence[Run]) -> list[str]:
    """The names of the runs that had no answer to the query of a fused record."""
    return [run.name for run in runs if run.name not in record["fusion"]["weights"]]


# ---- which answers belong together ----


def _joined(runs: Sequence[Run], languages: bool) -> Iterator[_Query]:
    """Yield the queries with the answers of all runs, none before each run has shared a query with another."""
    reading = _Reading(runs, languages)
    waiting: list[_Query] = []
    for query in reading.in_order():
        waiting.append(query)
        if len(reading.sharing) == len(runs) or len(runs) == 1:
            yield from waiting
            waiting.clear()
    if waiting:
        raise reading.unshared()


class _Reading:
    """The runs, read as far as was needed.

    queued: for each run, the queries it has answered, in its order. sharing: the runs that have shared a query.
    """

    def __init__(self, runs: Sequence[Run], languages: bool) -> None:
        self.runs = runs
        self._languages = languages
        self.sharing: set[int] = set()
        self._rest = [iter(run.answers) for run in runs]
        self._queued: list[deque[_Query]] = [deque() for _ in runs]
        self._first: dict[int, str] = {}
        self._of_id: defaultdict[str, list[_Query]] = defaultdict(list)

    def in_order(self) -> Iterator[_Query]:
        for number, queued in enumerate(self._queued):
            while queued or self._read(number):
                query = queued.popleft()
                if not query.done:
                    yield self._complete(query)

    def unshared(self) -> InputError:
        alone = next(number for number in range(len(self.runs)) if number not in self.sharing)
        other = next(number for number in range(len(self.runs)) if number != alone)
        return InputError(
            f"{self.runs[alone].name}: shares no query with the other runs "
            f"(it has {self._first[alone]}, {self.runs[other].name} has {self._first[other]})",
            "fuse runs of the same queries and of the same language pair",
        )

    def _complete(self, query: _Query) -> _Query:
        for number in range(len(self.runs)):
            while number not in query.pairs and self._read(number):
                pass
        query.done = True
        return query

    def _read(self, number: int) -> bool:
        """Read the next answer of a run; return whether there was one."""
        answer = next(self._rest[number], None)
        if answer is None:
            return False
        query = self._query_of(answer, number)
        query.answers[number] = _held(answer, self._languages)
        if len(query.pairs) > 1:
            self.sharing.update(query.pairs)
        self._queued[number].append(query)
        return True

    def _query_of(self, answer: Answer, number: int) -> _Query:
        """The query that a run answers, which the others may have answered before."""
        pair = _pair(None if self._languages else answer.record)
        self._first.setdefault(number, _shown(answer.id, pair))
        known = self._of_id[answer.id]
        touched = [query for query in known if any(_may_be_same(pair, other) for other in query.pairs.values())]
        for query in touched:
            if number in query.pairs and _may_be_same(pair, query.pairs[number]):
                raise InputError(
                    f'{answer.where}: query "{answer.id}" again (first at {query.wheres[number]})',
                    'a run of several language pairs tells them apart by "source" and "index" of its records',
                )
        if len(touched) > 1 or not all(
            _may_be_same(pair, other) for query in touched for other in query.pairs.values()
        ):
            before = next(where for query in touched for where in query.wheres.values())
            raise InputError(
                f'{answer.where}: query "{answer.id}" belongs to several language pairs, and not every run says '
                f"to which (see {before})",
                "give the JSONL of xqe search for all runs, or fuse one language pair at a time",
            )
        if not touched:
            touched = [_Query(answer.id)]
            known.extend(touched)
        query = touched[0]
        query.pairs[number], query.wheres[number] = pair, answer.where
        return query


def _pair(record: Record | None) -> Pair:
    return tuple(None if record is None else field_value(record, name) for name in PAIR)


def _may_be_same(one: Pair, other: Pair) -> bool:
    return all(None in both or both[0] == both[1] for both in zip(one, other, strict=True))


def _shown(query: str, pair: Pair) -> str:
    known = [f"{name}={held}" for name, held in zip(PAIR, pair, strict=True) if held is not None]
    return " ".join([f'"{query}"', *known])


def _held(answer: Answer, languages: bool) -> _Held:
    for document, score in answer.hits.items():
        if not -GREATEST_SCORE <= score <= GREATEST_SCORE:
            raise InputError(
                f'{answer.where}: the score of document "{document}" of query "{answer.id}" is not a 32-bit number',
                "infinite scores cannot be fused",
            )
    record = answer.record
    rest = None if record is None else {key: held for key, held in record.items() if key != "hits"}
    said = _languages(record) if languages and record is not None else {}
    return _Held(
        dumps(list(answer.hits)), array("d", answer.hits.values()), answer.where, rest, answer.ranks_only, said
    )


def _languages(record: Record) -> dict[str, str]:
    """The language of each hit that says it, or whose index does."""
    index = record.get("index")
    only = index.get("lang") if isinstance(index, dict) and "languages" not in index else None
    said = {str(hit["id"]): hit.get("lang", only) for hit in record.get("hits", ())}
    return {document: intern(language) for document, language in said.items() if isinstance(language, str)}


# ---- one query ----


def _fused(query: _Query, runs: Sequence[Run], settings: Settings) -> Record:
    answers = [(runs[number], query.answers[number]) for number in sorted(query.answers)]
    query.answers = {}
    ranked = [_ranked(answer, settings) for _, answer in answers]
    weights = [run.weight for run, _ in answers]
    scores = fuse_hits(ranked, settings.fusion, weights)
    best = sorted(zip(in_32_bits(scores.values()), scores, strict=True), reverse=True)[: settings.k]
    sources = [
        (run.name, {document: (rank, score) for rank, (score, document) in enumerate(hits, 1)}, not answer.ranks_only)
        for (run, answer), hits in zip(answers, ranked, strict=True)
        if run.weight
    ]
    languages = {document: its for _, answer in answers for document, its in answer.languages.items()}
    hits = [
        {
            "id": document,
            "score": score,
            **({"lang": languages[document]} if document in languages else {}),
            "from": _from(document, sources),
        }
        for score, document in best
    ]
    return {**_merged(query.id, answers), "fusion": _how(answers, settings), "hits": hits}


def _ranked(answer: _Held, settings: Settings) -> Ranked:
    hits = ranking(answer.hits)[: settings.depth]
    check_usable(hits, settings.fusion, answer.where, answer.ranks_only)
    return hits


def _from(document: str, sources: Iterable[tuple[str, Mapping[str, tuple[int, float]], bool]]) -> list[dict[str, Any]]:
    """What each run says of a document: its rank, and its score where the run has scores."""
    found = []
    for name, places, has_scores in sources:
        if document in places:
            rank, score = places[document]
            found.append({"run": name, "rank": rank, "score": score} if has_scores else {"run": name, "rank": rank})
    return found


def _how(answers: Sequence[tuple[Run, _Held]], settings: Settings) -> dict[str, Any]:
    return {
        "method": settings.fusion.method.name,
        **settings.fusion.details,
        "weights": {run.name: run.weight for run, _ in answers},
        "depth": settings.depth,
        "k": settings.k,
    }


def _merged(query: str, answers: Sequence[tuple[Run, _Held]]) -> Record:
    """The fields of the runs' records but for hits; where they differ, the first run's."""
    records = [(run, answer.record) for run, answer in answers if answer.record is not None]
    state = next((record for _, record in records if "query" in record), {})
    merged: Record = {"id": query, **{name: state[name] for name in _STATE if name in state}}
    for _, record in records:
        for name, held in record.items():
            if name not in _STATE:
                merged.setdefault(name, held)
    failed = next(((run, record) for run, record in records if has_failed(record)), None)
    if failed is not None:
        merged["error"] = _error_of(*failed)
    if index := _common([record["index"] for _, record in records if isinstance(record.get("index"), dict)]):
        merged["index"] = index
    else:
        merged.pop("index", None)
    return merged


def _error_of(run: Run, record: Record) -> Any:
    error = record["error"]
    return {**error, "run": run.name} if isinstance(error, dict) else error


def _common(objects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is the same in all of some objects."""
    first, *others = objects or [{}]
    return {name: held for name, held in first.items() if all(_same(name, held, o.get(name)) for o in others)}


def _same(name: str, one: object, other: object) -> bool:
    """Whether two objects have one value in a field; a language may be spelled in two ways."""
    if name == "lang" and isinstance(one, str) and isinstance(other, str):
        return code_of(one) == code_of(other)
    return one == other
