"""TREC-style collections, and Pyserini's: documents, topics and qrels in three places.

Documents: JSONL or TSV as `xqe index` reads them ({"id", "contents"} among others), or SGML, <DOC> with <DOCNO>; one
file, or all files of a folder. Topics: as `topics` reads them. Everything may be packed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from xqe.collections.conversion import (
    Material,
    Placed,
    Stream,
    document_files,
    existing,
    folder_name,
    one_language,
    trec_qrels,
)
from xqe.collections.options import Options
from xqe.collections.topics import topics
from xqe.errors import InputError, XqeError
from xqe.files import jsonl, sgml
from xqe.files.folders import data_files
from xqe.files.records import Document, check_document
from xqe.messages import say


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
        queries={split: {asked: [topics(queries, options.topic, asked)]}},
        qrels={split: {(asked, lang): trec_qrels(qrels)}},
        paths=[*files, queries, qrels],
    )


def _given(path: Path | None, option: str) -> Path:
    if path is None:
        raise XqeError(f"missing option {option}", "the documents, the topics and the qrels are three places")
    return existing(path)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = data_files(path)
        if not files:
            raise InputError(f"{path}: an empty folder", "give the folder of the documents, or their file")
        return files
    return [existing(path)]


def _documents(files: Sequence[Path]) -> Stream[Document]:
    heads = (next((text for _, text in jsonl.lines(str(path))), "").lstrip() for path in files)
    telling = next((head for head in heads if head.startswith(("<", "{", "[")) or "\t" in head), "")
    return partial(_of_sgml, files) if telling.startswith("<") else document_files(files)


def _of_sgml(files: Sequence[Path]) -> Iterator[Placed[Document]]:
    """The documents of all files. A file without any, as the disks of TREC have some, is named on standard error."""
    total = 0
    for path in files:
        count = 0
        for count, (where, raw) in enumerate(sgml.documents(jsonl.lines(str(path))), 1):  # noqa: B007
            yield where, check_document(raw, where)
        total += count
        if not count and len(files) > 1:
            say(f"{path}: no <DOC> in it")
    if not total:
        raise InputError(f"{files[0]}: no <DOC> in it", "each document is <DOC> with <DOCNO>")
