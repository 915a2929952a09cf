"""An open index: hits for weighted terms, why a document scores what it scores, and its terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from xqe.errors import InputError, why
from xqe.files.arrays import mapped
from xqe.files.names import Names, Numbers
from xqe.kept import kept
from xqe.retrieval.documents import MANIFEST, Documents, Owners, Questions, Scores
from xqe.retrieval.lexical.bm25 import Parameters
from xqe.retrieval.lexical.builder import DOCUMENTS
from xqe.retrieval.lexical.candidates import BODY, Candidates
from xqe.retrieval.lexical.finder import Finder, open_joint
from xqe.retrieval.lexical.index import Index, Questioned
from xqe.retrieval.lexical.joint import JOINT
from xqe.retrieval.lexical.looking import Seen, kth, looked_through, matching, scores_of
from xqe.retrieval.lexical.manifest import REBUILD, Manifest, check_files, fitting_analyzer, read_manifest
from xqe.retrieval.lexical.questions import OWNERS, folder_of, owners_of
from xqe.retrieval.lexical.scoring import Asked, Contribution, Scorer
from xqe.retrieval.lexical.statistics import Query, Statistics
from xqe.retrieval.lexical.vectors import Vectors
from xqe.text.analysis import Analyzer

_ROUNDING = 1e-5  # tantivy sums in single precision
_REACH = 5.0  # how much deeper to look at first, for each part by which scores may exceed the exact ones

Given = Mapping[str, Statistics]
"""The statistics of a collection, by field: the text, or the questions in a language."""


def open_single(directory: Path, verify: bool = False, given: Given | None = None) -> Opened:
    """Open the index in a folder that holds one in one piece (see `opening`). given: the statistics of the collection
    that it is a part of, by field, to which its own vectors are added; None where it is all of it."""
    manifest = read_manifest(directory)
    while True:
        try:
            return _opened(directory, manifest, verify, given)
        except InputError:
            newer = read_manifest(directory)
            if newer == manifest:
                raise
            manifest = newer  # it was replaced between reading the manifest and the files


def _opened(directory: Path, manifest: Manifest, verify: bool, given: Given | None) -> Opened:
    check_files(directory, manifest, verify)
    if verify or given is not None:
        return read_files(directory, manifest, verify, given)
    place = directory.resolve()
    return kept("index", (str(place), repr(manifest)), lambda: read_files(directory, manifest))


def read_files(directory: Path, manifest: Manifest, verify: bool = False, given: Given | None = None) -> Opened:
    """The same with files that were checked and a manifest that was read."""
    analyze = fitting_analyzer(directory, manifest)
    data = directory / manifest.data
    ours = (f"{DOCUMENTS}.", "vectors.", "terms.", OWNERS)
    tantivy_files = [name for name in manifest.files if not name.startswith(ours)]
    try:
        candidates = Candidates(data, tantivy_files)
        documents = Documents(Names(data, DOCUMENTS), data, candidates.text if manifest.texts else None)
        name = directory.resolve().name
        index = Opened(name, manifest, analyze, candidates, Vectors(data), documents, given or {})
    except FileNotFoundError as error:
        raise InputError(f"{directory}: {error.filename} is gone", "it was replaced; try again") from None
    if verify:
        for code in manifest.questions:
            index.open_questions(code, verify)
        if manifest.questions:
            open_joint(data / JOINT, manifest, verify)
    return index


class _Field(NamedTuple):
    """An index of the questions in a language, and whose these are."""

    its: Opened
    questions: Questions


def _opened_questions(index: Opened, code: str, verify: bool) -> _Field:
    data = index.documents.folder
    folder = folder_of(data, code)
    try:
        written = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / MANIFEST}: {why(error)}", REBUILD) from None
    if sha256(written).hexdigest() != index.manifest.questions[code]["sha256"]:
        raise InputError(f"{folder}: not the questions that were indexed with the documents", REBUILD)
    questions = open_single(folder, verify, index.given_of(code))
    return _Field(questions, Questions(questions.documents, index.owners(code)))


class Opened(Index):
    """An index in one piece."""

    manifest: Manifest

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        analyze: Analyzer,
        candidates: Candidates,
        vectors: Vectors,
        documents: Documents,
        given: Given,
    ) -> None:
        self.name = name
        self.manifest = manifest
        self.analyzer = analyze
        self.vectors = vectors
        self.documents = documents
        self.statistics = given.get(BODY) or Statistics(manifest.documents, manifest.average_length)
        self.statistics.parts.append(vectors)
        self._given = given
        self._scorer = Scorer(vectors, self.statistics)
        self._text = Finder(candidates, manifest, {BODY: manifest.padding}, {BODY: manifest.excess})
        self._fields: dict[str, _Field] = {}

    @property
    def files(self) -> int:
        joint = len(self.manifest.joint.get("files", ()))
        return len(self.manifest.files) + joint + sum(self._field(code).its.files for code in self.manifest.questions)

    # ------------------------------------------------------------ questions

    def questions(self, code: str) -> Questions:
        return self._field(code).questions

    def owners(self, code: str) -> Owners:
        owners: Owners = mapped(owners_of(self.documents.folder, code), "<u4")
        return owners

    def terms_of(self, code: str) -> Callable[[str], list[str]]:
        return self._field(code).its.analyzer.terms

    def questions_of(self, code: str, number: int) -> str:
        index, questions = self._field(code)
        own = questions.own(number)
        return (index.documents.text(own) or "") if own is not None else ""

    @cached_property
    def _joint(self) -> Finder:
        return open_joint(self.documents.folder / JOINT, self.manifest)

    def _field(self, code: str) -> _Field:
        if code not in self._fields:
            self.open_questions(code)
        return self._fields[code]

    def open_questions(self, code: str, verify: bool = False) -> None:
        """Open the questions in a language, which adds their vectors to the statistics that this index was given."""
        self._fields[code] = _opened_questions(self, code, verify)

    def given_of(self, code: str) -> Given | None:
        """What the index of the questions in a language is given."""
        return {BODY: self._given[code]} if code in self._given else None

    def statistics_of(self, code: str) -> Statistics:
        """Those of the questions in a language."""
        return self._field(code).its.statistics

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
        if not asked or k < 1:
            return numpy.empty(0, numpy.int64), numpy.empty(0, numpy.float32)
        pool, is_small = looked_through([asked], pool, k, len(self))
        if is_small and pool is not None:
            return self.documents.best(*matching(asked, pool), k)
        return self.documents.best(*self._found(asked, k, pool), k)

    def _asked(
        self, weights: Mapping[str, float], parameters: Parameters | None, questions: Questioned | None
    ) -> list[Asked]:
        of = {code: self.statistics_of(code).queries(its)[0] for code, its in (questions or {}).items()}
        return self.asked(self.statistics.queries(weights)[0], of, parameters or self.manifest.parameters)

    def asked(self, query: Query, questions: Mapping[str, Query], parameters: Parameters) -> list[Asked]:
        """The fields that hold something of what is looked for, in the text and in questions."""
        asked = [Asked(BODY, self._scorer, query, parameters)]
        for code, its in sorted(questions.items()):
            index, field = self._field(code)
            owners = field.owners if len(index) < len(self) else None
            asked.append(Asked(code, index._scorer, its, parameters, owners))
        return [one for one in asked if one.query.terms]

    def _found(self, asked: Sequence[Asked], k: int, pool: Numbers | None) -> tuple[Numbers, Scores]:
        """Documents and exact scores, among them the k best and all that score as the k-th (see `bm25`)."""
        limit = self.limit(asked, k, pool)
        while True:
            seen = self.look(asked, limit, pool)
            if seen.is_enough(kth(seen.scores, k)):
                return seen.numbers, seen.scores
            limit *= 3

    def limit(self, asked: Sequence[Asked], k: int, pool: Numbers | None) -> int:
        """At how many candidates to look first, for the k best."""
        limit = 16 + int(k * (1.125 + _REACH * (self._finder(asked).ceiling(asked) - 1)))
        return limit * len(self) // len(pool) if pool is not None else limit

    def look(self, asked: Sequence[Asked], limit: int, pool: Numbers | None) -> Seen:
        """The exact scores of so many candidates, or of those among them that are in the pool."""
        finder = self._finder(asked)
        if not finder.sees(asked):
            return Seen(*matching(asked, numpy.arange(len(self)) if pool is None else pool), -numpy.inf)
        limit = min(limit, len(self) + 1)
        numbers, bounds = finder.best(asked, limit)
        exhausted = len(numbers) < limit
        lowest = -numpy.inf if exhausted else float(bounds[-1]) * finder.ceiling(asked) * (1 + _ROUNDING)
        if pool is not None:
            at = numpy.minimum(numpy.searchsorted(pool, numbers), len(pool) - 1)
            numbers = numbers[pool[at] == numbers]
        return Seen(numbers, scores_of(asked, numbers), lowest)

    def _finder(self, asked: Sequence[Asked]) -> Finder:
        return self._text if [one.field for one in asked] == [BODY] else self._joint

    # ------------------------------------------------------------ why

    def explain(
        self, weights: Mapping[str, float], number: int, parameters: Parameters | None = None
    ) -> list[Contribution]:
        return self._scorer.explain(weights, number, parameters or self.manifest.parameters)

    def explain_questions(
        self, questions: Questioned, number: int, parameters: Parameters | None = None
    ) -> dict[str, tuple[dict[str, Any], list[Contribution]]]:
        parameters = parameters or self.manifest.parameters
        found = {}
        for code, weights in sorted(questions.items()):
            if code not in self.manifest.questions:
                continue
            index, its = self._field(code)
            own = its.own(number)
            if own is not None:
                standing = {
                    "documents": index.statistics.documents,
                    "length": index.length(own),
                    "average_length": index.statistics.average_length,
                    "K": index.norm(own, parameters),
                }
                found[code] = standing, index.explain(weights, own, parameters)
        return found

    def length(self, number: int) -> int:
        return int(self.vectors.lengths[number])

    def norm(self, number: int, parameters: Parameters | None = None) -> float:
        return self._scorer.norm(number, parameters or self.manifest.parameters)

    def rank(
        self,
        weights: Mapping[str, float],
        number: int,
        parameters: Parameters | None = None,
        questions: Questioned | None = None,
    ) -> int | None:
        asked = self._asked(weights, parameters, questions)
        if not asked:
            return None
        scores = scores_of(asked, numpy.arange(len(self)))
        own = scores[number]
        if not own > 0:
            return None
        equal = numpy.flatnonzero(scores == own)
        return int((scores > own).sum()) + self.documents.above(number, equal) + 1

    # ------------------------------------------------------------ terms of documents

    def term_counts(self, number: int) -> dict[str, int]:
        pairs = self.vectors.pairs(numpy.array([number]))
        names = self.vectors.names.texts(pairs.terms.astype(numpy.int64))
        return dict(zip(names, pairs.counts.astype(int).tolist(), strict=True))
