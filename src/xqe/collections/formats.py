"""The table of formats that can be converted: one row each, from which help, messages and docs are derived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xqe.collections import beir, clirmatrix, irdatasets, miracl, msmarco, trec
from xqe.collections.conversion import Material
from xqe.collections.options import Options
from xqe.errors import XqeError
from xqe.lines import among

NAMES = {
    "query_language": "--query-lang",
    "splits": "--split",
    "documents": "--documents",
    "queries": "--queries",
    "qrels": "--qrels",
    "topic": "--topic",
    "fields": "--id-field, --text-field, --title-field",
    "query_fields": "--query-id-field, --query-text-field",
}
"""Fields of `Options` that only some formats take -> the options of the command."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format. takes: what PATH is. options: those of `NAMES` that mean something to it. read: a path and options to
    what is there; None for ir_datasets, which reads several ids."""

    name: str
    takes: str
    options: tuple[str, ...]
    read: Callable[[Path, Options], Material] | None


BY_ID = "ir_datasets"
"""The format whose paths are none."""
_TREC = ("query_language", "splits", "queries", "qrels", "topic", "fields", "query_fields")
_ROWS = (
    Format("clirmatrix", "the folder with MULTI-8 or BI-139, and DOCS", ("splits", "documents"), clirmatrix.read),
    Format("mmarco", "the folder with collections, queries and qrels", ("splits",), msmarco.read_mmarco),
    Format(
        "msmarco",
        "a folder with collection.tsv, queries.SPLIT.tsv, qrels.SPLIT.tsv",
        ("query_language", "splits", "documents"),
        msmarco.read_msmarco,
    ),
    Format(
        "beir", "a folder with corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv", ("query_language", "splits"), beir.read
    ),
    Format("miracl", "the folder with miracl-corpus-v1.0-LANG and miracl-v1.0-LANG", ("splits",), miracl.read),
    Format("trec", "documents, SGML, JSONL or TSV; with --queries and --qrels", _TREC, trec.read),
    Format("pyserini", "documents, JSONL of {id, contents}; with --queries and --qrels", _TREC, trec.read),
    Format(BY_ID, "an id of ir_datasets, or several", ("query_language", "splits"), None),
)
FORMATS = {row.name: row for row in _ROWS}


def read(name: str, paths: Sequence[str], options: Options) -> Material:
    """What is there in a format. Raises XqeError for an unknown format, an option that says nothing to it, or more than
    one path."""
    if name not in FORMATS:
        raise XqeError(f'unknown format "{name}"', among(name, FORMATS, "xqe reads"))
    row = FORMATS[name]
    for field, option in NAMES.items():
        if getattr(options, field) is not None and field not in row.options:
            takes = ", ".join(NAMES[one] for one in row.options)
            raise XqeError(f"{option}: means nothing to {name}", f"besides --lang it takes {takes}")
    if row.read is None:
        return irdatasets.read(paths, options)
    if len(paths) != 1:
        raise XqeError(f"{name}: {len(paths)} paths", f"give one: {row.takes}")
    return row.read(Path(paths[0]), options)
