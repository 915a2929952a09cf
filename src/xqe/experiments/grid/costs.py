"""What the stages of a cell cost, and those of a whole grid: how much was made, in what time, of how many tokens.

A cost is of one stage of one kind: "stage"; "by", the model or what else does it; "of", what was made, by its place in
the folder; "count", of records or documents; "made", what was asked of a model, or how often an index was; "reused",
what was there already and took no time; "tokens" and "seconds", of what was made.
"""

from __future__ import annotations

from typing import Any

from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.indexing import Needs, Place, count_of, places
from xqe.experiments.grid.plan import TRANSLATE, Again, Cell, Plan, Ranked, Texts

Json = dict[str, Any]

TRANSLATE_DOCUMENTS = "translate documents"
INDEX, EMBED, EXPAND, SEARCH, RERANK = "index", "embed", "expand", "search", "rerank"
_SUMMED = ("count", "made", "reused", "tokens", "seconds")


def of_search(cell: Cell, folder: Folder, seconds: float) -> list[Json]:
    """The costs of a cell of the first stage, in the order of its stages. seconds: of the search."""
    count = len(cell.ids)
    searched = _cost(SEARCH, str(cell.retriever), f"cells/{cell.place}", count, count, seconds)
    return [*(_of_texts(one, folder) for one in reversed(cell.stages)), searched]


def of_reranking(again: Again, folder: Folder) -> list[Json]:
    """The costs of the first stage, then that of the ranking. "part": what this cell takes of it, from 0 to 1."""
    ranked = again.ranked
    first = folder.cell(ranked.first).get("costs") or []
    return [*first, {**_made(RERANK, ranked.row.name, ranked, folder), "part": again.n / ranked.n}]


def of_plan(plan: Plan, folder: Folder) -> list[Json]:
    """The sums over all that was made for a grid, by stage and by what does it."""
    needed = places(plan)
    each = [cost for place, needs in needed.items() for cost in _of_index(place, needs, plan, folder)]
    each += [cost for cell in plan.cells for cost in folder.cell(cell).get("costs") or []]
    sums: dict[tuple[str, str], Json] = {}
    for cost in {cost["of"]: cost for cost in each}.values():
        row = sums.setdefault(
            (cost["stage"], cost["by"]), {"stage": cost["stage"], "by": cost["by"], **dict.fromkeys(_SUMMED, 0)}
        )
        row.update({name: round(row[name] + cost[name], 3) for name in _SUMMED})
    return list(sums.values())


def _of_texts(texts: Texts, folder: Folder) -> Json:
    return _made(TRANSLATE if texts.kind == TRANSLATE else EXPAND, texts.model.name, texts, folder)


def _made(stage: str, by: str, what: Texts | Ranked, folder: Folder) -> Json:
    said = folder.said_of(what)
    return {
        **_cost(stage, by, what.place, said["records"], said["generated"], said["seconds"]),
        "reused": said["reused"],
        "tokens": said["tokens"],
    }


def _of_index(place: Place, needs: Needs, plan: Plan, folder: Folder) -> list[Json]:
    said = folder.indexed(*place)
    count = count_of(plan, place, needs)
    where = f"indexes/{'/'.join(place)}"
    costs = []
    if needs.stock is not None and folder.said_of(needs.stock):
        costs.append(_made(TRANSLATE_DOCUMENTS, needs.stock.model.name, needs.stock, folder))
    if "seconds" in said:
        costs.append(_cost(INDEX, "words", where, count, count, said["seconds"]))
    if "embedding_seconds" in said:
        costs.append(
            _cost(EMBED, said["encoder"]["encoder"], f"{where}/vectors", count, count, said["embedding_seconds"])
        )
    return costs


def _cost(stage: str, by: str, of: str, count: int, made: int, seconds: float) -> Json:
    return {
        "stage": stage,
        "by": by,
        "of": of,
        "count": count,
        "made": made,
        "reused": 0,
        "tokens": 0,
        "seconds": round(seconds, 3),
    }
