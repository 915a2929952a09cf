"""The indexes of a plan: of each collection and language of documents, and of translated documents, built once for all
cells, and where vectors are searched, embedded once.

An index that words alone are searched in, and whose documents no model reads, to re-rank them or to expand queries,
keeps no texts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xqe.errors import InputError
from xqe.evaluation.values import called, without_relevant
from xqe.experiments.grid.asked import Asked
from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.keys import agree
from xqe.experiments.grid.pairs import Pair
from xqe.experiments.grid.plan import Cell, Plan, Texts
from xqe.experiments.grid.settings import EncoderRow, QuestionsRow
from xqe.files.documents import Placed, documents
from xqe.files.records import Document
from xqe.messages import Progress, duration, say

if TYPE_CHECKING:
    from xqe.models.encoders.base import Encoder
    from xqe.retrieval.documents import Documents
    from xqe.retrieval.lexical import Index

EncoderOpener = Callable[[EncoderRow], "Encoder"]
Place = tuple[str, str]
"""Of an index: the collection, and its name there (`Cell.index`)."""

_OFTEN = 10.0
"""Seconds between two lines about vectors."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What an index has to have. lang: of its documents. stock: what translates them, None where nothing does. pairs:
    that are searched in it."""

    lang: str
    stock: Texts | None
    pairs: tuple[Pair, ...] = ()
    vectors: bool = False
    texts: bool = False
    questions: bool = False

    def and_for(self, cell: Cell) -> Needs:
        is_shown = any(texts.guide.has_nearby for texts in cell.stages)
        is_read = cell.by_vectors or cell.again is not None or is_shown
        return replace(
            self,
            pairs=self.pairs if cell.pair in self.pairs else (*self.pairs, cell.pair),
            vectors=self.vectors or cell.by_vectors or is_shown,
            texts=self.texts or is_read or (cell.texts is not None and cell.texts.reads > 0),
            questions=self.questions or cell.questions is not None,
        )


def places(plan: Plan) -> dict[Place, Needs]:
    """The indexes that a plan needs, and with what."""
    needed: dict[Place, Needs] = {}
    for cell in plan.cells:
        place = (cell.collection, cell.index)
        lang = cell.target if cell.stock is None else cell.source
        needed[place] = needed.get(place, Needs(lang, cell.stock)).and_for(cell)
    return needed


def check_indexes(plan: Plan, folder: Folder, rebuild: bool) -> list[Place]:
    """Return the indexes that have to be built, as for want of their texts.

    Raises InputError for one that was built of other documents, or that another encoder has embedded, unless it is to
    be built again.
    """
    missing = []
    for place, needs in places(plan).items():
        asked = plan.asked[place[0]]
        said, where = folder.indexed(*place), folder.index(*place)
        if not said or rebuild:
            missing.append(place)
        elif needs.stock is not None and said.get("documents") != _made_of(asked, needs, folder):
            missing.append(place)  # they were translated anew
        elif needs.stock is None and said.get("documents") != _made_of(asked, needs, folder):
            raise InputError(
                f"{where}: the documents of {asked.row.path} have changed since it was built",
                "build it again with --reindex",
            )
        elif needs.questions and said.get("questions", sha := asked.questions_sha256(needs.lang)) != sha:
            raise InputError(
                f"{where}: the questions in {asked.row.questions[needs.lang]} have changed since it was built",
                "build it again with --reindex",
            )
        elif (needs.texts and not said.get("texts")) or (needs.questions and "questions" not in said):
            missing.append(place)
        elif needs.vectors and plan.encoder is not None and not agree(said.get("encoder", plan.encoder), plan.encoder):
            raise InputError(
                f"{where}: another encoder made its vectors ({said['encoder']['encoder']})",
                "make them anew with --reindex, or keep to that encoder",
            )
    return missing


def _made_of(asked: Asked, needs: Needs, folder: Folder) -> str:
    """What an index is built of, as a key."""
    if needs.stock is None:
        return asked.documents_sha256(needs.lang)
    return f"{needs.stock.key} {folder.said_of(needs.stock).get('bytes')}"  # what failed before may be there by now


def unembedded(plan: Plan, folder: Folder, missing: Iterable[Place]) -> dict[Place, int]:
    """The indexes whose vectors are not made, and how many documents each has. missing: those that are not built."""
    return {
        place: count_of(plan, place, needs)
        for place, needs in places(plan).items()
        if needs.vectors and (place in missing or "encoder" not in folder.indexed(*place))
    }


def count_of(plan: Plan, place: Place, needs: Needs) -> int:
    """How many documents an index has."""
    if needs.stock is not None:
        return needs.stock.documents
    return plan.asked[place[0]].collection.document_count(needs.lang)


def build_indexes(plan: Plan, folder: Folder, rebuild: bool, tell: Callable[[str], None] = say) -> None:
    """Build what is missing of the collections' own documents, and check that what is judged is in the indexes.

    Raises InputError for qrels that name no document of an index: all values would be 0; and where no question is in a
    language that counts.
    """
    from xqe.retrieval.lexical import open_index

    needed = {place: needs for place, needs in places(plan).items() if needs.stock is None}
    _build([place for place in check_indexes(plan, folder, rebuild) if place in needed], plan, folder, tell)
    for place, needs in needed.items():
        try:
            index = open_index(folder.index(*place))
        except InputError as error:
            raise InputError(error.message, "build the indexes of the grid again with --reindex") from None
        asked = plan.asked[place[0]]
        if needs.questions and plan.grid.questions is not None:
            _check_questions(plan.grid.questions, asked.row.questions[needs.lang], index.manifest.questions)
        for pair in asked.pairs:
            if pair[1] == needs.lang:
                _check_judged(asked, pair, index.documents, plan.grid.rel)


def build_translated(
    plan: Plan, folder: Folder, unable: dict[str, str], rebuild: bool, tell: Callable[[str], None] = say
) -> None:
    """Build what is missing of translated documents. unable: place -> why a stage could not be run; those of which no
    document came out are added."""
    for stock in {needs.stock for needs in places(plan).values() if needs.stock is not None}:
        said = folder.said_of(stock)
        if said and said["failed"] == said["records"]:
            unable[stock.place] = f"none of {said['records']} documents could be translated"
    needed = {
        place: needs
        for place, needs in places(plan).items()
        if needs.stock is not None and needs.stock.place not in unable
    }
    _build([place for place in check_indexes(plan, folder, rebuild) if place in needed], plan, folder, tell)


def _build(missing: Sequence[Place], plan: Plan, folder: Folder, tell: Callable[[str], None]) -> None:
    from xqe.retrieval.lexical import build

    needed = places(plan)
    for number, place in enumerate(missing, 1):
        needs, asked = needed[place], plan.asked[place[0]]
        started = time.monotonic()
        with Progress(f"index {' '.join(place)}", count_of(plan, place, needs)) as shown:
            shown.doing = "analysing"
            arriving = _arriving(needs, asked, folder)
            manifest = build(
                folder.index(*place), needs.lang, arriving, replace=True, keep_texts=needs.texts, shown=shown
            )
        seconds = time.monotonic() - started
        said: dict[str, Any] = {
            "documents": _made_of(asked, needs, folder),
            "count": manifest.documents,
            "seconds": round(seconds, 3),
            **({"texts": True} if needs.texts else {}),
            **({"questions": asked.questions_sha256(needs.lang)} if needs.questions else {}),
        }
        folder.put_indexed(*place, said)
        where = f"grid: index {number}/{len(missing)} {' '.join(place)}"
        tell(f"{where}: {manifest.documents} documents, {duration(seconds)}")


def _arriving(needs: Needs, asked: Asked, folder: Folder) -> Iterator[Placed]:
    """The documents of an index. Of translated ones, those that could not be translated are left out."""
    if needs.stock is not None:
        return documents([str(folder.texts(needs.stock))], on_failed=lambda _: None)
    return _with_questions(asked, needs.lang) if needs.questions else _documents(asked, needs.lang)


def _documents(asked: Asked, lang: str) -> Iterator[Placed]:
    return documents([str(asked.collection.documents(lang))])


def _with_questions(asked: Asked, lang: str) -> Iterator[Placed]:
    """The documents of a collection with their questions. Raises InputError where they are not those of the collection,
    all of them in their order."""
    file = asked.row.questions[lang]
    pairs = zip_longest(documents([str(file)]), _documents(asked, lang))
    for augmented, plain in pairs:
        if augmented is None or plain is None or _without(augmented[1]) != _without(plain[1]):
            where = f"{file}: ends" if augmented is None else augmented[0]
            raise InputError(
                f"{where}: not the document of {asked.row.path}",
                f"make questions for what lies in {asked.collection.documents(lang)}",
            )
        yield augmented


def _without(document: Document) -> tuple[str, str, str]:
    return document.id, document.title, document.text


def _check_questions(row: QuestionsRow, file: Path, there: Collection[str]) -> None:
    if not there:
        raise InputError(f"{file}: no document has questions", "xqe augment writes them")
    if row.languages is not None and not set(row.languages).intersection(there):
        lacks = f"{row.where}.languages: {file} has no questions in {', '.join(row.languages)}"
        raise InputError(lacks, f"there are {', '.join(there)}")


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
    missing = [place for place in unembedded(plan, folder, ()) if folder.indexed(*place)]
    if plan.grid.encoder is None or not missing:
        return
    from xqe.retrieval.lexical import open_index

    with open_encoder(plan.grid.encoder) as encoder:
        for number, (collection, lang) in enumerate(missing, 1):
            directory = folder.index(collection, lang)
            started = time.monotonic()
            index = open_index(directory)
            documents = index.documents
            where = f"grid: vectors {number}/{len(missing)} {collection} {lang}"
            for done, left in _embedding(directory, index, encoder):
                tell(f"{where}: {done}/{len(documents)} documents, {duration(left)} left")
            seconds = time.monotonic() - started
            said = {"encoder": plan.encoder, "embedding_seconds": round(seconds, 3)}
            folder.put_indexed(collection, lang, {**folder.indexed(collection, lang), **said})
            tell(f"{where}: {len(documents)} documents, {duration(seconds)}")


def _embedding(directory: Path, index: Index, encoder: Encoder) -> Iterator[tuple[int, float]]:
    """Make the vectors of an index and of its questions, unless they are there; yield now and then how many are, and
    the seconds left."""
    from xqe.retrieval.dense.building import embed, folder_of, lacking
    from xqe.retrieval.dense.description import DESCRIPTION, Storing

    documents, languages = index.documents, index.manifest.questions
    if (folder_of(documents, encoder) / DESCRIPTION).is_file() and not lacking(documents, encoder, languages):
        return  # a run was killed after it had made them
    questions = {code: index.questions(code) for code in languages}
    total = len(documents) + sum(len(its.owners) for its in questions.values())
    counts = embed(directory, documents, encoder, Storing(), questions=questions)
    before = next(counts)
    started = told = time.monotonic()
    for done in counts:
        now = time.monotonic()
        if now - told >= _OFTEN and done < total:
            told = now
            yield done, (now - started) / (done - before) * (total - done)
