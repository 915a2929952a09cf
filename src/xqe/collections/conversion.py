"""Any format to a collection: what a reader found is checked, put in order and written.

A reader says what there is (`Material`): a stream of documents for each language, streams of queries and judgements
for each split, each of which can be read anew. All else is here, the same for every format:

- a document id that comes again: the first document is kept; how many there were is noted, and how many had another
  text. Documents without text are kept, since the collection's size and statistics are part of it; they are counted.
- a query without text, or that nothing is judged for, is left out and counted; so is a query id that comes again. Of
  what has no judgements at all, every query is kept.
- a judgement of a document or a query that is not there is left out and counted: no system can find the one, or is
  asked the other. So is a second judgement of the same document.

Nothing of a collection is held in memory but a number for each document: 12 bytes for its id and 8 for its text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy
from numpy.typing import NDArray

from xqe.collections.layout import ANY, Collection, CollectionWriter
from xqe.collections.manifest import check_name
from xqe.collections.target import check_apart, check_target
from xqe.errors import InputError, XqeError
from xqe.files import jsonl, packing
from xqe.files.fields import ID_AND_REST, USUAL, Fields
from xqe.files.fingerprints import Keys, fingerprints
from xqe.files.forms import Form
from xqe.files.hashes import sha256
from xqe.files.names import NONE, Numbering
from xqe.files.numbers import whole
from xqe.files.records import Document, check_query
from xqe.files.trec import check_grade
from xqe.messages import plural, progress, say

T = TypeVar("T")
K = TypeVar("K")
Placed = tuple[str, T]
Stream = Callable[[], Iterator[Placed[T]]]
"""A stream of ("file:line", value) that can be read anew."""
Query = tuple[str, str]  # id, text
Judgement = tuple[str, str, int]  # query, document, grade
Pair = tuple[str, str]  # language of queries or ANY, language of documents

_AT_A_TIME = 4096
_BARE = Form.TSV, ID_AND_REST


@dataclass
class Material:
    """What a reader found. paths: the files it is read from; about, licence: for the manifest. counts: documents of a
    language, where they are known. parallel: whether an id is the same query in every language. articles: whether the
    ids of queries are those of documents in the same language, of what the query is the title. translated_by: "machine"
    where queries are parallel and no people translated them. drop_self: whether queries are documents, so that hits
    with the query's own id are to be left out; a reader may find that out while documents are read."""

    name: str
    about: str
    licence: str
    source: dict[str, Any]
    documents: dict[str, Stream[Document]] = field(default_factory=dict)
    queries: dict[str, dict[str, list[Stream[Query]]]] = field(default_factory=dict)
    qrels: dict[str, dict[Pair, Stream[Judgement]]] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    parallel: bool = False
    articles: bool = False
    translated_by: str = ""
    drop_self: bool = False


class Seen:
    """Strings that were seen, by their fingerprints: 12 bytes each, however long they are."""

    def __init__(self) -> None:
        self._numbering = Numbering()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def firsts(self, keys: Keys) -> NDArray[numpy.bool_]:
        """Add keys; tell of each whether it is there for the first time."""
        _, first = numpy.unique(keys, return_index=True)
        new = numpy.zeros(len(keys), numpy.bool_)
        new[first] = True
        new &= self._numbering.find(keys) == NONE
        count = int(new.sum())
        self._numbering.add(keys[new], numpy.arange(self._count, self._count + count))
        self._count += count
        return new

    def numbers(self, keys: Keys) -> NDArray[numpy.int64]:
        """The number of each key, in the order in which they were first there; -1 for one that was not."""
        return self._numbering.find(keys)


def convert(material: Material, directory: Path, force: bool = False) -> Collection:
    """Write what a reader found. Raises InputError for the first line that is not as it should be.

    Queries and judgements, which are small, are read through once before the documents are.
    """
    check_target(directory, force)
    check_apart(directory, material.paths)
    _check(material)
    asked = _Asked(material)
    asked.check()
    with CollectionWriter(directory, material.name, force) as writer:
        return _written(writer, material, asked)


def _written(writer: CollectionWriter, material: Material, asked: _Asked) -> Collection:
    for note in material.notes:
        writer.note(note)
    for lang, stream in sorted(material.documents.items()):
        documents = _Documents(lang, stream, material.counts.get(lang))
        count = writer.documents(lang, documents)
        documents.report(writer)
        say(f"{lang}: {plural(count, 'document')}")
        for split, pairs in material.qrels.items():
            for pair, judgements in pairs.items():
                if pair[1] == lang:
                    kept = _Judgements(split, pair, judgements, documents.ids, asked)
                    writer.qrels(split, *pair, kept)
                    kept.report(writer)
    asked.check_judged()
    for split, by_lang in sorted(material.queries.items()):
        for lang in sorted(by_lang):
            asked.write(writer, split, lang)
    asked.report(writer)
    if material.drop_self:
        _note(
            writer, "queries are documents: xqe grid leaves each out of its own hits, search and eval with --drop-self"
        )
    files = [_described(path) for path in material.paths]
    source = {**material.source, "files": files}
    more: dict[str, Any] = {"parallel": material.parallel, **({"articles": True} if material.articles else {})}
    more |= {"translated_by": material.translated_by} if material.translated_by else {}
    more |= {"drop_self": True} if material.drop_self else {}
    return writer.finish(material.about, source, material.licence, **more)


def _described(path: Path) -> dict[str, Any]:
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}


def _check(material: Material) -> None:
    for what, there in (("documents", material.documents), ("queries", material.queries)):
        if not there:
            raise InputError(f"{material.name}: no {what}", "check the folder, and --lang and --split")
    for split in (*material.queries, *material.qrels):
        check_name(split, f"{material.name}: the split")


def batches(values: Iterable[T], size: int = _AT_A_TIME) -> Iterator[list[T]]:
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


# ---------------------------------------------------------------- documents


class _Documents:
    """The documents of a language, each id once; what was odd about them is known when they have been read."""

    def __init__(self, lang: str, stream: Stream[Document], total: int | None) -> None:
        self.ids = Seen()
        self._lang, self._stream, self._total = lang, stream, total
        self._texts: list[Keys] = []
        self._again = self._different = self._empty = 0

    def __iter__(self) -> Iterator[Document]:
        placed = progress(self._stream(), self._total, self._lang)
        for batch in batches(document for _, document in placed):
            keys = fingerprints(document.id for document in batch)
            texts = fingerprints(document.searched for document in batch)
            new = self.ids.firsts(keys)
            self._texts.append(texts[new])
            if not new.all():
                self._compare(keys[~new], texts[~new])
            for document, is_new in zip(batch, new.tolist(), strict=True):
                if is_new:
                    self._empty += not document.searched.strip()
                    yield document

    def _compare(self, keys: Keys, texts: Keys) -> None:
        """Count documents whose ids were there before, and those of another text."""
        self._texts = [numpy.concatenate(self._texts)]
        firsts = self._texts[0][self.ids.numbers(keys)]
        self._again += len(keys)
        self._different += int((firsts != texts).sum())

    def report(self, writer: CollectionWriter) -> None:
        if self._again:
            text = f"{self._different} of them with another text" if self._different else "and the same text"
            said = plural(self._again, "document")
            _note(writer, f"{self._lang}: {said} with an id that was there, {text}; the first was kept")
        if self._empty:
            _note(writer, f"{self._lang}: {plural(self._empty, 'document')} without text")
        self._texts = []


# ---------------------------------------------------------------- queries and judgements


class _Asked:
    """The queries of all splits: which there are, which are judged, what was left out."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self.ids: dict[str, dict[str, set[str]]] = {}
        self.judged: dict[str, dict[str, set[str]]] = {}
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def check(self) -> None:
        """Read queries and judgements through once: their form, and that they belong together."""
        for split, by_lang in self._material.queries.items():
            self.ids[split] = {lang: {name for _, name, _ in self._texts(split, lang)} for lang in by_lang}
            self.judged[split] = {lang: set() for lang in by_lang}
            if not any(self.ids[split].values()):
                raise InputError(f"{self._material.name}: no query of {split} has a text", "check the queries")
        for split, pairs in self._material.qrels.items():
            for pair, stream in pairs.items():
                known = self.known(split, pair[0])
                last, usable = ("", ""), 0
                for where, (query, _, _) in _graded(stream):
                    last = where, query
                    usable += query in known
                if not usable:
                    where = last[0].rpartition(":")[0] or self._material.name
                    one = f', which has "{min(known)}" and not "{last[1]}"' if last[1] and known else ""
                    raise InputError(
                        f"{where}: judges none of the queries of {split}{one}",
                        "queries and judgements of one split belong together",
                    )

    def known(self, split: str, lang: str) -> set[str]:
        """The ids of the queries in a language, or of those in any."""
        ids = self.ids.get(split, {})
        return set().union(*ids.values()) if lang == ANY else ids.get(lang, set())

    def found(self, split: str, lang: str, query: str) -> None:
        """A judgement of a query was written."""
        for one in self.judged[split] if lang == ANY else [lang]:
            self.judged[split][one].add(query)

    def check_judged(self) -> None:
        """Raise InputError if no judgement could be used, though the queries belong to them."""
        if self._material.qrels and not any(names for by_lang in self.judged.values() for names in by_lang.values()):
            raise InputError(
                f"{self._material.name}: none of the judged documents is there",
                "documents and qrels belong together, and an id is the same in both",
            )

    def write(self, writer: CollectionWriter, split: str, lang: str) -> None:
        """Write the queries that are judged, or all where nothing is."""
        judged = self.judged[split][lang] if self._material.qrels else self.ids[split][lang]
        texts = ((name, text) for _, name, text in self._texts(split, lang, count=True))
        count = writer.queries(split, lang, (query for query in texts if query[0] in judged))
        if left_out := len(self.ids[split][lang]) - count:
            _note(writer, f"{split}, {lang}: left out {plural(left_out, 'query')} that nothing is judged for")

    def _texts(self, split: str, lang: str, count: bool = False) -> Iterator[tuple[str, str, str]]:
        """(place, id, text) of each query that has one, once."""
        texts: dict[str, int] = {}
        for stream in self._material.queries[split][lang]:
            inside: set[str] = set()
            for where, (name, text) in stream():
                check_query({"id": name, "query": text}, where)
                if not text.strip():
                    self._counts[split, lang, "without text"] += count
                    continue
                mark = hash(text)
                if name in texts:
                    # the file of each pair repeats the queries of its language, which is no fault
                    is_other = texts[name] != mark
                    self._counts[split, lang, "of an id that was there with another text"] += count and is_other
                    self._counts[split, lang, "twice in one file"] += count and not is_other and name in inside
                    inside.add(name)
                    continue
                inside.add(name)
                texts[name] = mark
                yield where, name, text

    def report(self, writer: CollectionWriter) -> None:
        for (split, lang, what), count in self._counts.items():
            if count:
                _note(writer, f"{split}, {lang}: left out {plural(count, 'query')} {what}")


class _Judgements:
    """The judgements of a pair that can be used: of queries and documents that are there, each once."""

    def __init__(self, split: str, pair: Pair, stream: Stream[Judgement], documents: Seen, asked: _Asked) -> None:
        self._split, self._pair, self._stream = split, pair, stream
        self._documents, self._asked = documents, asked
        self._left_out: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Judgement]:
        known = self._asked.known(self._split, self._pair[0])
        seen = Seen()
        for batch in batches(judgement for _, judgement in _graded(self._stream)):
            there = self._documents.numbers(fingerprints(document for _, document, _ in batch)) != NONE
            first = seen.firsts(fingerprints(f"{query}\t{document}" for query, document, _ in batch))
            for judgement, is_there, is_first in zip(batch, there.tolist(), first.tolist(), strict=True):
                query = judgement[0]
                if query not in known:
                    self._left_out["of queries that are not there"] += 1
                elif not is_there:
                    self._left_out["of documents that are not there"] += 1
                elif not is_first:
                    self._left_out["that were there already"] += 1
                else:
                    self._asked.found(self._split, self._pair[0], query)
                    yield judgement

    def report(self, writer: CollectionWriter) -> None:
        for what, count in self._left_out.items():
            _note(writer, f"{self._split}, {'-'.join(self._pair)}: left out {plural(count, 'judgement')} {what}")


def _graded(stream: Stream[Judgement]) -> Iterator[Placed[Judgement]]:
    for where, judgement in stream():
        for name in judgement[:2]:
            if not name or name.split() != [name]:
                raise InputError(f'{where}: id "{name}" is empty or holds white space', "qrels are parted by it")
        check_grade(judgement[2], where, "check the columns")
        yield where, judgement


def _note(writer: CollectionWriter, text: str) -> None:
    say(text)
    writer.note(text)


# ---------------------------------------------------------------- what readers share


def query_file(path: Path, are_bare: bool = False, fields: Fields | None = None) -> Stream[Query]:
    """Queries in any form that commands read, without topics. are_bare: they are id<TAB>text, without a header. fields:
    what theirs are called."""
    from xqe.files.forms import QUERIES
    from xqe.files.rows import Rows

    rows = Rows(QUERIES, *_BARE) if are_bare else Rows(QUERIES, fields=fields or USUAL)

    def read() -> Iterator[Placed[Query]]:
        for where, raw in rows.read([str(path)]):
            record = check_query(raw, where, "--query-id-field and --query-text-field")
            yield where, (record["id"], record["query"])

    return _filled(read, path, "queries")


def _filled(read: Stream[T], path: Path, what: str) -> Stream[T]:
    """A stream that raises InputError where there is nothing in the file."""

    def checked() -> Iterator[Placed[T]]:
        count = 0
        for count, placed in enumerate(read(), 1):  # noqa: B007
            yield placed
        if not count:
            raise InputError(f"{path}: no {what}", "is it the file that was meant?")

    return checked


def trec_qrels(path: Path) -> Stream[Judgement]:
    """Judgements of TREC qrels, or of BEIR's with their header."""
    from xqe.files.trec import QRELS_SHAPE, header

    def read() -> Iterator[Placed[Judgement]]:
        count = 4
        for number, (where, text) in enumerate(jsonl.lines(str(path))):
            columns = text.split()
            if not number and header(columns).endswith("qrels"):
                count = len(columns)
                continue
            if len(columns) != count:
                hint = f"these qrels have {count}" if number else QRELS_SHAPE
                raise InputError(f"{where}: {len(columns)} columns{'' if number else ' without a header'}", hint)
            try:
                yield where, (columns[0], columns[-2], whole(columns[-1]))
            except ValueError:
                raise InputError(f'{where}: relevance "{columns[-1]}" is not an integer', "check the file") from None

    return _filled(read, path, "judgements")


def document_files(paths: Sequence[Path], are_bare: bool = False, fields: Fields | None = None) -> Stream[Document]:
    """Documents of files, in any form that `xqe index` reads. are_bare: they are id<TAB>text, without a header. fields:
    what theirs are called."""
    from xqe.files.documents import documents
    from xqe.files.forms import DOCUMENTS
    from xqe.files.rows import Rows

    rows = Rows(DOCUMENTS, *_BARE) if are_bare else Rows(DOCUMENTS, fields=fields or USUAL)
    return lambda: documents([str(path) for path in paths], rows)


def put_once(files: dict[K, Path], key: K, file: Path) -> None:
    """Add a file. Raises InputError where there is another of its kind."""
    if key in files:
        raise InputError(f"{file}: {file.name} again, first in {files[key].parent}", "keep one of them in the folder")
    files[key] = file


def existing(path: Path) -> Path:
    """The path of a file that is there, plain or packed. Raises InputError if it is not."""
    for one in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in packing.SUFFIXES)):
        if one.is_file():
            return one
    raise InputError(f"{path}: no such file", "check the path")


def folder_name(path: Path) -> str:
    """What a collection is called by its folder or file, as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", path.resolve().name.partition(".")[0]).strip("-") or "collection"


def one_language(languages: Sequence[str] | None, what: str) -> str:
    """The one language that was given. Raises XqeError for none or several."""
    if languages is None or len(languages) != 1:
        raise XqeError(f"{what} does not say its language", "name that of the documents with --lang, one")
    return languages[0]


def selected(there: Mapping[str, T], wanted: Sequence[str] | None, what: str, where: Path) -> dict[str, T]:
    """Those of a mapping that were asked for, or all. Raises InputError for one that is not there."""
    for name in wanted or ():
        if name not in there:
            has = f"it has {', '.join(sorted(there))}" if there else "it has none"
            raise InputError(f"{where}: no {what} {name}", has)
    return {name: value for name, value in there.items() if wanted is None or name in wanted}
