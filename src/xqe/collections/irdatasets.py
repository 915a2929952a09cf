"""Anything that ir_datasets knows (MacAvaney et al., 2021), by its id: clirmatrix/en/multi8/de/test1, say.

ir_datasets downloads what it lacks into its own folder, ~/.ir_datasets or IR_DATASETS_HOME. Several ids make one
collection: their documents must not differ where the language is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from xqe.collections.conversion import Judgement, Material, Placed, Query, Stream
from xqe.collections.options import Options
from xqe.errors import InputError, MissingExtraError, XqeError
from xqe.files.records import Document, check_document
from xqe.text.languages import LANGUAGES

_CODES = {"dt": "nl"}  # mMARCO's Dutch
_SPLITS = ("train", "dev", "valid", "validation", "test", "test1", "test2", "eval", "small")
_TEXT_FIELDS = ("text", "body", "contents", "abstract")


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
        dataset = _load(name)
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
        pairs[asked, lang] = _judgements(dataset, name)
    return material


def _load(name: str) -> Any:
    try:
        import ir_datasets
    except ModuleNotFoundError:
        raise MissingExtraError("reading a collection of ir_datasets needs ir_datasets", "ir-datasets") from None
    try:
        dataset = ir_datasets.load(name)
    except KeyError:
        raise InputError(f"{name}: ir_datasets does not know it", "its ids are at https://ir-datasets.com") from None
    for what in ("docs", "queries", "qrels"):
        if not getattr(dataset, f"has_{what}")():
            raise InputError(f"{name}: has no {what}", "give the id of a split, which has all three")
    return dataset


def _language(code: str | None, name: str, what: str, option: str) -> str:
    code = _CODES.get(code or "", code)
    if code not in LANGUAGES:
        said = f'are in "{code}"' if code else "do not say their language"
        raise XqeError(f"{name}: its {what} {said}", f"name it with {option}: {' '.join(LANGUAGES)}")
    return str(code)


def _split(name: str) -> str:
    return ".".join(part for part in name.split("/") if part in _SPLITS) or "test"


def _documents(dataset: Any, name: str) -> Stream[Document]:
    def read() -> Iterator[Placed[Document]]:
        for number, one in enumerate(dataset.docs_iter(), 1):
            text = next((getattr(one, field) for field in _TEXT_FIELDS if hasattr(one, field)), None)
            title = getattr(one, "title", "") if text is not None else ""
            fields = {"id": one.doc_id, "text": one.default_text() if text is None else text, "title": title}
            yield f"{name}:{number}", check_document(fields, f"{name}:{number}")

    return read


def _queries(dataset: Any, name: str) -> Stream[Query]:
    def read() -> Iterator[Placed[Query]]:
        for number, one in enumerate(dataset.queries_iter(), 1):
            yield f"{name}:{number}", (one.query_id, one.default_text())

    return read


def _judgements(dataset: Any, name: str) -> Stream[Judgement]:
    def read() -> Iterator[Placed[Judgement]]:
        for number, one in enumerate(dataset.qrels_iter(), 1):
            yield f"{name}:{number}", (one.query_id, one.doc_id, int(one.relevance))

    return read
