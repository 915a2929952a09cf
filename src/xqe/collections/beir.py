"""BEIR's layout (Thakur et al., 2021), which many other collections use too.

corpus.jsonl       {"_id", "title", "text"}
queries.jsonl      {"_id", "text"}
qrels/SPLIT.tsv    query, document and score, under the header "query-id corpus-id score"
"""

from __future__ import annotations

from pathlib import Path

from xqe.collections.conversion import (
    Material,
    data_files,
    document_files,
    existing,
    folder_name,
    json_queries,
    one_language,
    plain_path,
    selected,
    trec_qrels,
)
from xqe.collections.options import Options
from xqe.errors import InputError


def read(path: Path, options: Options) -> Material:
    lang = one_language(options.languages, "BEIR's layout")
    asked = options.query_language or lang
    corpus, queries = existing(path / "corpus.jsonl"), existing(path / "queries.jsonl")
    named = {plain_path(file): file for file in data_files(path / "qrels", "*")}
    qrels = {name.stem: file for name, file in named.items() if name.suffix == ".tsv"}
    if not qrels:
        raise InputError(f"{path / 'qrels'}: no file like test.tsv", "check the folder")
    chosen = selected(qrels, options.splits, "split", path)
    name = folder_name(path)
    return Material(
        name=name,
        about=f"{name}, from BEIR's layout",
        licence="that of the source, which its files do not say",
        source={"name": name, "layout": "beir"},
        documents={lang: document_files([corpus])},
        queries={split: {asked: [json_queries(queries)]} for split in chosen},
        qrels={split: {(asked, lang): trec_qrels(file)} for split, file in chosen.items()},
        paths=[corpus, queries, *chosen.values()],
    )
