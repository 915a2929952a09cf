"""The cells of a plan: each is searched with its texts, and judged."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from xqe.errors import XqeError
from xqe.evaluation.evaluated import average
from xqe.evaluation.values import per_query, ranking
from xqe.experiments.grid.asked import Asked
from xqe.experiments.grid.folder import Folder, FolderError
from xqe.experiments.grid.generating import duration
from xqe.experiments.grid.plan import Cell, Plan
from xqe.experiments.grid.searching import Encoding, Opened
from xqe.files.records import Record, has_failed
from xqe.messages import say
from xqe.retrieval.choices import By
from xqe.stages.search import run_lines, search

Json = dict[str, Any]


def evaluate_cells(
    plan: Plan,
    folder: Folder,
    unable: dict[str, str],
    encoding: Encoding,
    threads: int,
    tell: Callable[[str], None] = say,
    again: bool = False,
) -> Counter[str]:
    """Search and judge the cells that are not done, or with `again` all; return how many were, were there, and failed.

    encoding: of queries, for all cells that need it. A cell that fails says why, and the others go on.
    """
    counts: Counter[str] = Counter(done=0, reused=0, failed=0)
    pending: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.cells:
        if not again and folder.has_cell(cell):
            counts["reused"] += 1
        else:
            pending.setdefault((cell.collection, cell.target), []).append(cell)
    started = time.monotonic()
    total = sum(map(len, pending.values()))
    for (collection, lang), cells in pending.items():
        index = Opened(folder.index(collection, lang), plan.grid, encoding, threads)
        for cell in cells:
            try:
                said = _evaluated(cell, plan, folder, index, unable, threads)
            except FolderError:
                raise
            except XqeError as error:
                said = {**_described(cell, plan), **_EMPTY, "error": str(error)}
                say(f"grid: {cell.place}: {error}")
            folder.put_cell(cell, said)
            counts["failed" if said["error"] else "done"] += 1
        over = counts["done"] + counts["failed"]
        spent = time.monotonic() - started
        left = f"; {duration(spent / over * (total - over))} left" if over < total else ""
        tell(f"grid: searched {collection} {lang}: {over}/{total} cells, {duration(spent)}{left}")
    return counts


_EMPTY: Json = {
    "queries": [],
    "values": {},
    "measures": {},
    "missing": 0,
    "failed": 0,
    "failures": {},
    "first": [],
    "relevant": [],
    "seconds": 0.0,
    "run": None,
}


def _described(cell: Cell, plan: Plan) -> Json:
    """The fields of a cell that say what it is."""
    asked = plan.asked[cell.collection]
    texts = cell.texts
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
        "model": texts.model.name if texts else None,
        "strategy": texts.strategy if texts else None,
        "order": texts.order if texts else None,
        "use": str(cell.use),
        "retriever": str(cell.retriever),
        "query_weight": weight,
        "samples": texts.samples if texts and with_passages else None,
        "documents": asked.collection.document_count(cell.target),
        "pool": asked.collection.is_pool,
        "texts": f"{texts.place}.jsonl" if texts else None,
    }


def _evaluated(cell: Cell, plan: Plan, folder: Folder, index: Opened, unable: dict[str, str], threads: int) -> Json:
    started = time.monotonic()
    grid, asked = plan.grid, plan.asked[cell.collection]
    if cell.texts is not None and cell.texts.place in unable:
        raise XqeError(f"{cell.texts.name}: {unable[cell.texts.place]}")
    records, retriever = _records(cell, asked, folder), index.retriever(cell)
    found = list(search(records, retriever, threads, lambda: cell.place, grid.depth, drop_own=asked.drop_self))
    run = {record["id"]: {hit["id"]: hit["score"] for hit in record["hits"]} for record in found}
    values = per_query(asked.qrels[cell.pair], run, grid.measures, grid.rel)
    queries = [one for one in cell.ids if one in values]
    names = list(map(str, grid.measures))
    ranked = {one: ranking(run.get(one, {})) for one in queries}
    return {
        **_described(cell, plan),
        "queries": queries,
        "values": {name: [round(values[one][name], 6) for one in queries] for name in names},
        "measures": average(values[one] for one in queries),
        "missing": sum(one not in run for one in queries),
        "failed": sum(map(has_failed, found)),
        "failures": {r["id"]: f"{r['error']['step']}: {r['error']['message']}" for r in found if has_failed(r)},
        "first": [ranked[one][0] if ranked[one] else None for one in queries],
        "relevant": [_first_relevant(ranked[one], asked.qrels[cell.pair][one], grid.rel) for one in queries],
        "run": folder.put_run(cell, (line for record in found for line in run_lines(record, cell.system))),
        "seconds": round(time.monotonic() - started, 3),
        "error": None,
    }


def _records(cell: Cell, asked: Asked, folder: Folder) -> Iterable[Record]:
    """What a cell is searched with."""
    if cell.texts is not None:
        done = folder.read_texts(cell.texts)
        return [done[one] for one in cell.ids]
    lang = cell.target if cell.kind == "human" else cell.source
    return [{"id": one, "query": asked.queries[lang][one], "lang": lang} for one in cell.ids]


def _first_relevant(documents: Sequence[str], grades: dict[str, int], rel: int) -> int | None:
    return next((rank for rank, one in enumerate(documents, 1) if grades.get(one, 0) >= rel), None)
