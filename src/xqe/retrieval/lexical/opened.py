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
from xqe.files.names import NONE, Names, Numbers
from xqe.files.whole import check_whole
from xqe.kept import kept
from xqe.retrieval.documents import MANIFEST, Documents, Owners, Questions, Scores
from xqe.retrieval.lexical.bm25 import Floats, Padding, Parameters, idf
from xqe.retrieval.lexical.builder import DOCUMENTS
from xqe.retrieval.lexical.candidates import BODY, Candidates
from xqe.retrieval.lexical.joint import JOINT, padding_of
from xqe.retrieval.lexical.manifest import REBUILD, Manifest, check_files, fitting_analyzer, read_manifest
from xqe.retrieval.lexical.questions import OWNERS, folder_of, owners_of
from xqe.retrieval.lexical.scoring import Asked, Contribution, Scorer
from xqe.retrieval.lexical.vectors import Vectors
from xqe.text.analysis import Analyzer

_SMALL_POOL = 20_000  # documents that are scored one and all sooner than candidates are looked for among them
_ROUNDING = 1e-5  # tantivy sums in single precision
_MANY_TERMS = 10_000  # more of them are looked up in every document sooner than tantivy opens all their lists
_REACH = 5.0  # how much deeper to look at first, for each part by which scores may exceed the exact ones

Questioned = Mapping[str, Mapping[str, float]]
"""Weighted terms that are looked for in questions, by the language of these."""


class Hit(NamedTuple):
    """A document that was found; `score` is a float32 value."""

    id: str
    score: float


def open_index(directory: Path, verify: bool = False) -> Index:
    """Open the index in a folder, having checked that it is whole and that text is analysed as when it was built.

    tantivy would answer from a damaged file without a word, so the files are hashed the first time, and every time
    with `verify`. Raises InputError, with what to do, for a missing, damaged or unfit index.
    """
    manifest = read_manifest(directory)
    while True:
        try:
            return _opened(directory, manifest, verify)
        except InputError:
            newer = read_manifest(directory)
            if newer == manifest:
                raise
            manifest = newer  # it was replaced between reading the manifest and the files


def _opened(directory: Path, manifest: Manifest, verify: bool) -> Index:
    check_files(directory, manifest, verify)
    if verify:
        return _read(directory, manifest, verify)
    place = directory.resolve()
    return kept("index", (str(place), repr(manifest)), lambda: _read(directory, manifest))


def _read(directory: Path, manifest: Manifest, verify: bool = False) -> Index:
    analyze = fitting_analyzer(directory, manifest)
    data = directory / manifest.data
    ours = (f"{DOCUMENTS}.", "vectors.", "terms.", OWNERS)
    tantivy_files = [name for name in manifest.files if not name.startswith(ours)]
    try:
        candidates = Candidates(data, tantivy_files)
        documents = Documents(Names(data, DOCUMENTS), data, candidates.text if manifest.texts else None)
        index = Index(directory.resolve().name, manifest, analyze, candidates, Vectors(data), documents)
    except FileNotFoundError as error:
        raise InputError(f"{directory}: {error.filename} is gone", "it was replaced; try again") from None
    if verify:
        for code in manifest.questions:
            _opened_questions(index, code, verify)
        if manifest.questions:
            _opened_joint(data / JOINT, manifest, verify)
    return index


class _Field(NamedTuple):
    """An index of the questions in a language, and whose these are."""

    its: Index
    questions: Questions


def _opened_questions(index: Index, code: str, verify: bool = False) -> _Field:
    data = index.documents.folder
    folder = folder_of(data, code)
    try:
        written = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / MANIFEST}: {why(error)}", REBUILD) from None
    if sha256(written).hexdigest() != index.manifest.questions[code]["sha256"]:
        raise InputError(f"{folder}: not the questions that were indexed with the documents", REBUILD)
    questions = open_index(folder, verify)
    return _Field(questions, Questions(questions.documents, index.owners(code)))


class _Finder:
    """Finds candidates: tantivy's ranking of some fields of documents. excesses: of each field with the parameters of
    the manifest (see `bm25`)."""

    def __init__(
        self,
        tantivy: Candidates,
        manifest: Manifest,
        paddings: Mapping[str, Padding],
        excesses: Mapping[str, float],
    ) -> None:
        self._tantivy, self._documents, self._paddings = tantivy, manifest.documents, paddings
        self._excesses = {(name, manifest.parameters): excess for name, excess in excesses.items()}

    def best(self, asked: Sequence[Asked], limit: int) -> tuple[Numbers, Floats]:
        """The numbers and scores of the `limit` documents that tantivy finds best."""
        documents = self._documents + len(self._paddings[BODY].fillers)
        return self._tantivy.best((boost for one in asked for boost in one.boosts(documents)), limit)

    def ceiling(self, asked: Sequence[Asked]) -> float:
        """How many times its score by tantivy a document's exact one is at most."""
        for one in asked:
            if (one.field, one.parameters) not in self._excesses:
                its = one.excess(self._documents, self._paddings[one.field])
                self._excesses[one.field, one.parameters] = its
        return max(self._excesses[one.field, one.parameters] for one in asked)


def _opened_joint(folder: Path, manifest: Manifest, verify: bool = False) -> _Finder:
    fields = manifest.joint["fields"]
    check_whole(folder, manifest.joint["files"], folder, REBUILD, verify)
    return _Finder(
        Candidates(folder, manifest.joint["files"], [name for name in fields if name != BODY]),
        manifest,
        {name: padding_of(manifest.joint, name) for name in fields},
        {name: its["excess"] for name, its in fields.items()},
    )


class Index:
    """An open index. Its methods may be called from several threads; `analyzer` is for one at a time, and so are
    `questions` and `terms_of`, which open the questions in a language that they are asked for first."""

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        analyze: Analyzer,
        candidates: Candidates,
        vectors: Vectors,
        documents: Documents,
    ) -> None:
        self.name = name
        self.manifest = manifest
        self.analyzer = analyze
        self.vectors = vectors
        self.documents = documents
        self._scorer = Scorer(manifest, vectors)
        self._text = _Finder(candidates, manifest, {BODY: manifest.padding}, {BODY: manifest.excess})
        self._fields: dict[str, _Field] = {}

    def __len__(self) -> int:
        """How many documents there are."""
        return len(self.documents)

    @property
    def files(self) -> int:
        """How many files it has, those of questions too."""
        joint = len(self.manifest.joint.get("files", ()))
        return len(self.manifest.files) + joint + sum(self._field(code).its.files for code in self.manifest.questions)

    # ------------------------------------------------------------ questions

    def questions(self, code: str) -> Questions:
        """The questions in one of the languages of the manifest's "questions". Raises InputError for damaged ones."""
        return self._field(code).questions

    def owners(self, code: str) -> Owners:
        """The documents that have questions in a language."""
        owners: Owners = mapped(owners_of(self.documents.folder, code), "<u4")
        return owners

    def terms_of(self, code: str) -> Callable[[str], list[str]]:
        """What makes terms of a text, as it does of the questions in a language; for one thread at a time."""
        return self._field(code).its.analyzer.terms

    def questions_of(self, code: str, number: int) -> str:
        """A document's questions in a language, one a line; "" for none."""
        index, questions = self._field(code)
        own = questions.own(number)
        return (index.documents.text(own) or "") if own is not None else ""

    @cached_property
    def _joint(self) -> _Finder:
        return _opened_joint(self.documents.folder / JOINT, self.manifest)

    def _field(self, code: str) -> _Field:
        if code not in self._fields:
            self._fields[code] = _opened_questions(self, code)
        return self._fields[code]

    # ------------------------------------------------------------ hits

    def search(
        self,
        weights: Mapping[str, float],
        k: int,
        pool: Numbers | None = None,
        parameters: Parameters | None = None,
        questions: Questioned | None = None,
    ) -> list[Hit]:
        """Return the `k` best documents for a sum of weighted terms, by score and then by id, both falling.

        A weight w counts as w repetitions of its term; terms of weight 0 or less are left out, and without terms
        there are no hits. `pool`: the numbers of the only documents that may be found, sorted; statistics stay those
        of the collection. `parameters`: others than the index was built with, which takes longer. `questions`: what is
        looked for in the questions in each language; their scores are added.
        """
        numbers, scores = self.best(weights, k, pool, parameters, questions)
        return [Hit(*hit) for hit in zip(self.documents.ids(numbers), scores.tolist(), strict=True)]

    def best(
        self,
        weights: Mapping[str, float],
        k: int,
        pool: Numbers | None = None,
        parameters: Parameters | None = None,
        questions: Questioned | None = None,
    ) -> tuple[Numbers, Scores]:
        """The numbers and scores of the hits of `search`."""
        asked = self._asked(weights, parameters, questions)
        if not asked or k < 1:
            return numpy.empty(0, numpy.int64), numpy.empty(0, numpy.float32)
        many = any(len(one.query.terms) > _MANY_TERMS for one in asked)
        if many and pool is None:
            pool = numpy.arange(len(self))
        if pool is not None and (many or len(pool) <= max(_SMALL_POOL, k)):
            return self.documents.best(*_matching(asked, pool), k)
        return self.documents.best(*self._found(asked, k, pool), k)

    def _asked(
        self, weights: Mapping[str, float], parameters: Parameters | None, questions: Questioned | None
    ) -> list[Asked]:
        """The fields that hold something of what is looked for."""
        parameters = parameters or self.manifest.parameters
        asked = [Asked(BODY, self._scorer, self._scorer.query(weights), parameters)]
        for code, its in sorted((questions or {}).items()):
            index, field = self._field(code)
            owners = field.owners if len(index) < len(self) else None
            asked.append(Asked(code, index._scorer, index._scorer.query(its), parameters, owners))
        return [one for one in asked if one.query.terms]

    def _found(self, asked: Sequence[Asked], k: int, pool: Numbers | None) -> tuple[Numbers, Scores]:
        """Documents and exact scores, among them the k best and all that score as the k-th (see `bm25`)."""
        finder = self._text if [one.field for one in asked] == [BODY] else self._joint
        ceiling = finder.ceiling(asked)
        limit = 16 + int(k * (1.125 + _REACH * (ceiling - 1)))
        if pool is not None:
            limit = limit * len(self) // len(pool)
        while True:
            limit = min(limit, len(self) + 1)
            numbers, bounds = finder.best(asked, limit)
            exhausted = len(numbers) < limit
            lowest = bounds[-1] * ceiling * (1 + _ROUNDING) if len(bounds) else 0.0
            if pool is not None:
                at = numpy.minimum(numpy.searchsorted(pool, numbers), len(pool) - 1)
                numbers = numbers[pool[at] == numbers]
            scores = _scores(asked, numbers)
            if exhausted or (len(scores) >= k and lowest < numpy.partition(scores, -k)[-k]):
                return numbers, scores
            limit *= 3

    # ------------------------------------------------------------ why

    def explain(
        self, weights: Mapping[str, float], number: int, parameters: Parameters | None = None
    ) -> list[Contribution]:
        """Return what each term of positive weight adds to the score of a document's text, the greatest first.

        Terms that the document does not hold add 0; those that no document holds have an idf all the same.
        """
        return self._scorer.explain(weights, number, parameters or self.manifest.parameters)

    def explain_questions(
        self, questions: Questioned, number: int, parameters: Parameters | None = None
    ) -> dict[str, tuple[dict[str, Any], list[Contribution]]]:
        """Return the same of a document's questions in each language, with "documents" (that have any), "length" and
        "average_length" (terms) and "K"; nothing of a language in which it has none."""
        parameters = parameters or self.manifest.parameters
        found = {}
        for code, weights in sorted(questions.items()):
            index, its = self._field(code)
            own = its.own(number)
            if own is not None:
                standing = {
                    "documents": len(index),
                    "length": int(index.vectors.lengths[own]),
                    "average_length": index.manifest.average_length,
                    "K": index.norm(own, parameters),
                }
                found[code] = standing, index.explain(weights, own, parameters)
        return found

    def norm(self, number: int, parameters: Parameters | None = None) -> float:
        """K of a document: what its length makes of k1."""
        return self._scorer.norm(number, parameters or self.manifest.parameters)

    def rank(
        self,
        weights: Mapping[str, float],
        number: int,
        parameters: Parameters | None = None,
        questions: Questioned | None = None,
    ) -> int | None:
        """The rank of a document among all, from 1, however low; None if no term of the query occurs in it.

        Scores every document: a third of a second for a million.
        """
        asked = self._asked(weights, parameters, questions)
        if not asked:
            return None
        scores = _scores(asked, numpy.arange(len(self)))
        own = scores[number]
        if not own > 0:
            return None
        equal = numpy.flatnonzero(scores == own)
        return int((scores > own).sum()) + self.documents.above(number, equal) + 1

    # ------------------------------------------------------------ terms of documents

    def term_counts(self, number: int) -> dict[str, int]:
        """The terms of a document and how often it holds each."""
        pairs = self.vectors.pairs(numpy.array([number]))
        names = self.vectors.names.texts(pairs.terms.astype(numpy.int64))
        return dict(zip(names, pairs.counts.astype(int).tolist(), strict=True))

    def idfs(self, terms: Sequence[str]) -> list[float]:
        """The idf of each term; 0 for one that no document holds, which can match nothing."""
        frequencies = numpy.array(self.document_frequencies(terms))
        weights: list[float] = numpy.where(frequencies > 0, idf(len(self), frequencies), 0.0).tolist()
        return weights

    def document_frequencies(self, terms: Sequence[str]) -> list[int]:
        """In how many documents each term occurs."""
        numbers = self.vectors.numbers(terms)
        return [int(self.vectors.df[number]) if number != NONE else 0 for number in numbers.tolist()]


def _matching(asked: Sequence[Asked], documents: Numbers) -> tuple[Numbers, Scores]:
    """Those of the documents that any field matches, and their scores."""
    scores = _scores(asked, documents)
    matching = scores > 0
    return documents[matching], scores[matching]


def _scores(asked: Sequence[Asked], documents: Numbers) -> Scores:
    """The exact scores of documents, 0 where no term occurs."""
    scores: Floats = numpy.zeros(len(documents))
    for one in asked:
        scores += one.scores(documents)
    return scores.astype(numpy.float32)
