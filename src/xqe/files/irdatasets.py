"""What ir_datasets knows (MacAvaney et al., 2021), by its id: vaswani, clirmatrix/en/multi8/de/test1.

ir_datasets downloads what it lacks into its own folder, ~/.ir_datasets or IR_DATASETS_HOME. Where a file is named, so
may be one of its ids: ir_datasets:vaswani.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from xqe.errors import InputError, MissingExtraError

PREFIX = "ir_datasets:"
_TEXT_FIELDS = ("text", "body", "contents", "abstract")
_CODES = {"dt": "nl"}  # mMARCO's Dutch


def is_named(path: str) -> bool:
    """Whether what stands in place of a file is an id."""
    return path.startswith(PREFIX)


def load(name: str, needed: Sequence[str]) -> Any:
    """A collection by its id. needed: what it must have of docs, queries and qrels. Raises MissingExtraError without
    ir_datasets, InputError for an id that it does not know and for one that lacks something."""
    name = name.removeprefix(PREFIX)
    try:
        import ir_datasets
    except ModuleNotFoundError:
        raise MissingExtraError("reading a collection of ir_datasets needs ir_datasets", "ir-datasets") from None
    try:
        dataset = ir_datasets.load(name)
    except KeyError:
        raise InputError(f"{name}: ir_datasets does not know it", "its ids are at https://ir-datasets.com") from None
    for what in needed:
        if not getattr(dataset, f"has_{what}")():
            raise InputError(f"{name}: has no {what}", f"give the id of a split, which has {', '.join(needed)}")
    return dataset


def code(lang: str | None) -> str | None:
    """The code of a language that ir_datasets names, as others write it."""
    return _CODES.get(lang or "", lang)


def documents(dataset: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ("id:number", {"id", "text", "title"}) for each document."""
    for number, one in enumerate(dataset.docs_iter(), 1):
        text = next((getattr(one, field) for field in _TEXT_FIELDS if hasattr(one, field)), None)
        title = getattr(one, "title", "") if text is not None else ""
        text = one.default_text() if text is None else text
        yield f"{name}:{number}", {"id": one.doc_id, "text": text, "title": title}


def queries(dataset: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ("id:number", {"id", "query"}) for each query, with "lang" where that is known."""
    lang = code(dataset.queries_lang())
    for number, one in enumerate(dataset.queries_iter(), 1):
        record = {"id": one.query_id, "query": one.default_text()}
        yield f"{name}:{number}", {**record, "lang": lang} if lang else record


def qrels(dataset: Any, name: str) -> Iterator[tuple[str, tuple[str, str, int]]]:
    """Yield ("id:number", (query, document, grade)) for each judgement."""
    for number, one in enumerate(dataset.qrels_iter(), 1):
        yield f"{name}:{number}", (one.query_id, one.doc_id, int(one.relevance))
