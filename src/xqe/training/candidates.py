"""Candidates for training: the queries of a language of a collection, each with passages that answer it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from xqe.collections.draws import rank
from xqe.collections.layout import Collection
from xqe.collections.leakage import Naming, Pair, judgements, spelled
from xqe.messages import progress
from xqe.training.heldout import HeldOut, digest
from xqe.training.pairs import TRAIN
from xqe.training.passages import Count, Passage, passage
from xqe.training.prompting import Prompting

SPARE = 10
"""Documents of a query that are read besides those that are wanted, since some give no passage."""

_FIRST_ROUND = 2  # queries looked at for each example that is wanted
_NEXT_ROUND = 4  # and how many times as many, where that was too few

Judged = dict[str, list[tuple[int | None, str]]]
"""Query id -> (grade, document) of the documents it may be answered with, the best first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted.

    languages: None for all. min_rel: the least grade of a document; None for each query's highest. passages: for a
    query, at most. passage_tokens, min_tokens: of a passage. balance: each language of a collection as often as its
    rarest. size: examples in all, at most. validation: the share of queries that is not trained on.
    """

    languages: tuple[str, ...] | None = None
    split: str = TRAIN
    min_rel: int | None = None
    passages: int = 1
    passage_tokens: int = 192
    min_tokens: int = 8
    balance: bool = False
    size: int | None = None
    validation: float = 0.05
    seed: int = 0


class Left(StrEnum):
    """Why something was left out: a short name for the head of a column."""

    HELD_OUT = "held out"
    UNJUDGED = "no document"
    SHOWN = "shown"
    ANSWERS = "answers"
    SHARED = "shared"
    MISSING = "missing"
    SHORT = "short"
    BARE = "bare"
    STOPS = "stops"
    NOT_DRAWN = "not drawn"


MEANING = {
    Left.HELD_OUT: "queries that another split has too, by id, text or best document",
    Left.UNJUDGED: "queries without a document of that grade",
    Left.SHOWN: "queries that the prompt shows as worked examples",
    Left.ANSWERS: "passages that answer a query of another split",
    Left.SHARED: "passages that serve another query",
    Left.MISSING: "documents that are not there",
    Left.SHORT: "passages that are too short",
    Left.BARE: "passages that say nothing but the query",
    Left.STOPS: "passages in which a stop string of the prompt would end generation",
    Left.NOT_DRAWN: "queries that were not needed",
}


@dataclass(slots=True)
class Row:
    """The statistics of a language of a collection. tokens: of all queries, of all passages."""

    collection: str
    lang: str
    queries: int = 0
    split: Counter[str] = field(default_factory=Counter)
    query_tokens: int = 0
    passage_tokens: int = 0
    cut: int = 0
    left: Counter[Left] = field(default_factory=Counter)

    @property
    def examples(self) -> int:
        return self.split.total()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A query with a passage. order: where it stands in the draw."""

    row: Row = field(repr=False, compare=False)
    query_id: str
    query: str
    document_id: str
    grade: int | None
    passage: Passage
    order: bytes
    number: int

    @property
    def id(self) -> str:
        number = f"/{self.number}" if self.number > 1 else ""
        return f"{self.row.collection}/{self.row.lang}/{self.query_id}{number}"

    @property
    def place(self) -> tuple[bytes, int]:
        return self.order, self.number


class Group:
    """Makes the candidates of a language of a collection."""

    def __init__(
        self,
        collection: Collection,
        lang: str,
        plan: Plan,
        held: HeldOut,
        prompting: Prompting,
        count: Count,
    ) -> None:
        self._collection, self._lang, self._plan, self._held, self._count = collection, lang, plan, held, count
        self._stops = prompting.stops
        self._row = Row(collection.name, lang)
        self._texts = collection.read_queries(plan.split, lang)
        self._row.queries = len(self._texts)
        self._judged = self._usable(prompting.shown(lang))
        self._order = {name: rank(plan.seed, f"{collection.name}/{lang}/{name}") for name in self._judged}
        self._give_each_document_to_one_query()

    def candidates(self, most: int | None, seen: set[int]) -> tuple[Row, list[Candidate]]:
        """The first `most` of the draw, None for all; `seen` are the examples that there are already."""
        names = sorted(self._judged, key=self._order.__getitem__)
        room = len(names) if most is None else _FIRST_ROUND * most + SPARE
        while True:
            left: Counter[Left] = Counter()
            found = self._with_passages(names[:room], left, set(seen))
            if room >= len(names) or (most is not None and len(found) >= most):
                break
            room *= _NEXT_ROUND
        self._row.left += left
        self._row.left[Left.NOT_DRAWN] = len(names[room:]) + len({one.query_id for one in found})
        found = found[:most]
        seen.update(_digest(one) for one in found)
        return self._row, found

    def _usable(self, shown: set[str]) -> Judged:
        """The documents of the queries that may be trained on."""
        row, plan, collection = self._row, self._plan, self._collection
        held = self._held.queries(collection, self._lang, self._texts, self._pairs(), plan.split)
        judged = _judged(collection, plan.split, self._lang, self._texts, plan.min_rel)
        usable: Judged = {}
        for name, text in self._texts.items():
            if name in held:
                row.left[Left.HELD_OUT] += 1
            elif spelled(text) in shown:
                row.left[Left.SHOWN] += 1
            elif name not in judged:
                row.left[Left.UNJUDGED] += 1
            else:
                usable[name] = judged[name]
        return usable

    def _pairs(self) -> list[Pair]:
        """Where the documents of the queries are: in every language, unless a parallel one has the same ids."""
        pairs = [pair for pair in self._collection.pairs(self._plan.split) if pair[0] == self._lang]
        if Naming.of(self._collection).parallel:
            return [pair for pair in pairs if pair[1] == self._lang]
        return pairs

    def _give_each_document_to_one_query(self) -> None:
        """That for which it has the highest grade, the first of the draw among several; and leave out what answers an
        evaluated query. What is left of a query's documents is put in the order in which they are tried."""
        owners: dict[str, tuple[int, bytes, str]] = {}
        for name, documents in self._judged.items():
            for grade, document in documents:
                claim = (-(grade or 0), self._order[name], name)
                owners[document] = min(owners.get(document, claim), claim)
        for name, documents in self._judged.items():
            kept = []
            for grade, document in documents:
                if self._held.has_document(self._collection, self._lang, document):
                    self._row.left[Left.ANSWERS] += 1
                elif owners[document][2] != name:
                    self._row.left[Left.SHARED] += 1
                else:
                    kept.append((grade, document))
            kept.sort(key=lambda one: (-(one[0] or 0), rank(self._plan.seed, f"{name}\n{one[1]}")))
            self._judged[name] = kept[: self._plan.passages + SPARE]

    def _with_passages(self, names: Sequence[str], left: Counter[Left], seen: set[int]) -> list[Candidate]:
        passages = self._passages({document for name in names for _, document in self._judged[name]})
        texts: set[int] = set()
        found: list[Candidate] = []
        for name in names:
            number = 0
            for grade, document in self._judged[name]:
                if number == self._plan.passages:
                    break
                made = passages.get(document)
                if (why := self._refused(name, made, texts)) is not None:
                    left[why] += 1
                    continue
                assert isinstance(made, Passage)
                candidate = Candidate(
                    self._row, name, self._query(name), document, grade, made, self._order[name], number + 1
                )
                if _digest(candidate) in seen:
                    left[Left.SHARED] += 1
                    continue
                seen.add(_digest(candidate))
                texts.add(digest(spelled(made.text)))
                found.append(candidate)
                number += 1
        return found

    def _query(self, name: str) -> str:
        return " ".join(self._texts[name].split())

    def _passages(self, wanted: set[str]) -> dict[str, Passage | Left]:
        """Document -> its passage, or why it gives none."""
        plan, label = self._plan, f"{self._collection.name} {self._lang}"
        passages: dict[str, Passage | Left] = {}
        read = self._collection.read_documents(self._lang)
        for one in progress(read, self._collection.document_count(self._lang), label):
            if one.id in wanted:
                if self._held.has_text(one.text):
                    passages[one.id] = Left.ANSWERS
                else:
                    passages[one.id] = passage(one.text, plan.passage_tokens, plan.min_tokens, self._count)
        return passages

    def _refused(self, name: str, made: Passage | Left | None, texts: set[int]) -> Left | None:
        """Why a passage does not go with a query, if it does not."""
        if made is None:
            return Left.MISSING
        if isinstance(made, Left):
            return made
        if not made.text or made.tokens < self._plan.min_tokens:
            return Left.SHORT
        if _words(made.text) <= _words(self._texts[name]):
            return Left.BARE
        if any(stop in made.text for stop in self._stops):
            return Left.STOPS
        return Left.SHARED if digest(spelled(made.text)) in texts else None


def _words(text: str) -> set[str]:
    from unicode_segmentation_rs import unicode_words

    return set(unicode_words(spelled(text)))


def _digest(candidate: Candidate) -> int:
    return digest(spelled(candidate.query), spelled(candidate.passage.text))


def _judged(collection: Collection, split: str, lang: str, texts: Mapping[str, str], min_rel: int | None) -> Judged:
    """The documents that may answer the queries in a language, in that language, the best first."""
    pairs = collection.pairs(split)
    if (lang, lang) in pairs:
        lines: Iterable[tuple[str, str, int]] = judgements(collection, split, (lang, lang))
    elif min_rel is None:
        return {name: [(None, name)] for name in texts}  # the article that a title is of
    else:
        lines = _of_articles(collection, split, lang)
    judged: Judged = defaultdict(list)
    for query, document, grade in lines:
        if query in texts and grade >= (min_rel or 1):
            judged[query].append((grade, document))
    for name, documents in judged.items():
        highest = max(grade or 0 for grade, _ in documents)
        judged[name] = [one for one in documents if min_rel is not None or one[0] == highest]
    return dict(judged)


def _of_articles(collection: Collection, split: str, lang: str) -> Iterator[tuple[str, str, int]]:
    """Judgements of titles against articles in their own language, where a collection has none but needs none.

    CLIRMatrix graded the articles in a language by searching them with the title in that language; each counterpart of
    the title in another language was given those grades (Sun and Duh, 2020, section 3). The title is that of the
    article of the highest grade.
    """
    done: set[str] = set()
    for pair in collection.pairs(split):
        if pair[1] != lang:
            continue
        graded: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for query, document, grade in judgements(collection, split, pair):
            graded[query].append((document, grade))
        for documents in graded.values():
            title = max(documents, key=lambda one: one[1])[0]
            if title not in done:
                done.add(title)
                yield from ((title, document, grade) for document, grade in documents)
