"""What expansion adds to translation, with each way of weighting: a table of MRR and Hit@10 by language pair.

    make bench-expansion COLLECTION=DIR [BENCH="--pairs de-en,fr-en --queries 150 --max-tokens 96"]

DIR holds docs.LANG.jsonl, queries.LANG.jsonl and qrels.tsv, with the same ids in all languages. For each pair, a
seeded sample of queries whose document exists in the target language is translated (T), expanded after it (T+E), and
expanded before it (E+T), few-shot, by the commands as a user would run them. What they write is kept in --out, so
that a second run only searches.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from tables import table

XQE = [sys.executable, "-m", "xqe"]
_ALONE = ("--source-weight", "0")  # without the words of the untranslated query
ROWS = (
    # label, which records, options of xqe search
    ("original query", "Q", ()),
    ("T", "T", _ALONE),
    ("T, source weight 0.5", "T", ("--source-weight", "0.5")),
    ("T, source weight auto", "T", ()),
    ("T, rm3", "T", ("--feedback", "rm3", *_ALONE)),
    ("T, rocchio", "T", ("--feedback", "rocchio", *_ALONE)),
    *(
        (f"{label}, {name}", kind, options)
        for label, kind in (("T+E", "TE"), ("E+T", "ET"))
        for name, options in (
            ("weight 1", ("--query-weight", "1", *_ALONE)),
            ("weight 5", ("--query-weight", "5", *_ALONE)),
            ("auto", _ALONE),
            ("auto, 10 terms", ("--passage-terms", "10", *_ALONE)),
            ("auto, 20 terms", ("--passage-terms", "20", *_ALONE)),
            ("auto, source weight 0.5", ("--source-weight", "0.5")),
            ("auto, source weight auto", ()),
            ("doc only", ("--use", "doc", *_ALONE)),
        )
    ),
)
SAMPLED = (
    ("T+E, N passages, weight 1", "TEN", ("--query-weight", "1", *_ALONE)),
    ("T+E, N passages, auto", "TEN", _ALONE),
)


def main() -> None:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    pairs = options.pairs.split(",")
    for pair in pairs:
        _generate(pair, options)
    rows = [*ROWS, *(SAMPLED if options.samples else ())]
    values = {pair: _evaluate(pair, rows, options) for pair in pairs}
    lines = []
    for number, (label, _, _) in enumerate(rows):
        cells = [values[pair][number] for pair in pairs]
        means = [sum(column) / len(cells) for column in zip(*cells, strict=True)]
        lines.append([label.replace("N", str(options.samples)), *map(_cell, [*cells, means])])
    print(f"MRR and Hit@10, x 100; {options.queries} queries a pair, passages of at most {options.max_tokens} tokens\n")
    print(table(["", *pairs, "mean"], lines, options.markdown))


def _cell(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def _options() -> argparse.Namespace:
    parser = shared_options(__doc__)
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--samples", type=int, default=0, help="also this many passages a query, at temperature 0.7")
    return parser.parse_args()


def shared_options(about: str | None) -> argparse.ArgumentParser:
    """What a benchmark over pairs of a collection is asked."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="keeps queries, texts, indexes and runs")
    parser.add_argument("--pairs", default="de-en,fr-en,ja-en,en-ru")
    parser.add_argument("--queries", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", action="store_true")
    return parser


def _generate(pair: str, options: argparse.Namespace) -> None:
    target = pair.split("-")[1]
    folder: Path = options.out
    if not (folder / f"{pair}.Q").exists():
        sample(options.collection, pair, folder, options.queries, options.seed)
    if not (folder / f"index.{target}").exists():
        documents = options.collection / f"docs.{target}.jsonl"
        run(["index", str(folder / f"index.{target}"), "--lang", target, "-i", str(documents)], None)
    translate = ["translate", "--to", target]
    expand = ["expand", "--strategy", "fewshot", "--max-tokens", str(options.max_tokens)]
    steps = [("Q", "T", translate), ("T", "TE", expand), ("Q", "E", expand), ("E", "ET", translate)]
    if options.samples:
        steps.append(("T", "TEN", [*expand, "-n", str(options.samples), "--temperature", "0.7"]))
    for before, after, command in steps:
        path = folder / f"{pair}.{after}"
        if not path.exists():
            run([*command, "-i", str(folder / f"{pair}.{before}")], path)


def sample(collection: Path, pair: str, folder: Path, count: int, seed: int) -> None:
    source, target = pair.split("-")
    with open(collection / f"docs.{target}.jsonl", encoding="utf-8") as file:
        present = {json.loads(line)["id"] for line in file}
    with open(collection / f"queries.{source}.jsonl", encoding="utf-8") as file:
        queries = [line for line in file if json.loads(line)["id"] in present]
    chosen = random.Random(f"{seed} {pair}").sample(queries, min(count, len(queries)))
    ids = {json.loads(line)["id"] for line in chosen}
    with open(collection / "qrels.tsv", encoding="utf-8") as file:
        judged = [line for line in file if line.split()[0] in ids]
    (folder / f"{pair}.qrels").write_text("".join(judged), encoding="utf-8")
    (folder / f"{pair}.Q").write_text("".join(chosen), encoding="utf-8")


def run(arguments: Sequence[str], output: Path | None) -> None:
    """Run xqe; its output takes its place when it is whole. Status 1, some records failed, is gone on with."""
    partial = output.with_suffix(".part") if output else Path(os.devnull)
    with open(partial, "w", encoding="utf-8") as file:
        done = subprocess.run([*XQE, *arguments], stdout=file, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"xqe {' '.join(arguments)}: status {done.returncode}")
    if output:
        partial.replace(output)


def _evaluate(
    pair: str, rows: Sequence[tuple[str, str, tuple[str, ...]]], options: argparse.Namespace
) -> list[list[float]]:
    folder, target = options.out, pair.split("-")[1]
    values = []
    for _, kind, search in rows:
        run(["search", str(folder / f"index.{target}"), "-i", str(folder / f"{pair}.{kind}"), *search], folder / "run")
        arguments = ["eval", "--qrels", str(folder / f"{pair}.qrels"), "-m", "MRR,Hit@10", str(folder / "run")]
        result = subprocess.run([*XQE, *arguments], capture_output=True, text=True, check=True)
        measures = json.loads(result.stdout.splitlines()[0])["measures"]
        values.append([100 * measures["MRR"], 100 * measures["Hit@10"]])
    return values


if __name__ == "__main__":
    main()
