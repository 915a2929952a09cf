"""CLIRMatrix (Sun and Duh, 2020): titles of Wikipedia articles against articles in other languages, grades 0 to 6.

    DOCS/LANG.tsv.gz                                    id<TAB>text
    MULTI-8/QUERIES/QUERIES.DOCUMENTS.SPLIT.jl.gz       {"src_id", "src_query", "tgt_results": [[document, grade], ...]}
    BI-139/base/QUERIES/QUERIES.DOCUMENTS.SPLIT.base.jl.gz
    BI-139/full/QUERIES/QUERIES.DOCUMENTS.SPLIT.jl.gz

In file names the language of the queries comes first; ir_datasets names the same data the other way round. Files are
also found flat in one folder, unpacked, and with "full" or the ending .jsonl.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xqe.collections import licences
from xqe.collections.conversion import (
    Judgement,
    Material,
    Placed,
    Query,
    Stream,
    document_files,
    selected,
)
from xqe.collections.options import Options
from xqe.collections.sources import BI139
from xqe.errors import InputError
from xqe.files import jsonl
from xqe.files.folders import data_files, plain_path

_QUERIES = re.compile(
    r"(?P<queries>[a-z-]+)\.(?P<documents>[a-z-]+)\.(?P<split>train|dev|test1|test2)"
    r"(\.(?P<kind>base|full))?\.(jl|jsonl)"
)
_DOCUMENTS = re.compile(r"(?P<lang>[a-z-]+)\.tsv")
_SHAPE = 'each line needs {"src_id", "src_query", "tgt_results": [[document, grade], ...]}'


def read(path: Path, options: Options) -> Material:
    """The queries and documents under a folder. --lang keeps languages, of queries and documents alike."""
    if not path.is_dir():
        raise InputError(f"{path}: no such folder", "give the folder that holds MULTI-8 or BI-139, and DOCS")
    files = _query_files(path)
    documents = _document_files(options.documents or path)
    wanted = options.languages
    for lang in wanted or ():
        if not any(lang in pair for split in files.values() for pair in split):
            raise InputError(f"{path}: no queries in or for {lang}", "check --lang and the folder")
    judged = {d for pairs in files.values() for _, d in pairs if d in BI139 and (wanted is None or d in wanted)}
    missing = sorted(judged - documents.keys())
    if missing and (wanted is not None or missing == sorted(judged)):
        raise InputError(f"{path}: no documents in {', '.join(missing)}", "DOCS/LANG.tsv.gz; or name it: --documents")
    languages = judged & documents.keys()
    is_multi = any("MULTI-8" in file.parts for pairs in files.values() for file in pairs.values())
    material = Material(
        name="clirmatrix-multi8" if is_multi else "clirmatrix-bi139",
        about="CLIRMatrix: titles of Wikipedia articles find articles in other languages, graded by BM25",
        licence=licences.CLIRMATRIX,
        source={"name": "clirmatrix", "subset": "MULTI-8" if is_multi else "BI-139"},
        articles=True,  # of each language's Wikipedia: one id is another query in another language
        notes=[f"{lang}: judged, but there were no documents in it" for lang in missing],
    )
    for split, pairs in selected(files, options.splits, "split", path).items():
        for (asked, lang), file in pairs.items():
            if lang in languages and asked in BI139 and (wanted is None or asked in wanted):
                material.queries.setdefault(split, {}).setdefault(asked, []).append(_queries(file))
                material.qrels.setdefault(split, {})[asked, lang] = _judgements(file)
                material.paths.append(file)
    used = {lang for pairs in material.qrels.values() for _, lang in pairs}
    for lang in sorted(used):
        material.documents[lang] = document_files([documents[lang]], are_bare=True)
        material.paths.append(documents[lang])
    return material


def _query_files(folder: Path) -> dict[str, dict[tuple[str, str], Path]]:
    """Split -> (language of queries, language of documents) -> file."""
    files: dict[str, dict[tuple[str, str], Path]] = {}
    for path in data_files(folder):
        if match := _QUERIES.fullmatch(plain_path(path).name):
            pairs = files.setdefault(match["split"], {})
            pair = match["queries"], match["documents"]
            if pair in pairs:
                raise InputError(
                    f"{path}: {pair[0]} queries for {pair[1]} documents again, first in {pairs[pair]}",
                    "convert MULTI-8, BI-139/base and BI-139/full one at a time",
                )
            pairs[pair] = path
    if not files:
        raise InputError(f"{folder}: no file like MULTI-8/de/de.en.test1.jl.gz", "check the folder")
    return files


def _document_files(folder: Path) -> dict[str, Path]:
    """Language -> file, in a folder of documents within this folder, beside it or beside the one above it."""
    above = folder.absolute()
    for place in (above, above.parent, above.parent.parent):
        for name in ("DOCS", "docs", "doc", "."):
            there = place / name
            named = {plain_path(file).name: file for file in data_files(there, "*")}
            found = {m["lang"]: file for name, file in named.items() if (m := _DOCUMENTS.fullmatch(name))}
            if found:
                return found
    return {}


def _lines(path: Path) -> Iterator[Placed[dict[str, Any]]]:
    for where, value in jsonl.objects(str(path)):
        if not isinstance(value, dict) or not {"src_id", "src_query", "tgt_results"} <= value.keys():
            raise InputError(f"{where}: not a line of CLIRMatrix", _SHAPE)
        if not isinstance(value["src_query"], str) or not isinstance(value["tgt_results"], list):
            raise InputError(f"{where}: src_query is no string, or tgt_results no list", _SHAPE)
        yield where, value


def _queries(path: Path) -> Stream[Query]:
    def read() -> Iterator[Placed[Query]]:
        for where, value in _lines(path):
            yield where, (str(value["src_id"]), value["src_query"])

    return read


def _judgements(path: Path) -> Stream[Judgement]:
    def read() -> Iterator[Placed[Judgement]]:
        for where, value in _lines(path):
            for result in value["tgt_results"]:
                try:
                    document, grade = result
                    judgement = str(value["src_id"]), str(document), int(grade)
                except (TypeError, ValueError):
                    raise InputError(f"{where}: {result!r} is no [document, grade]", _SHAPE) from None
                yield where, judgement

    return read
