"""The retriever that fuses what others find: by words and by meaning, each in its own way.

The first `DEPTH` hits of each are fused by a method of `fusion`. Scores of BM25 and cosines are on scales that have
nothing in common (0 to 60, 0.7 to 0.95), so they are never added as they are: of the 29 collections of BEIR their raw
sum gained almost nothing over BM25 alone, min-max of both most (castorini/pyserini, docs/experiments-beir-fusion.md).

Min-max makes the best hit of each list 1 and the last one 0, however far these lie apart, and that depends on how many
documents there are. Words have no other measure. Vectors have: the contrast of their encoder. So with the automatic
weight a difference of cosines counts the same in every list, DENSE_CONTRASTS where it is the contrast and the best hit
of words counts 1; docs/dense.md has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from xqe.errors import XqeError
from xqe.retrieval.choices import By
from xqe.retrieval.fusion import GREATEST_WEIGHT, Fusion, Ranked, fuse_hits, method_named, norm_named, ranking
from xqe.retrieval.retriever import STATES, Account, Best, Explanation, QueryError, Retriever, Scored

if TYPE_CHECKING:
    from xqe.files.names import Numbers
    from xqe.files.records import Record
    from xqe.models.encoders.base import Encoder
    from xqe.text.snippets import Snippet

DEPTH = 1000
"""Hits of each side that are fused, or as many as are asked for where that is more."""
METHOD, NORM = "combsum", "min-max"
DENSE_WEIGHT = 2.0
"""Of vectors, where words count 1 and no contrast tells."""
DENSE_CONTRASTS = 4.0
"""What a difference of cosines as large as the contrast counts."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """How the sides are fused. dense_weight: what the dense side counts, where words count 1; None is automatic."""

    fusion: Fusion = Fusion(method_named(METHOD), norm_named(NORM))  # noqa: RUF009  # frozen
    dense_weight: float | None = None

    def check(self) -> None:
        """Raise XqeError for a fusion that has no meaning between words and vectors."""
        method, norm = self.fusion.method, self.fusion.norm
        if method.points is None and norm.at_face_value:
            raise XqeError(
                f"--norm {norm.name} takes scores at face value, and those of BM25 and cosines are on other scales: "
                "their sum is BM25 alone, nearly",
                "give --norm min-max, or --fusion rrf",
            )
        if not method.weighted and self.dense_weight not in (None, 1):
            raise XqeError(f"--dense-weight has no effect on --fusion {method.name}", "leave it out")

    def weight(self, hits: Ranked, contrast: float | None) -> float:
        """What vectors count in the fusion of their hits for a query with those of words."""
        method, norm = self.fusion.method, self.fusion.norm
        if not method.weighted:
            return 1.0
        if self.dense_weight is not None:
            return self.dense_weight
        if method.points is not None or norm.name != NORM or contrast is None or not hits:
            return DENSE_WEIGHT
        scores = [score for score, _ in hits]
        return min(GREATEST_WEIGHT, DENSE_CONTRASTS * (max(scores) - min(scores)) / contrast)


class All(NamedTuple):
    """What a record is searched with: the query of each retriever, in their order."""

    queries: tuple[Any, ...]


class Joined(Retriever[All]):
    """A retriever that searches with several others."""

    _retrievers: Sequence[Retriever[Any]]

    @property
    def encoder(self) -> Encoder | None:
        return next((its for retriever in self._retrievers if (its := retriever.encoder) is not None), None)

    def query(self, record: Record, where: str) -> All:
        return All(tuple(retriever.query(record, where) for retriever in self._retrievers))

    def queries(self, records: Sequence[tuple[Record, str]]) -> list[All | QueryError]:
        made = [retriever.queries(records) for retriever in self._retrievers]
        return [_joined(queries) for queries in zip(*made, strict=True)]


def _joined(queries: Sequence[Any]) -> All | QueryError:
    failed = next((query for query in queries if isinstance(query, QueryError)), None)
    return failed if failed is not None else All(tuple(queries))


class _Fused(NamedTuple):
    """The lists of the sides, what each side counts, and the fused list."""

    lists: list[Ranked]
    weights: list[float]
    ranked: Ranked


class Hybrid(Joined):
    """Searches with several retrievers of the same documents and fuses their hits. sides: each by what it finds."""

    def __init__(self, sides: Mapping[By, Retriever[Any]], mixture: Mixture | None = None) -> None:
        self._sides = dict(sides)
        self._retrievers = list(self._sides.values())
        self._mixture = mixture or Mixture()
        self._mixture.check()
        self.documents = self._retrievers[0].documents
        self.together = max(retriever.together for retriever in self._retrievers)
        self._latest: tuple[All, Numbers | None, _Fused] | None = None

    def fed(self, query: All, pool: Numbers | None) -> All:
        return All(
            tuple(retriever.fed(one, pool) for retriever, one in zip(self._retrievers, query.queries, strict=True))
        )

    def best(self, query: All, k: int, pool: Numbers | None) -> Best:
        return self._best(self._lists(query, max(k, DEPTH), pool), k)

    def _lists(self, query: All, depth: int, pool: Numbers | None) -> list[Best]:
        each = zip(self._retrievers, query.queries, strict=True)
        return [retriever.best(one, depth, pool) for retriever, one in each]

    def found(self, queries: Sequence[All], k: int, pools: Sequence[Numbers | None]) -> list[Best]:
        depth = max(k, DEPTH)
        by_side = [
            retriever.found([query.queries[side] for query in queries], depth, pools)
            for side, retriever in enumerate(self._retrievers)
        ]
        return [self._best(lists, k) for lists in zip(*by_side, strict=True)]

    def _best(self, lists: Sequence[Best], k: int) -> Best:
        import numpy

        fused = self._fused(lists)
        hits = fused.ranked[:k]
        ids = [document for _, document in hits]
        scores = numpy.array([score for score, _ in hits], numpy.float32)
        number_of: dict[str, int] = {}
        for named, best in zip(fused.lists, lists, strict=True):
            number_of |= zip((document for _, document in named), best.numbers.tolist(), strict=True)
        numbers = numpy.array([number_of[document] for document in ids], numpy.int64)
        return Best(numbers, scores, {"from": self._said(fused.lists, ids)})

    def _fused(self, lists: Sequence[Best]) -> _Fused:
        named = [list(zip(best.scores.tolist(), self.documents.ids(best.numbers), strict=True)) for best in lists]
        weights = [
            self._mixture.weight(hits, retriever.contrast) if by is By.DENSE else 1.0
            for (by, retriever), hits in zip(self._sides.items(), named, strict=True)
        ]
        return _Fused(named, weights, ranking(fuse_hits(named, self._mixture.fusion, weights)))

    def _said(self, lists: Sequence[Ranked], ids: Sequence[str]) -> list[dict[str, dict[str, float]]]:
        """The rank and score that each side gives each of some documents, as `xqe fuse` says it."""
        sides = {
            str(by): {document: {"rank": rank, "score": score} for rank, (score, document) in enumerate(hits, 1)}
            for by, hits in zip(self._sides, lists, strict=True)
        }
        return [{by: side[one] for by, side in sides.items() if one in side} for one in ids]

    def _looked_up(self, query: All, pool: Numbers | None) -> _Fused:
        """The lists for a query, of which the latest is kept: a trace asks for it once for each hit."""
        latest = self._latest
        if latest is None or latest[0] is not query or latest[1] is not pool:
            latest = self._latest = (query, pool, self._fused(self._lists(query, DEPTH, pool)))
        return latest[2]

    def rank(self, query: All, number: int, pool: Numbers | None) -> int | None:
        """The rank of a document among those that are fused."""
        name = self.documents.id(number)
        ranked = self._looked_up(query, pool).ranked
        return next((rank for rank, (_, document) in enumerate(ranked, 1) if document == name), None)

    def explain(self, query: All, number: int) -> Explanation:
        """What each side adds: its points for the document x its weight. A side that lacks it is missing."""
        why = self._why(self._looked_up(query, None), self.documents.id(number))
        sides = zip(self._retrievers, query.queries, strict=True)
        each = [retriever.explain(one, number) for retriever, one in sides]
        found = next((one for one in each if one.words or one.questions), why)
        return replace(why, words=found.words, questions=found.questions)

    def _why(self, fused: _Fused, name: str) -> Explanation:
        score = next((score for score, document in fused.ranked if document == name), 0.0)
        shares, missing = [], []
        for by, hits, weight in zip(self._sides, fused.lists, fused.weights, strict=True):
            points = dict(zip((document for _, document in hits), self._points(fused, hits), strict=True))
            if name in points:
                shares.append(Scored(str(by), weight * points[name]))
            else:
                missing.append(str(by))
        return Explanation(score, sorted(shares, key=lambda share: -share.score), missing)

    def _points(self, fused: _Fused, hits: Ranked) -> Sequence[float]:
        """What a side gives each of its hits."""
        from xqe.retrieval.fusion import Pool

        candidates = len({document for one in fused.lists for _, document in one})
        fusion = self._mixture.fusion
        return fusion.points([score for score, _ in hits], Pool(candidates, fusion.rrf_k)).hits if hits else []

    def explained(self, query: All, number: int) -> dict[str, Any]:
        """Return the score of a document with all that makes it.

        by, document, score, rank, documents; fusion, norm, rrf_k, dense_weight; sides: what each side says of it (see
        `explained` of each), with "fused_rank", its rank among those that are fused, "weight" and "adds", None where it
        has it not.
        """
        fused, name = self._looked_up(query, None), self.documents.id(number)
        why = self._why(fused, name)
        adds = {share.term: share.score for share in why.terms}
        [said] = self._said(fused.lists, [name])
        sides = [
            {
                **retriever.explained(one, number),
                "fused_rank": said.get(str(by), {}).get("rank"),
                "weight": weight,
                "adds": adds.get(str(by)),
            }
            for (by, retriever), one, weight in zip(self._sides.items(), query.queries, fused.weights, strict=True)
        ]
        return {
            "by": str(By.HYBRID),
            "document": name,
            "score": why.score,
            "rank": self.rank(query, number, None),
            "documents": len(self.documents),
            **self._mixed(),
            "sides": sides,
        }

    def _mixed(self) -> dict[str, Any]:
        fusion = self._mixture.fusion
        weight = "auto" if self._mixture.dense_weight is None else self._mixture.dense_weight
        return {"fusion": fusion.method.name, **fusion.details, "dense_weight": weight}

    def snippet(self, number: int, explanation: Explanation) -> Snippet | None:
        return self._retrievers[0].snippet(number, explanation)

    def described(self, query: All, k: int) -> dict[str, Any]:
        sides = {
            str(by): retriever.described(one, k)
            for (by, retriever), one in zip(self._sides.items(), query.queries, strict=True)
        }
        first = next(iter(sides.values()))
        return {
            "name": first["name"],
            "lang": first["lang"],
            "by": str(By.HYBRID),
            **self._mixed(),
            "k": k,
            "sides": {by: _own(said) for by, said in sides.items()},
        }

    def account(
        self, record: Record, query: All, fed: All, where: str, pool: Numbers | None, has_hits: bool
    ) -> Account[All]:
        return merged(
            [
                retriever.account(record, one, its, where, pool, has_hits)
                for retriever, one, its in zip(self._retrievers, query.queries, fed.queries, strict=True)
            ]
        )


def merged(accounts: Sequence[Account[Any]]) -> Account[All]:
    """What a record's search in several ways was made of. In a state that one of them does not have, its query is that
    of the state before."""
    by_state = [dict(account.states) for account in accounts]
    states: list[tuple[str, All]] = []
    current = [account.states[0][1] for account in accounts]
    for state in STATES:
        if not any(state in its for its in by_state):
            continue
        current = [its.get(state, before) for its, before in zip(by_state, current, strict=True)]
        states.append((state, All(tuple(current))))
    terms = [term for account in accounts for term in account.terms]
    words = {word: its for account in accounts for word, its in account.words.items()}
    return Account(states, terms, words, list(dict.fromkeys(note for account in accounts for note in account.notes)))


def _own(said: Mapping[str, Any]) -> dict[str, Any]:
    """What "index" of a record says of one side, without what it says of all."""
    return {name: value for name, value in said.items() if name not in ("name", "lang", "by", "k")}
