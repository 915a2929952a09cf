"""TREC-style collections, and Pyserini's: documents, topics and qrels in three places.

Documents: JSONL or TSV as `xqe index` reads them ({"id", "contents"} among others), or SGML, <DOC> with <DOCNO>; one
file, or all files of a folder. Topics: as `topics` reads them. Everything may be packed.
"""

from __future__ import annotations

from pathlib import Path

from xqe.collections.conversion import (
    Material,
    document_files,
    existing,
    folder_name,
    one_language,
    trec_qrels,
)
from xqe.collections.options import Options
from xqe.collections.topics import topics
from xqe.errors import InputError, XqeError
from xqe.files.folders import data_files


def read(path: Path, options: Options) -> Material:
    lang = one_language(options.languages, "a TREC collection")
    asked = options.query_language or lang
    files = _files(path)
    if options.queries is None:
        raise XqeError("missing option --queries", "the documents, the topics and the qrels are three places")
    queries = existing(options.queries)
    qrels = existing(options.qrels) if options.qrels is not None else None
    if options.splits and len(options.splits) > 1:
        raise XqeError(f"--split {' '.join(options.splits)}: these are the queries of one split", "give one name")
    split = options.splits[0] if options.splits else "test"
    name = folder_name(path)
    return Material(
        name=name,
        about=f"{name}, from TREC-style files",
        licence="that of the source, which its files do not say",
        source={"name": name, "layout": "trec"},
        documents={lang: document_files([path if path.is_dir() else files[0]], fields=options.fields)},
        queries={split: {asked: [topics(queries, options.topic, asked, options.query_fields)]}},
        qrels={split: {(asked, lang): trec_qrels(qrels)}} if qrels is not None else {},
        paths=[*files, queries, *([qrels] if qrels is not None else [])],
    )


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = data_files(path)
        if not files:
            raise InputError(f"{path}: an empty folder", "give the folder of the documents, or their file")
        return files
    return [existing(path)]
