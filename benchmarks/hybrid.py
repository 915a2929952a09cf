"""What vectors add to words: MRR and Hit@10 by language pair, of each side alone and of each way to fuse them.

    make bench-hybrid COLLECTION=DIR [BENCH="--pairs de-en,fr-en --queries 150 --encoder e5-small"]

DIR is that of `expansion.py`. For each pair, a seeded sample of queries whose document exists in the target language is
translated (T) by the default model; "human" is the query of the same id in the target language. What is made is kept in
--out, so that a second run only searches. The last lines are the tests: hybrid against each of its sides, over the
queries of all pairs.
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

HYBRID, WORDS, VECTORS = "hybrid", "T, source weight 0.5", "dense, both"
ROWS = (
    # label, which records, options of xqe search
    ("original query", "Q", ("--by", "bm25")),
    ("T", "T", ("--by", "bm25", "--source-weight", "0")),
    ("T, source weight auto", "T", ("--by", "bm25")),
    (WORDS, "T", ("--by", "bm25", "--source-weight", "0.5")),
    ("dense, query as asked", "T", ("--by", "dense", "--encode", "source")),
    ("dense, T", "T", ("--by", "dense", "--encode", "query")),
    (VECTORS, "T", ("--by", "dense")),
    (HYBRID, "T", ()),
    ("hybrid, dense weight 1", "T", ("--dense-weight", "1")),
    ("hybrid, dense weight 2", "T", ("--dense-weight", "2")),
    ("hybrid, dense weight 3", "T", ("--dense-weight", "3")),
    ("hybrid, query as asked", "T", ("--encode", "source")),
    ("hybrid, source weight 0", "T", ("--source-weight", "0")),
    ("hybrid, source weight 0.5", "T", ("--source-weight", "0.5")),
    ("hybrid, zmuv", "T", ("--norm", "zmuv")),
    ("hybrid, rrf", "T", ("--fusion", "rrf", "--dense-weight", "1")),
    ("human", "H", ("--by", "bm25")),
    ("human, dense", "H", ("--by", "dense")),
    ("human, hybrid", "H", ()),
)
MEASURES = ("MRR", "Hit@10")

Values = dict[str, list[float]]  # measure -> a value for each query


def main() -> None:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    pairs = options.pairs.split(",")
    for pair in pairs:
        _make(pair, options)
    found = {pair: [_evaluated(pair, kind, search, options) for _, kind, search in ROWS] for pair in pairs}
    lines = []
    for number, (label, _, _) in enumerate(ROWS):
        cells = [[sum(found[pair][number][m]) / len(found[pair][number][m]) for m in MEASURES] for pair in pairs]
        means = [sum(column) / len(cells) for column in zip(*cells, strict=True)]
        lines.append([label, *(" / ".join(f"{100 * value:.1f}" for value in cell) for cell in [*cells, means])])
    print(f"MRR and Hit@10, x 100; {options.queries} queries a pair, {options.encoder}\n")
    print(table(["", *pairs, "mean"], lines, options.markdown))
    labels = [label for label, _, _ in ROWS]
    for other in ("T", WORDS, VECTORS):
        one, two = labels.index(HYBRID), labels.index(other)
        differences = [
            a - b for pair in pairs for a, b in zip(found[pair][one]["MRR"], found[pair][two]["MRR"], strict=True)
        ]
        mean, p = 100 * sum(differences) / len(differences), randomization_p(differences)
        print(f"{HYBRID} against {other}: MRR {mean:+.1f}, p {p:.4f} (randomization, {len(differences)} queries)")


def _options() -> argparse.Namespace:
    parser = shared_options(__doc__)
    parser.add_argument("--encoder", default="e5-small")
    parser.add_argument("--max-text-tokens", type=int, default=192)
    return parser.parse_args()


def _make(pair: str, options: argparse.Namespace) -> None:
    target = pair.split("-")[1]
    folder: Path = options.out
    index = folder / f"index.{target}"
    if not (folder / f"{pair}.Q").exists():
        sample(options.collection, pair, folder, options.queries, options.seed)
    if not (index / "xqe.json").exists():
        run(["index", str(index), "--lang", target, "-i", str(options.collection / f"docs.{target}.jsonl")], None)
    if not any(index.glob("data-*/dense-*/dense.json")):
        limit = ["--max-text-tokens", str(options.max_text_tokens)]
        run(["embed", str(index), "--encoder", options.encoder, *limit], None)
    if not (folder / f"{pair}.T").exists():
        run(["translate", "--to", target, "-i", str(folder / f"{pair}.Q")], folder / f"{pair}.T")
    ids = [json.loads(line)["id"] for line in (folder / f"{pair}.Q").read_text("utf-8").splitlines()]
    with open(options.collection / f"queries.{target}.jsonl", encoding="utf-8") as file:
        human = {json.loads(line)["id"]: line for line in file}
    (folder / f"{pair}.H").write_text("".join(human[one] for one in ids if one in human), "utf-8")


def _evaluated(pair: str, kind: str, search: tuple[str, ...], options: argparse.Namespace) -> Values:
    folder, target = options.out, pair.split("-")[1]
    run(["search", str(folder / f"index.{target}"), "-i", str(folder / f"{pair}.{kind}"), *search], folder / "run")
    with open(folder / "run", encoding="utf-8") as file:
        answers = {one["id"]: {hit["id"]: hit["score"] for hit in one["hits"]} for one in map(json.loads, file)}
    values = per_query(read_qrels(str(folder / f"{pair}.qrels")), answers, [parse(name) for name in MEASURES])
    return {name: [values[query][name] for query in sorted(values)] for name in MEASURES}


if __name__ == "__main__":
    main()
