"""What gives a query away: two queries that share a mark must not be one trained on or shown, the other evaluated.

A query's marks are its text, in any case and spelling, what only it and its counterparts in other languages have, and
its best documents: those of the highest grade that it has.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from xqe.collections.layout import ANY, Collection
from xqe.collections.manifest import AGAIN
from xqe.errors import InputError
from xqe.files import jsonl
from xqe.files.trec import grade_of

Pair = tuple[str, str]
Query = tuple[str, str]
"""(language, id)"""

Mark = tuple[str, ...]
Judgement = tuple[str, str, int]
Best = dict[str, tuple[int, set[str]]]
"""Query id -> its highest grade, above 0, and the documents that have it."""

Q = TypeVar("Q", bound=tuple[str, ...])


@dataclass(frozen=True, slots=True)
class Naming:
    """What the ids of a collection's queries mean.

    parallel: one id is the same query in every language. articles: it is that of the article, in the query's
    language, whose title the query is. Neither: it is another query in every language.
    """

    parallel: bool
    articles: bool

    @classmethod
    def of(cls, collection: Collection) -> Naming:
        manifest = collection.manifest
        for_all = any(name.startswith(f"{ANY}-") for files in manifest["qrels"].values() for name in files)
        return cls(bool(manifest.get("parallel", for_all)), bool(manifest.get("articles")))

    def own(self, lang: str, name: str) -> Mark:
        """What only a query and its counterparts have."""
        if self.parallel:
            return "id", name
        return ("document", lang, name) if self.articles else ("query", lang, name)


def spelled(text: str) -> str:
    """The text in NFKC, without case, and with single spaces: texts that differ in nothing else are one."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def judgements(collection: Collection, split: str, pair: Pair) -> Iterator[Judgement]:
    """The lines of a pair's qrels, as (query, document, grade), in their order."""
    for where, text in jsonl.lines(str(collection.qrels(split, *pair))):
        columns = text.split()
        if len(columns) != 4:
            raise InputError(f"{where}: {len(columns)} columns where 4 are needed", AGAIN)
        yield columns[0], columns[2], grade_of(columns[3], where, AGAIN)


def best(judged: Iterable[Judgement]) -> Best:
    """The best documents of each query that has a relevant one."""
    found: Best = {}
    for query, document, grade in judged:
        highest = found.get(query, (0, set()))[0]
        if grade > highest:
            found[query] = grade, {document}
        elif grade == highest > 0:
            found[query][1].add(document)
    return found


def marks(
    naming: Naming,
    texts: Mapping[str, Mapping[str, str]],
    pairs: Iterable[Pair],
    best_of: Callable[[Pair], Best],
) -> Iterator[tuple[Query, Mark]]:
    """Each query with each of its marks.

    texts: language -> query id -> text. pairs: the judged ones to look at. best_of: the best documents of a pair.
    """
    for lang, queries in texts.items():
        for name, text in queries.items():
            yield (lang, name), ("text", spelled(text))
            yield (lang, name), naming.own(lang, name)
    for asked, answered in pairs:
        queries = texts[asked]
        for name, (_, documents) in best_of((asked, answered)).items():
            if name in queries:
                yield from (((asked, name), ("document", answered, document)) for document in documents)


def groups(marked: Iterable[tuple[Q, Any]]) -> dict[Q, str]:
    """Query -> the least id of all that it is connected with by marks they share; the id is a query's last part."""
    parents: dict[Any, Any] = {}

    def top(node: Any) -> Any:
        while parents.setdefault(node, node) != node:
            parents[node] = node = parents[parents[node]]
        return node

    queries: set[Q] = set()
    for query, mark in marked:
        queries.add(query)
        parents[top(("query", query))] = top(("mark", mark))
    least: dict[Any, str] = {}
    for query in queries:
        group = top(("query", query))
        least[group] = min(least.get(group, query[-1]), query[-1])
    return {query: least[top(("query", query))] for query in queries}
