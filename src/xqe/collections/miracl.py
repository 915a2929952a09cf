"""MIRACL (Zhang et al., 2023): questions and passages of Wikipedia in one language, judged by native speakers.

    miracl-corpus-v1.0-LANG/docs-N.jsonl.gz                      {"docid", "title", "text"}
    miracl-v1.0-LANG/topics/topics.miracl-v1.0-LANG-SPLIT.tsv    id<TAB>text
    miracl-v1.0-LANG/qrels/qrels.miracl-v1.0-LANG-SPLIT.tsv      TREC qrels

The splits test-a and test-b have no public qrels and are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from xqe.collections import licences
from xqe.collections.conversion import Material, document_files, selected, trec_qrels, tsv_queries
from xqe.collections.options import Options
from xqe.errors import InputError
from xqe.text.languages import LANGUAGES

_CORPUS = re.compile(r"miracl-corpus-v1\.0-(?P<lang>[a-z]+)")
_PART = re.compile(r"docs-(?P<number>\d+)\.jsonl(\.gz)?")
_TOPICS = re.compile(r"topics\.miracl-v1\.0-(?P<lang>[a-z]+)-(?P<split>[a-z-]+)\.tsv(\.gz)?")


def read(path: Path, options: Options) -> Material:
    if not path.is_dir():
        raise InputError(f"{path}: no such folder", "give the folder that holds miracl-corpus-v1.0-LANG")
    corpora = {m["lang"]: folder for folder in sorted(path.rglob("*")) if (m := _CORPUS.fullmatch(folder.name))}
    known = {lang: parts for lang, folder in corpora.items() if lang in LANGUAGES and (parts := _parts(folder))}
    if not known:
        raise InputError(f"{path}: no folder like miracl-corpus-v1.0-de with docs-0.jsonl.gz", "check the folder")
    material = Material(
        name="miracl",
        about="MIRACL: questions and passages of Wikipedia, judged by native speakers",
        licence=licences.MIRACL,
        source={"name": "miracl", "version": "1.0"},
    )
    chosen = selected(known, options.languages, "documents in", path)
    for topics in sorted(path.rglob("topics.miracl-v1.0-*.tsv*")):
        match = _TOPICS.fullmatch(topics.name)
        if match is None or match["lang"] not in chosen or (options.splits and match["split"] not in options.splits):
            continue
        lang, split = match["lang"], match["split"]
        qrels = next(iter(sorted(path.rglob(f"qrels.miracl-v1.0-{lang}-{split}.tsv*"))), None)
        if qrels is None:
            material.notes.append(f"{split}, {lang}: queries without qrels were left out")
            continue
        material.queries.setdefault(split, {})[lang] = [tsv_queries(topics)]
        material.qrels.setdefault(split, {})[lang, lang] = trec_qrels(qrels)
        material.paths += [topics, qrels]
    if not material.queries:
        raise InputError(f"{path}: no topics with qrels", "topics/ and qrels/ belong below miracl-v1.0-LANG")
    for lang, parts in chosen.items():
        material.documents[lang] = document_files(parts)
        material.paths += parts
    return material


def _parts(folder: Path) -> list[Path]:
    found = [(int(m["number"]), file) for file in folder.glob("docs-*") if (m := _PART.fullmatch(file.name))]
    return [file for _, file in sorted(found)]
