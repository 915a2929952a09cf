"""Writes tests/golden/trec_eval.json.gz: what trec_eval itself prints for the runs of tests/trec_runs.py.

    python tests/golden/make_trec_eval.py TREC_EVAL

TREC_EVAL is the program. The values in the repository are of version 9.0.4 for Linux, as it lies in Anserini's jar
(trec_eval/trec_eval-linux-amd64 in anserini-1.7.1-fatjar.jar) in the PyPI package pyserini 1.6.0.

{"version", "measures": [trec_eval's names], "cases": [{"sha256" of the two texts, "values": {query or "all": [value of
each measure in ten-thousandths, since trec_eval prints four decimals]}, "num_q"}]}
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from trec_runs import CASES, case

TARGET = Path(__file__).with_name("trec_eval.json.gz")
ASKED = (
    *("success.1,10", "recall.5,50", "P.3,10", "recip_rank"),
    *("ndcg", "ndcg_cut.3,10", "map", "map_cut.3,10"),
)
MEASURES = (
    *("success_1", "success_10", "recall_5", "recall_50", "P_3", "P_10", "recip_rank"),
    *("ndcg", "ndcg_cut_3", "ndcg_cut_10", "map", "map_cut_3", "map_cut_10"),
)


def printed(program: str, qrels: str, run: str, rel: int) -> dict[str, dict[str, str]]:
    """Return query, or "all", -> trec_eval's name of a measure -> what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder, name) for name in ("qrels", "run")]
        for name, text in zip(names, (qrels, run), strict=True):
            name.write_text(text, encoding="utf-8")
        asked = [part for measure in (*ASKED, "num_q") for part in ("-m", measure)]
        command = [program, "-q", "-c", "-l", str(rel), *asked, *map(str, names)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=60)
    found: dict[str, dict[str, str]] = {}
    for line in done.stdout.splitlines():
        measure, query, value = line.split()
        found.setdefault(query, {})[measure] = value
    return found


def golden(program: str, number: int) -> dict[str, Any]:
    qrels, run, rel = case(number)
    found = printed(program, qrels, run, rel)
    return {
        "sha256": hashlib.sha256(f"{qrels}\0{run}\0{rel}".encode()).hexdigest(),
        "num_q": int(found["all"]["num_q"]),
        "values": {
            query: [round(10_000 * float(values[measure])) for measure in MEASURES] for query, values in found.items()
        },
    }


if __name__ == "__main__":
    program = sys.argv[1]
    version = subprocess.run([program, "--version"], capture_output=True, encoding="utf-8", check=True)
    made = {
        "version": (version.stdout + version.stderr).split()[-1],
        "measures": MEASURES,
        "cases": [golden(program, number) for number in range(CASES)],
    }
    TARGET.write_bytes(gzip.compress(json.dumps(made, separators=(",", ":")).encode(), mtime=0))
