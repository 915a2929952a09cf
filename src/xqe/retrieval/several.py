"""The retriever that searches several indexes, such as those of several languages, and fuses their lists.

Each index is searched for itself, with what its own analysis makes of a record, and its hits are one list. BM25's
scores of two indexes have nothing in common: document frequencies, lengths and stemming are each index's own. So lists
are fused by ranks unless told otherwise, which here, where no document is in two of them, takes the first of each, then
the second of each. Savoy and Berger (CLEF 2004) compare that with scores as they are, divided by the greatest, brought
to 0 to 1 and standardised: what --fusion combsum with --norm none, max, min-max and zmuv does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xqe.files.hits import HitList
from xqe.retrieval.fusion import Fusion, Ranked, check_usable, fuse_hits, method_named, norm_named, ranking
from xqe.retrieval.hybrid import DEPTH, All, Joined, merged
from xqe.retrieval.retriever import Account, Best, Explanation, Retriever
from xqe.retrieval.together import DocumentsTogether

if TYPE_CHECKING:
    from xqe.files.names import Numbers
    from xqe.files.records import Record
    from xqe.text.snippets import Snippet

BESIDE_VECTORS = Fusion(method_named("combsum"), norm_named("none"))
"""How the words of several indexes are fused where the nearest vectors of all are fused with them: as they are. A list
that takes turns says nothing of which language has the better answer, and the vectors do (docs/cli.md)."""


class Several(Joined):
    """Searches with a retriever for each of several indexes, in the order of the documents, and fuses their hits.

    The first `DEPTH` hits of each are fused, or as many as are asked for where that is more.
    """

    def __init__(
        self, retrievers: Sequence[Retriever[Any]], documents: DocumentsTogether, fusion: Fusion | None = None
    ) -> None:
        self.documents: DocumentsTogether = documents
        self._retrievers = list(retrievers)
        self._fusion = fusion or Fusion()
        self.together = max(retriever.together for retriever in retrievers)

    def fed(self, query: All, pool: Numbers | None) -> All:
        each = zip(self._retrievers, query.queries, self.documents.pools(pool), strict=True)
        return All(tuple(retriever.fed(one, its) for retriever, one, its in each))

    def best(self, query: All, k: int, pool: Numbers | None) -> Best:
        return self._best(self._lists(query, max(k, DEPTH), pool), k)

    def _lists(self, query: All, depth: int, pool: Numbers | None) -> list[Best]:
        each = zip(self._retrievers, query.queries, self.documents.pools(pool), strict=True)
        return [retriever.best(one, depth, its) for retriever, one, its in each]

    def found(self, queries: Sequence[All], k: int, pools: Sequence[Numbers | None]) -> list[Best]:
        depth, split = max(k, DEPTH), self.documents.split(pools)
        by_index = [
            retriever.found([query.queries[at] for query in queries], depth, its)
            for at, (retriever, its) in enumerate(zip(self._retrievers, split, strict=True))
        ]
        return [self._best(lists, k) for lists in zip(*by_index, strict=True)]

    def _best(self, lists: Sequence[Best], k: int) -> Best:
        """The k best of all. Each hit says "from" which index it is, with its rank and score there and what else that
        index says of it."""
        import numpy

        said: dict[str, Any] = {}
        for part, best in zip(self.documents.parts, lists, strict=True):
            found = HitList(part.documents.ids(best.numbers), best.scores.tolist(), best.said)
            for rank, hit in enumerate(found, 1):
                said[hit.pop("id")] = {part.name: {"rank": rank, **hit}}
        hits = self._fused(lists)[:k]
        ids = [name for _, name in hits]
        scores = numpy.array([score for score, _ in hits], numpy.float32)
        return Best(self.documents.numbers(ids), scores, {"from": [said[name] for name in ids]})

    def _fused(self, lists: Sequence[Best]) -> Ranked:
        runs: list[Ranked] = []
        for part, best in zip(self.documents.parts, lists, strict=True):
            runs.append(list(zip(best.scores.tolist(), part.documents.ids(best.numbers), strict=True)))
            check_usable(runs[-1], self._fusion, part.name)
        return ranking(fuse_hits(runs, self._fusion))

    def rank(self, query: All, number: int, pool: Numbers | None) -> int | None:
        """The rank of a document among those that are fused."""
        name = self.documents.id(number)
        ranked = self._fused(self._lists(query, DEPTH, pool))
        return next((rank for rank, (_, document) in enumerate(ranked, 1) if document == name), None)

    def explain(self, query: All, number: int) -> Explanation:
        """Why a document has the score that it has in its own index."""
        owner, own = self.documents.placed(number)
        return self._retrievers[owner].explain(query.queries[owner], own)

    def explained(self, query: All, number: int) -> dict[str, Any]:
        """What its own index says of a document, with "index" and "lang" of that one, and "fused": {"rank", "documents"
        (of all indexes), "fusion", ...}."""
        owner, own = self.documents.placed(number)
        part = self.documents.parts[owner]
        return {
            **self._retrievers[owner].explained(query.queries[owner], own),
            "index": part.name,
            "lang": part.language,
            "fused": {"rank": self.rank(query, number, None), "documents": len(self.documents), **self._how()},
        }

    def _how(self) -> dict[str, Any]:
        return {"fusion": self._fusion.method.name, **self._fusion.details}

    def snippet(self, number: int, explanation: Explanation) -> Snippet | None:
        owner, own = self.documents.placed(number)
        return self._retrievers[owner].snippet(own, explanation)

    def described(self, query: All, k: int) -> dict[str, Any]:
        """What the first index says, with "name" and "lang" of all, and "several": how they are fused, and of each
        index its name, language and what it says otherwise than the first."""
        each = [retriever.described(one, k) for retriever, one in zip(self._retrievers, query.queries, strict=True)]
        named = {"name": self.documents.name, "lang": self.documents.language}
        indexes = [
            {name: value for name, value in said.items() if name in named or value != each[0].get(name)}
            for said in each
        ]
        return {**each[0], **named, "several": {**self._how(), "indexes": indexes}}

    def account(
        self, record: Record, query: All, fed: All, where: str, pool: Numbers | None, has_hits: bool
    ) -> Account[All]:
        each = zip(self._retrievers, query.queries, fed.queries, self.documents.pools(pool), strict=True)
        accounts = [retriever.account(record, one, its, where, own, has_hits) for retriever, one, its, own in each]
        by_language = zip(self.documents.parts, accounts, strict=True)
        return merged([replace(one, notes=[f"{part.name}: {note}" for note in one.notes]) for part, one in by_language])
