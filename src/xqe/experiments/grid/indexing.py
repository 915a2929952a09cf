"""The indexes of a plan: of each collection and language of documents, built once for all cells."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from xqe.errors import InputError
from xqe.experiments.grid.asked import Asked
from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.generating import duration
from xqe.experiments.grid.plan import Plan
from xqe.files.documents import documents
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.retrieval.documents import Documents


def check_indexes(plan: Plan, folder: Folder, rebuild: bool) -> list[tuple[str, str]]:
    """Return (collection, language) of the indexes that have to be built.

    Raises InputError for one that was built of other documents, unless it is to be built again.
    """
    missing = []
    for collection, lang in dict.fromkeys((cell.collection, cell.target) for cell in plan.cells):
        asked = plan.asked[collection]
        built_of = folder.indexed(collection, lang)
        if built_of is None or rebuild:
            missing.append((collection, lang))
        elif built_of != asked.documents_sha256(lang):
            raise InputError(
                f"{folder.index(collection, lang)}: the documents of {asked.row.path} have changed since it was built",
                "build it again with --reindex",
            )
    return missing


def build_indexes(plan: Plan, folder: Folder, rebuild: bool, tell: Callable[[str], None] = say) -> None:
    """Build what is missing, and check that what is judged is in the indexes.

    Raises InputError for qrels that name no document of an index: all values would be 0.
    """
    from xqe.retrieval.lexical import build, open_index

    missing = check_indexes(plan, folder, rebuild)
    for number, (collection, lang) in enumerate(missing, 1):
        asked = plan.asked[collection]
        started = time.monotonic()
        manifest = build(
            folder.index(collection, lang),
            lang,
            documents([str(asked.collection.documents(lang))]),
            replace=True,
            keep_texts=False,
        )
        folder.put_indexed(collection, lang, asked.documents_sha256(lang))
        seconds = duration(time.monotonic() - started)
        tell(f"grid: index {number}/{len(missing)} {collection} {lang}: {manifest.documents} documents, {seconds}")
    for collection, lang in dict.fromkeys((cell.collection, cell.target) for cell in plan.cells):
        asked = plan.asked[collection]
        try:
            index = open_index(folder.index(collection, lang))
        except InputError as error:
            raise InputError(error.message, "build the indexes of the grid again with --reindex") from None
        for pair in asked.pairs:
            if pair[1] == lang:
                _check_judged(asked, pair, index.documents, plan.grid.rel)


def _check_judged(asked: Asked, pair: tuple[str, str], documents: Documents, rel: int) -> None:
    relevant = [one for grades in asked.qrels[pair].values() for one, grade in grades.items() if grade >= rel]
    lacking = int((documents.numbers(relevant) < 0).sum())
    where = f"{asked.row.where}: {asked.collection.qrels(asked.row.split, *pair)}"
    if lacking == len(relevant):
        raise InputError(f"{where}: none of its relevant documents are in the collection", "check the document ids")
    if lacking:
        say(f"{where}: {lacking} of {len(relevant)} relevant documents are not in the collection, and cannot be found")
