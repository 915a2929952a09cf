"""TREC-style collections, and Pyserini's: documents, topics and qrels in three places.

Documents: JSONL or TSV as `xqe index` reads them ({"id", "contents"} among others), or SGML, <DOC> with <DOCNO>; one
file, or all files of a folder. Topics: classic ones (<top> with <num>, <title>, <desc>, <narr>), TSV id<TAB>text, or
JSONL {"id", "query"} or {"_id", "text"}. Everything may be gz.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import unescape
from itertools import chain
from pathlib import Path

from xqe.collections.conversion import (
    Material,
    Placed,
    Query,
    Stream,
    document_files,
    existing,
    folder_name,
    one_language,
    trec_qrels,
    tsv_queries,
)
from xqe.collections.options import Options
from xqe.errors import InputError, XqeError
from xqe.files import jsonl
from xqe.files.records import Document, check_document, check_query

TOPIC_FIELDS = ("title", "desc", "narr")
_FIELD = re.compile(r"<(num|title|desc|narr)>\s*(?:(?:Number|Topic|Description|Narrative)\s*:)?", re.IGNORECASE)
_TAG = re.compile(r"<[^>\n]{1,200}>")
_DOCNO = re.compile(r"<DOCNO>\s*(.*?)\s*</DOCNO>", re.IGNORECASE | re.DOTALL)
_TEXTS = re.compile(r"<(TEXT|BODY)\b[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_TITLES = re.compile(r"<(TITLE|HEADLINE|HEAD|HL)\b[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)


def read(path: Path, options: Options) -> Material:
    lang = one_language(options.languages, "a TREC collection")
    asked = options.query_language or lang
    files = _files(path)
    queries, qrels = _given(options.queries, "--queries"), _given(options.qrels, "--qrels")
    if options.splits and len(options.splits) > 1:
        raise XqeError(f"--split {' '.join(options.splits)}: these are the queries of one split", "give one name")
    split = options.splits[0] if options.splits else "test"
    name = folder_name(path)
    return Material(
        name=name,
        about=f"{name}, from TREC-style files",
        licence="that of the source, which its files do not say",
        source={"name": name, "layout": "trec"},
        documents={lang: _documents(files)},
        queries={split: {asked: [_topics(queries, options.topic)]}},
        qrels={split: {(asked, lang): trec_qrels(qrels)}},
        paths=[*files, queries, qrels],
    )


def _given(path: Path | None, option: str) -> Path:
    if path is None:
        raise XqeError(f"missing option {option}", "the documents, the topics and the qrels are three places")
    return existing(path)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        if not files:
            raise InputError(f"{path}: an empty folder", "give the folder of the documents, or their file")
        return files
    return [existing(path)]


def _head(path: Path) -> str:
    return next((text for _, text in jsonl.lines(str(path))), "").lstrip()


def _documents(files: Sequence[Path]) -> Stream[Document]:
    if _head(files[0]).startswith("<"):
        return lambda: chain.from_iterable(_sgml(path) for path in files)
    return document_files(files)


def _sgml(path: Path) -> Iterator[Placed[Document]]:
    """The documents of an SGML file. Of a document with <TEXT> or <BODY>, what these hold, and its titles; else all of
    it but <DOCNO>. Tags are left out, entities resolved."""
    lines: list[str] = []
    start = ""
    for where, text in jsonl.lines(str(path)):
        mark = text.strip().upper()
        if mark.startswith(("<DOC>", "<DOC ")):
            if start:
                raise InputError(f"{start}: <DOC> without </DOC>", f"the next one begins at {where}")
            start, lines = where, []
        if start:
            lines.append(text)
        if start and mark.endswith("</DOC>"):
            yield start, _sgml_document("\n".join(lines), start)
            start = ""
    if start:
        raise InputError(f"{start}: <DOC> without </DOC>", "the file is not whole")


def _sgml_document(raw: str, where: str) -> Document:
    name = _DOCNO.search(raw)
    if name is None:
        raise InputError(f"{where}: <DOC> without <DOCNO>", "each document needs one")
    texts = [match[2] for match in _TEXTS.finditer(raw)] or [raw.replace(name[0], "")]
    titles = [match[2] for match in _TITLES.finditer(raw) if not any(match[2] in text for text in texts)]
    fields = {"id": name[1], "text": _bare("\n".join(texts)), "title": _bare(" ".join(titles), one_line=True)}
    return check_document(fields, where)


def _bare(text: str, one_line: bool = False) -> str:
    text = unescape(_TAG.sub(" ", text))
    return (
        " ".join(text.split()) if one_line else "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()
    )


# ---------------------------------------------------------------- topics


def _topics(path: Path, fields: str | None) -> Stream[Query]:
    head = _head(path)
    if fields is not None and not head.startswith("<"):
        raise XqeError(f"--topic {fields}: {path} has no fields", "it is for topics with <title> and <desc>")
    if head.startswith("{"):
        return json_queries(path)
    return _classic(path, fields or TOPIC_FIELDS[0]) if head.startswith("<") else tsv_queries(path)


def json_queries(path: Path) -> Stream[Query]:
    """Queries of JSONL, {"id", "query"} or {"_id", "text"}."""

    def read() -> Iterator[Placed[Query]]:
        for where, raw in jsonl.objects(str(path)):
            record = check_query(raw, where)
            yield where, (record["id"], record["query"])

    return read


def _classic(path: Path, fields: str) -> Stream[Query]:
    wanted = fields.split("+")
    if not wanted or not set(wanted) <= set(TOPIC_FIELDS):
        raise XqeError(f'--topic "{fields}": not fields of a topic', f"{', '.join(TOPIC_FIELDS)}, joined by +")

    def read() -> Iterator[Placed[Query]]:
        found: dict[str, list[str]] = {}
        field = start = ""
        for where, text in jsonl.lines(str(path)):
            mark = text.strip().lower()
            if mark.startswith("<top>"):
                _check_ended(start)
                found, field, start = {}, "", where
            elif mark.startswith("</top>"):
                yield start or where, _topic(found, wanted, start or where)
                found, field, start = {}, "", ""
            elif match := _FIELD.match(text.lstrip()):
                field = match[1].lower()
                found[field] = [text.lstrip()[match.end() :]]
            elif field:
                found[field].append(text)
        _check_ended(start)

    return read


def _check_ended(start: str) -> None:
    """Raise InputError where the topic that began at `start` is still open."""
    if start:
        raise InputError(f"{start}: <top> without </top>", "the file is not whole")


def _topic(found: dict[str, list[str]], wanted: Sequence[str], where: str) -> Query:
    values = {field: _bare(" ".join(lines), one_line=True) for field, lines in found.items()}
    for field in ("num", *wanted):
        if field not in values:
            raise InputError(f"{where}: a topic without <{field}>", "see --topic")
    return values["num"], " ".join(filter(None, (values[field] for field in wanted)))
