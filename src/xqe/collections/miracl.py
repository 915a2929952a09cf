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
from xqe.collections.conversion import (
    Material,
    document_files,
    put_once,
    query_file,
    selected,
    trec_qrels,
)
from xqe.collections.options import Options
from xqe.errors import InputError
from xqe.files.folders import data_files, plain_path
from xqe.text.languages import known

_CORPUS = re.compile(r"miracl-corpus-v1\.0-(?P<lang>[a-z]+)")
_PART = re.compile(r"docs-(?P<number>\d+)\.jsonl")
_JUDGED = re.compile(r"(?P<kind>topics|qrels)\.miracl-v1\.0-(?P<lang>[a-z]+)-(?P<split>[a-z-]+)\.tsv")


def read(path: Path, options: Options) -> Material:
    if not path.is_dir():
        raise InputError(f"{path}: no such folder", "give the folder that holds miracl-corpus-v1.0-LANG")
    corpora: dict[str, dict[int, Path]] = {}
    topics: dict[tuple[str, str], Path] = {}
    qrels: dict[tuple[str, str], Path] = {}
    for file in data_files(path):
        name = plain_path(file).name
        if (corpus := _CORPUS.fullmatch(file.parent.name)) and (part := _PART.fullmatch(name)):
            put_once(corpora.setdefault(corpus["lang"], {}), int(part["number"]), file)
        elif match := _JUDGED.fullmatch(name):
            put_once(topics if match["kind"] == "topics" else qrels, (match["lang"], match["split"]), file)
    there = {lang: parts for lang, parts in corpora.items() if known(lang)}
    if not there:
        raise InputError(f"{path}: no folder like miracl-corpus-v1.0-de with docs-0.jsonl.gz", "check the folder")
    material = Material(
        name="miracl",
        about="MIRACL: questions and passages of Wikipedia, judged by native speakers",
        licence=licences.MIRACL,
        source={"name": "miracl", "version": "1.0"},
    )
    chosen = selected(there, options.languages, "documents in", path)
    for (lang, split), file in sorted(topics.items()):
        if lang not in chosen or (options.splits and split not in options.splits):
            continue
        if (lang, split) not in qrels:
            material.notes.append(f"{split}, {lang}: queries without qrels were left out")
            continue
        judged = qrels[lang, split]
        material.queries.setdefault(split, {})[lang] = [query_file(file, are_bare=True)]
        material.qrels.setdefault(split, {})[lang, lang] = trec_qrels(judged)
        material.paths += [file, judged]
    if not material.queries:
        raise InputError(f"{path}: no topics with qrels", "topics/ and qrels/ belong below miracl-v1.0-LANG")
    for lang, parts in chosen.items():
        in_order = [parts[number] for number in sorted(parts)]
        material.documents[lang] = document_files(in_order)
        material.paths += in_order
    return material
