"""What becomes of one query on its way from what a user wrote to the documents that are found: all of it, as data.

`traced` yields what happened piece by piece, as it happens: `Given`, a `Step` for each generating stage, `Judged` where
an encoder judged their texts, `Found`, and `Reranked` where hits are put in a new order. `as_record` makes the record
of them that the same pipe of commands would have written, with more in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from xqe.errors import XqeError
from xqe.files.hits import plain
from xqe.files.records import Record, has_failed
from xqe.models.engines.recorded import RecordingEngine
from xqe.retrieval.choices import DEPTH
from xqe.retrieval.retriever import Retriever, Scored, Term
from xqe.stages.generation import Answer, Generating, Tally, run_all
from xqe.stages.gloss import asker_of, glosses
from xqe.stages.judging.judge import Judge
from xqe.stages.search import answered, but_own, looked_up
from xqe.text.answers.parting import Parted
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.files.names import Numbers
    from xqe.retrieval.pools import Pools
    from xqe.stages.rerank.reranker import How, Reranker
    from xqe.text.snippets import Snippet

Q = TypeVar("Q")


@dataclass(frozen=True, slots=True)
class Given:
    """The record as it arrived."""

    record: Record


@dataclass(frozen=True, slots=True)
class Text:
    """One text that was asked of a model.

    field: what it is for, "query" or "passage". prompt: as the model sees it, special tokens included, with what is
    measured behind it; None if it could not be made. raw: the output as it came. text: what of it went into the record,
    and taken_off: what did not. finish, tokens and reused: see `Completion`. error: why there is no text. flags: what
    is wrong with it, by the names that `xqe inspect` has for it.
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
    flags: Sequence[str] = ()


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
class Judged:
    """What a judge said of the texts, and made of them (`judging`). before, record: it, and after it."""

    before: Record
    record: Record
    seconds: float

    @property
    def error(self) -> str:
        return str(self.record["error"]["message"]) if has_failed(self.record) else ""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the record says of it; nothing if it failed, or there was nothing to judge."""
        return self.record["steps"][-1] if self.record is not self.before and not self.error else {}


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
    """How a document does with a query in one of its states (see `retriever`), or after its hits are re-ranked.

    rank: among all documents that may be found, None if it is not. score, terms, missing: see `Explanation`; after
    re-ranking there are no terms, and no score but that of a hit that was re-ranked.
    """

    stage: str
    rank: int | None
    score: float | None
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
    """The search. record: with "index" and "hits", as `xqe search` writes it. documents: how many may be found. words:
    for each term of the query, its source and passages, the word that it stands for (see `Term`). seconds: of the
    search alone. again: whether its hits are re-ranked next, and so more of them than are shown."""

    record: Record
    documents: int
    terms: list[Term]
    hits: list[TracedHit]
    relevant: list[Relevant]
    notes: list[str]
    words: Mapping[str, str]
    seconds: float
    again: bool


@dataclass(frozen=True, slots=True)
class Reranking:
    """How hits are put in a new order. engine: what the reranker asks, which may be what the stages before generate
    with."""

    how: How
    reranker: Reranker
    engine: RecordingEngine


@dataclass(frozen=True, slots=True)
class Reranked:
    """The best hits in a new order. found: the search before it. texts: what was asked of the model, of a document
    each, which `field` names, or of a window of them. record: after it, with all its hits. hits: those that are shown.
    relevant: as of `Found`, with how they stand now.
    """

    found: Found
    seconds: float
    texts: list[Text]
    record: Record
    hits: list[TracedHit]
    relevant: list[Relevant]

    @property
    def error(self) -> str:
        return str(self.record["error"]["message"]) if has_failed(self.record) else ""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the record says of it; nothing if it failed, or there were no hits."""
        return self.record["steps"][-1] if self.texts and not self.error else {}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage took. tokens: generated, or looked at where scores are made; None where no model was asked."""

    stage: str
    seconds: float
    tokens: int | None


Piece = Given | Step | Judged | Found | Reranked
F = TypeVar("F", bound=Found | Reranked)
RERANKED = "reranked"
"""The stage of a `Standing` after re-ranking."""
WINDOW = "window"
"""The field of a `Text` that puts a window of documents in order."""


def traced(
    record: Record,
    stages: Sequence[Generating],
    engine: RecordingEngine | None,
    retriever: Retriever[Q],
    relevant: Sequence[int],
    where: str,
    k: int = DEPTH,
    pools: Pools | None = None,
    drop_own: bool = False,
    reranking: Reranking | None = None,
    judge: Judge | None = None,
) -> Iterator[Piece]:
    """Run the stages on one record, judge its texts, search with what comes of it, and re-rank, telling each piece as
    it is there.

    engine: what the stages generate with; None where there are none. relevant: the numbers of documents to look up.
    k, pools, drop_own: as for `search`. A stage that reads documents is shown what the record finds before it. One that
    fails is the last one, and the search is made with the state before it, and not re-ranked.
    """
    yield Given(record)
    for stage in stages:
        if engine is None or has_failed(record):
            break
        if reads := getattr(stage, "documents", 0):
            [record] = looked_up([record], retriever, reads, pools, drop_own)
        step = _step(stage, record, engine)
        yield step
        record = step.record
    if judge is not None and not has_failed(record):
        judged = _judged(record, judge)
        yield judged
        record = judged.record
    if has_failed(record):
        reranking = None
    depth = max(k, reranking.how.n) if reranking is not None else k
    found = _found(record, retriever, relevant, where, depth, pools, drop_own, reranking is not None)
    yield found
    if reranking is not None:
        yield _reranked(found, reranking, k)


def costs(pieces: Sequence[Piece]) -> list[Cost]:
    """What each stage took, in order. What came from the store took no tokens."""
    made = []
    for piece in pieces:
        match piece:
            case Step():
                made.append(Cost(piece.step, piece.seconds, _tokens(piece.texts)))
            case Judged():
                made.append(Cost("judge", piece.seconds, None))
            case Found():
                made.append(Cost("search", piece.seconds, None))
            case Reranked():
                made.append(Cost("rerank", piece.seconds, _tokens(piece.texts)))
    return made


def _tokens(texts: Sequence[Text]) -> int:
    return sum(text.tokens for text in texts if not text.reused)


def glossed(found: F, engine: RecordingEngine) -> F:
    """The piece with a gloss of each hit's snippet, where that is in another language than the query first was."""
    record = found.record
    asker = asker_of(record)
    if asker is None:
        return found
    texts = [
        (hit.snippet.text if hit.snippet is not None else "", language(said.get("lang") or record["index"]["lang"]))
        for hit, said in zip(found.hits, record["hits"], strict=False)
    ]
    made = glosses(texts, asker, engine)
    engine.taken()  # is of no step
    return replace(found, hits=[replace(hit, gloss=gloss) for hit, gloss in zip(found.hits, made, strict=True)])


def as_record(pieces: Sequence[Piece]) -> dict[str, Any]:
    """Return the traced record: as `xqe translate`, `xqe expand`, `xqe search` and `xqe rerank` leave it, of its hits
    those that are shown, each with "snippet" and "terms", and "trace" with all else."""
    steps = [piece for piece in pieces if isinstance(piece, Step)]
    [found] = [piece for piece in pieces if isinstance(piece, Found)]
    reranked = next((piece for piece in pieces if isinstance(piece, Reranked)), None)
    last = reranked or found
    return {
        **last.record,
        "hits": [
            {
                **as_found,
                "snippet": {"text": hit.snippet.text, "matches": hit.snippet.matches} if hit.snippet else None,
                "terms": [asdict(term) for term in hit.terms],
                **({"gloss": {"of": hit.snippet.text, "text": hit.gloss}} if hit.gloss and hit.snippet else {}),
            }
            for as_found, hit in zip(last.record["hits"], last.hits, strict=False)
        ],
        "trace": {
            "steps": [{"step": step.step, **_as_step(step)} for step in steps],
            "documents": found.documents,
            "terms": [asdict(term) for term in found.terms],
            **({} if reranked is None else {"rerank": _as_step(reranked)}),
            "relevant": [asdict(document) for document in last.relevant],
            "costs": [{**asdict(cost), "seconds": round(cost.seconds, 3)} for cost in costs(pieces)],
            "notes": found.notes,
        },
    }


def _as_step(step: Step | Reranked) -> dict[str, Any]:
    return {
        "seconds": round(step.seconds, 3),
        "texts": [asdict(text) for text in step.texts],
        **({"error": step.error} if step.error else {}),
    }


# ---------------------------------------------------------------- generation


def _step(stage: Generating, record: Record, engine: RecordingEngine) -> Step:
    started = time.monotonic()
    [(_, after, answers)] = run_all([(stage, record)], engine)
    seconds = time.monotonic() - started
    engine.taken()  # the answers have their requests
    flags = _flags(after) if answers else {}
    texts = [
        replace(text, flags=flags.get(text.text, ()))
        for text in (_text(answer.field, answer, engine) for answer in answers)
    ]
    return Step(stage.name, seconds, texts, after)


def _flags(record: Record) -> dict[str, list[str]]:
    """What is wrong with the texts of a record, by text."""
    from xqe.stages.inspection.inspector import Inspector
    from xqe.stages.inspection.measures import FLAGS

    found = {}
    inspect = Inspector()
    for part in ({**record, "passages": []}, record):
        said = inspect(part) or {}
        for text, values in zip(
            part.get("passages") or [record["query"]], said.get("passages") or [said.get("query", {})], strict=True
        ):
            found[text] = [flag for flag in FLAGS if values.get(flag)]
    return found


def _text(field: str, answer: Answer, engine: RecordingEngine) -> Text:
    try:
        prompt = engine.show(answer.request.prompt) + answer.request.continuation
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
        answer.problem or answer.parted.problem,
    )


def _judged(record: Record, judge: Judge) -> Judged:
    started = time.monotonic()
    [after] = judge.over([record])
    return Judged(record, after, time.monotonic() - started)


# ---------------------------------------------------------------- search


def _found(
    record: Record,
    retriever: Retriever[Q],
    relevant: Sequence[int],
    where: str,
    k: int,
    pools: Pools | None,
    drop_own: bool,
    again: bool,
) -> Found:
    started = time.monotonic()
    query = retriever.query(record, where)
    pool = pools.of(record["id"]) if pools is not None else None
    searched = retriever.fed(query, pool)
    best = retriever.best(searched, k + drop_own, pool)
    seconds = time.monotonic() - started
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
        plain(answered(record, retriever, query, best, k, pools, drop_own)),
        len(retriever.documents) if pool is None else len(pool),
        account.terms,
        hits,
        list(map(looked_up.relevant, relevant)),
        account.notes,
        account.words,
        seconds,
        again,
    )


def _hit(retriever: Retriever[Q], query: Q, number: int, score: float) -> TracedHit:
    why = retriever.explain(query, number)
    return TracedHit(retriever.documents.id(number), score, retriever.snippet(number, why), why.terms)


# ---------------------------------------------------------------- re-ranking


def _reranked(found: Found, reranking: Reranking, k: int) -> Reranked:
    """Re-rank what was found, of which `k` hits are shown."""
    how, engine = reranking.how, reranking.engine
    read = [str(hit["id"]) for hit in found.record["hits"][: how.n]]
    started = time.monotonic()
    [record] = reranking.reranker.run([found.record], Tally())
    seconds = time.monotonic() - started
    asked = engine.taken()
    names = read if how.kind.gives_scores else [WINDOW] * len(asked)
    texts = [
        _text(name, Answer(request, done, Parted(done.text)), engine)
        for name, (request, done) in zip(names, asked, strict=False)  # nothing is asked where a text is not there
    ]
    traced_hits = {hit.id: hit for hit in found.hits}
    shown = [replace(traced_hits[hit["id"]], score=hit["score"]) for hit in record["hits"][:k]]
    relevant = [_standing_now(document, record) for document in found.relevant]
    return Reranked(found, seconds, texts, record, shown, relevant)


def _standing_now(document: Relevant, record: Record) -> Relevant:
    """A document with how it stands after re-ranking, where it was a hit: at the place that it has, and else where it
    was. What the first hit has more is of the search."""
    last = document.standings[-1]
    places = {hit["id"]: (rank, hit) for rank, hit in enumerate(record["hits"], 1)}
    rank, hit = places.get(document.document, (last.rank, dict[str, Any]()))
    score = hit["score"] if "reranked" in hit else None
    return replace(document, standings=[*document.standings, Standing(RERANKED, rank, score, [], [])])


# ---------------------------------------------------------------- documents that should be found


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
