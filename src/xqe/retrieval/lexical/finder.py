"""Candidates: the documents of an index in one piece that tantivy finds best, and by how much it may be wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from xqe.files.names import Numbers
from xqe.files.whole import check_whole
from xqe.retrieval.lexical.bm25 import Floats, Padding
from xqe.retrieval.lexical.candidates import BODY, Candidates
from xqe.retrieval.lexical.joint import padding_of
from xqe.retrieval.lexical.manifest import REBUILD, Manifest
from xqe.retrieval.lexical.scoring import Asked


class Finder:
    """Finds candidates: tantivy's ranking of some fields of documents. excesses: of each field with the parameters of
    the manifest (see `bm25`)."""

    def __init__(
        self,
        tantivy: Candidates,
        manifest: Manifest,
        paddings: Mapping[str, Padding],
        excesses: Mapping[str, float],
    ) -> None:
        self._tantivy, self._documents, self._paddings = tantivy, manifest.documents, paddings
        self._excesses = {(name, manifest.parameters): excess for name, excess in excesses.items()}

    @property
    def _counted(self) -> int:
        """How many documents tantivy has."""
        return self._documents + len(self._paddings[BODY].fillers)

    def best(self, asked: Sequence[Asked], limit: int) -> tuple[Numbers, Floats]:
        """The numbers and scores of the `limit` documents that tantivy finds best."""
        return self._tantivy.best((boost for one in asked for boost in one.boosts(self._counted)), limit)

    def sees(self, asked: Sequence[Asked]) -> bool:
        """Whether its scores bound the exact ones."""
        return all(one.is_seen(self._counted) for one in asked)

    def ceiling(self, asked: Sequence[Asked]) -> float:
        """How many times its score by tantivy a document's exact one is at most."""
        for one in asked:
            if (one.field, one.parameters) not in self._excesses:
                its = one.excess(self._documents, self._paddings[one.field])
                self._excesses[one.field, one.parameters] = its
        return max(self._excesses[one.field, one.parameters] for one in asked)


def open_joint(folder: Path, manifest: Manifest, verify: bool = False) -> Finder:
    """That of an index with questions, over all its fields. Raises InputError for files that are not as they were
    written."""
    fields = manifest.joint["fields"]
    check_whole(folder, manifest.joint["files"], folder, REBUILD, verify)
    return Finder(
        Candidates(folder, manifest.joint["files"], [name for name in fields if name != BODY]),
        manifest,
        {name: padding_of(manifest.joint, name) for name in fields},
        {name: its["excess"] for name, its in fields.items()},
    )
