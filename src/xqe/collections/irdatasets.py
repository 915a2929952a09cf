"""Anything that ir_datasets knows, by its id, as a collection: clirmatrix/en/multi8/de/test1, say.

Several ids make one collection: their documents must not differ where the language is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from xqe.collections.conversion import Material, Placed, Query, Stream
from xqe.collections.options import Options
from xqe.errors import XqeError
from xqe.files import irdatasets
from xqe.files.records import Document, check_document
from xqe.text.languages import known

_ALL = ("docs", "queries", "qrels")
_SPLITS = ("train", "dev", "valid", "validation", "test", "test1", "test2", "eval", "small")


def read(names: Sequence[str], options: Options) -> Material:
    """What some ids hold. Raises MissingExtraError without ir_datasets."""
    for option, values in (("--lang", options.languages), ("--split", options.splits)):
        if values is not None and len(values) > 1:
            raise XqeError(f"{option} {','.join(values)}: several", "an id of ir_datasets has one; name it, or none")
    material = Material(
        name=names[0].replace("/", "-"),
        about=f"{', '.join(names)} of ir_datasets",
        licence="that of the source; ir_datasets names it at https://ir-datasets.com",
        source={"name": "ir_datasets", "ids": list(names)},
        parallel=(is_mmarco := all(name.startswith("mmarco/") for name in names)),
        translated_by="machine" if is_mmarco else "",
        articles=all(name.startswith("clirmatrix/") for name in names),
    )
    for name in names:
        dataset = irdatasets.load(name, _ALL)
        lang = _language(
            options.languages[0] if options.languages else dataset.docs_lang(), name, "documents", "--lang"
        )
        asked = _language(options.query_language or dataset.queries_lang() or lang, name, "queries", "--query-lang")
        split = options.splits[0] if options.splits else _split(name)
        pairs = material.qrels.setdefault(split, {})
        if (asked, lang) in pairs:
            raise XqeError(f"{name}: {asked} queries for {lang} documents of {split} again", "name each pair once")
        material.documents.setdefault(lang, _documents(dataset, name))
        material.queries.setdefault(split, {}).setdefault(asked, []).append(_queries(dataset, name))
        pairs[asked, lang] = partial(irdatasets.qrels, dataset, name)
    return material


def _language(code: str | None, name: str, what: str, option: str) -> str:
    code = irdatasets.code(code)
    found = known(code or "")
    if found is None:
        said = f'are in "{code}"' if code else "do not say their language"
        raise XqeError(f"{name}: its {what} {said}", f"name it with {option}")
    return found.code


def _split(name: str) -> str:
    return ".".join(part for part in name.split("/") if part in _SPLITS) or "test"


def _documents(dataset: Any, name: str) -> Stream[Document]:
    def read() -> Iterator[Placed[Document]]:
        for where, raw in irdatasets.documents(dataset, name):
            yield where, check_document(raw, where)

    return read


def _queries(dataset: Any, name: str) -> Stream[Query]:
    return lambda: ((where, (one["id"], one["query"])) for where, one in irdatasets.queries(dataset, name))
