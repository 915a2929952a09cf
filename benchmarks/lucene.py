"""Lucene's side of `retrieval.py`, by way of Anserini's command-line programs.

They log to the millisecond when they start and end to index, and when each hundred queries have been answered. So the
start of Java and the opening of the index can be left out, and its warming up be told from what follows.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from processes import Done, run
from rivals import K1, KEPT, B, Setting, Weights, repeated

INDEX_MEMORY = 256  # MB of documents before a segment is written, as xqe has
HEAP = "-Xmx2g"

_TIME = r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) .*"
_RATE = re.compile(r"(\d+) queries processed in .* = ~([\d.,]+) q/s")
_HUNDREDS = re.compile(_TIME + r"default: (\d+) queries processed$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Found:
    """all_rate: queries per second of all; rate: of the second half, when Java is warm. hits: ids by query."""

    rate: float
    all_rate: float
    queries: int
    hits: list[list[str]]
    done: Done


@dataclass(frozen=True, slots=True)
class Lucene:
    """java: the program. jar: anserini-*-fatjar.jar."""

    java: str
    jar: str

    def version(self) -> str:
        return Path(self.jar).name.removesuffix(".jar")

    def check(self) -> None:
        """Raise SystemExit for a program or a jar that is not there."""
        if shutil.which(self.java) is None:
            raise SystemExit(f"{self.java}: no such program (JAVA=java for make)")
        if not Path(self.jar).is_file():
            raise SystemExit(f"{self.jar}: no such file (ANSERINI=jar for make)")

    def index(self, source: Path, index: Path, cores: int, analysed: bool) -> tuple[int, float, Done]:
        """Index a folder of JSONL files: how many documents they hold, the seconds from the first of them to the last
        commit, and the process. analysed: the documents are terms with spaces between them."""
        options = ["-collection", "JsonCollection", "-generator", "DefaultLuceneDocumentGenerator"]
        options += ["-threads", str(cores), "-memoryBuffer", str(INDEX_MEMORY), *["-pretokenized"] * analysed]
        done = self._run("index.IndexCollection", cores, [*options, "-input", str(source), "-index", str(index)])
        started = re.search(_TIME + "Starting to index", done.output, re.MULTILINE)
        ended = re.search(_TIME + r"Total ([\d,]+) documents indexed", done.output, re.MULTILINE)
        if started is None or ended is None:
            raise SystemExit(f"Anserini's log says not how long it took\n{done.output[-2000:]}")
        return int(ended[2].replace(",", "")), (_time(ended[1]) - _time(started[1])).total_seconds(), done

    def search(
        self, index: Path, queries: Sequence[Weights], setting: Setting, threads: int, times: int, folder: Path
    ) -> Found:
        """Ask each of the queries so many times, 200 in all at least."""
        topics, output = folder / "topics.tsv", folder / "run.txt"
        asked = [(f"{time}.{number}", query) for time in range(times) for number, query in enumerate(queries)]
        topics.write_text("".join(f"{name}\t{' '.join(repeated(query))}\n" for name, query in asked), "utf-8")
        # equal scores in Lucene's own order, not by id, which takes longer
        options = [
            "-arbitraryScoreTieBreak",
            "-topics",
            str(topics),
            "-topicReader",
            "TsvString",
            "-output",
            str(output),
            "-pretokenized",
        ]
        options += ["-bm25", "-bm25.k1", str(K1), "-bm25.b", str(B), "-hits", str(setting.k), "-threads", str(threads)]
        done = self._run("search.SearchCollection", threads, ["-index", str(index), *options])
        overall = _RATE.search(done.output)
        times_at = [(int(count), _time(time)) for time, count in _HUNDREDS.findall(done.output)]
        if overall is None or len(times_at) < 2:
            raise SystemExit(f"Anserini's log says no rate; it needs 200 queries\n{done.output[-2000:]}")
        (half, start), (last, end) = times_at[(len(times_at) - 1) // 2], times_at[-1]
        hits: list[list[str]] = [[] for _ in queries]
        with output.open(encoding="utf-8") as lines:
            for line in lines:
                name, _, identifier, *_ = line.split()
                time, number = map(int, name.split("."))
                if time == 0 and len(hits[number]) < KEPT:
                    hits[number].append(identifier)
        rate = (last - half) / max((end - start).total_seconds(), 1e-3)
        return Found(rate, float(overall[2].replace(",", "")), len(asked), hits, done)

    def _run(self, program: str, cores: int, options: Sequence[str]) -> Done:
        return run([self.java, HEAP, "-cp", self.jar, f"io.anserini.{program}", *options], cores)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f")
