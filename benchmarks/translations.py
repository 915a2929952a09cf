"""What is searched beside a translation: MRR and Hit@10 by language pair, with each weight of the source words, and
with several translations.

    make bench-translations COLLECTION=DIR [BENCH="--pairs de-en,fr-en --queries 150 --samples 5"]

DIR is that of `expansion.py`. For each pair, a seeded sample of queries whose document exists in the target language is
translated by the default model (T), and with --samples so many times (n-best); "human" is the query of the same id in
the target language. All are searched by words. What is made is kept in --out, so that a second run only searches. The
last lines are the tests: the automatic weight against each number, over the queries of all pairs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from expansion import run, sample, shared_options
from tables import table

from xqe.evaluation.measures import parse
from xqe.evaluation.significance import randomization_p
from xqe.evaluation.values import per_query
from xqe.files.trec import read_qrels

WEIGHTS = ("0", "0.25", "0.5", "1", "auto")
MEASURES = ("MRR", "Hit@10")

Values = dict[str, list[float]]  # measure -> a value for each query


def main() -> None:
    parser = shared_options(__doc__)
    parser.add_argument("--samples", type=int, default=1, help="also this many translations of each query")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    pairs = options.pairs.split(",")
    rows = [("original query", "Q", "0"), *((f"T, source weight {weight}", "T", weight) for weight in WEIGHTS)]
    if options.samples > 1:
        rows += [(f"{options.samples}-best, source weight {weight}", "TN", weight) for weight in ("0", "auto")]
    rows.append(("human", "H", "0"))
    for pair in pairs:
        _make(pair, options)
    found = {label: {pair: _evaluated(pair, kind, weight, options) for pair in pairs} for label, kind, weight in rows}
    lines = []
    for label, by_pair in found.items():
        cells = [[100 * sum(values[m]) / len(values[m]) for m in MEASURES] for values in by_pair.values()]
        means = [sum(column) / len(cells) for column in zip(*cells, strict=True)]
        lines.append([label, *(" / ".join(f"{value:.1f}" for value in cell) for cell in [*cells, means])])
    print(f"MRR and Hit@10, x 100; {options.queries} queries a pair\n")
    print(table(["", *pairs, "mean"], lines, options.markdown))
    automatic = found[f"T, source weight {WEIGHTS[-1]}"]
    for weight in WEIGHTS[:-1]:
        other = found[f"T, source weight {weight}"]
        differences = [a - b for pair in pairs for a, b in zip(automatic[pair]["MRR"], other[pair]["MRR"], strict=True)]
        mean, p = 100 * sum(differences) / len(differences), randomization_p(differences)
        print(f"auto against {weight}: MRR {mean:+.1f}, p {p:.4f} (randomization, {len(differences)} queries)")


def _make(pair: str, options: argparse.Namespace) -> None:
    target = pair.split("-")[1]
    folder: Path = options.out
    index = folder / f"index.{target}"
    if not (folder / f"{pair}.Q").exists():
        sample(options.collection, pair, folder, options.queries, options.seed)
    if not (index / "xqe.json").exists():
        run(["index", str(index), "--lang", target, "-i", str(options.collection / f"docs.{target}.jsonl")], None)
    for kind, samples in (("T", 1), ("TN", options.samples)):
        path = folder / f"{pair}.{kind}"
        if not path.exists() and (kind == "T" or samples > 1):
            run(["translate", "--to", target, "-n", str(samples), "-i", str(folder / f"{pair}.Q")], path)
    ids = [json.loads(line)["id"] for line in (folder / f"{pair}.Q").read_text("utf-8").splitlines()]
    with open(options.collection / f"queries.{target}.jsonl", encoding="utf-8") as file:
        human = {json.loads(line)["id"]: line for line in file}
    (folder / f"{pair}.H").write_text("".join(human[one] for one in ids if one in human), "utf-8")


def _evaluated(pair: str, kind: str, weight: str, options: argparse.Namespace) -> Values:
    folder, target = options.out, pair.split("-")[1]
    search = ["search", str(folder / f"index.{target}"), "--by", "bm25", "--source-weight", weight, "-k", "100"]
    run([*search, "-i", str(folder / f"{pair}.{kind}")], folder / "run")
    with open(folder / "run", encoding="utf-8") as file:
        answers = {one["id"]: {hit["id"]: hit["score"] for hit in one["hits"]} for one in map(json.loads, file)}
    values = per_query(read_qrels(str(folder / f"{pair}.qrels")), answers, [parse(name) for name in MEASURES])
    return {name: [values[query][name] for query in sorted(values)] for name in MEASURES}


if __name__ == "__main__":
    main()
