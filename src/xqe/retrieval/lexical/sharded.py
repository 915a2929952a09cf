"""An open index in shards, searched as one: every score, tie and order is that of one index of all documents.

A score is computed from a document's own terms and the statistics of all shards, and its parts are summed in an order
that is the same in any index, so it is the same to the last bit. Which documents are looked at is for all shards
together: each gives the candidates that tantivy ranks first among its own, as many of them as its part of the k best is
likely to have. A shard is looked into further as long as what it has not shown may score as much as the k-th of all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy

from xqe.errors import InputError
from xqe.files.names import Names, Numbers
from xqe.kept import kept
from xqe.machine import available_cores
from xqe.retrieval.documents import Concatenated, Documents, Owners, Questions, Scores
from xqe.retrieval.lexical.bm25 import Parameters
from xqe.retrieval.lexical.candidates import BODY
from xqe.retrieval.lexical.index import Index, Questioned
from xqe.retrieval.lexical.looking import Seen, kth, looked_through, matching, scores_of
from xqe.retrieval.lexical.manifest import check_files, read_manifest
from xqe.retrieval.lexical.opened import Opened, read_files
from xqe.retrieval.lexical.scoring import Asked, Contribution
from xqe.retrieval.lexical.shards import Shards, checked, part_of, read_shards
from xqe.retrieval.lexical.statistics import Query, Statistics


def open_shards(directory: Path, verify: bool = False, threads: int | None = None) -> Index:
    """Open the index in shards in a folder (see `opening`)."""
    whole = read_shards(directory)
    while True:
        try:
            return _opened(directory, whole, verify, threads or available_cores())
        except InputError:
            newer = read_shards(directory)
            if newer == whole:
                raise
            whole = newer  # it was replaced between reading the manifest and the files


def _opened(directory: Path, whole: Shards, verify: bool, threads: int) -> Index:
    manifests = {folder: read_manifest(folder) for folder in checked(directory, whole)}
    for folder, manifest in manifests.items():
        check_files(folder, manifest, verify)

    def read() -> Sharded:
        given = whole.statistics()
        shards = [
            read_files(folder, part_of(whole, folder.name, manifest), verify, given)
            for folder, manifest in manifests.items()
        ]
        return Sharded(directory.resolve().name, whole, shards, given, directory / whole.data, threads)

    return read() if verify else kept("index", (str(directory.resolve()), repr(whole), threads), read)


_Found = dict[int, tuple[Numbers, Scores]]
"""The numbers and scores of what shards found, by which these are."""


class DocumentsOfShards(Concatenated, Documents):
    """The documents of all shards. folder: where vectors of all of them are."""

    def __init__(self, places: Sequence[Documents], folder: Path) -> None:
        Concatenated.__init__(self, places)
        self.folder = folder

    @property
    def tables(self) -> list[Names]:
        return [table for place in self._places for table in place.tables]


class Sharded(Index):
    """An index in shards. given: the statistics of the whole, by field, which the shards have, too. folder: of its
    data. threads: that look into shards at a time."""

    manifest: Shards
    documents: DocumentsOfShards

    def __init__(
        self,
        name: str,
        manifest: Shards,
        shards: Sequence[Opened],
        given: Mapping[str, Statistics],
        folder: Path,
        threads: int,
    ) -> None:
        self.name = name
        self.manifest = manifest
        self.analyzer = shards[0].analyzer
        self.documents = DocumentsOfShards([shard.documents for shard in shards], folder)
        self._shards = list(shards)
        self.statistics = given[BODY]
        self._given = given
        self._threads = threads
        self._lock = Lock()
        self._working = 0

    @property
    def files(self) -> int:
        return sum(shard.files for shard in self._shards)

    # ------------------------------------------------------------ questions

    def _having(self, code: str) -> list[int]:
        """The shards that have questions in a language, all of which are opened, in their order."""
        having = [at for at, shard in enumerate(self._shards) if code in shard.manifest.questions]
        for at in having:
            self._shards[at].questions(code)
        return having

    def questions(self, code: str) -> Questions:
        each = [self._shards[at].questions(code).documents for at in self._having(code)]
        return Questions(DocumentsOfShards(each, self.documents.folder), self.owners(code))

    def owners(self, code: str) -> Owners:
        starts = self.documents.starts
        each = [self._shards[at].owners(code) + starts[at] for at in self._having(code)]
        owners: Owners = numpy.concatenate(each).astype(numpy.uint32)
        return owners

    def terms_of(self, code: str) -> Callable[[str], list[str]]:
        return self._shards[self._having(code)[0]].terms_of(code)

    def questions_of(self, code: str, number: int) -> str:
        shard, own = self._placed(number)
        return shard.questions_of(code, own) if code in shard.manifest.questions else ""

    def _placed(self, number: int) -> tuple[Opened, int]:
        """The shard of a document, and its number there."""
        owner, own = self.documents.placed(number)
        return self._shards[owner], own

    # ------------------------------------------------------------ hits

    def best(
        self,
        weights: Mapping[str, float],
        k: int,
        pool: Numbers | None = None,
        parameters: Parameters | None = None,
        questions: Questioned | None = None,
    ) -> tuple[Numbers, Scores]:
        asked = self._asked(weights, parameters, questions)
        if not any(asked) or k < 1:
            return numpy.empty(0, numpy.int64), numpy.empty(0, numpy.float32)
        pool, is_small = looked_through(asked, pool, k, len(self))
        pools = self.documents.pools(pool)
        found = self._all_in(asked, pools) if is_small else self._found(asked, k, pools)
        return self.documents.best(*self._together(found), k)

    def _asked(
        self, weights: Mapping[str, float], parameters: Parameters | None, questions: Questioned | None
    ) -> list[list[Asked]]:
        """What each shard is asked."""
        of: list[dict[str, Query]] = [{} for _ in self._shards]
        for code, its in (questions or {}).items():
            for at, query in zip(self._having(code), self._given[code].queries(its), strict=True):
                of[at][code] = query
        each = zip(self._shards, self.statistics.queries(weights), of, strict=True)
        return [shard.asked(own, its, parameters or self.manifest.parameters) for shard, own, its in each]

    def _all_in(self, asked: Sequence[Sequence[Asked]], pools: Sequence[Numbers | None]) -> _Found:
        """All documents of the pools that match, and their scores."""
        return {
            at: matching(its, pool)
            for at, (its, pool) in enumerate(zip(asked, pools, strict=True))
            if its and pool is not None
        }

    def _found(self, asked: Sequence[Sequence[Asked]], k: int, pools: Sequence[Numbers | None]) -> _Found:
        """Documents and exact scores, among them the k best and all that score as the k-th."""
        parts = [len(shard) if pool is None else len(pool) for shard, pool in zip(self._shards, pools, strict=True)]
        left = {
            at: self._shards[at].limit(its, _share(k, part / sum(parts)), pools[at])
            for at, (its, part) in enumerate(zip(asked, parts, strict=True))
            if its and part
        }
        seen: dict[int, Seen] = {}
        while left:
            looks = {at: partial(self._shards[at].look, asked[at], limit, pools[at]) for at, limit in left.items()}
            seen |= self._each(looks)
            least = kth(numpy.concatenate([its.scores for its in seen.values()]), k)
            left = {at: 3 * limit for at, limit in left.items() if not seen[at].is_enough(least)}
        return {at: (its.numbers, its.scores) for at, its in seen.items()}

    def _each(self, looks: Mapping[int, Callable[[], Seen]]) -> dict[int, Seen]:
        """Look into shards: into several at a time, unless another search is at work that would have to wait."""
        with self._lock:
            self._working += 1
            is_alone = self._working == 1
        try:
            each = self._executor.map if is_alone and min(self._threads, len(looks)) > 1 else map
            return dict(zip(looks, each(_called, looks.values()), strict=True))
        finally:
            with self._lock:
                self._working -= 1

    @cached_property
    def _executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, "shards")

    def _together(self, found: _Found) -> tuple[Numbers, Scores]:
        """What shards found, in the numbers of the whole."""
        starts = self.documents.starts
        numbers = [its + starts[at] for at, (its, _) in found.items()]
        scores = [its for _, its in found.values()]
        return (
            numpy.concatenate(numbers) if numbers else numpy.empty(0, numpy.int64),
            numpy.concatenate(scores) if scores else numpy.empty(0, numpy.float32),
        )

    # ------------------------------------------------------------ why

    def explain(
        self, weights: Mapping[str, float], number: int, parameters: Parameters | None = None
    ) -> list[Contribution]:
        shard, own = self._placed(number)
        return shard.explain(weights, own, parameters)

    def explain_questions(
        self, questions: Questioned, number: int, parameters: Parameters | None = None
    ) -> dict[str, tuple[dict[str, Any], list[Contribution]]]:
        for code in questions:
            self._having(code)
        shard, own = self._placed(number)
        return shard.explain_questions(questions, own, parameters)

    def length(self, number: int) -> int:
        shard, own = self._placed(number)
        return shard.length(own)

    def norm(self, number: int, parameters: Parameters | None = None) -> float:
        shard, own = self._placed(number)
        return shard.norm(own, parameters)

    def rank(
        self,
        weights: Mapping[str, float],
        number: int,
        parameters: Parameters | None = None,
        questions: Questioned | None = None,
    ) -> int | None:
        asked = self._asked(weights, parameters, questions)
        each = [scores_of(its, numpy.arange(len(shard))) for its, shard in zip(asked, self._shards, strict=True)]
        scores = numpy.concatenate(each)
        own = scores[number]
        if not own > 0:
            return None
        equal = numpy.flatnonzero(scores == own)
        return int((scores > own).sum()) + self.documents.above(number, equal) + 1

    # ------------------------------------------------------------ terms of documents

    def term_counts(self, number: int) -> dict[str, int]:
        shard, own = self._placed(number)
        return shard.term_counts(own)


def _called(look: Callable[[], Seen]) -> Seen:
    return look()


def _share(k: int, part: float) -> int:
    """How many of the k best documents this part of all has at the most, in nearly all cases."""
    mean = k * part
    return min(k, math.ceil(mean + 3 * math.sqrt(mean)))
