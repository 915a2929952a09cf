"""The retriever that searches by meaning: a record's texts become one vector, and the documents of the nearest vectors
are found, by their cosine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from xqe.files.records import untranslated
from xqe.models.encoders.base import Encoder
from xqe.retrieval.choices import By, Encode, Use
from xqe.retrieval.meaning import Known, Meaning, Meant, meanings
from xqe.retrieval.retriever import (
    FEEDBACK,
    QUERY,
    SEARCHED,
    SOURCE,
    Account,
    Best,
    Explanation,
    QueryError,
    Retriever,
    Scored,
)

if TYPE_CHECKING:
    from xqe.files.names import Numbers
    from xqe.files.records import Record
    from xqe.retrieval.dense import Vectors
    from xqe.retrieval.documents import Numbered
    from xqe.retrieval.together import VectorsTogether
    from xqe.retrieval.vector_feedback import VectorFeedback
    from xqe.text.snippets import Snippet


class Dense(Retriever[Meaning]):
    """Searches the vectors of an index, or of several. encoder: the one that made them. feedback: None for none.
    approximate: look through the graph of the vectors, not through all of them. known: what is encoded already, for
    several retrievers with one encoder."""

    together = 64

    def __init__(
        self,
        name: str,
        language: str,
        documents: Numbered,
        vectors: Vectors | VectorsTogether,
        encoder: Encoder,
        meant: Meant | None = None,
        feedback: VectorFeedback | None = None,
        approximate: bool = False,
        known: Known | None = None,
    ) -> None:
        self.documents = documents
        self._name, self._language = name, language
        self._vectors, self._encoder = vectors, encoder
        self._meant, self._feedback = meant or Meant(), feedback
        self._approximate = approximate
        self._known = known or Known()

    @property
    def encoder(self) -> Encoder:
        return self._encoder

    @property
    def contrast(self) -> float | None:
        return self._vectors.contrast

    def query(self, record: Record, where: str) -> Meaning:
        [meaning] = self.queries([(record, where)])
        if isinstance(meaning, QueryError):
            raise meaning
        return meaning

    def queries(self, records: Sequence[tuple[Record, str]]) -> list[Meaning | QueryError]:
        return self._made(records, self._meant)

    def _made(self, records: Sequence[tuple[Record, str]], meant: Meant) -> list[Meaning | QueryError]:
        return meanings(records, self._encoder, meant, self._known)

    def fed(self, query: Meaning, pool: Numbers | None) -> Meaning:
        return self._all_fed([query], [pool])[0]

    def _all_fed(self, queries: Sequence[Meaning], pools: Sequence[Numbers | None]) -> Sequence[Meaning]:
        if self._feedback is None:
            return queries
        first = self._nearest(queries, self._feedback.documents, pools)
        return [
            self._feedback.applied(query, self._vectors.of(best.numbers))
            for query, best in zip(queries, first, strict=True)
        ]

    def best(self, query: Meaning, k: int, pool: Numbers | None) -> Best:
        return self._nearest([query], k, [pool])[0]

    def found(self, queries: Sequence[Meaning], k: int, pools: Sequence[Numbers | None]) -> list[Best]:
        return self._nearest(self._all_fed(queries, pools), k, pools)

    def _nearest(self, queries: Sequence[Meaning], k: int, pools: Sequence[Numbers | None]) -> list[Best]:
        import numpy

        asked = [place for place, query in enumerate(queries) if not query.is_empty]
        best = [Best(numpy.empty(0, numpy.int64), numpy.empty(0, numpy.float32))] * len(queries)
        if asked:
            vectors = numpy.stack([queries[place].vector for place in asked])
            own = [pools[place] for place in asked]
            found = self._vectors.best(vectors, k, own, approximate=self._approximate)
            for place, its in zip(asked, found, strict=True):
                best[place] = Best(*its)
        return best

    def rank(self, query: Meaning, number: int, pool: Numbers | None) -> int | None:
        return None if query.is_empty else self._vectors.rank(query.vector, number, pool)

    def explain(self, query: Meaning, number: int) -> Explanation:
        import numpy

        score = float(self._vectors.scores(query.vector, numpy.array([number]))[0])
        return Explanation(score, self._shares(query, number), [])

    def _shares(self, query: Meaning, number: int) -> list[Scored]:
        """What each text that is searched with adds to a document's score: its weight x its own cosine."""
        vector = self._vectors.windows(number)[self._vectors.nearest(query.vector, number)]
        shares: dict[str, float] = {}
        passages = 0
        for piece, cosine in zip(query.pieces, (query.parts @ vector).tolist(), strict=True):
            name = piece.part
            if name == "passages":
                passages += 1
                name = f"passage {passages}"
            shares[name] = shares.get(name, 0.0) + piece.weight * cosine
        return sorted((Scored(*share) for share in shares.items()), key=lambda share: -share.score)

    def explained(self, query: Meaning, number: int) -> dict[str, Any]:
        """Return the score of a document with all that makes it.

        by, document, score, rank, documents; encoder; window, windows: which of the document's was compared, from 1;
        terms: {"term", "score"} of each text that is searched with: "source", "query", "passage 1", …, "feedback".
        questions, where they are mixed in: "share", and "adds", what of the score is from the document's "passage", and
        what from its questions in each language.
        """
        why = self.explain(query, number)
        said: dict[str, Any] = {
            "by": str(By.DENSE),
            "document": self.documents.id(number),
            "score": why.score,
            "rank": self.rank(query, number, None),
            "documents": len(self.documents),
            "encoder": self._vectors.name,
            "window": self._vectors.nearest(query.vector, number) + 1,
            "windows": len(self._vectors.windows(number)),
            "terms": [{"term": share.term, "score": share.score} for share in why.terms],
        }
        if shares := self._vectors.shares(query.vector, number):
            said["questions"] = {"share": self._vectors.question_share, "adds": shares}
        return said

    def snippet(self, number: int, explanation: Explanation) -> Snippet | None:
        from xqe.text.snippets import snippet

        text = self.documents.text(number)
        return snippet(text, {}, str.split) if text is not None else None

    def described(self, query: Meaning, k: int) -> dict[str, Any]:
        meant, feedback = self._meant, self._feedback
        said: dict[str, Any] = {
            "name": self._name,
            "lang": self._language,
            "by": str(By.DENSE),
            "encoder": self._vectors.name,
            "encode": str(meant.encode),
            "use": str(meant.use),
            "query_weight": meant.usual_weight,
            "k": k,
        }
        if query.vectors is not None:
            said["vectors"] = query.vectors
            if meant.query_weight is None:
                del said["query_weight"]
        if (translations := sum(piece.part == QUERY for piece in query.pieces)) > 1:
            said |= {"nbest_mass": meant.nbest_mass, "translations": translations}
        if self._vectors.questions:
            said |= {"question_share": self._vectors.question_share, "questions": list(self._vectors.questions)}
        if self._approximate:
            said["approximate"] = True
        if feedback is not None:
            said["feedback"] = {"method": str(feedback.method), "documents": feedback.documents}
            if feedback.weight is not None:
                said["feedback"]["weight"] = feedback.weight
        return said

    def account(
        self, record: Record, query: Meaning, fed: Meaning, where: str, pool: Numbers | None, has_hits: bool
    ) -> Account[Meaning]:
        return Account(list(self._states(record, query, fed, where)), [], {}, list(self._notes(pool, has_hits)))

    def _states(self, record: Record, query: Meaning, fed: Meaning, where: str) -> Iterator[tuple[str, Meaning]]:
        asked = {QUERY: Encode.QUERY}
        if untranslated(record, where):
            asked = {SOURCE: Encode.SOURCE, **asked}
        alone = [
            (state, self._made([(record, where)], Meant(Use.QUERY, asked[state], nbest_mass=0.0))[0]) for state in asked
        ]
        states = [(state, one) for state, one in alone if not isinstance(one, QueryError)]
        states += [(SEARCHED, query), (FEEDBACK, fed)]
        yield states[0]
        yield from (after for before, after in pairwise(states) if (after[1].vector != before[1].vector).any())

    def _notes(self, pool: Numbers | None, has_hits: bool) -> Iterator[str]:
        if pool is not None and not len(pool):
            yield "the pool has no documents for this query"
        elif not has_hits:
            yield "nothing is left to search with: the query has no text"
        if has_hits and not self.documents.has_texts:
            yield "the index was built without texts, so there are no snippets"
