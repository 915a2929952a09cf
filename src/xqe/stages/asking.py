"""The whole way of a question: translated for each collection, found there, fused, re-ranked, answered, glossed.

Each step is a stage that there is by itself; this is their order, and what passes from one to the next. Collections are
of one language each: a question is searched with its translation into that language, and the hits of several are fused
by ranks, as their scores have nothing in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from xqe.files.records import Record, has_failed
from xqe.files.trec import Answer
from xqe.models.engines.base import Engine
from xqe.retrieval.fusion import Fusion
from xqe.retrieval.retriever import QueryError, Retriever
from xqe.stages.answering.offered import titled
from xqe.stages.fuse import Run, Settings, fuse
from xqe.stages.generation import Generating, Tally, run
from xqe.stages.gloss import asker_of, glosses
from xqe.stages.glossed import Glossed
from xqe.stages.judging.judge import Judge
from xqe.stages.librarian.guide import Guide
from xqe.stages.rerank.reranker import Reranker
from xqe.stages.search import listed, looked_up, search
from xqe.text.languages import Language
from xqe.text.telling import telling

Tell = Callable[[str], None]


class Known(Enum):
    """What of a question is known: its sources, then its answer, then what its sources say."""

    SOURCES = "sources"
    ANSWER = "answer"
    GLOSSES = "glosses"


@dataclass(frozen=True)
class Collection:
    """Documents of one language. before: the stages that make a question fit to be searched with there. guide: what
    these show of it, and judge: what judges their texts; None for none."""

    language: Language
    retriever: Retriever[Any]
    before: Sequence[Generating]
    guide: Guide | None = None
    judge: Judge | None = None


class _Read(NamedTuple):
    """What a person reads of a hit. shown: its "title", where it has one, and its "snippet". sentence: of its text,
    the one that tells most. written: its language."""

    shown: dict[str, Any]
    sentence: str
    written: Language


_Readings = Sequence[dict[str, _Read]]
"""Of each record, by the ids of its hits."""


@dataclass(frozen=True)
class Asking:
    """rerank: None for none. n: how many hits a question keeps. depth: how many are looked at before. glossed: what of
    them is glossed in the asker's language. tell: what is being done now is said to it."""

    engine: Engine
    collections: Sequence[Collection]
    rerank: Reranker | None
    answer: Generating
    n: int
    depth: int
    glossed: Glossed
    threads: int
    tell: Tell
    tally: Tally

    def known(self, records: Sequence[Record]) -> Iterator[tuple[Known, list[Record]]]:
        """Yield the records whenever more of them is known: with "hits", each with its "title" and "snippet"; with
        "answer"; with a "gloss" of hits, which is of each that has one due: "of", the text that it is of, and "text",
        None where the model does not tell in the asker's language. A record that a step fails on has the hits that
        there are."""
        readings: _Readings = [{} for _ in records]
        by_collection = [self._found(collection, records, readings) for collection in self.collections]
        codes = [collection.language.code for collection in self.collections]
        found = [_together(codes, each, self.depth) for each in zip(*by_collection, strict=True)]
        if self.rerank is not None:
            self.tell("re-ranking")
            tally = Tally()
            found = list(self.rerank.run(found, tally))
            self._count(tally)
        found = [_read(record, its, self.n) for record, its in zip(found, readings, strict=True)]
        yield Known.SOURCES, found
        self.tell("answering")
        found = self._run(self.answer, found)
        yield Known.ANSWER, found
        if self.glossed is not Glossed.NONE:
            found = self._glossed(found, readings)
            yield Known.GLOSSES, found
        self.tally.records += len(found)
        self.tally.failed += sum(map(has_failed, found))

    def _run(self, stage: Generating, records: Sequence[Record]) -> list[Record]:
        tally = Tally()
        done = list(run(stage, self.engine, records, tally))
        self._count(tally)
        return done

    def _count(self, tally: Tally) -> None:
        self.tally.generated += tally.generated
        self.tally.reused += tally.reused
        self.tally.tokens += tally.tokens

    def _found(self, collection: Collection, records: Sequence[Record], readings: _Readings) -> list[Record]:
        """The records with the hits of one collection; what a person reads of them goes into `readings`."""
        if collection.guide is not None:
            collection.guide.prepare(records)
        for stage in collection.before:
            self.tell(f"{stage.name}: {collection.language.name}")
            if reads := getattr(stage, "documents", 0):
                records = looked_up(records, collection.retriever, reads)
            records = self._run(stage, records)
        if collection.judge is not None:
            records = list(collection.judge.over(records))
        self.tell(f"searching: {collection.language.name}")
        found = listed(search(records, collection.retriever, self.threads, lambda: "a question", self.depth))
        for record, its in zip(found, readings, strict=True):
            its.update(_readings(record, collection))
        return found

    def _glossed(self, records: Sequence[Record], readings: _Readings) -> list[Record]:
        """The records with the glosses that are due, of all of them together."""
        due: dict[Language, list[tuple[dict[str, Any], str, Language]]] = {}
        made = [{**record, "hits": [dict(hit) for hit in record["hits"]]} for record in records]
        for record, its in zip(made, readings, strict=True):
            asker, cited = asker_of(record), _cited(record)
            for hit in record["hits"]:
                read = its.get(hit["id"])
                if asker is None or read is None or read.written == asker:
                    continue
                if self.glossed is Glossed.CITED and hit["id"] not in cited:
                    continue
                of = read.shown["snippet"]["text"] if self.glossed is Glossed.SNIPPETS else read.sentence
                due.setdefault(asker, []).append((hit, of, read.written))
        for asker, hits in due.items():
            self.tell(f"translating what the sources say: {asker.name}")
            tally = Tally()
            texts = glosses([(of, written) for _, of, written in hits], asker, self.engine, tally)
            for (hit, of, _), text in zip(hits, texts, strict=True):
                hit["gloss"] = {"of": of, "text": text}
            self._count(tally)
        return made


def _readings(record: Record, collection: Collection) -> dict[str, _Read]:
    """What a person reads of each hit, by its id."""
    hits, retriever = record["hits"], collection.retriever
    if not hits:
        return {}
    query = retriever.queries([(record, "a question")])[0]
    if isinstance(query, QueryError):
        return {}
    documents = retriever.documents
    found: dict[str, _Read] = {}
    for hit, number in zip(hits, documents.numbers([hit["id"] for hit in hits]).tolist(), strict=True):
        snippet = retriever.snippet(number, retriever.explain(query, number))
        title, text = titled(documents.text(number) or "")
        if snippet is None:
            continue
        shown = {"snippet": {"text": snippet.text, "matches": snippet.matches}}
        matched = [snippet.text[start:end] for start, end in snippet.matches]
        sentence = telling(f"{text}\n\n{title}", matched, collection.language)
        found[hit["id"]] = _Read({**({"title": title} if title else {}), **shown}, sentence, collection.language)
    return found


def _read(record: Record, its: dict[str, _Read], n: int) -> Record:
    """A record with its best `n` hits, each with what a person reads of it."""
    hits = [{**hit, **(its[hit["id"]].shown if hit["id"] in its else {})} for hit in record["hits"][:n]]
    return {**record, "hits": hits}


def _cited(record: Record) -> set[str]:
    """The documents that an answer cites; the best hit where it cites none, or where there is no answer."""
    sentences = record["answer"]["sentences"] if not has_failed(record) else ()
    cited = {name for sentence in sentences for name in sentence["sources"]}
    return cited or {hit["id"] for hit in record["hits"][:1]}


def _together(codes: Sequence[str], records: Sequence[Record], depth: int) -> Record:
    """One question's records of several collections, with these languages, as one: hits fused, the query as it first
    came, and "searched", what it was searched with in each language."""
    if len(records) == 1:
        return {name: value for name, value in records[0].items() if name != "searched"}  # that of an earlier ask
    runs = [
        Run(code, iter([Answer(record["id"], {hit["id"]: hit["score"] for hit in record["hits"]}, "", record)]))
        for code, record in zip(codes, records, strict=True)
    ]
    [fused] = fuse(runs, Settings(Fusion(), k=depth, languages=True))
    changed = [record for record in records if record.get("steps") and "source" in record]
    return {
        **{name: value for name, value in fused.items() if name != "translations"},  # into one of the languages
        **({**changed[0]["source"], "source": changed[0]["source"]} if changed else {}),
        "steps": [step for record in records for step in record.get("steps", ())],
        "searched": {code: record["query"] for code, record in zip(codes, records, strict=True)},
    }
