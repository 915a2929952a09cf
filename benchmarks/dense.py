"""Exact search of vectors by xqe and by the flat index of faiss: `make bench-dense`.

    python benchmarks/dense.py [--vectors N] [--dimension 384] [--queries 64] [--k N] [--threads N] [--rounds 3]
                               [--dtype f16|int8] [--folder DIR] [--markdown]

Vectors are random, of length 1. Each side has a process of its own, which searches for a second at least; the sides
take turns, and a ratio is of the same round. faiss (`pip install faiss-cpu`) keeps 4 bytes a number, xqe 2 or 1. Below
a number of queries faiss by itself does not multiply matrices; "faiss, BLAS" is told to.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy
from tables import processor, spread, table

from xqe.files.arrays import Writers
from xqe.files.fingerprints import fingerprints
from xqe.files.names import Names, NamesWriter, Numbering
from xqe.retrieval.choices import Precision
from xqe.retrieval.dense.description import Description, Storing
from xqe.retrieval.dense.opened import opened
from xqe.retrieval.dense.rows import Matrix, stored
from xqe.retrieval.documents import Documents

XQE, FAISS, BLAS = "xqe", "faiss", "faiss, BLAS"
SECONDS = 1.0
BLOCK = 1 << 14  # vectors that are drawn together


def drawn(count: int, dimension: int, seed: int) -> Matrix:
    vectors = numpy.random.default_rng(seed).standard_normal((count, dimension), dtype=numpy.float32)
    vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def write(folder: Path, count: int, dimension: int, precision: Precision) -> None:
    """Random vectors as xqe keeps them, and as faiss is given them."""
    with Writers() as files:
        names, numbering = NamesWriter(folder, "documents", files), Numbering()
        parts: dict[str, Any] = {}
        plain = files.file(folder / "plain")
        for start in range(0, count, BLOCK):
            vectors = drawn(min(BLOCK, count - start), dimension, start)
            plain.write(vectors.tobytes())
            for name, part in stored(vectors, precision).items():
                if name not in parts:
                    parts[name] = files.file(folder / name)
                parts[name].write(part)
            ids = [f"d{number:08}" for number in range(start, start + len(vectors))]
            names.append(ids)
            numbering.add(fingerprints(ids), numpy.arange(start, start + len(vectors)))
        names.finish(numbering)


def searched_by_xqe(job: dict[str, Any], queries: Matrix) -> Callable[[], Any]:
    folder, storing = Path(job["folder"]), Storing(Precision(job["dtype"]))
    description = Description(
        format=1,
        xqe="",
        encoder="random",
        contract={"dimension": job["dimension"]},
        making={},
        **storing.as_json(),
        documents=job["vectors"],
        rows=job["vectors"],
        truncated=0,
        approximate=None,
        files={},
    )
    documents = Documents(Names(folder, "documents"), folder)
    vectors = opened(folder, description, documents, job["threads"])
    return lambda: [numbers.tolist() for numbers, _ in vectors.best(queries, job["k"])]


def searched_by_faiss(job: dict[str, Any], queries: Matrix) -> Callable[[], Any]:
    import faiss

    if job["side"] == BLAS:
        faiss.cvar.distance_compute_blas_threshold = 1
    faiss.omp_set_num_threads(job["threads"])
    index = faiss.IndexFlatIP(job["dimension"])
    index.add(numpy.fromfile(Path(job["folder"]) / "plain", numpy.float32).reshape(-1, job["dimension"]))
    return lambda: index.search(queries, job["k"])[1].tolist()


SIDES = {XQE: searched_by_xqe, FAISS: searched_by_faiss, BLAS: searched_by_faiss}


def search(job: dict[str, Any]) -> dict[str, Any]:
    """Queries a second of one side, and the first hits of each query."""
    queries = drawn(job["queries"], job["dimension"], 1 << 40)
    answer = SIDES[job["side"]](job, queries)
    hits = answer()
    times, start = 0, perf_counter()
    while perf_counter() - start < SECONDS:
        answer()
        times += 1
    return {"rate": times * len(queries) / (perf_counter() - start), "hits": [found[:10] for found in hits]}


def measured(job: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, "--job"], input=json.dumps(job), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, action="append")
    parser.add_argument("--k", type=int, action="append")
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=[*Precision], default=Precision.F16)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(search(json.load(sys.stdin))))
        return
    sides = [*SIDES] if find_spec("faiss") else [XQE]
    if len(sides) == 1:
        print("faiss is not installed (pip install faiss-cpu): xqe alone")
    print(f"{processor()}, {options.queries} queries together, {options.dimension} dimensions, {options.dtype}")
    rows = []
    for count in options.vectors or [33_000, 1_000_000]:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            write(Path(folder), count, options.dimension, Precision(options.dtype))
            for k in options.k or [10, 1000]:
                for threads in options.threads or [1, 2]:
                    job = {
                        "folder": folder,
                        "vectors": count,
                        "dimension": options.dimension,
                        "queries": options.queries,
                        "dtype": options.dtype,
                        "k": k,
                        "threads": threads,
                    }
                    done = [{side: measured({**job, "side": side}) for side in sides} for _ in range(options.rounds)]
                    rows.append([f"{count:,} k={k} threads={threads}", *cells(done)])
    headers = ["vectors", *(f"{side}, queries/s" for side in sides), *(f"xqe : {side}" for side in sides[1:])]
    print(table([*headers, "same hits"], rows, options.markdown))


def cells(rounds: list[dict[str, Any]]) -> list[str]:
    """The rates, their ratios, and the part of the first ten hits that all sides have."""
    sides = [*rounds[0]]
    rates = [spread([one[side]["rate"] for one in rounds], ".0f") for side in sides]
    ratios = [spread([one[XQE]["rate"] / one[side]["rate"] for one in rounds]) for side in sides[1:]]
    hits = list(zip(*(rounds[0][side]["hits"] for side in sides), strict=True))
    same = sum(len(set.intersection(*map(set, found))) / len(found[0]) for found in hits) / len(hits)
    return [*rates, *ratios, f"{same:.3f}"]


if __name__ == "__main__":
    main()
