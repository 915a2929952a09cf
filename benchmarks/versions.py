"""`xqe search` of this version and of another, as whole processes that run in turn.

    python benchmarks/versions.py CHECKOUT [--collection synthetic] [--documents 100000] [--queries 400] [--k N]
                                  [--threads N] [--rounds 3] [--folder DIR] [--markdown]

CHECKOUT has the other version, whose libraries are this one's. Read the ratios. README.md says more.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from corpora import MAKERS, cache, collection
from processes import Done, run
from tables import processor, spread, table

from xqe.machine import available_cores

CASES = {"records": [], "a TREC run": ["--format", "trec"]}
QUERIES = 1000  # of a collection


def command(source: Path, *arguments: str) -> list[str]:
    return ["env", f"PYTHONPATH={source / 'src'}", "XQE_SERVER=off", sys.executable, "-m", "xqe", *arguments]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--collection", choices=list(MAKERS), default="synthetic")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--k", type=int, action="append", help="hits for a query; repeatable: 1000")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=cache())
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    versions = {"other": options.checkout.resolve(), "this": Path(__file__).resolve().parents[1]}
    made = collection(options.collection, options.documents, QUERIES, options.folder)
    queries = made.queries()[: options.queries]
    records = [{"id": q.id, "query": q.query, "lang": "en", "passages": [q.passage]} for q in queries]
    text = "".join(json.dumps(record) + "\n" for record in records)
    index = Path(tempfile.mkdtemp(dir=options.folder, prefix="index-"))
    rows = []
    try:
        files = [part for path in made.files for part in ("--input", str(path))]
        run(command(versions["other"], "index", str(index), "--lang", "en", "--force", *files), available_cores())
        for k in options.k or [1000]:
            for case, form in CASES.items():
                asked = ["search", str(index), "-k", str(k), "--threads", str(options.threads), *form]
                took: dict[str, list[Done]] = {name: [] for name in versions}
                for _ in range(options.rounds):
                    for name, source in versions.items():
                        took[name].append(run(command(source, *asked), options.threads, text))
                pairs = list(zip(took["other"], took["this"], strict=True))
                rows.append(
                    [
                        f"{case}, k = {k}, {options.threads} threads",
                        spread([other.seconds / this.seconds for other, this in pairs]),
                        spread([other.cpu / this.cpu for other, this in pairs]),
                        "yes" if len({done.output for dones in took.values() for done in dones}) == 1 else "NO",
                    ]
                )
                print(f"{rows[-1][0]}: {rows[-1][1]} times as fast", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(index)
    print(f"{processor()}, {len(queries)} queries")
    print(table(["", "times as fast", "of its CPU time", "same bytes"], rows, options.markdown))


if __name__ == "__main__":
    main()
