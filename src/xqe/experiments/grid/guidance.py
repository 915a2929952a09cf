"""Texts of a grid that an encoder guides: what their prompts show, and the judge of what is searched with.

The worked examples come from the train split: for passages those of the collection's file, for translations its queries
that are there in both languages, without those that share a mark with an evaluated one (`collections.leakage`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from xqe.collections.layout import Collection
from xqe.collections.leakage import Best, Naming, best, judgements, marks
from xqe.errors import InputError
from xqe.experiments.grid.asked import Asked
from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.pairs import Pair
from xqe.experiments.grid.plan import TRANSLATE, Plan, Texts
from xqe.experiments.grid.settings import TRAIN, Guidance
from xqe.files.records import Record
from xqe.models.encoders.base import Encoder
from xqe.models.examples import Example
from xqe.models.examples.pairs import SHOTS, Pairs
from xqe.retrieval.dense import open_vectors
from xqe.retrieval.dense.building import folder_of
from xqe.retrieval.lexical import open_index
from xqe.retrieval.nearest import Dense
from xqe.stages.librarian.choosing import Choice
from xqe.stages.librarian.guide import Guide
from xqe.stages.librarian.nearby import Nearby


class Guides:
    """What guides the texts of a plan, each opened when it is first needed. encoder: raises XqeError where it cannot be
    opened."""

    def __init__(self, plan: Plan, folder: Folder, encoder: Callable[[], Encoder]) -> None:
        self._plan, self._folder, self._encoder = plan, folder, encoder
        self._nearby: dict[tuple[str, str], Nearby] = {}

    def of(self, texts: Texts) -> Guide | None:
        """Raises XqeError where it cannot be opened."""
        if texts.guide is Guidance.PLAIN:
            return None
        field = "source" if texts.kind == TRANSLATE else "query"
        choice = Choice(self._encoder(), field) if texts.guide.has_examples else None
        return Guide(choice, self._nearby_of(texts) if texts.guide.has_nearby else None)

    def pairs(self, texts: Texts) -> Pairs | None:
        """The examples of translation that texts are made after, None for the built-in ones."""
        if texts.kind != TRANSLATE or not texts.guide.has_examples or texts.target is None:
            return None
        asked, seed = self._plan.asked[texts.collection], self._plan.grid.sampling.seed
        return Pairs(train_pairs(asked, (texts.source, texts.target)), f"{asked.row.where}: {TRAIN}", SHOTS, seed)

    def _nearby_of(self, texts: Texts) -> Nearby:
        assert texts.target is not None  # or nothing says which index
        place = (texts.collection, texts.target)
        if place not in self._nearby:
            directory, encoder = self._folder.index(*place), self._encoder()
            index = open_index(directory)
            vectors = open_vectors(directory, index.documents, folder_of(index.documents, encoder).name)
            code = index.manifest.language
            dense = Dense(index.name, code, index.documents, vectors, encoder)
            drop_own = self._plan.asked[texts.collection].drop_self
            self._nearby[place] = Nearby(dense, index.name, code, self._plan.grid.nearby, drop_own)
        return self._nearby[place]


def ahead(guide: Guide | None, records: Iterable[Record]) -> Iterable[Record]:
    """The records, which a guide looks at ahead."""
    return records if guide is None else guide.ahead(records)


def train_pairs(asked: Asked, pair: Pair) -> list[Example]:
    """The queries of the train split that are there in both languages, and give no evaluated query away. Raises
    InputError where there are none."""
    collection, (source, target) = asked.collection, pair
    naming = Naming.of(collection)
    there = collection.query_languages(TRAIN) if TRAIN in collection.splits else []
    if not (naming.parallel and source in there and target in there):
        raise InputError(
            f'{asked.row.where}: guides: no "{TRAIN}" queries that are there in {source} and in {target}',
            "worked examples of translations are made of them; leave those guides out",
        )
    texts = {lang: collection.read_queries(TRAIN, lang) for lang in pair}
    evaluated = {lang: collection.read_queries(asked.row.split, lang) for lang in asked.queries}
    held_out = {mark for _, mark in marks(naming, evaluated, asked.pairs, partial(_best, collection, asked.row.split))}
    pairs = [one for one in collection.pairs(TRAIN) if one[0] in texts]
    leaking = {
        name for (_, name), mark in marks(naming, texts, pairs, partial(_best, collection, TRAIN)) if mark in held_out
    }
    return [
        {"source": text, "target": texts[target][name]}
        for name, text in texts[source].items()
        if name in texts[target] and name not in leaking
    ]


def _best(collection: Collection, split: str, pair: Pair) -> Best:
    return best(judgements(collection, split, pair))
