"""What becomes of one query on its way from what a user wrote to the documents that are found: all of it, as data.

`traced` yields what happened piece by piece, as it happens: `Given`, a `Step` for each generating stage, `Found`.
`as_record` makes the record of them that the same pipe of commands would have written, with more in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from xqe.errors import XqeError
from xqe.files.records import Record, has_failed, passages_lang
from xqe.models.engines.base import Completion, Request
from xqe.models.engines.recorded import RecordingEngine
from xqe.retrieval.choices import Use
from xqe.retrieval.feedback import left
from xqe.retrieval.weighting import Query, Weighting, weighted_query
from xqe.stages.generation import Stage, clean, run
from xqe.stages.search import Settings, answered, searched
from xqe.text.languages import language
from xqe.text.snippets import Snippet, snippet

if TYPE_CHECKING:
    from xqe.retrieval.lexical import Index, Numbers
    from xqe.retrieval.lexical.opened import Contribution

SOURCE, QUERY, SEARCHED, FEEDBACK = "source", "query", "searched", "feedback"
"""What a relevant document's rank is looked up for: the query as it first arrived, as it is now, with all that it is
searched with, and with the terms of its first hits. Those that are no different from the one before are left out."""


@dataclass(frozen=True, slots=True)
class Given:
    """The record as it arrived."""

    record: Record


@dataclass(frozen=True, slots=True)
class Text:
    """One text that was asked of a model.

    field: what it is for, "query" or "passage". prompt: as the model sees it, special tokens included; None if it
    could not be made. raw: the output as it came. text: what of it went into the record. finish, tokens, reused and
    error: see `Completion`.
    """

    field: str
    prompt: str | None
    raw: str
    text: str
    finish: str
    tokens: int
    reused: bool
    error: str


@dataclass(frozen=True, slots=True)
class Step:
    """One generating stage. seconds: of all its texts together. record: after it."""

    step: str
    seconds: float
    texts: list[Text]
    record: Record

    @property
    def error(self) -> str:
        return str(self.record["error"]["message"]) if has_failed(self.record) else ""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the record says of the step; nothing if the stage failed or had nothing to do."""
        steps = self.record.get("steps", [])
        return steps[-1] if steps and self.texts and not self.error else {}


@dataclass(frozen=True, slots=True)
class Term:
    """A term that was searched.

    word: the first word of the query, its source or passages that has this term, or one that has its stem; the term
    itself if feedback found it. parts: what of its weight comes from where ("query", "passages", "source",
    "feedback"); they sum to the weight. df: in how many documents it is. idf: 0 where that is none.
    """

    term: str
    word: str
    weight: float
    df: int
    idf: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Scored:
    """What a term adds to a document's score."""

    term: str
    score: float


@dataclass(frozen=True, slots=True)
class TracedHit:
    """A hit. snippet: None where the index keeps no texts. terms: all that occur, which sum to the score."""

    id: str
    score: float
    snippet: Snippet | None
    terms: list[Scored]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a document does with one of `SOURCE`, `QUERY`, `SEARCHED`, `FEEDBACK`.

    rank: among all documents that may be found, None if no term occurs in it. terms: those that occur. missing: those
    that do not, the greatest weight x idf first.
    """

    stage: str
    rank: int | None
    score: float
    terms: list[Scored]
    missing: list[str]


@dataclass(frozen=True, slots=True)
class Relevant:
    """A document that should be found. behind: the first hit, where that is another, with what its terms add more
    than they do here."""

    document: str
    in_pool: bool
    standings: list[Standing]
    behind: str | None
    ahead: list[Scored]


@dataclass(frozen=True, slots=True)
class Found:
    """The search. record: with "index" and "hits", as `xqe search` writes it. documents: how many may be found.
    words: for each term of the query, its source and passages, the word that it stands for (see `Term`)."""

    record: Record
    documents: int
    terms: list[Term]
    hits: list[TracedHit]
    relevant: list[Relevant]
    notes: list[str]
    words: Mapping[str, str]


Piece = Given | Step | Found


def traced(
    record: Record,
    stages: Sequence[Stage],
    engine: RecordingEngine | None,
    index: Index,
    settings: Settings,
    relevant: Numbers,
    where: str,
) -> Iterator[Piece]:
    """Run the stages on one record and search with what comes of it, telling each piece as it is there.

    engine: what the stages generate with; None where there are none. relevant: the numbers of documents to look up.
    A stage that fails is the last one, and the search is made with the state before it.
    """
    yield Given(record)
    for stage in stages:
        if engine is None or has_failed(record):
            break
        step = _step(stage, record, engine)
        yield step
        record = step.record
    yield _found(record, index, settings, relevant, where)


def as_record(pieces: Sequence[Piece]) -> dict[str, Any]:
    """Return the traced record: as `xqe translate`, `xqe expand` and `xqe search` leave it, each hit with "snippet"
    and "terms", and "trace" with all else."""
    steps = [piece for piece in pieces if isinstance(piece, Step)]
    [found] = [piece for piece in pieces if isinstance(piece, Found)]
    return {
        **found.record,
        "hits": [
            {
                "id": hit.id,
                "score": hit.score,
                "snippet": {"text": hit.snippet.text, "matches": hit.snippet.matches} if hit.snippet else None,
                "terms": [asdict(term) for term in hit.terms],
            }
            for hit in found.hits
        ],
        "trace": {
            "steps": [
                {
                    "step": step.step,
                    "seconds": round(step.seconds, 3),
                    "texts": [asdict(text) for text in step.texts],
                    **({"error": step.error} if step.error else {}),
                }
                for step in steps
            ],
            "documents": found.documents,
            "terms": [asdict(term) for term in found.terms],
            "relevant": [asdict(document) for document in found.relevant],
            "notes": found.notes,
        },
    }


# ---------------------------------------------------------------- generation

Named = tuple[str, str]  # what a text is for, and the text


def _passages(before: Record, after: Record) -> list[Named]:
    return [("passage", passage) for passage in after.get("passages", [])]


def _translated(before: Record, after: Record) -> list[Named]:
    """What was in the other language already was not asked for."""
    origins = {"query": language(before["lang"]).code, "passage": language(passages_lang(before)).code}
    texts = [("query", after["query"]), *_passages(before, after)]
    return [(field, text) for field, text in texts if origins[field] != after["lang"]]


# The texts that a stage put into a record, in the order in which it asked for them.
_RESULTS: Mapping[str, Callable[[Record, Record], list[Named]]] = {"translate": _translated, "expand": _passages}
_FIRST_FIELD = {"translate": "query", "expand": "passage"}


def _step(stage: Stage, record: Record, engine: RecordingEngine) -> Step:
    started = time.monotonic()
    [after] = run(stage, engine, [record])
    seconds = time.monotonic() - started
    asked = engine.taken()
    if asked and not has_failed(after):
        kept = _RESULTS[stage.name](record, after)
    else:
        fields = [_FIRST_FIELD[stage.name], *["passage"] * len(asked)]
        kept = [(field, clean(completion.text)) for field, (_, completion) in zip(fields, asked, strict=False)]
    texts = [_text(field, *pair, text, engine) for (field, text), pair in zip(kept, asked, strict=True)]
    return Step(stage.name, seconds, texts, after)


def _text(field: str, request: Request, completion: Completion, text: str, engine: RecordingEngine) -> Text:
    try:
        prompt = engine.show(request.prompt)
    except XqeError:  # the completion says why
        prompt = None
    return Text(
        field,
        prompt,
        completion.text,
        text,
        completion.finish,
        completion.tokens,
        completion.reused,
        completion.error,
    )


# ---------------------------------------------------------------- search


def _found(record: Record, index: Index, settings: Settings, relevant: Numbers, where: str) -> Found:
    query = weighted_query(record, index, settings.weighting, where)
    weights, k, pool, parameters = searched(record, query.weights, index, settings)
    numbers, scores = index.best(weights, k, pool, parameters)
    ids = index.ids(numbers)
    hits = [
        _hit(name, number, score, weights, index, settings)
        for name, number, score in zip(ids, numbers.tolist(), scores.tolist(), strict=True)
    ]
    record = answered(record, query, ((hit.id, hit.score) for hit in hits), index, settings)
    words = _words(record, index)
    terms = _terms(query, weights, index, settings, words)
    looked_up = _Lookup(index, settings, pool, _stages(record, query, weights, index, where))
    first = (hits[0].id, int(numbers[0])) if hits else None
    return Found(
        record,
        len(index) if pool is None else len(pool),
        terms,
        hits,
        [looked_up.relevant(number, first) for number in relevant.tolist()],
        list(_notes(record, index, terms, pool, bool(hits))),
        words,
    )


def _hit(
    name: str, number: int, score: float, weights: Mapping[str, float], index: Index, settings: Settings
) -> TracedHit:
    terms = _scored(index.explain(weights, number, settings.parameters))
    text = index.text(number)
    shown = None
    if text is not None:
        shown = snippet(text, {term.term: term.score for term in terms}, index.analyzer.terms)
    return TracedHit(name, score, shown, terms)


def _scored(contributions: Sequence[Contribution]) -> list[Scored]:
    return [Scored(part.term, part.score) for part in contributions if part.tf]


_PARTS = ("query", "passages", "source")


def _words(record: Record, index: Index) -> dict[str, str]:
    """For each term the word that it stands for: a word has several terms, and words of one stem are one.

    A term that several words have stands for the first of them; those whose stem no document has come last.
    """
    texts = [record["query"], _source(record), *record.get("passages", [])]
    analysed = [word for text in texts for word in index.analyzer.explain(text) if word.terms]
    found = index.document_frequencies([word.stem for word in analysed])
    word_of_stem: dict[str, str] = {}
    words: dict[str, str] = {}
    for word, _ in sorted(zip(analysed, found, strict=True), key=lambda pair: pair[1] == 0):
        first = word_of_stem.setdefault(word.stem, word.word)
        for term in word.terms:
            words.setdefault(term, first)
    return words


def _source(record: Record) -> str:
    """The query as it first arrived."""
    source = record.get("source", {}).get("query", record["query"])
    return source if isinstance(source, str) else str(record["query"])


def _terms(
    query: Query, weights: Mapping[str, float], index: Index, settings: Settings, words: Mapping[str, str]
) -> list[Term]:
    """The terms of positive weight, the heaviest first, and of equal ones the rarest."""
    own = query.weights
    if settings.feedback is not None and weights != query.weights:
        own = left(query.weights, settings.feedback)
    names = [term for term, weight in weights.items() if weight > 0]
    terms = []
    for name, df, idf in zip(names, index.document_frequencies(names), index.idfs(names), strict=True):
        kept = own.get(name, 0.0)
        parts = {
            part: kept * query.parts[part][name] / query.weights[name]
            for part in _PARTS
            if query.parts[part].get(name, 0.0) > 0
        }
        if (added := weights[name] - kept) > 0:
            parts[FEEDBACK] = added
        terms.append(Term(name, words.get(name, name), weights[name], df, idf, parts))
    return sorted(terms, key=lambda term: (-term.weight, -term.idf, term.term))


def _stages(
    record: Record, query: Query, weights: Mapping[str, float], index: Index, where: str
) -> list[tuple[str, Mapping[str, float]]]:
    """What ranks are looked up for, without what is no different from the one before."""
    alone = Weighting(use=Use.QUERY)
    stages = [
        (QUERY, weighted_query(record, index, alone, where).weights),
        (SEARCHED, query.weights),
        (FEEDBACK, weights),
    ]
    source = _source(record)
    if source != record["query"]:
        stages.insert(0, (SOURCE, weighted_query({**record, "query": source}, index, alone, where).weights))
    return stages[:1] + [after for before, after in pairwise(stages) if after[1] != before[1]]


@dataclass(frozen=True, slots=True)
class _Lookup:
    """Looks documents up for what was searched at each of the stages."""

    index: Index
    settings: Settings
    pool: Numbers | None
    stages: list[tuple[str, Mapping[str, float]]]

    def relevant(self, number: int, first: tuple[str, int] | None) -> Relevant:
        """first: the id and number of the first hit."""
        standings = [self._standing(stage, weights, number) for stage, weights in self.stages]
        in_pool = self.pool is None or number in self.pool
        behind, ahead = None, []
        if first is not None and first[1] != number:
            behind, ahead = first[0], self._ahead(standings[-1], first[1])
        return Relevant(self.index.id(number), in_pool, standings, behind, ahead)

    def _standing(self, stage: str, weights: Mapping[str, float], number: int) -> Standing:
        import numpy

        parts = self.index.explain(weights, number, self.settings.parameters)
        return Standing(
            stage,
            self._rank(weights, number),
            float(numpy.float32(sum(part.score for part in parts))),
            _scored(parts),
            [part.term for part in parts if not part.tf],
        )

    def _rank(self, weights: Mapping[str, float], number: int) -> int | None:
        if self.pool is None:
            return self.index.rank(weights, number, self.settings.parameters)
        numbers, _ = self.index.best(weights, len(self.pool), self.pool, self.settings.parameters)
        return next((rank for rank, found in enumerate(numbers.tolist(), 1) if found == number), None)

    def _ahead(self, standing: Standing, first: int) -> list[Scored]:
        """What the terms of the first hit add more than they do to this document, the most first."""
        own = {term.term: term.score for term in standing.terms}
        theirs = _scored(self.index.explain(self.stages[-1][1], first, self.settings.parameters))
        more = [Scored(term.term, term.score - own.get(term.term, 0.0)) for term in theirs]
        return sorted((term for term in more if term.score > 0), key=lambda term: (-term.score, term.term))


def _notes(record: Record, index: Index, terms: Sequence[Term], pool: Numbers | None, has_hits: bool) -> Iterator[str]:
    """What is odd about the search, a line each."""
    indexed = _language(index.manifest.language)
    spoken = _language(record.get("lang", index.manifest.language))
    if spoken != indexed:
        yield f"the query is in {spoken}, the documents are in {indexed}: only names and loan words can match"
    if pool is not None and not len(pool):
        yield "the pool has no documents for this query"
    elif not terms:
        yield "nothing is left to search with: the query has no terms but stop words"
    elif not has_hits:
        yield "no document has any of the terms"
    if has_hits and not index.manifest.texts:
        yield "the index was built without texts, so there are no snippets"


def _language(code: str) -> str:
    """The name of a language, or its code if xqe does not know it."""
    try:
        return language(code).name
    except XqeError:
        return code
