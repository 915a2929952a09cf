"""The indexes of a plan: of each collection and language of documents, built once for all cells, and where vectors are
searched, embedded once.

An index that words alone are searched in, and whose documents no model reads to re-rank them, keeps no texts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xqe.errors import InputError
from xqe.evaluation.values import called, without_relevant
from xqe.experiments.grid.asked import Asked
from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.generating import duration
from xqe.experiments.grid.keys import agree
from xqe.experiments.grid.plan import Plan
from xqe.experiments.grid.settings import EncoderRow
from xqe.files.documents import documents
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.models.encoders.base import Encoder
    from xqe.retrieval.documents import Documents

EncoderOpener = Callable[[EncoderRow], "Encoder"]
Place = tuple[str, str]
"""Of an index: the collection, the language of the documents."""

_OFTEN = 10.0
"""Seconds between two lines about vectors."""


class Needs(NamedTuple):
    """What an index has to have besides words."""

    vectors: bool = False
    texts: bool = False


def places(plan: Plan) -> dict[Place, Needs]:
    """The indexes that a plan needs, and with what."""
    needed: dict[Place, Needs] = {}
    for cell in plan.cells:
        place = (cell.collection, cell.target)
        before = needed.get(place, Needs())
        is_read = cell.by_vectors or cell.again is not None
        needed[place] = Needs(before.vectors or cell.by_vectors, before.texts or is_read)
    return needed


def check_indexes(plan: Plan, folder: Folder, rebuild: bool) -> list[Place]:
    """Return the indexes that have to be built, as for want of their texts.

    Raises InputError for one that was built of other documents, or that another encoder has embedded, unless it is to
    be built again.
    """
    missing = []
    for (collection, lang), needs in places(plan).items():
        asked = plan.asked[collection]
        said = folder.indexed(collection, lang)
        if not said or rebuild:
            missing.append((collection, lang))
        elif said.get("documents") != asked.documents_sha256(lang):
            raise InputError(
                f"{folder.index(collection, lang)}: the documents of {asked.row.path} have changed since it was built",
                "build it again with --reindex",
            )
        elif needs.texts and not said.get("texts"):
            missing.append((collection, lang))
        elif needs.vectors and plan.encoder is not None and not agree(said.get("encoder", plan.encoder), plan.encoder):
            raise InputError(
                f"{folder.index(collection, lang)}: another encoder made its vectors ({said['encoder']['encoder']})",
                "make them anew with --reindex, or keep to that encoder",
            )
    return missing


def unembedded(plan: Plan, folder: Folder, missing: Iterable[Place]) -> dict[Place, int]:
    """The indexes whose vectors are not made, and how many documents each has. missing: those that are not built."""
    return {
        (collection, lang): plan.asked[collection].collection.document_count(lang)
        for (collection, lang), needs in places(plan).items()
        if needs.vectors and ((collection, lang) in missing or "encoder" not in folder.indexed(collection, lang))
    }


def build_indexes(plan: Plan, folder: Folder, rebuild: bool, tell: Callable[[str], None] = say) -> None:
    """Build what is missing, and check that what is judged is in the indexes.

    Raises InputError for qrels that name no document of an index: all values would be 0.
    """
    from xqe.retrieval.lexical import build, open_index

    missing = check_indexes(plan, folder, rebuild)
    needed = places(plan)
    for number, (collection, lang) in enumerate(missing, 1):
        asked = plan.asked[collection]
        started = time.monotonic()
        manifest = build(
            folder.index(collection, lang),
            lang,
            documents([str(asked.collection.documents(lang))]),
            replace=True,
            keep_texts=needed[collection, lang].texts,
        )
        seconds = time.monotonic() - started
        said = {"documents": asked.documents_sha256(lang), "count": manifest.documents, "seconds": round(seconds, 3)}
        texts = {"texts": True} if needed[collection, lang].texts else {}
        folder.put_indexed(collection, lang, {**said, **texts})
        where = f"grid: index {number}/{len(missing)} {collection} {lang}"
        tell(f"{where}: {manifest.documents} documents, {duration(seconds)}")
    for collection, lang in needed:
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
    if idle := len(without_relevant(asked.qrels[pair], rel)):
        total = len(asked.qrels[pair])
        say(f"{where}: {idle} of {total} queries have no {called(rel)} and count as 0, as in trec_eval")
    if lacking == len(relevant):
        raise InputError(f"{where}: none of its relevant documents are in the collection", "check the document ids")
    if lacking:
        say(f"{where}: {lacking} of {len(relevant)} relevant documents are not in the collection, and cannot be found")


def embed_indexes(plan: Plan, folder: Folder, open_encoder: EncoderOpener, tell: Callable[[str], None] = say) -> None:
    """Make the vectors that are missing; a run that was killed is gone on with. Raises XqeError where that fails."""
    missing = unembedded(plan, folder, ())
    if plan.grid.encoder is None or not missing:
        return
    from xqe.retrieval.lexical import open_index

    with open_encoder(plan.grid.encoder) as encoder:
        for number, (collection, lang) in enumerate(missing, 1):
            directory = folder.index(collection, lang)
            started = time.monotonic()
            documents = open_index(directory).documents
            where = f"grid: vectors {number}/{len(missing)} {collection} {lang}"
            for done, left in _embedding(directory, documents, encoder):
                tell(f"{where}: {done}/{len(documents)} documents, {duration(left)} left")
            seconds = time.monotonic() - started
            said = {"encoder": plan.encoder, "embedding_seconds": round(seconds, 3)}
            folder.put_indexed(collection, lang, {**folder.indexed(collection, lang), **said})
            tell(f"{where}: {len(documents)} documents, {duration(seconds)}")


def _embedding(directory: Path, documents: Documents, encoder: Encoder) -> Iterator[tuple[int, float]]:
    """Make the vectors of an index, unless they are there; yield now and then how many are, and the seconds left."""
    from xqe.retrieval.dense.building import embed, folder_of
    from xqe.retrieval.dense.description import DESCRIPTION, Storing

    if (folder_of(documents, encoder) / DESCRIPTION).is_file():  # a run was killed after it had made them
        return
    counts = embed(directory, documents, encoder, Storing())
    before = next(counts)
    started = told = time.monotonic()
    for done in counts:
        now = time.monotonic()
        if now - told >= _OFTEN and done < len(documents):
            told = now
            yield done, (now - started) / (done - before) * (len(documents) - done)
