"""What must not be trained on: the queries that are evaluated, and the documents that answer them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial

from xqe.collections.layout import Collection
from xqe.collections.leakage import Best, Mark, Naming, Pair, best, judgements, marks, spelled
from xqe.errors import InputError

TRAIN = "train"


def digest(*parts: str) -> int:
    """Eight bytes for some strings: what is remembered of texts that only need to be recognised."""
    data = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


class HeldOut:
    """The marks (see `xqe.collections.leakage`) of queries that are evaluated, and the texts of their best documents.

    Ids are compared within collections of one name, texts everywhere. A query is held out if it shares a mark with an
    evaluated one, in any language: so is the Italian counterpart of a German test query.
    """

    def __init__(self) -> None:
        self._marks: set[int] = set()
        self._answers: dict[tuple[str, str], set[str]] = {}  # (collection, language) -> documents
        self._texts: set[int] = set()

    def add(self, collection: Collection, trained: str | None) -> None:
        """Hold out a collection's splits, all but "train" and the one that is trained on (None: it has none).

        Raises InputError where that leaves none for a collection that is only to be held out.
        """
        splits = [split for split in collection.splits if split not in (TRAIN, trained)]
        if not splits and trained is None:
            raise InputError(
                f"{collection.directory}: no split but {TRAIN} to hold out", f"it has {', '.join(collection.splits)}"
            )
        for split in splits:
            self._add(collection, split)

    def _add(self, collection: Collection, split: str) -> None:
        cached: dict[str, Best] = {}  # pairs may share a file

        def best_of(pair: Pair) -> Best:
            path = str(collection.qrels(split, *pair))
            if path not in cached:
                cached[path] = best(judgements(collection, split, pair))
            return cached[path]

        texts = {lang: collection.read_queries(split, lang) for lang in collection.query_languages(split)}
        for _, mark in marks(Naming.of(collection), texts, collection.pairs(split), best_of):
            self._marks.add(_global(collection, mark))
            if mark[0] == "document":
                self._answers.setdefault((collection.name, mark[1]), set()).add(mark[2])

    def read_answers(self, collection: Collection, languages: Sequence[str]) -> None:
        """Remember the texts of the best documents in some languages, to know them by another id or elsewhere."""
        for lang in languages:
            wanted = self._answers.get((collection.name, lang))
            if wanted and lang in collection.document_languages:
                self._texts.update(
                    digest(spelled(one.text)) for one in collection.read_documents(lang) if one.id in wanted
                )

    def queries(
        self,
        collection: Collection,
        lang: str,
        texts: Mapping[str, str],
        pairs: Sequence[Pair],
        split: str,
    ) -> set[str]:
        """Those of a split's queries in a language that are held out. pairs: where to look for their documents."""
        best_of = partial(_best, collection, split)
        marked = marks(Naming.of(collection), {lang: texts}, pairs, best_of)
        return {name for (_, name), mark in marked if _global(collection, mark) in self._marks}

    def has_document(self, collection: Collection, lang: str, name: str) -> bool:
        """Whether it is the best document of an evaluated query."""
        return _global(collection, ("document", lang, name)) in self._marks

    def has_text(self, text: str) -> bool:
        """Whether it is the text of such a document, in whichever collection."""
        return digest(spelled(text)) in self._texts


def _best(collection: Collection, split: str, pair: Pair) -> Best:
    return best(judgements(collection, split, pair))


def _global(collection: Collection, mark: Mark) -> int:
    """A mark as one number; but for texts it holds only among collections of one name."""
    return digest(*mark) if mark[0] == "text" else digest(collection.name, *mark)
