"""The whole way of a question: translated for each collection, found there, fused, re-ranked, answered, glossed.

Each step is a stage that there is by itself; this is their order, and what passes from one to the next. Collections are
of one language each: a question is searched with its translation into that language, and the hits of several are fused
by ranks, as their scores have nothing in common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xqe.files.records import Record, has_failed
from xqe.files.trec import Answer
from xqe.models.engines.base import Engine
from xqe.retrieval.fusion import Fusion
from xqe.retrieval.retriever import QueryError, Retriever
from xqe.stages.answering.offered import title_of
from xqe.stages.fuse import Run, Settings, fuse
from xqe.stages.generation import Generating, Tally, run
from xqe.stages.gloss import asker_of, glosses
from xqe.stages.search import looked_up, search
from xqe.text.languages import LANGUAGES, Language, code_of

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Collection:
    """Documents of one language. before: the stages that make a question fit to be searched with there."""

    language: Language
    retriever: Retriever[Any]
    before: Sequence[Generating]


@dataclass(frozen=True)
class Asking:
    """rerank: None for none. n: how many hits a question keeps. depth: how many are looked at before. glosses: whether
    snippets are glossed in the asker's language. tell: what is being done now is said to it."""

    engine: Engine
    collections: Sequence[Collection]
    rerank: Generating | None
    answer: Generating
    n: int
    depth: int
    glosses: bool
    threads: int
    tell: Tell
    tally: Tally

    def answered(self, records: Sequence[Record]) -> list[Record]:
        """The records with "hits", each with its "title" and "snippet", perhaps "gloss", and with "answer"; a record
        that a step fails on has the hits that there are."""
        snippets: list[dict[str, dict[str, Any]]] = [{} for _ in records]
        by_collection = [self._found(collection, records, snippets) for collection in self.collections]
        codes = [collection.language.code for collection in self.collections]
        found = [_together(codes, each, self.depth) for each in zip(*by_collection, strict=True)]
        if self.rerank is not None:
            self.tell("re-ranking")
            found = self._run(self.rerank, found)
        found = [{**record, "hits": record["hits"][: self.n]} for record in found]
        self.tell("answering")
        found = self._run(self.answer, found)
        found = [_with(record, its) for record, its in zip(found, snippets, strict=True)]
        if self.glosses:
            self.tell("translating the snippets")
            found = self._glossed(found)
        self.tally.records += len(found)
        self.tally.failed += sum(map(has_failed, found))
        return found

    def _run(self, stage: Generating, records: Sequence[Record]) -> list[Record]:
        tally = Tally()
        done = list(run(stage, self.engine, records, tally))
        self._count(tally)
        return done

    def _count(self, tally: Tally) -> None:
        self.tally.generated += tally.generated
        self.tally.reused += tally.reused
        self.tally.tokens += tally.tokens

    def _found(
        self, collection: Collection, records: Sequence[Record], snippets: Sequence[dict[str, dict[str, Any]]]
    ) -> list[Record]:
        """The records with the hits of one collection; what a person reads of them goes into `snippets`."""
        for stage in collection.before:
            self.tell(f"{stage.name}: {collection.language.name}")
            if reads := getattr(stage, "documents", 0):
                records = looked_up(records, collection.retriever, reads)
            records = self._run(stage, records)
        self.tell(f"searching: {collection.language.name}")
        retriever = collection.retriever
        found = list(search(records, retriever, self.threads, lambda: "a question", self.depth))
        found = [record if "hits" in record else {**record, "hits": []} for record in found]
        for record, its in zip(found, snippets, strict=True):
            its.update(_read(record, retriever))
        return found

    def _glossed(self, records: list[Record]) -> list[Record]:
        """The records with a gloss of each snippet that is not in the asker's language."""
        by_asker: dict[Language, list[tuple[dict[str, Any], Language]]] = {}
        for record in records:
            asker, index = asker_of(record), record.get("index", {})
            for hit in record["hits"]:
                written = LANGUAGES.get(code_of(str(hit.get("lang") or index.get("lang"))))
                if asker is not None and written is not None and "snippet" in hit:
                    by_asker.setdefault(asker, []).append((hit, written))
        for asker, hits in by_asker.items():
            tally = Tally()
            made = glosses([(hit["snippet"]["text"], written) for hit, written in hits], asker, self.engine, tally)
            for (hit, _), gloss in zip(hits, made, strict=True):
                hit.update({"gloss": gloss} if gloss is not None else {})
            self._count(tally)
        return records


def _read(record: Record, retriever: Retriever[Any]) -> dict[str, dict[str, Any]]:
    """By the id of each hit, what a person reads of it: its title, where it has one, and a snippet."""
    hits = record.get("hits")
    if not hits:
        return {}
    query = retriever.queries([(record, "a question")])[0]
    if isinstance(query, QueryError):
        return {}
    documents = retriever.documents
    said: dict[str, dict[str, Any]] = {}
    for hit, number in zip(hits, documents.numbers([hit["id"] for hit in hits]).tolist(), strict=True):
        snippet = retriever.snippet(number, retriever.explain(query, number))
        title = title_of(hit["id"], documents)
        said[hit["id"]] = {
            **({"title": title} if title else {}),
            **({"snippet": {"text": snippet.text, "matches": snippet.matches}} if snippet else {}),
        }
    return said


def _with(record: Record, said: dict[str, dict[str, Any]]) -> Record:
    return {**record, "hits": [{**hit, **said.get(hit["id"], {})} for hit in record["hits"]]}


def _together(codes: Sequence[str], records: Sequence[Record], depth: int) -> Record:
    """One question's records of several collections, with these languages, as one: hits fused, the query as it first
    came, and "searched", what it was searched with in each language."""
    if len(records) == 1:
        return records[0]
    runs = [
        Run(code, iter([Answer(record["id"], {hit["id"]: hit["score"] for hit in record["hits"]}, "", record)]))
        for code, record in zip(codes, records, strict=True)
    ]
    [fused] = fuse(runs, Settings(Fusion(), k=depth, languages=True))
    changed = [record for record in records if record.get("steps") and "source" in record]
    return {
        **fused,
        **({**changed[0]["source"], "source": changed[0]["source"]} if changed else {}),
        "steps": [step for record in records for step in record.get("steps", ())],
        "searched": {code: record["query"] for code, record in zip(codes, records, strict=True)},
    }
