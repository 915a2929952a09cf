"""The retriever that searches twice where a record asks for it: with the query alone, and with its passages, too.

That is Exp4Fuse (Liu and Zhang, Findings of ACL 2025, section 3.2), by any one retriever: the two lists are fused by
ranks, with more for a document that both have (`fuser.py` of liuliuyuan6/Exp4Fuse, with its weights of 1):

    (1 + lists that have the document / 10) x the sum of 1 / (60 + rank)

A record whose "combine" does not say so is searched once, as the retriever does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from xqe.retrieval.combining import combination_of
from xqe.retrieval.fusion import RRF_K, Fusion, Method, Share, fuse_hits, method_named, ranking
from xqe.retrieval.hybrid import DEPTH
from xqe.retrieval.retriever import Account, Best, Explanation, QueryError, Retriever, Scored

if TYPE_CHECKING:
    from xqe.files.names import Numbers
    from xqe.files.records import Record
    from xqe.models.encoders.base import Encoder
    from xqe.text.snippets import Snippet

ALONE, EXPANDED = "alone", "expanded"
RRF = method_named("rrf")


def _more_for_both(shares: Sequence[Share]) -> float:
    return (1 + len(shares) / 10) * RRF.combine(shares)


_FUSION = Fusion(Method("exp4fuse", RRF.points, _more_for_both, True, "", "", has_k=True), rrf_k=RRF_K)


class Pair(NamedTuple):
    """What a record is searched with: its query alone, None where it is searched once, and all of it."""

    alone: Any
    whole: Any


class Twice(Retriever[Pair]):
    """Searches with another retriever, once or twice."""

    def __init__(self, retriever: Retriever[Any]) -> None:
        self._retriever = retriever
        self.documents = retriever.documents
        self.together = retriever.together

    @property
    def encoder(self) -> Encoder | None:
        return self._retriever.encoder

    def query(self, record: Record, where: str) -> Pair:
        [made] = self.queries([(record, where)])
        if isinstance(made, QueryError):
            raise made
        return made

    def queries(self, records: Sequence[tuple[Record, str]]) -> list[Pair | QueryError]:
        is_twice = [combination_of(record, where).fuse for record, where in records]
        alone = [(_alone(record), where) for (record, where), twice in zip(records, is_twice, strict=True) if twice]
        made = self._retriever.queries([*records, *alone])
        rest = iter(made[len(records) :])
        return [
            _paired(next(rest) if twice else None, whole)
            for twice, whole in zip(is_twice, made[: len(records)], strict=True)
        ]

    def fed(self, query: Pair, pool: Numbers | None) -> Pair:
        alone = None if query.alone is None else self._retriever.fed(query.alone, pool)
        return Pair(alone, self._retriever.fed(query.whole, pool))

    def best(self, query: Pair, k: int, pool: Numbers | None) -> Best:
        if query.alone is None:
            return self._retriever.best(query.whole, k, pool)
        depth = max(k, DEPTH)
        return self._fused([self._retriever.best(one, depth, pool) for one in query], k)

    def found(self, queries: Sequence[Pair], k: int, pools: Sequence[Numbers | None]) -> list[Best]:
        if all(query.alone is None for query in queries):
            return self._retriever.found([query.whole for query in queries], k, pools)
        asked = [(one, pool) for query, pool in zip(queries, pools, strict=True) for one in query if one is not None]
        lists = iter(self._retriever.found([one for one, _ in asked], max(k, DEPTH), [pool for _, pool in asked]))
        return [self._first(query, lists, k) for query in queries]

    def _first(self, query: Pair, lists: Iterator[Best], k: int) -> Best:
        if query.alone is not None:
            return self._fused([next(lists), next(lists)], k)
        return next(lists).of(slice(k))

    def _fused(self, lists: Sequence[Best], k: int) -> Best:
        """The k best of both lists; each hit says "from" which, with its rank and score there."""
        import numpy

        named = [list(zip(best.scores.tolist(), self.documents.ids(best.numbers), strict=True)) for best in lists]
        said: dict[str, dict[str, Any]] = {}
        for name, hits in zip((ALONE, EXPANDED), named, strict=True):
            for rank, (score, document) in enumerate(hits, 1):
                said.setdefault(document, {})[name] = {"rank": rank, "score": score}
        hits = ranking(fuse_hits(named, _FUSION))[:k]
        ids = [document for _, document in hits]
        scores = numpy.array([score for score, _ in hits], numpy.float32)
        return Best(self.documents.numbers(ids), scores, {"from": [said[document] for document in ids]})

    def rank(self, query: Pair, number: int, pool: Numbers | None) -> int | None:
        """The rank of a document, of a query that is searched twice among those that are fused."""
        if query.alone is None:
            return self._retriever.rank(query.whole, number, pool)
        found = self.best(query, DEPTH, pool).numbers.tolist()
        return found.index(number) + 1 if number in found else None

    def explain(self, query: Pair, number: int) -> Explanation:
        """Why a document has its score: of a query that is searched twice, what each search adds."""
        if query.alone is None:
            return self._retriever.explain(query.whole, number)
        ranks = {
            name: self._retriever.rank(one, number, None) for name, one in zip((ALONE, EXPANDED), query, strict=True)
        }
        found = {name: rank for name, rank in ranks.items() if rank is not None and rank <= DEPTH}
        parts = [Scored(name, (1 + len(found) / 10) / (RRF_K + rank)) for name, rank in found.items()]
        why = self._retriever.explain(query.whole, number)
        return Explanation(
            sum(part.score for part in parts),
            sorted(parts, key=lambda part: -part.score),
            [name for name in ranks if name not in found],
            why.words,
            why.questions,
        )

    def explained(self, query: Pair, number: int) -> dict[str, Any]:
        """What the retriever says of a document, and of a query that is searched twice "fused": its rank and score, and
        "alone", what it says of it for the query without passages."""
        said = self._retriever.explained(query.whole, number)
        if query.alone is None:
            return said
        why = self.explain(query, number)
        fused = {"rank": self.rank(query, number, None), "score": why.score, **_how()}
        return {**said, "alone": self._retriever.explained(query.alone, number), "fused": fused}

    def snippet(self, number: int, explanation: Explanation) -> Snippet | None:
        return self._retriever.snippet(number, explanation)

    def described(self, query: Pair, k: int) -> dict[str, Any]:
        said = self._retriever.described(query.whole, k)
        return said if query.alone is None else {**said, "twice": _how()}

    def account(
        self, record: Record, query: Pair, fed: Pair, where: str, pool: Numbers | None, has_hits: bool
    ) -> Account[Pair]:
        account = self._retriever.account(record, query.whole, fed.whole, where, pool, has_hits)
        *before, (last, whole) = account.states
        states = [(state, Pair(None, one)) for state, one in before]
        return Account([*states, (last, Pair(fed.alone, whole))], account.terms, account.words, account.notes)


def _how() -> dict[str, Any]:
    return {"fusion": _FUSION.method.name, **_FUSION.details}


def _alone(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != "passages"}


def _paired(alone: Any, whole: Any) -> Pair | QueryError:
    failed = next((one for one in (alone, whole) if isinstance(one, QueryError)), None)
    return failed if failed is not None else Pair(alone, whole)
