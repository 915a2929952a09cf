"""A run of a grid, from its plan to what is said of it at the end."""

from __future__ import annotations

import platform
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from xqe import __version__, machine
from xqe.errors import XqeError
from xqe.experiments.grid import costs
from xqe.experiments.grid.checking import check
from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.generating import Generated, Opener, generate
from xqe.experiments.grid.guidance import Guides
from xqe.experiments.grid.indexing import EncoderOpener, build_indexes, build_translated, embed_indexes
from xqe.experiments.grid.keeping import keep_documents, keep_queries
from xqe.experiments.grid.nights import (
    DROPPED,
    FAILED,
    PASSED,
    Judgement,
    changes,
    judge,
    last_passed,
    means,
    values_of,
)
from xqe.experiments.grid.plan import Plan, Ranked, Texts
from xqe.experiments.grid.reranking import Opener as RerankerOpener
from xqe.experiments.grid.reranking import Reranked, rerank
from xqe.experiments.grid.retrieving import evaluate_cells, evaluate_reranked
from xqe.experiments.grid.searching import Encoding
from xqe.experiments.grid.settings import EncoderRow, Grid, QuestionsRow, RerankRow
from xqe.files.times import now
from xqe.messages import duration, say
from xqe.retrieval.choices import By

Json = dict[str, Any]

_LIBRARIES = (
    "llama-cpp-python",
    "tantivy",
    "pytrec-eval-terrier",
    "numpy",
    "sudachidict-core",
    "rjieba",
    "opencc",
)
_OF_VECTORS = ("onnxruntime", "sentence-transformers")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. summary: one line for the mail. is_good: no failure, and no limit missed."""

    summary: str
    is_good: bool


def conduct(
    plan: Plan,
    folder: Folder,
    open_engine: Opener,
    open_reranker: RerankerOpener,
    open_embedder: EncoderOpener,
    open_encoder: EncoderOpener,
    threads: int,
    tell: Callable[[str], None] = say,
    rebuild: bool = False,
    again: bool = False,
) -> Outcome:
    """Run a grid in its folder, which is locked, and write down all of it; `tell` gets lines about its progress.

    open_embedder: opens the encoder for documents, with no other model open beside it; open_encoder: for queries.

    What is there already, with the key that is wanted, is not done again unless `again`.
    """
    began = time.monotonic()
    before = folder.manifest()
    said = _manifest(plan, folder)
    unfinished = before.get("changed", []) if before.get("finished") is None else []  # by a run that was killed
    changed = list(dict.fromkeys([*unfinished, *changes(before, said)]))
    for line in changed:
        say(f"grid: {line}")
    for name, asked in plan.asked.items():
        if asked.told_pairs is not None:
            tell(f"grid: {name}: {asked.told_pairs}")
    for line in plan.impossible:
        say(f"grid: {line}")
    check(plan, folder, rebuild)
    keep_queries(plan, folder)
    folder.put_manifest({**said, "changed": changed, "finished": before.get("finished") if not changed else None})
    build_indexes(plan, folder, rebuild, tell)
    embed_indexes(plan, folder, open_embedder, tell)
    with Encoding(lambda: open_encoder(_encoder(plan))) as encoding:
        guides = Guides(plan, folder, encoding.encoder)
        generated = generate(plan, folder, open_engine, guides, tell, again)
        build_translated(plan, folder, generated.unable, rebuild, tell)
        embed_indexes(plan, folder, open_embedder, tell)
        counts = evaluate_cells(plan, folder, generated.unable, encoding, threads, tell, again)
    ranked = rerank(plan, folder, open_reranker, tell, again)
    counts += evaluate_reranked(plan, folder, ranked.unable, tell, again)
    if removed := folder.remove_others(plan.cells):
        say(f"grid: {removed} cells that are not in the grid any more are removed")

    values = values_of(plan, folder)
    finished = _Finished(
        plan,
        counts,
        _totals(generated, ranked),
        _failed_records(plan, folder),
        values,
        _judge(plan, folder, values),
        time.monotonic() - began,
    )
    folder.put_manifest(
        {
            **said,
            "machine": {**said["machine"], "gpus": _gpus(folder)},
            "finished": now(),
            "seconds": round(finished.seconds + (before.get("seconds") or 0.0), 3),
            "cells": len(plan.cells),
            "failed_cells": counts["failed"],
            "failed_records": finished.failed_records,
            "generation": _of_models(plan, folder),
            "costs": costs.of_plan(plan, folder),
        }
    )
    hashes = {name: one.get("sha256") for name, one in said["models"].items()}
    _add_history(folder, {**finished.history(), "models": hashes, "changed": changed}, values, bool(counts["done"]))
    keep_documents(plan, folder)
    for line in (*finished.judgement.noise, *finished.judgement.fell):
        say(f"grid: {line}")
    return Outcome(finished.summary(), finished.status == PASSED)


def _encoder(plan: Plan) -> EncoderRow:
    assert plan.grid.encoder is not None  # or nothing is searched by vectors
    return plan.grid.encoder


def _judge(plan: Plan, folder: Folder, values: Json) -> Judgement:
    passed = last_passed(folder.history())
    if passed is None:
        return judge(plan.grid.gate, values, None, None, plan.grid.sampling.seed)
    try:
        earlier = folder.night(passed["values"])
    except XqeError as error:  # a drop would go unseen, night after night
        judgement = judge(plan.grid.gate, values, None, None, plan.grid.sampling.seed)
        return replace(judgement, fell=(*judgement.fell, f"not compared: {error}"))
    return judge(plan.grid.gate, values, earlier, passed["time"], plan.grid.sampling.seed)


def _manifest(plan: Plan, folder: Folder) -> Json:
    """What made the numbers, as far as it is known before they are made."""
    grid = plan.grid
    return {
        "name": grid.name,
        "part": plan.part,
        "grid": grid.raw,
        "xqe": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": _libraries(_LIBRARIES + (_OF_VECTORS if plan.encoder else ())),
        "settings": _settings(plan),
        "machine": {"cores": machine.available_cores(), "memory": machine.total_memory(), "gpus": _gpus(folder)},
        "started": now(),
        "finished": None,
        "seconds": folder.manifest().get("seconds") or 0.0,
        "collections": {name: _collection(plan, folder, name) for name in plan.asked},
        "models": {row.name: {**plan.identities[row.name], "lora": _adapters(plan, row.name)} for row in grid.models},
        **({"encoder": plan.encoder} if plan.encoder else {}),
        **({"rerankers": plan.rerankers} if plan.rerankers else {}),
        "measures": [str(measure) for measure in grid.measures],
        "rel": grid.rel,
        "depth": grid.depth,
        "seed": grid.sampling.seed,
        "cells": len(plan.cells),
        "failed_cells": None,
        "failed_records": None,
        "generation": {},
        "costs": [],
    }


def _settings(plan: Plan) -> Json:
    """What the grid file says or leaves to its defaults, of all that is not told elsewhere."""
    grid = plan.grid
    return {
        "strategies": grid.strategies,
        "orders": grid.orders,
        "uses": grid.uses,
        "baselines": grid.baselines,
        "query_weights": ["auto" if weight is None else weight for weight in grid.query_weights],
        "samples": grid.samples,
        **({"translations": grid.translations} if grid.translations > 1 else {}),
        "sampling": asdict(grid.sampling),
        "passage_tokens": grid.passage_tokens,
        "examples": grid.examples,
        "shots": grid.shots,
        **({"source_weight": grid.raw["source_weight"]} if "source_weight" in grid.raw else {}),
        **(_of_retrievers(grid) if plan.encoder else {}),
        **({"guides": grid.guides, "nearby": grid.nearby} if len(grid.guides) > 1 else {}),
        **({"judges": grid.judges} if len(grid.judges) > 1 else {}),
        **({"presets": {one: asdict(one.choices) for one in grid.presets}} if grid.presets else {}),
        **({"questions": _of_questions(grid.questions)} if grid.questions else {}),
        **({"rerank": [_of_reranker(row) for row in grid.rerankers]} if grid.rerankers else {}),
    }


def _of_questions(row: QuestionsRow) -> Json:
    return {name: value for name, value in asdict(row).items() if name != "where"}


def _of_reranker(row: RerankRow) -> Json:
    return {
        "name": row.name,
        "kind": row.kind,
        "model": row.model.name,
        "n": row.depths,
        "first_weight": row.first_weights,
        "query": row.asked,
        "document_tokens": row.document_tokens,
        "systems": row.systems,
    }


def _of_retrievers(grid: Grid) -> Json:
    return {
        "retrievers": grid.retrievers,
        "encode": grid.encode,
        "dense_weight": _weight(grid) if By.HYBRID in grid.retrievers else None,
    }


def _weight(grid: Grid) -> float | str:
    return "auto" if grid.dense_weight is None else grid.dense_weight


def _gpus(folder: Folder) -> list[str] | None:
    """The GPUs that llama.cpp sees, where this process has loaded it; else what an earlier run has seen."""
    if "xqe.models.engines.llama.library" in sys.modules:
        from xqe.models.engines.llama.library import gpus

        return [gpu.description or gpu.name for gpu in gpus()]
    before: list[str] | None = folder.manifest().get("machine", {}).get("gpus")
    return before


def _adapters(plan: Plan, name: str) -> list[Json]:
    row = next(row for row in plan.grid.models if row.name == name)
    hashes = plan.identities[name].get("lora", [])
    return [
        {"file": Path(file).name, "sha256": sha256, "scale": scale}
        for file, (sha256, scale) in zip(row.lora, hashes, strict=True)
    ]


def _libraries(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _collection(plan: Plan, folder: Folder, name: str) -> Json:
    asked = plan.asked[name]
    manifest = asked.collection.manifest
    return {
        "path": str(asked.row.path),
        "sha256": asked.collection.sha256(),
        "about": manifest.get("about"),
        "source": manifest.get("source"),
        "licence": manifest.get("licence"),
        "split": asked.row.split,
        "pool": manifest.get("pool"),
        "sampled": asked.row.queries,
        **({"drop_self": True} if asked.drop_self else {}),
        "documents": {
            lang: asked.collection.document_count(lang) for lang in sorted({pair[1] for pair in asked.pairs})
        },
        "queries": {
            lang: {"q": folder.queries(name, lang), "count": len(ids)} for lang, ids in asked.all_ids().items()
        },
    }


def _of_models(plan: Plan, folder: Folder) -> dict[str, Json]:
    """What generating took, by model, in all runs so far."""
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for texts in plan.texts:
        said = folder.said_of(texts)
        for what in ("generated", "reused", "tokens", "seconds", "failed"):
            totals[texts.model.name][what] += said.get(what) or 0
    return {
        model: {
            "texts": count["generated"] + count["reused"],
            "reused": count["reused"],
            "tokens": count["tokens"],
            "seconds": round(count["seconds"], 3),
            "failed": count["failed"],
        }
        for model, count in totals.items()
    }


def _failed_records(plan: Plan, folder: Folder) -> int:
    """Records that a stage failed on; those that only passed through it do not count again."""
    stages: list[Texts | Ranked] = [*plan.texts, *plan.ranked]
    return sum(folder.said_of(stage).get("failed_here") or 0 for stage in stages)


def _totals(generated: Generated, ranked: Reranked) -> Counter[str]:
    """What was made in a run. measured: what a model that re-ranks was asked; tokens: of texts and of that."""
    counts: Counter[str] = Counter(generated=0, reused=0, measured=0, tokens=0)
    for tally in generated.tallies.values():
        counts.update(generated=tally.generated, reused=tally.reused, tokens=tally.tokens)
    for tally in ranked.tallies.values():
        counts.update(measured=tally.generated, tokens=tally.tokens)
    return counts


def _add_history(folder: Folder, line: Json, values: Json, is_new: bool) -> None:
    """Add the line of a run to the history, with its values unless they are those of the run before."""
    time_ = now()
    place = f"nights/{time_.replace('-', '').replace(':', '')}.json.gz"
    history = folder.history()
    if history and history[-1].get("values") and not is_new and _is_same(folder, history[-1]["values"], values):
        place = history[-1]["values"]
    else:
        folder.put_night(place, values)
    folder.add_history({"time": time_, **line, "values": place})


def _is_same(folder: Folder, place: str, values: Json) -> bool:
    try:
        return folder.night(place) == values
    except XqeError:
        return False


@dataclass(frozen=True, slots=True)
class _Finished:
    """A run that has come to its end. counts: of cells; totals: of texts, in this run; failed_records: in all."""

    plan: Plan
    counts: Counter[str]
    totals: Counter[str]
    failed_records: int
    values: Json
    judgement: Judgement
    seconds: float

    @property
    def status(self) -> str:
        if self.counts["failed"] or self.failed_records:
            return FAILED
        return DROPPED if self.judgement.fell else PASSED

    def history(self) -> Json:
        """Its line of the history, but for the time and what the manifest says."""
        return {
            "name": self.plan.grid.name,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            **self.totals,
            "cells": len(self.plan.cells),
            "failed_cells": self.counts["failed"],
            "failed_records": self.failed_records,
            "xqe": __version__,
            "queries": sum(map(len, self.values["queries"].values())),
            "measures": {s: {m: round(v, 6) for m, v in each.items()} for s, each in means(self.values).items()},
            "compared": self.judgement.compared,
            "dropped": list(self.judgement.fell),
            "noise": list(self.judgement.noise),
        }

    def summary(self) -> str:
        """One line, in the same order whatever it says: it is the end of a mail, and grep finds it in a log."""
        measures = list(map(str, self.plan.grid.measures))
        measure = "MRR" if "MRR" in measures else measures[0]
        asked = {cell.system for cell in self.plan.cells if cell.texts is None and cell.stock is None}
        made = {name: each for name, each in means(self.values).items() if name not in asked}
        best = max(made.items(), key=lambda item: item[1][measure], default=None)
        parts = [
            f"{len(self.plan.cells)} cells, {self.counts['done']} new, {self.counts['failed']} failed",
            f"{self.totals['generated']} texts generated, {self.totals['reused']} reused",
            *([f"{self.totals['measured']} pairs measured"] if self.plan.ranked else []),
            f"{self.failed_records} records failed",
            duration(self.seconds),
        ]
        if best is not None:
            parts.append(f"best {measure} {100 * best[1][measure]:.2f} ({best[0]})")
        if fell := self.judgement.fell:
            parts.append(f"DROPPED: {fell[0]}" + (f" and {len(fell) - 1} more" if len(fell) > 1 else ""))
        elif self.judgement.compared is not None:
            parts.append(f"no drop since {self.judgement.compared}")
        return f"grid {self.plan.grid.name}: {'; '.join(parts)}"
