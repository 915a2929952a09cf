"""An index in shards against one in one piece: equal hits, time to build, time a query: `make bench-shards`.

    python benchmarks/shards.py [--documents 200000] [--queries 1000] [--shards 2,4,8] [--languages en,de,fr]
                                [--threads N] [--rounds 3] [--folder DIR] [--json FILE] [--markdown]

The passages are made up: words by Zipf's law with a growing vocabulary, 20 to 120 words, in the letters of several
languages; each language is an index of its own, as in the experiments of the paper, and half of the queries have the
words of a title, half those of a title and a passage. Every index is built by `xqe index`, so that starting and reading
count. Queries are timed one at a time in this process, on each index after the other, shards looked into by as many
threads as there are cores, or by --threads. All hits must be equal to the last bit, or it ends with status 1. Ratios
are to the index in one piece; times are medians of the rounds. README.md says how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
from tables import table

from xqe.retrieval.lexical import Index, open_index
from xqe.text.analysis import analyzer

DEPTHS = (10, 100, 1000)
_WARM = 100  # queries that are not counted
LETTERS = {
    "en": "etaoinshrdlucmfwypvbgk",
    "de": "enisratdhulcgmobwfkzpväüöß",
    "fr": "esaitnrulodcpmévqfbghjàxèêyzâçî",
    "ru": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэф",
    "ar": "اليمونترهبدعسفقكحجةصشخذزطثضغظ",
}


class Words:
    """A growing vocabulary, of which the n-th word is drawn about as often as 1 / n says."""

    def __init__(self, code: str, size: int) -> None:
        draw = random.Random(code)
        letters = LETTERS[code]
        likely = [1 / (at + 2) for at in range(len(letters))]
        words: dict[str, None] = {}
        while len(words) < size:
            words["".join(draw.choices(letters, likely, k=min(14, max(2, round(draw.gauss(7, 2.5))))))] = None
        self._words = numpy.array(list(words), object)
        weights = 1 / (numpy.arange(size) + 2.7) ** 1.02
        self._cumulated = numpy.cumsum(weights) / weights.sum()

    def text(self, draw: numpy.random.Generator, count: int) -> str:
        return " ".join(self._words[numpy.searchsorted(self._cumulated[:-1], draw.random(count))])


def write(path: Path, code: str, documents: int) -> Words:
    """The passages of a language."""
    words, draw = Words(code, max(1000, documents // 2)), numpy.random.default_rng(documents)
    with path.open("w", encoding="utf-8") as file:
        for number in range(documents):
            text = words.text(draw, int(draw.integers(20, 121)))
            file.write(json.dumps({"id": f"{code}-{number}", "text": text}, ensure_ascii=False) + "\n")
    return words


def queries(words: Words, code: str, count: int) -> list[Mapping[str, float]]:
    """Weighted terms: those of a title of three to eight words, and every other time 100 words beside it."""
    draw, terms = numpy.random.default_rng(count), analyzer(code).terms
    made: list[Mapping[str, float]] = []
    for number in range(count):
        weights: dict[str, float] = {}
        parts = [(words.text(draw, int(draw.integers(3, 9))), 1.0)]
        if number % 2:
            parts.append((words.text(draw, 100), 0.2))
        for text, weight in parts:
            for term in terms(text):
                weights[term] = weights.get(term, 0.0) + weight
        made.append(weights)
    return made


def built(directory: Path, code: str, source: Path, shards: int) -> tuple[float, float]:
    """Build an index by the command; its seconds, and those of the CPU of all its processes."""
    shutil.rmtree(directory, ignore_errors=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "xqe", "index", str(directory), "--lang", code, "--shards", str(shards)]
    subprocess.run([*command, str(source)], check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def timed(index: Index, asked: list[Mapping[str, float]], k: int) -> tuple[float, list[Any]]:
    """Seconds of all queries, and what was found."""
    started = time.perf_counter()
    found = [index.best(weights, k) for weights in asked]
    seconds = time.perf_counter() - started
    return seconds, [(index.documents.ids(numbers), scores.tolist()) for numbers, scores in found]


def measure(
    code: str, documents: int, count: int, shards: list[int], rounds: int, threads: int | None, folder: Path
) -> Iterator[Any]:
    """A row for each number of shards, 1 first, of one language. Ends the benchmark where hits differ."""
    source = folder / f"{code}.jsonl"
    asked = queries(write(source, code, documents), code, count)
    of = [1, *shards]
    builds: dict[int, list[tuple[float, float]]] = {number: [] for number in of}
    for _ in range(rounds):
        for number in of:
            builds[number].append(built(folder / f"{code}-{number}", code, source, number))
    indexes = {number: open_index(folder / f"{code}-{number}", threads=threads) for number in of}
    seconds: dict[tuple[int, int], list[float]] = {(number, k): [] for number in of for k in DEPTHS}
    for index in indexes.values():
        timed(index, asked[:_WARM], max(DEPTHS))
    for turn in range(rounds):
        for k in DEPTHS:
            first: list[Any] | None = None
            for number in reversed(of) if turn % 2 else of:
                taken, found = timed(indexes[number], asked, k)
                seconds[number, k].append(taken / count)
                first = first or found
                if found != first:
                    raise SystemExit(f"{code}: {number} shards find other hits for k = {k}")
    for number in of:
        yield {
            "lang": code,
            "documents": documents,
            "queries": count,
            "shards": number,
            "build_seconds": statistics.median(wall for wall, _ in builds[number]),
            "build_cpu_seconds": statistics.median(cpu for _, cpu in builds[number]),
            "bytes": indexes[number].manifest.size,
            **{f"ms_{k}": 1000 * statistics.median(seconds[number, k]) for k in DEPTHS},
        }


def shown(rows: list[dict[str, Any]], markdown: bool) -> str:
    """A table of what one piece takes and of the ratios to that."""
    names = ["build_seconds", "build_cpu_seconds", "bytes", *(f"ms_{k}" for k in DEPTHS)]
    cells: list[list[str]] = []
    for row in rows:
        one = next(its for its in rows if its["lang"] == row["lang"] and its["shards"] == 1)
        if row is one:
            wall, cpu = f"{row['build_seconds']:.1f} s", f"{row['build_cpu_seconds']:.1f} s"
            own = [wall, cpu, f"{row['bytes'] / 1e6:.0f} MB", *(f"{row[f'ms_{k}']:.2f} ms" for k in DEPTHS)]
        else:
            own = [f"{row[name] / one[name]:.2f}" for name in names]
        cells.append([row["lang"], str(row["shards"]), *own])
    headers = ["", "shards", "build", "its CPU time", "disk", *(f"a query, k = {k}" for k in DEPTHS)]
    return table(headers, cells, markdown)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--documents", type=int, default=200_000, help="passages of all languages together")
    parser.add_argument("--queries", type=int, default=1000, help="of all languages together")
    parser.add_argument("--shards", default="2,4,8")
    parser.add_argument("--languages", default="en,de,fr")
    parser.add_argument("--threads", type=int, help="that look into shards; by default one for each core")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the indexes are built; by default a folder that is removed")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    os.environ["XQE_SERVER"] = "off"
    languages, shards = given.languages.split(","), [int(number) for number in given.shards.split(",")]
    each = (given.documents // len(languages), given.queries // len(languages), shards, given.rounds, given.threads)
    with tempfile.TemporaryDirectory(prefix="xqe-shards-", dir=given.folder) as folder:
        rows = [row for code in languages for row in measure(code, *each, Path(folder))]
    print(shown(rows, given.markdown))
    print(f"\n{given.queries // len(languages) * len(languages)} queries: all hits equal to the last bit")
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
