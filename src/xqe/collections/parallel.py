"""The texts of a collection that are there in every one of its languages, under the same ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from hashlib import blake2b

from xqe.collections.layout import Collection
from xqe.errors import InputError, XqeError


class Texts(StrEnum):
    """Which texts of a collection."""

    QUERIES = "queries"
    DOCUMENTS = "documents"


def parallel_texts(
    collection: Collection, what: Texts, split: str | None, languages: Sequence[str] | None, most: int
) -> tuple[list[str], dict[str, list[str]]]:
    """Return ids, and language -> the texts with these ids.

    split: of the queries, the only one where it is None. languages: those that are compared, all where it is None.
    most: how many ids; of more, those whose hashes are least, so that the same are drawn from every collection that has
    them. Raises XqeError for fewer than two languages, and for fewer than two ids that all of them have.
    """
    there, read = _reader(collection, what, split)
    chosen = list(languages) if languages is not None else there
    if unknown := [lang for lang in chosen if lang not in there]:
        raise XqeError(f"{collection.directory}: no {what} in {unknown[0]}", f"it has {', '.join(there)}")
    if len(chosen) < 2:
        raise XqeError(f"{collection.directory}: {what} in {len(chosen)} language", "two are needed to be compared")
    ids: set[str] | None = None
    for lang in chosen:
        names = {name for name, _ in read(lang)}
        ids = names if ids is None else ids & names
    drawn = sorted(ids or (), key=_hash)[:most]
    if len(drawn) < 2:
        raise InputError(
            f"{collection.directory}: {len(drawn)} of the {what} are in all of {', '.join(chosen)}",
            "texts are translations of each other by their ids; name languages that have the same ones with --lang",
        )
    return drawn, {lang: _picked(read(lang), drawn) for lang in chosen}


def _reader(
    collection: Collection, what: Texts, split: str | None
) -> tuple[list[str], Callable[[str], Iterable[tuple[str, str]]]]:
    """The languages that there are, and what reads the ids and texts of one."""
    if what is Texts.DOCUMENTS:
        if split is not None:
            raise XqeError("--split has no effect on documents", "leave it out, or give --texts queries")
        return collection.document_languages, lambda lang: (
            (document.id, document.searched) for document in collection.read_documents(lang)
        )
    splits = collection.splits
    if split is None and len(splits) != 1:
        raise XqeError(
            f"{collection.directory}: queries of several splits", f"choose with --split: {', '.join(splits)}"
        )
    chosen = split or splits[0]
    if chosen not in splits:
        raise XqeError(f'{collection.directory}: no split "{chosen}"', f"it has {', '.join(splits)}")
    return collection.query_languages(chosen), lambda lang: collection.read_queries(chosen, lang).items()


def _picked(texts: Iterable[tuple[str, str]], ids: Sequence[str]) -> list[str]:
    wanted = set(ids)
    found = {name: text for name, text in texts if name in wanted}
    return [found[name] for name in ids]


def _hash(name: str) -> bytes:
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
