"""What becomes of one query on its way from what a user wrote to the documents that are found: all of it, as data.

`traced` yields what happened piece by piece, as it happens: `Given`, a `Step` for each generating stage, `Found`.
`as_record` makes the record of them that the same pipe of commands would have written, with more in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from xqe.errors import XqeError
from xqe.files.records import Record, has_failed
from xqe.models.engines.recorded import RecordingEngine
from xqe.models.engines.requests import Request
from xqe.retrieval.retriever import Retriever, Scored, Term
from xqe.stages.generation import Answer, Stage, answers_of, run
from xqe.stages.gloss import asker_of, glosses
from xqe.stages.search import DEPTH, answered, but_own
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.files.names import Numbers
    from xqe.retrieval.pools import Pools
    from xqe.text.snippets import Snippet

Q = TypeVar("Q")


@dataclass(frozen=True, slots=True)
class Given:
    """The record as it arrived."""

    record: Record


@dataclass(frozen=True, slots=True)
class Text:
    """One text that was asked of a model.

    field: what it is for, "query" or "passage". prompt: as the model sees it, special tokens included; None if it
    could not be made. raw: the output as it came. text: what of it went into the record, and taken_off: what did not.
    finish, tokens and reused: see `Completion`. error: why there is no text.
    """

    field: str
    prompt: str | None
    raw: str
    text: str
    taken_off: list[str]
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
class TracedHit:
    """A hit. snippet: None where the index keeps no texts. terms: all that occur, which sum to the score. gloss: what
    the snippet says in the asker's language, None where none was asked for or needed."""

    id: str
    score: float
    snippet: Snippet | None
    terms: list[Scored]
    gloss: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a document does with a query in one of its states (see `retriever`).

    rank: among all documents that may be found, None if it is not. score, terms, missing: see `Explanation`.
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
    retriever: Retriever[Q],
    relevant: Sequence[int],
    where: str,
    k: int = DEPTH,
    pools: Pools | None = None,
    drop_own: bool = False,
) -> Iterator[Piece]:
    """Run the stages on one record and search with what comes of it, telling each piece as it is there.

    engine: what the stages generate with; None where there are none. relevant: the numbers of documents to look up.
    k, pools, drop_own: as for `search`. A stage that fails is the last one, and the search is made with the state
    before it.
    """
    yield Given(record)
    for stage in stages:
        if engine is None or has_failed(record):
            break
        step = _step(stage, record, engine)
        yield step
        record = step.record
    yield _found(record, retriever, relevant, where, k, pools, drop_own)


def glossed(found: Found, engine: RecordingEngine) -> Found:
    """The search with a gloss of each hit's snippet, where that is in another language than the query first was."""
    record = found.record
    asker = asker_of(record)
    if asker is None:
        return found
    texts = [
        (hit.snippet.text if hit.snippet is not None else "", language(said.get("lang") or record["index"]["lang"]))
        for hit, said in zip(found.hits, record["hits"], strict=True)
    ]
    made = glosses(texts, asker, engine)
    engine.taken()  # is of no step
    return replace(found, hits=[replace(hit, gloss=gloss) for hit, gloss in zip(found.hits, made, strict=True)])


def as_record(pieces: Sequence[Piece]) -> dict[str, Any]:
    """Return the traced record: as `xqe translate`, `xqe expand` and `xqe search` leave it, each hit with "snippet"
    and "terms", and "trace" with all else."""
    steps = [piece for piece in pieces if isinstance(piece, Step)]
    [found] = [piece for piece in pieces if isinstance(piece, Found)]
    return {
        **found.record,
        "hits": [
            {
                **as_found,
                "snippet": {"text": hit.snippet.text, "matches": hit.snippet.matches} if hit.snippet else None,
                "terms": [asdict(term) for term in hit.terms],
                **({"gloss": hit.gloss} if hit.gloss is not None else {}),
            }
            for as_found, hit in zip(found.record["hits"], found.hits, strict=True)
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


def _step(stage: Stage, record: Record, engine: RecordingEngine) -> Step:
    started = time.monotonic()
    [after] = run(stage, engine, [record])
    seconds = time.monotonic() - started
    asked = engine.taken()
    texts: list[Text] = []
    if asked:
        requests, completions = zip(*asked, strict=True)
        answers = answers_of(stage, record, requests, completions, engine)
        fields = [wanted.field if wanted else "answer" for wanted in stage.wanted(record)]
        texts = [_text(*text, engine) for text in zip(fields, requests, answers, strict=True)]
    return Step(stage.name, seconds, texts, after)


def _text(field: str, request: Request, answer: Answer, engine: RecordingEngine) -> Text:
    try:
        prompt = engine.show(request.prompt)
    except XqeError:  # the completion says why
        prompt = None
    done = answer.completion
    return Text(
        field,
        prompt,
        done.text,
        answer.text,
        list(answer.parted.taken),
        done.finish,
        done.tokens,
        done.reused,
        answer.problem,
    )


# ---------------------------------------------------------------- search


def _found(
    record: Record,
    retriever: Retriever[Q],
    relevant: Sequence[int],
    where: str,
    k: int,
    pools: Pools | None,
    drop_own: bool,
) -> Found:
    query = retriever.query(record, where)
    pool = pools.of(record["id"]) if pools is not None else None
    searched = retriever.fed(query, pool)
    best = retriever.best(searched, k + drop_own, pool)
    own = None
    if drop_own:
        best = but_own(best, retriever.documents, record["id"], k)
        own = next((number for number in retriever.documents.numbers([record["id"]]).tolist() if number >= 0), None)
    pairs = zip(best.numbers.tolist(), best.scores.tolist(), strict=True)
    hits = [_hit(retriever, searched, *pair) for pair in pairs]
    account = retriever.account(record, query, searched, where, pool, bool(hits))
    first = int(best.numbers[0]) if hits else None
    looked_up = _Lookup(retriever, pool, account.states, first, own)
    return Found(
        answered(record, retriever, query, best, k, pools, drop_own),
        len(retriever.documents) if pool is None else len(pool),
        account.terms,
        hits,
        list(map(looked_up.relevant, relevant)),
        account.notes,
        account.words,
    )


def _hit(retriever: Retriever[Q], query: Q, number: int, score: float) -> TracedHit:
    why = retriever.explain(query, number)
    return TracedHit(retriever.documents.id(number), score, retriever.snippet(number, why), why.terms)


@dataclass(frozen=True, slots=True)
class _Lookup(Generic[Q]):
    """Looks documents up for a query in each of its states. first: the first hit. own: the document that is the query
    itself and that no rank counts; None where there is none, or it may be found."""

    retriever: Retriever[Q]
    pool: Numbers | None
    states: list[tuple[str, Q]]
    first: int | None
    own: int | None

    def relevant(self, number: int) -> Relevant:
        standings = [self._standing(*state, number) for state in self.states]
        behind, ahead = None, []
        if self.first is not None and self.first != number:
            behind, ahead = self.retriever.documents.id(self.first), self._ahead(standings[-1], self.first)
        in_pool = self.pool is None or number in self.pool
        return Relevant(self.retriever.documents.id(number), in_pool, standings, behind, ahead)

    def _standing(self, state: str, query: Q, number: int) -> Standing:
        why = self.retriever.explain(query, number)
        return Standing(state, self._rank(query, number), why.score, why.terms, why.missing)

    def _rank(self, query: Q, number: int) -> int | None:
        if number == self.own:
            return None
        rank = self.retriever.rank(query, number, self.pool)
        if self.own is None or rank is None:
            return rank
        before = self.retriever.rank(query, self.own, self.pool)
        return rank if before is None or before > rank else rank - 1

    def _ahead(self, standing: Standing, first: int) -> list[Scored]:
        """What the terms of the first hit add more than they do to this document, the most first."""
        own = {term.term: term.score for term in standing.terms}
        theirs = self.retriever.explain(self.states[-1][1], first).terms
        more = [Scored(term.term, term.score - own.get(term.term, 0.0)) for term in theirs]
        return sorted((term for term in more if term.score > 0), key=lambda term: (-term.score, term.term))
