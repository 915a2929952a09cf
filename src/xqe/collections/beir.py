"""BEIR's layout (Thakur et al., 2021), which many other collections use too.

corpus.jsonl       {"_id", "title", "text"}
queries.jsonl      {"_id", "text"}
qrels/SPLIT.tsv    query, document and score, under the header "query-id corpus-id score"; or no qrels

Of ArguAna and Quora the queries are documents of the corpus, under their ids; BEIR's own evaluation leaves such hits
out (`ignore_identical_ids`), and the collection says that they are to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xqe.collections.conversion import (
    Material,
    Placed,
    Stream,
    document_files,
    existing,
    folder_name,
    one_language,
    query_file,
    selected,
    trec_qrels,
)
from xqe.collections.options import Options
from xqe.errors import InputError
from xqe.files.folders import data_files, plain_path
from xqe.files.records import Document

_OF_DOCUMENTS = frozenset({"arguana", "quora"})


def read(path: Path, options: Options) -> Material:
    lang = one_language(options.languages, "BEIR's layout")
    asked = options.query_language or lang
    corpus, queries = existing(path / "corpus.jsonl"), existing(path / "queries.jsonl")
    named = {plain_path(file): file for file in data_files(path / "qrels", "*")}
    qrels = {name.stem: file for name, file in named.items() if name.suffix == ".tsv"}
    if named and not qrels:
        raise InputError(f"{path / 'qrels'}: no file like test.tsv", "check the folder")
    chosen = selected(qrels, options.splits, "split", path) if qrels else {}
    name = folder_name(path)
    material = Material(
        name=name,
        drop_self=name in _OF_DOCUMENTS,
        about=f"{name}, from BEIR's layout",
        licence="that of the source, which its files do not say",
        source={"name": name, "layout": "beir"},
        documents={},
        queries={split: {asked: [query_file(queries)]} for split in chosen or options.splits or ("test",)},
        qrels={split: {(asked, lang): trec_qrels(file)} for split, file in chosen.items()},
        paths=[corpus, queries, *chosen.values()],
    )
    material.documents[lang] = _compared(document_files([corpus]), query_file(queries), material)
    return material


def _compared(documents: Stream[Document], queries: Stream[tuple[str, str]], material: Material) -> Stream[Document]:
    """The documents; when they have been read, `material` knows whether half of the queries or more are among them,
    under the same id and with the same text."""

    def read() -> Iterator[Placed[Document]]:
        texts = {name: _words(text) for _, (name, text) in queries()}
        own = set()
        for place, document in documents():
            if document.id in texts and texts[document.id] in (_words(document.text), _words(document.searched)):
                own.add(document.id)
            yield place, document
        material.drop_self |= bool(own) and 2 * len(own) >= len(texts)

    return read


def _words(text: str) -> str:
    return " ".join(text.split())
