"""Writes tests/golden/fusion.json: what ranx makes of three small runs with every method and normalisation.

    python -m venv ranx && ranx/bin/pip install ranx==0.3.21 && ranx/bin/python tests/golden/make_fusion.py

With a number as its argument it writes that many queries of 50 hits to standard output instead, for a comparison
at length. Scores are float64 with nothing equal, since ranx ranks equal scores as they come.
"""

from __future__ import annotations

import json
import random
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("fusion.json")
NORMS = {
    "min-max": "min-max",
    "max": "max",
    "sum": "sum",
    "zmuv": "zmuv",
    "rank": "rank",
    "borda": "borda",
    "none": None,
}
BY_SCORE = {
    "combsum": "sum",
    "combmnz": "mnz",
    "combanz": "anz",
    "combmax": "max",
    "combmin": "min",
    "combmed": "med",
}
BY_RANK = {"rrf": "rrf", "borda": "bordafuse", "isr": "isr"}
WEIGHTS = [0.7, 0.25, 1.5]
RRF_K = 17

Run = dict[str, dict[str, float]]


def random_runs(queries: int, hits: int, seed: int) -> list[Run]:
    """Three runs over the same queries: of positive, of negative and of small scores, and of different lengths."""
    draw = random.Random(seed)
    scales = ((0.0, 40.0), (-9.0, -1.0), (0.0, 1.0))
    lengths = (hits, max(2, hits // 2), max(2, hits - 2))
    documents = [f"d{number}" for number in range(2 * hits)]
    return [
        {
            f"q{query}": {document: draw.uniform(*scale) for document in draw.sample(documents, length)}
            for query in range(queries)
        }
        for scale, length in zip(scales, lengths, strict=True)
    ]


def cases(runs: list[Run]) -> list[dict[str, Any]]:
    """Each with the names of the method and normalisation in xqe, the weights, and query -> document -> score."""
    import ranx  # type: ignore[import-not-found, unused-ignore]

    made = [ranx.Run(run, name=f"run{number}") for number, run in enumerate(runs)]
    positive = [runs[0], runs[2], runs[0]]  # what max can divide
    made_positive = [ranx.Run(run, name=f"run{number}") for number, run in enumerate(positive)]

    def fused(method: str, norm: str | None, of: list[Any] = made, **params: Any) -> Run:
        run: Run = ranx.fuse(runs=of, method=method, norm=norm, params=params).to_dict()
        return run

    out: list[dict[str, Any]] = []
    for norm, theirs in NORMS.items():
        of = made_positive if norm == "max" else made
        for method, function in BY_SCORE.items():
            out.append({"method": method, "norm": norm, "scores": fused(function, theirs, of)})
        weighted = fused("wsum", theirs, of, weights=WEIGHTS)
        out.append({"method": "combsum", "norm": norm, "weights": WEIGHTS, "scores": weighted})
    for method, function in BY_RANK.items():
        out.append({"method": method, "scores": fused(function, None)})
    out.append({"method": "rrf", "rrf_k": RRF_K, "scores": fused("rrf", None, k=RRF_K)})
    out.append({"method": "borda", "weights": WEIGHTS, "scores": fused("w_bordafuse", None, weights=WEIGHTS)})
    return out


def golden(queries: int, hits: int, seed: int) -> str:
    runs = random_runs(queries, hits, seed)
    rows = ",\n".join(json.dumps(case) for case in cases(runs))
    head = f'"ranx": {json.dumps(version("ranx"))}, "of_max": [0, 2, 0]'
    return f'{{{head},\n"runs": {json.dumps(runs)},\n"cases": [\n{rows}\n]}}\n'


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(golden(int(sys.argv[1]), 50, seed=2))
    else:
        TARGET.write_text(golden(2, 5, seed=1), "utf-8")
