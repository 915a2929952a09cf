"""What a retriever is: it finds the documents of an index that answer a record best, and says why.

    query      what a record is searched with: read from the record, in the order of the records, by one thread
    queries    the same for several records, which may be sooner done together
    fed        the same with what its first hits add to it, where the retriever has feedback
    best       the best documents for a query
    found      the best documents for several queries, with feedback
    rank       where a document stands for a query, however low
    explain    why a document has its score
    account    what a query is made of, for a person: `Account`

All but `query`, `queries` and `account` may be called from any number of threads. There are `bm25`, which looks for
words, `nearest`, which looks for vectors, and two that fuse what other retrievers find: `hybrid` in the same documents,
`several` in those of several indexes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from xqe.files.names import Numbers
    from xqe.files.records import Record
    from xqe.models.encoders.base import Encoder
    from xqe.retrieval.documents import Numbered
    from xqe.text.snippets import Snippet

    Scores = NDArray[numpy.float32]

Q = TypeVar("Q")

SOURCE, QUERY, SEARCHED, FEEDBACK = "source", "query", "searched", "feedback"
"""The states of a query: as it first arrived, as it is now, with all that it is searched with, and with what its
first hits add."""
STATES = (SOURCE, QUERY, SEARCHED, FEEDBACK)


NOTHING: Mapping[str, Sequence[Any]] = {}


class Best(NamedTuple):
    """The best documents for a query, by score and then by id, both falling.

    numbers, scores: arrays of one length. said: what else "hits" say of each, by the names of fields, where a retriever
    says more.
    """

    numbers: Numbers
    scores: Scores
    said: Mapping[str, Sequence[Any]] = NOTHING

    def of(self, places: Sequence[int] | slice) -> Best:
        """Some of them, in their order."""
        chosen = range(len(self.numbers))[places] if isinstance(places, slice) else places
        said = {name: [values[place] for place in chosen] for name, values in self.said.items()}
        return Best(self.numbers[places], self.scores[places], said)


class QueryError(Exception):
    """Why one record cannot be searched with, though it is a record; the others go on."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a term, or whatever else a query is made of, adds to a document's score."""

    term: str
    score: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a document has its score. terms: those that occur, the greatest share first. missing: those that do not, the
    one that would matter most first. words: what each term of the text adds, where words were searched for. questions:
    by language, what each term of the document's questions adds."""

    score: float
    terms: list[Scored]
    missing: list[str]
    words: Mapping[str, float] = field(default_factory=dict)
    questions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Term:
    """A term that is searched for.

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
class Account(Generic[Q]):
    """What a record is searched with. states: the query in each of the states above, without those that are no
    different from the one before. terms: the heaviest first. words: for each term of the query, its source and
    passages the word that it stands for (see `Term`). notes: what is odd about the search, a line each."""

    states: list[tuple[str, Q]]
    terms: list[Term]
    words: Mapping[str, str]
    notes: list[str]


class Retriever(ABC, Generic[Q]):
    """Finds documents, all in one way. Q: what a record is searched with.

    together: how many queries are found sooner together than one after the other.
    """

    documents: Numbered
    together = 1

    @property
    def encoder(self) -> Encoder | None:
        """What makes the vectors that it looks for, None where it looks for none."""
        return None

    @property
    def contrast(self) -> float | None:
        """Of the encoder whose cosines its scores are (`xqe.models.encoders.contrast`); None where they are none, and
        where it is not known."""
        return None

    @abstractmethod
    def query(self, record: Record, where: str) -> Q:
        """Return what a record is searched with. Raises InputError, which says `where`, for one that lacks it, and
        QueryError."""

    def queries(self, records: Sequence[tuple[Record, str]]) -> list[Q | QueryError]:
        """Return what each record, with where it came from, is searched with. Raises InputError."""
        return [self.query(*record) for record in records]

    @abstractmethod
    def fed(self, query: Q, pool: Numbers | None) -> Q:
        """Return the query with what its first hits in the pool add to it; the query itself where nothing does."""

    @abstractmethod
    def best(self, query: Q, k: int, pool: Numbers | None) -> Best:
        """Return the `k` best documents.

        pool: the numbers of the only documents that may be found, sorted; None is all.
        """

    def found(self, queries: Sequence[Q], k: int, pools: Sequence[Numbers | None]) -> list[Best]:
        """Return the `k` best documents for each query with its feedback, in its pool."""
        return [self.best(self.fed(query, pool), k, pool) for query, pool in zip(queries, pools, strict=True)]

    @abstractmethod
    def rank(self, query: Q, number: int, pool: Numbers | None) -> int | None:
        """Return the rank of a document, from 1, among all that may be found; None if the query does not find it."""

    @abstractmethod
    def explain(self, query: Q, number: int) -> Explanation:
        """Return why a document has its score."""

    @abstractmethod
    def explained(self, query: Q, number: int) -> dict[str, Any]:
        """Return the same with all that makes it, as JSON values: "by", "document", "score", "rank", "documents" (of
        the index) and what is this retriever's own."""

    @abstractmethod
    def snippet(self, number: int, explanation: Explanation) -> Snippet | None:
        """Return the part of a document's text that its score comes from; None where the index keeps no texts."""

    @abstractmethod
    def described(self, query: Q, k: int) -> dict[str, Any]:
        """Return what "index" of a record says of its search for `k` documents."""

    @abstractmethod
    def account(self, record: Record, query: Q, fed: Q, where: str, pool: Numbers | None, has_hits: bool) -> Account[Q]:
        """Return what a record's search was made of. query, fed: what the methods of these names gave for it."""
