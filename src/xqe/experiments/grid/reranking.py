"""Re-ranking the cells of a plan: a model reads the best hits of a cell once, and what it says is mixed with the first
stage's scores by every weight, down to every depth.

Each ranking is written like the texts of a stage: records as `xqe rerank` leaves them, with the best hits alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy

from xqe.errors import XqeError
from xqe.experiments.grid.folder import Folder, FolderError
from xqe.experiments.grid.generating import Clock
from xqe.experiments.grid.plan import Again, Plan, Ranked
from xqe.experiments.grid.searching import records_of
from xqe.experiments.grid.settings import ModelRow, RerankRow
from xqe.files.documents import documents
from xqe.files.names import NONE, Numbers
from xqe.files.records import Document, Record, has_failed
from xqe.messages import duration, plural, say
from xqe.models.engines.base import Engine
from xqe.retrieval.documents import Numbered
from xqe.retrieval.lexical import open_index
from xqe.stages.generation import Tally
from xqe.stages.rerank.kinds import Kind
from xqe.stages.rerank.listwise import WINDOW, windows
from xqe.stages.rerank.mixing import mixed
from xqe.stages.rerank.reranker import How

Hits = list[dict[str, Any]]
Opener = Callable[[RerankRow], AbstractContextManager[Engine]]


@dataclass(slots=True)
class Reranked:
    """What became of the rankings of a plan. unable: place -> why one could not be made."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    unable: dict[str, str] = field(default_factory=dict)


def rerank(
    plan: Plan, folder: Folder, open_reranker: Opener, tell: Callable[[str], None] = say, again: bool = False
) -> Reranked:
    """Make the rankings that are not there, or with `again` all of them; `tell` gets a line for each.

    Each model is loaded once for each kind. A ranking that cannot be made leaves the cells that need it, and no others,
    undone.
    """
    result = Reranked()
    pending = [ranked for ranked in plan.ranked if again or not folder.has_texts(ranked)]
    for ranked in pending:
        if not folder.cell(ranked.first):
            result.unable[ranked.place] = f"{ranked.first.system} could not be searched"
    pending = [ranked for ranked in pending if ranked.place not in result.unable]
    clock = Clock(float(sum(map(asked_of, pending))))
    number = 0
    for mine in _by_model(pending):
        row = mine[0].row
        try:
            with open_reranker(row) as engine:
                for ranked in mine:
                    number += 1
                    tally, seconds = _ranked(ranked, plan, folder, engine)
                    result.tallies[ranked.place] = tally
                    made = tally.generated + tally.reused
                    clock.count(asked_of(ranked), tally.generated / made if made else 0.0, seconds)
                    where = f"grid: re-ranked {number}/{len(pending)} {ranked.first.place}+{ranked.name}"
                    tell(f"{where}: {_counted(tally)}, {duration(seconds)}; {clock}")
        except FolderError:
            raise
        except XqeError as error:
            left = [ranked for ranked in mine if ranked.place not in result.tallies]
            say(f"grid: {row.model.name}: {error}; {plural(len(left), 'ranking')} are left out")
            result.unable |= {ranked.place: str(error) for ranked in left}
    return result


def _by_model(some: Iterable[Ranked]) -> Iterator[list[Ranked]]:
    """Rankings that one model makes in one way, together."""
    groups: dict[tuple[ModelRow, Kind], list[Ranked]] = {}
    for ranked in some:
        groups.setdefault((ranked.row.model, ranked.row.kind), []).append(ranked)
    yield from groups.values()


def _counted(tally: Tally) -> str:
    failed = f", {tally.failed} failed" if tally.failed else ""
    return f"{tally.records} records, {tally.generated} measured, {tally.reused} reused{failed}"


def asked_of(ranked: Ranked) -> int:
    """The most that a model is asked for a ranking: a query and a document, or a window of documents, each."""
    each = ranked.n if ranked.row.kind.gives_scores else len(windows(ranked.n))
    return each * len(ranked.first.ids)


def _ranked(ranked: Ranked, plan: Plan, folder: Folder, engine: Engine) -> tuple[Tally, float]:
    """Make a ranking and write it; return what was done, and the seconds that it took."""
    cell = ranked.first
    hits = folder.read_run(cell)
    queries = records_of(cell, plan.asked[cell.collection], folder)
    records = [{**record, "hits": hits.get(record["id"], [])[: ranked.n]} for record in queries]
    numbered = open_index(folder.index(cell.collection, cell.index)).documents
    started = time.monotonic()
    tally = Tally()
    done, fell_back = _run(ranked.row, ranked.n, numbered, engine, records, tally)
    seconds = time.monotonic() - started
    if fell_back:
        say(f"grid: {ranked.place}: windows that stayed as they were: {fell_back}; the answer names no document")
    said = {
        "stage": "rerank",
        "kind": ranked.row.kind,
        "model": ranked.row.model.name,
        "n": ranked.n,
        "records": tally.records,
        "failed": tally.failed,
        "failed_here": sum(has_failed(record) and record["error"]["step"] == "rerank" for record in done),
        "fell_back": fell_back,
        "generated": tally.generated,
        "reused": tally.reused,
        "tokens": tally.tokens,
        "seconds": round(seconds, 3),
    }
    folder.put_texts(ranked, done, said)
    return tally, seconds


def _run(
    row: RerankRow, n: int, numbered: Numbered, engine: Engine, records: Sequence[Record], tally: Tally
) -> tuple[list[Record], int]:
    """The records after a model has read their hits, and how many windows stayed as they were."""
    # the weight is of no account: what the model says is taken from the hits, and mixed anew for each cell
    how = How(row.kind, row.template, n, 0.0, row.document_tokens, row.asked)
    reranker = how.reranker(engine, numbered)
    return list(reranker.run(records, tally)), reranker.fell_back


# ---------------------------------------------------------------- a cell


def found_again(again: Again, folder: Folder) -> list[Record]:
    """The records of a cell of the first stage, with their best hits in the order that a model and the weight give."""
    hits = folder.read_run(again.ranked.first)
    return [
        {**record, "hits": _reordered(again, hits.get(name, []), record["hits"])}
        for name, record in folder.read_texts(again.ranked).items()
    ]


def _reordered(again: Again, hits: Hits, ranked: Hits) -> Hits:
    """All hits of a query. ranked: the best of them, as the model left them; as they were where it could not."""
    if not ranked or "reranked" not in ranked[0]:
        return hits
    if again.first_weight is None:
        return [*ranked, *hits[len(ranked) :]]
    said = sorted((hit["reranked"] for hit in ranked), key=lambda one: one["rank"])
    return mixed(hits, [one["score"] for one in said[: again.n]], again.first_weight)


# ---------------------------------------------------------------- an estimate


_QUERIES, _PAIRS = 4, 8  # that are ranked for it, and documents of each where those are ranked one by one

Rates = dict[str, float]
"""Seconds for each thing that a model is asked (`asked_of`), by the name of the way to re-rank."""


class _Some(Numbered):
    """A few documents of a collection that may have no index yet."""

    has_texts = True

    def __init__(self, some: Sequence[Document]) -> None:
        self._some = some

    def __len__(self) -> int:
        return len(self._some)

    def ids(self, numbers: Numbers) -> list[str]:
        return [self._some[number].id for number in numbers.tolist()]

    def numbers(self, ids: Sequence[str]) -> Numbers:
        places = {document.id: place for place, document in enumerate(self._some)}
        return numpy.array([places.get(one, NONE) for one in ids], numpy.int64)

    def text(self, number: int) -> str:
        return self._some[number].searched


def undone(plan: Plan, folder: Folder) -> list[Ranked]:
    return [ranked for ranked in plan.ranked if not folder.has_texts(ranked)]


def measured_ranking(plan: Plan, folder: Folder, open_reranker: Opener) -> Rates:
    """Return how long rankings take, from a few queries and documents that are ranked now, and thrown away."""
    found: Rates = {}
    samples = {ranked.row.name: ranked for ranked in reversed(undone(plan, folder))}
    for some in _by_model(samples.values()):
        with open_reranker(some[0].row) as engine:
            found |= {ranked.row.name: _rate(ranked, plan, engine) for ranked in some}
    return found


def _rate(ranked: Ranked, plan: Plan, engine: Engine) -> float:
    cell, row = ranked.first, ranked.row
    asked = plan.asked[cell.collection]
    most = min(ranked.n, _PAIRS if row.kind.gives_scores else WINDOW)
    source = documents([str(asked.collection.documents(cell.target))])
    some = [document for _, document in islice(source, most)]
    hits = [{"id": document.id, "score": float(-rank)} for rank, document in enumerate(some)]
    records = [
        {"id": one, "query": asked.queries[cell.source][one], "lang": cell.source, "hits": hits}
        for one in cell.ids[:_QUERIES]
    ]
    _run(row, most, _Some(some), engine, records[:1], Tally())  # what is done once, it does now
    started = time.monotonic()
    _run(row, most, _Some(some), engine, records, Tally())
    count = len(records) * (len(some) if row.kind.gives_scores else 1)
    return (time.monotonic() - started) / count


def estimate_ranking(plan: Plan, folder: Folder, rates: Rates) -> float:
    """Seconds that the rankings of a plan that are not done will take."""
    return sum(asked_of(ranked) * rates[ranked.row.name] for ranked in undone(plan, folder))
