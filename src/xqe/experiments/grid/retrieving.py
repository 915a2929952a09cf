"""The cells of a plan: each is searched with its texts, or its hits are those of another re-ranked; and judged."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from xqe.errors import XqeError
from xqe.evaluation.evaluated import average
from xqe.evaluation.values import per_query, ranking
from xqe.experiments.grid import costs
from xqe.experiments.grid.folder import Folder, FolderError
from xqe.experiments.grid.plan import Again, Cell, Plan
from xqe.experiments.grid.reranking import found_again
from xqe.experiments.grid.searching import Encoding, Opened, records_of
from xqe.files.records import Record, has_failed
from xqe.messages import duration, say
from xqe.retrieval.choices import By
from xqe.stages.search import run_lines, search

Json = dict[str, Any]


Found = tuple[list[Record], list[Json]]
"""The records of a cell with their hits, and what its stages cost (`costs`)."""


def evaluate_cells(
    plan: Plan,
    folder: Folder,
    unable: dict[str, str],
    encoding: Encoding,
    threads: int,
    tell: Callable[[str], None] = say,
    again: bool = False,
) -> Counter[str]:
    """Search and judge the cells of the first stage that are not done, or with `again` all of them; return how many
    were, were there, and failed.

    encoding: of queries, for all cells that need it. A cell that fails says why, and the others go on.
    """

    def searching(collection: str, name: str) -> Callable[[Cell], Found]:
        index = Opened(folder.index(collection, name), plan.grid, encoding, threads)
        return lambda cell: _searched(cell, plan, folder, index, unable, threads)

    return _evaluate(plan.searched, plan, folder, searching, tell, again)


def evaluate_reranked(
    plan: Plan, folder: Folder, unable: dict[str, str], tell: Callable[[str], None] = say, again: bool = False
) -> Counter[str]:
    """Judge the cells whose hits are re-ranked, as `evaluate_cells` does the others. unable: rankings."""

    def reordered(cell: Cell) -> Found:
        assert cell.again is not None
        ranked = cell.again.ranked
        if ranked.place in unable:
            raise XqeError(f"{ranked.place}: {unable[ranked.place]}")
        return found_again(cell.again, folder), costs.of_reranking(cell.again, folder)

    return _evaluate(plan.reranked, plan, folder, lambda *_: reordered, tell, again)


def _evaluate(
    cells: Sequence[Cell],
    plan: Plan,
    folder: Folder,
    finding: Callable[[str, str], Callable[[Cell], Found]],
    tell: Callable[[str], None],
    again: bool,
) -> Counter[str]:
    """finding: of a collection and the name of an index, what finds the hits of a cell."""
    counts: Counter[str] = Counter(done=0, reused=0, failed=0)
    pending: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if not again and folder.has_cell(cell):
            counts["reused"] += 1
        else:
            pending.setdefault((cell.collection, cell.index), []).append(cell)
    started = time.monotonic()
    total = sum(map(len, pending.values()))
    for place, some in pending.items():
        found = finding(*place)
        for cell in some:
            began = time.monotonic()
            try:
                said = _evaluated(cell, plan, folder, *found(cell))
            except FolderError:
                raise
            except XqeError as error:
                said = {**_described(cell, plan), **_EMPTY, "error": str(error)}
                say(f"grid: {cell.place}: {error}")
            folder.put_cell(cell, {**said, "seconds": round(time.monotonic() - began, 3)})
            counts["failed" if said["error"] else "done"] += 1
        over = counts["done"] + counts["failed"]
        spent = time.monotonic() - started
        left = f"; {duration(spent / over * (total - over))} left" if over < total else ""
        what = f"{_DONE[some[0].again is None]} {' '.join(place)}"
        tell(f"grid: {what}: {over}/{total} cells, {duration(spent)}{left}")
    return counts


_DONE = {True: "searched", False: "judged re-ranked hits of"}


_EMPTY: Json = {
    "queries": [],
    "values": {},
    "measures": {},
    "missing": 0,
    "failed": 0,
    "failures": {},
    "first": [],
    "relevant": [],
    "costs": [],
    "run": None,
}


def _described(cell: Cell, plan: Plan) -> Json:
    """The fields of a cell that say what it is."""
    asked = plan.asked[cell.collection]
    texts, made = cell.texts, cell.texts or cell.stock
    with_passages = texts is not None and texts.strategy is not None
    weight: str | float | None = None
    if with_passages and cell.use == "query+doc" and cell.retriever is not By.DENSE:
        weight = "auto" if cell.query_weight is None else cell.query_weight
    return {
        "collection": cell.collection,
        "split": asked.row.split,
        "source": cell.source,
        "target": cell.target,
        "system": cell.system,
        "kind": cell.kind,
        "model": made.model.name if made else None,
        "strategy": texts.strategy if texts else None,
        "order": texts.order if texts else None,
        "use": str(cell.use),
        "retriever": str(cell.retriever),
        "query_weight": weight,
        "samples": texts.samples if texts and with_passages else None,
        "questions": None if cell.questions is None else asdict(cell.questions),
        "guided": None if cell.guided is None else asdict(cell.guided),
        "reranked": None if cell.again is None else _reranker(cell.again),
        "documents": asked.collection.document_count(cell.target),
        "pool": asked.collection.is_pool,
        "texts": f"{texts.place}.jsonl" if texts else None,
    }


def _reranker(again: Again) -> Json:
    row = again.ranked.row
    return {
        "system": again.ranked.first.system,
        "name": row.name,
        "kind": row.kind,
        "model": row.model.name,
        "n": again.n,
        "first_weight": again.first_weight,
        "query": row.asked,
        "ranking": f"{again.ranked.place}.jsonl",
    }


def _searched(cell: Cell, plan: Plan, folder: Folder, index: Opened, unable: dict[str, str], threads: int) -> Found:
    grid, asked = plan.grid, plan.asked[cell.collection]
    for made in (cell.texts, cell.stock):
        if made is not None and made.place in unable:
            raise XqeError(f"{made.name}: {unable[made.place]}")
    retriever = index.retriever(cell)
    started = time.monotonic()
    records = index.judged(cell, records_of(cell, asked, folder))
    found = list(search(records, retriever, threads, lambda: cell.place, grid.depth, drop_own=asked.drop_self))
    return found, costs.of_search(cell, folder, time.monotonic() - started)


def _evaluated(cell: Cell, plan: Plan, folder: Folder, found: Sequence[Record], cost: Sequence[Json]) -> Json:
    grid, qrels = plan.grid, plan.asked[cell.collection].qrels[cell.pair]
    run = {record["id"]: {hit["id"]: hit["score"] for hit in record["hits"]} for record in found}
    values = per_query(qrels, run, grid.measures, grid.rel)
    queries = [one for one in cell.ids if one in values]
    names = list(map(str, grid.measures))
    ranked = {one: ranking(run.get(one, {})) for one in queries}
    return {
        **_described(cell, plan),
        "queries": queries,
        "values": {name: [round(values[one][name], 6) for one in queries] for name in names},
        "measures": average(values[one] for one in queries),
        "missing": sum(one not in run for one in queries),
        "failed": sum(map(has_failed, found)) + _failed_documents(cell, folder),
        "failures": {r["id"]: f"{r['error']['step']}: {r['error']['message']}" for r in found if has_failed(r)},
        "first": [ranked[one][0] if ranked[one] else None for one in queries],
        "relevant": [_first_relevant(ranked[one], qrels[one], grid.rel) for one in queries],
        "costs": cost,
        "run": folder.put_run(cell, (line for record in found for line in run_lines(record, cell.system))),
        "error": None,
    }


def _failed_documents(cell: Cell, folder: Folder) -> int:
    """How many documents could not be translated: a cell that lacks some is not done."""
    return 0 if cell.stock is None else int(folder.said_of(cell.stock).get("failed") or 0)


def _first_relevant(documents: Sequence[str], grades: dict[str, int], rel: int) -> int | None:
    return next((rank for rank, one in enumerate(documents, 1) if grades.get(one, 0) >= rel), None)
