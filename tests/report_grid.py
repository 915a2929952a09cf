"""Makes a folder as `xqe grid` leaves one, of made-up results, for the tests of the report.

The ranks are drawn, seeded: each language pair, strategy and order has its own ease, and each query its own difficulty,
so that systems differ as real ones do. The measures follow from the ranks by their definitions.

    python tests/report_grid.py FOLDER [--small]
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

MEASURES = ("Hit@10", "Recall@5", "Recall@50", "MRR", "nDCG@10")
WORDS = {
    "de": [
        "schneller",
        "Rechner",
        "für",
        "Tabellen",
        "im",
        "Netz",
        "mit",
        "großer",
        "Karte",
        "und",
        "Bildern",
        "von",
        "Bergen",
    ],
    "en": [
        "fast",
        "computer",
        "for",
        "tables",
        "on",
        "the",
        "network",
        "with",
        "a",
        "large",
        "map",
        "and",
        "pictures",
        "of",
        "mountains",
    ],
    "ja": ["表計算", "画像", "地図", "山", "高速", "計算機", "通信", "音楽", "編集", "検索"],
    "ru": ["быстрый", "компьютер", "для", "таблиц", "в", "сети", "с", "большой", "картой", "и", "снимками", "гор"],
}
EASE = {"original": -1.6, "translation": 0.0, "human": 0.9, "source-expansion": -1.4, "direct": 0.15, "expansion": 0.35}
STRATEGY = {"zeroshot": 0.0, "cot": -0.25, "rar": -0.1, "fewshot": 0.3}
ORDER = {"te": 0.0, "et": 0.12}
USE = {"query": 0.0, "doc": -0.35, "query+doc": 0.2}
RETRIEVER = {"bm25": 0.0, "dense": 0.4, "hybrid": 0.6}
MODEL = {"tiny": 0.0, "gemma-3-4b": 0.7}
LANGUAGE = {"en": 0.4, "de": 0.2, "ru": -0.2, "ja": -0.5}


@dataclass(frozen=True)
class Shape:
    """What the grid holds."""

    languages: tuple[str, ...] = ("de", "en", "ja", "ru")
    models: tuple[str, ...] = ("tiny", "gemma-3-4b")
    strategies: tuple[str, ...] = ("zeroshot", "cot", "rar", "fewshot")
    collections: tuple[str, ...] = ("debian", "clirmatrix")
    queries: int = 40
    seed: int = 0
    retrievers: tuple[str, ...] = ("bm25",)


SMALL = Shape(("de", "en", "ja"), ("tiny",), ("zeroshot", "fewshot"), ("debian",), 16)


@dataclass(frozen=True)
class Asked:
    """A system of the grid, as a cell names it."""

    name: str
    kind: str
    model: str | None = None
    strategy: str | None = None
    order: str | None = None
    use: str = "query"
    retriever: str = "bm25"


def systems(shape: Shape) -> list[Asked]:
    return [
        one if by == "bm25" else replace(one, name=f"{one.name}.{by}", retriever=by)
        for by in shape.retrievers
        for one in _systems(shape)
    ]


def _systems(shape: Shape) -> list[Asked]:
    made = [Asked("original", "original"), Asked("human", "human")]
    for model in shape.models:
        made.append(Asked(f"{model}.translation", "translation", model))
        for strategy in shape.strategies:
            for use in ("doc", "query+doc"):
                made.append(Asked(f"{model}.{strategy}.e.{use}", "source-expansion", model, strategy, None, use))
                made.append(Asked(f"{model}.{strategy}.d.{use}", "direct", model, strategy, None, use))
                for order in ("te", "et"):
                    made.append(Asked(f"{model}.{strategy}.{order}.{use}", "expansion", model, strategy, order, use))
    return made


def make(folder: Path, shape: Shape = SMALL) -> Path:
    """Write the folder, and return it."""
    queries = {collection: _queries(folder, collection, shape) for collection in shape.collections}
    failed = 0
    count = 0
    for collection in shape.collections:
        for source in shape.languages:
            for target in shape.languages:
                if source == target:
                    continue
                for system in systems(shape):
                    cell = _cell(collection, source, target, system, queries[collection][source], shape)
                    place = folder / "cells" / collection / f"{source}-{target}" / f"{system.name}.json"
                    write(place, cell)
                    failed += cell["failed"]
                    count += 1
        _texts(folder, collection, shape, queries[collection])
    write(folder / "manifest.json", _manifest(shape, count, failed))
    return folder


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def cell_path(folder: Path, pair: str, system: str, collection: str = "debian") -> Path:
    return folder / "cells" / collection / pair / f"{system}.json"


def _lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")


def _queries(folder: Path, collection: str, shape: Shape) -> dict[str, list[dict[str, Any]]]:
    made = {}
    for lang in shape.languages:
        draw = random.Random(f"{shape.seed} {collection} {lang}")
        short = collection == "clirmatrix"
        made[lang] = [
            {
                "id": f"q{number}",
                "query": " ".join(draw.choices(WORDS[lang], k=draw.randint(1, 2) if short else draw.randint(2, 9))),
                "lang": lang,
            }
            for number in range(shape.queries)
        ]
        _lines(folder / "queries" / collection / f"{lang}.jsonl", made[lang])
    return made


def _texts_path(collection: str, source: str, target: str, system: Asked) -> str | None:
    stages = {
        "translation": f"t.{source}-{target}",
        "source-expansion": f"e.{system.strategy}.{source}",
        "direct": f"d.{system.strategy}.{source}-{target}",
        "expansion": f"{system.order}.{system.strategy}.{source}-{target}",
    }
    stage = stages.get(system.kind)
    return f"texts/{collection}/{system.model}/{stage}.jsonl" if stage else None


def _fails(collection: str, system: Asked, source: str, target: str, query: str) -> str | None:
    if system.kind in ("translation", "expansion") and system.model == "tiny" and f"{source}{query}" == "deq3":
        return "translate: the model answered nothing"
    if system.kind == "expansion" and system.strategy == "fewshot" and f"{target}{query}" == "enq7":
        return "expand: the model answered with the query alone"
    return None


def _cell(
    collection: str, source: str, target: str, system: Asked, queries: list[dict[str, Any]], shape: Shape
) -> dict[str, Any]:
    ids = [query["id"] for query in queries]
    cell: dict[str, Any] = {
        "format": 1,
        "key": f"{collection} {source} {target} {system.name}",
        "collection": collection,
        "split": "test",
        "source": source,
        "target": target,
        "system": system.name,
        "kind": system.kind,
        "model": system.model,
        "strategy": system.strategy,
        "order": system.order,
        "use": system.use,
        **({} if shape.retrievers == ("bm25",) else {"retriever": system.retriever}),
        "query_weight": None,
        "samples": 1 if system.strategy else None,
        "documents": 33_075 if collection == "debian" else 4_000,
        "pool": collection == "clirmatrix",
        "queries": ids,
        "missing": 0,
        "seconds": 0.8,
        "run": f"runs/{collection}/{source}-{target}/{system.name}.trec.gz",
        "texts": _texts_path(collection, source, target, system),
        "error": None,
    }
    if (source, target, system.name) == ("ja", "en", f"{shape.models[0]}.zeroshot.et.doc"):
        return cell | {
            "queries": [],
            "first": [],
            "relevant": [],
            "values": {},
            "measures": {},
            "failures": {},
            "failed": 0,
            "error": "xqe search: the index is of another format",
        }
    failures = {
        query: reason for query in ids if (reason := _fails(collection, system, source, target, query)) is not None
    }
    ranks = [
        None if query in failures else _rank(collection, source, target, system, query, shape.seed) for query in ids
    ]
    graded = collection == "clirmatrix"
    columns = [_values(rank, graded) for rank in ranks]
    values = {measure: [column[measure] for column in columns] for measure in MEASURES}
    return cell | {
        "values": values,
        "measures": {measure: sum(column) / len(column) for measure, column in values.items()},
        "failed": len(failures),
        "failures": failures,
        "first": [
            None if rank is None else (f"d{query}" if rank == 1 else "d0")
            for query, rank in zip(ids, ranks, strict=True)
        ],
        "relevant": ranks,
    }


def _rank(collection: str, source: str, target: str, system: Asked, query: str, seed: int) -> int | None:
    own = random.Random(f"{seed} {collection} {query}").gauss(0, 1.2)
    pair = random.Random(f"{seed} {collection} {source} {target} {query}").gauss(0, 0.6)
    noise = random.Random(f"{seed} {collection} {source} {target} {query} {system.name}").gauss(0, 0.6)
    ease = EASE[system.kind] + STRATEGY.get(system.strategy or "", 0) + ORDER.get(system.order or "", 0)
    ease += USE[system.use] if system.strategy else 0
    ease += MODEL.get(system.model or "", 0) + LANGUAGE[source] + LANGUAGE[target]
    ease += 0.6 if collection == "clirmatrix" else 0
    ease += RETRIEVER[system.retriever]
    rank = int(2 ** max(0.0, 3.2 - 1.2 * (own + pair + noise + ease)))
    return rank if rank <= 1000 else None


def _values(rank: int | None, graded: bool) -> dict[str, float]:
    if rank is None:
        return dict.fromkeys(MEASURES, 0.0)
    from math import log2

    found = 0.1 if graded else 1.0  # of the relevant documents
    return {
        "Hit@10": float(rank <= 10),
        "Recall@5": found * (rank <= 5),
        "Recall@50": (3 * found if graded else 1.0) * (rank <= 50),
        "MRR": 1 / rank,
        "nDCG@10": 1 / log2(rank + 1) if rank <= 10 else 0.0,
    }


def _texts(folder: Path, collection: str, shape: Shape, queries: dict[str, list[dict[str, Any]]]) -> None:
    written = set()
    for source in shape.languages:
        for target in shape.languages:
            for system in systems(shape):
                path = _texts_path(collection, source, target, system)
                if source == target or path is None or path in written:
                    continue
                written.add(path)
                records = [_record(path, source, target, system, query, collection) for query in queries[source]]
                _lines(folder / path, records)


def _record(
    path: str, source: str, target: str, system: Asked, query: dict[str, Any], collection: str
) -> dict[str, Any]:
    draw = random.Random(f"{path} {query['id']}")
    lang = source if system.kind in ("source-expansion", "direct") else target
    into = source if system.kind == "source-expansion" else target
    record = {
        "id": query["id"],
        "query": query["query"] if lang == source else " ".join(draw.choices(WORDS[lang], k=4)),
        "lang": lang,
        "source": {"query": query["query"], "lang": source},
        "steps": [{"step": "translate", "from": source, "to": target, "model": system.model}],
    }
    if system.kind != "translation":
        record["passages"] = [" ".join(draw.choices(WORDS[into], k=draw.randint(10, 60))) + "."]
        record["steps"].append({"step": "expand", "strategy": system.strategy, "model": system.model})
    reason = _fails(collection, system, source, target, query["id"])
    if reason is not None:
        step, message = reason.split(": ", 1)
        record["error"] = {"step": step, "message": message}
        record.pop("passages", None)
    return record


def _manifest(shape: Shape, count: int, failed: int) -> dict[str, Any]:
    collections = {
        name: {
            "path": f"collections/{name}",
            "sha256": f"{name:0<64}",
            "source": {"name": name},
            "licence": "made up",
            "split": "test",
            "pool": {"how": "judged documents and 2,000 drawn at random"} if name == "clirmatrix" else None,
            "sampled": shape.queries,
            "documents": dict.fromkeys(shape.languages, 4_000 if name == "clirmatrix" else 33_075),
            "queries": {
                lang: {"q": f"queries/{name}/{lang}.jsonl", "count": shape.queries} for lang in shape.languages
            },
        }
        for name in shape.collections
    }
    return {
        "format": 1,
        "name": "made-up",
        "grid": {"name": "made-up"},
        "xqe": "0.1.0",
        "python": "3.11.7",
        "platform": "Linux",
        "libraries": {"llama-cpp-python": "0.3.36", "tantivy": "0.27.0"},
        "machine": {"cores": 2, "memory": 25_000_000_000, "gpus": []},
        "started": "2026-11-21T19:00:00Z",
        "finished": "2026-11-21T19:20:34Z",
        "seconds": 1234.5,
        "collections": collections,
        "models": {
            model: {"model": model, "file": f"{model}.gguf", "sha256": f"{model:0<64}", "size": None, "lora": []}
            for model in shape.models
        },
        "measures": list(MEASURES),
        "rel": 1,
        "depth": 1000,
        "seed": shape.seed,
        "cells": count,
        "failed_cells": 1,
        "failed_records": failed,
        "generation": {
            model: {"texts": 4000, "reused": 120, "tokens": 310_000, "seconds": 1100.5, "failed": failed}
            for model in shape.models
        },
    }


def make_history(folder: Path, nights: int = 12, seed: int = 0) -> Path:
    """Write a history.jsonl: a change of model in the sixth night, and a drop in the ninth."""
    draw = random.Random(seed)
    names = [system.name for system in systems(SMALL)]
    level = {name: draw.uniform(0.25, 0.45) for name in names}
    lines = []
    for night in range(nights):
        status, changed = "passed", []
        if night == 5:
            changed = ["model tiny: its file has changed"]
            level = {name: value + 0.03 for name, value in level.items()}
        if night == 8:
            status = "dropped"
            level = {name: value - 0.05 for name, value in level.items()}
        measures = {
            name: {"MRR": value + (draw.uniform(-0.004, 0.004) if night in (5, 8) else 0.0), "Hit@10": value + 0.2}
            for name, value in level.items()
        }
        lines.append(
            {
                "time": f"2026-11-{night + 1:02}T19:00:00Z",
                "name": "made-up",
                "status": status,
                "changed": changed,
                "seconds": 1200.0 + night,
                "generated": 0,
                "reused": 4000,
                "tokens": 0,
                "cells": 252,
                "failed_cells": int(night == 8),
                "failed_records": 3,
                "xqe": "0.1.0" if night < 3 else "0.1.1",
                "models": {"tiny": "a" * 64 if night < 5 else "b" * 64},
                "measures": measures,
                "queries": 96,
                "dropped": ["MRR of tiny.fewshot.te.query+doc 43.70 -> 38.70 (-5.00, p 0.003)"] if night == 8 else [],
                "noise": [],
                "values": f"nights/202611{night + 1:02}T190000Z.json.gz",
            }
        )
    path = folder / "history.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    _lines(path, lines)
    return path


if __name__ == "__main__":
    make(Path(sys.argv[1]), SMALL if "--small" in sys.argv else Shape())
    make_history(Path(sys.argv[1]))
