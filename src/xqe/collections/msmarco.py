"""MS MARCO passages, and mMARCO: the same, translated by machine.

mMARCO v2:
    data/google/collections/LANGUAGE_collection.tsv           id<TAB>text
    data/google/queries/dev/LANGUAGE_queries.dev.small.tsv    id<TAB>text; dev.tsv has all, train/ the training queries
    data/qrels.dev.small.tsv                                  TREC qrels, the same for every language
MS MARCO, in one folder:
    collection.tsv    queries.SPLIT.tsv    qrels.SPLIT.tsv

The queries of dev.small are also taken from a file of all dev queries. Every file may be packed.
"""

from __future__ import annotations

import re
from pathlib import Path

from xqe.collections import licences
from xqe.collections.conversion import (
    Material,
    document_files,
    existing,
    one_language,
    put_once,
    query_file,
    selected,
    trec_qrels,
)
from xqe.collections.layout import ANY
from xqe.collections.options import Options
from xqe.errors import InputError
from xqe.files.folders import data_files, plain_path

NAMES = {
    "ar": "arabic",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "hi": "hindi",
    "id": "indonesian",
    "it": "italian",
    "ja": "japanese",
    "nl": "dutch",  # which ir_datasets calls dt
    "pt": "portuguese",
    "ru": "russian",
    "vi": "vietnamese",
    "zh": "chinese",
}
PASSAGES = 8_841_823

_CODES = {name: code for code, name in NAMES.items()}
_COLLECTION = re.compile(r"(?P<language>[a-z]+)_collection\.tsv")
_QUERIES = re.compile(r"(?P<language>[a-z]+)_queries\.(?P<split>train|dev|dev\.small)\.tsv")
_OWN_QUERIES = re.compile(r"queries\.(?P<split>.+)\.tsv")
_QRELS = re.compile(r"qrels\.(?P<split>.+)\.tsv")


def read_mmarco(path: Path, options: Options) -> Material:
    """The languages under a folder, whichever is the layout of its subfolders."""
    if not path.is_dir():
        raise InputError(f"{path}: no such folder", "give the folder that holds collections, queries and qrels")
    documents: dict[str, Path] = {}
    queries: dict[str, dict[str, Path]] = {}
    qrels: dict[str, Path] = {}
    for file in data_files(path):
        name = plain_path(file).name
        match = _COLLECTION.fullmatch(name) or _QUERIES.fullmatch(name)
        if match and (code := _CODES.get(match["language"])):
            of_kind = documents if match.re is _COLLECTION else queries.setdefault(match["split"], {})
            put_once(of_kind, code, file)
        elif match := _QRELS.fullmatch(name):
            put_once(qrels, match["split"], file)
    if not documents:
        raise InputError(f"{path}: no file like german_collection.tsv", "check the folder")
    if not qrels:
        raise InputError(f"{path}: no file like qrels.dev.small.tsv", "it belongs beside the queries, or above them")
    if "dev.small" in qrels:
        queries["dev.small"] = {**queries.get("dev", {}), **queries.get("dev.small", {})}
    material = Material(
        name="mmarco",
        about="mMARCO: MS MARCO's queries and passages, translated by machine",
        licence=licences.MMARCO,
        source={"name": "mmarco"},
        parallel=True,
        translated_by="machine",
    )
    chosen = selected(documents, options.languages, "documents in", path)
    for lang, file in chosen.items():
        material.documents[lang] = document_files([file], are_bare=True)
        material.counts[lang] = PASSAGES
        material.paths.append(file)
    for split, file in selected(qrels, options.splits, "qrels of", path).items():
        asked = {lang: one for lang, one in sorted(queries.get(split, {}).items()) if _is_chosen(lang, options)}
        if not asked:
            material.notes.append(f"{split}: judged, but there were no queries")
            continue
        material.paths += [file, *asked.values()]
        material.queries[split] = {lang: [query_file(one)] for lang, one in asked.items()}
        material.qrels[split] = {(ANY, lang): trec_qrels(file) for lang in chosen}
    return material


def _is_chosen(lang: str, options: Options) -> bool:
    return options.languages is None or lang in options.languages


def read_msmarco(path: Path, options: Options) -> Material:
    """A folder with collection.tsv, and queries and qrels of the same splits."""
    lang = one_language(options.languages, "MS MARCO's layout")
    asked = options.query_language or lang
    collection = existing(options.documents or path / "collection.tsv")
    named = {plain_path(file).name: file for file in data_files(path, "*")}
    queries = {m["split"]: file for name, file in named.items() if (m := _OWN_QUERIES.fullmatch(name))}
    qrels = {m["split"]: file for name, file in named.items() if (m := _QRELS.fullmatch(name))}
    if not queries.keys() & qrels.keys():
        raise InputError(f"{path}: no queries.SPLIT.tsv with qrels.SPLIT.tsv", "check the folder")
    material = Material(
        name="msmarco",
        about="MS MARCO: passages of the web, and the queries that they answer",
        licence=licences.MSMARCO,
        source={"name": "msmarco"},
        documents={lang: document_files([collection], are_bare=True)},
        paths=[collection],
        notes=[f"{split}: queries without qrels" for split in sorted(queries.keys() - qrels.keys())],
    )
    both = {split: file for split, file in queries.items() if split in qrels}
    for split, file in selected(both, options.splits, "queries and qrels of", path).items():
        material.queries[split] = {asked: [query_file(file, are_bare=True)]}
        material.qrels[split] = {(asked, lang): trec_qrels(qrels[split])}
        material.paths += [file, qrels[split]]
    return material
