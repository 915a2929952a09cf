"""What a grid keeps for who reads of it: the judgements of its queries, these as people wrote them in the documents'
language, and how the documents begin that were relevant or found first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xqe.experiments.grid.asked import Asked
from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.plan import Plan
from xqe.files.trec import Qrels

RELEVANT = 3
"""Of a query, so many documents of the highest grades are kept."""
LONGEST = 600
"""Characters of a document that are kept."""


def keep_queries(plan: Plan, folder: Folder) -> None:
    """Write the queries that are asked, what is relevant to them, and what people wrote in their place."""
    for name, asked in plan.asked.items():
        for lang, ids in asked.all_ids().items():
            folder.put_queries(name, lang, {one: asked.queries[lang][one] for one in ids})
        for pair, qrels in asked.qrels.items():
            folder.put_qrels(name, pair, qrels)
        human: dict[str, dict[str, str]] = {}
        for pair, ids in asked.pairs.items():
            if asked.has_human(pair):
                human.setdefault(pair[1], {}).update({one: asked.queries[pair[1]][one] for one in ids})
        for lang, queries in human.items():
            folder.put_human(name, lang, queries)


def keep_documents(plan: Plan, folder: Folder) -> None:
    """Write how the documents begin that are relevant to a query, or the first hit of a cell: one reading of a
    collection's file for each language in which some are not there yet."""
    wanted: dict[tuple[str, str], dict[str, None]] = {}
    for name, asked in plan.asked.items():
        for (_, target), qrels in asked.qrels.items():
            wanted.setdefault((name, target), {}).update(dict.fromkeys(_relevant(qrels, plan.grid.rel)))
    for cell in plan.cells:
        firsts = (one for one in folder.cell(cell).get("first") or () if one is not None)
        wanted[cell.collection, cell.target].update(dict.fromkeys(firsts))
    for (name, lang), ids in wanted.items():
        sha256 = plan.asked[name].documents_sha256(lang)
        if not ids.keys() <= folder.kept(name, lang, sha256):
            folder.put_documents(name, lang, sha256, list(_beginnings(plan.asked[name], lang, ids)))


def _relevant(qrels: Qrels, rel: int) -> Iterator[str]:
    for grades in qrels.values():
        best = sorted((one for one in grades if grades[one] >= rel), key=lambda one: -grades[one])
        yield from best[:RELEVANT]


def _beginnings(asked: Asked, lang: str, ids: Mapping[str, None]) -> Iterator[dict[str, str]]:
    for one in asked.collection.read_documents(lang):
        if one.id in ids:
            yield {"id": one.id, **({"title": one.title} if one.title else {}), "text": one.text[:LONGEST]}
