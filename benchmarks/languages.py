"""Retrieval within one language on Debian's translated package descriptions, for each language beside Lucene.

    python benchmarks/languages.py DEBDESC [--language LANG]... [--all] [--anserini JAR [--java JAVA]] [--markdown]

DEBDESC holds docs.LANG.jsonl ({"id", "text"}) and queries.LANG.jsonl ({"id", "query"}): the query is a package's
one-line summary, and the one relevant document the package's description without it, under the same id. Documents
are indexed and searched by what `xqe index` and `xqe search` call. BM25 has k1 = 1.2 and b = 0.75 on both sides; xqe
stands there with its defaults, too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

from tables import MISSING, table

from xqe.files.documents import documents
from xqe.retrieval.lexical import Parameters, build, open_index
from xqe.text.languages import LANGUAGES

DEPTH, HIT = 100, 10
LUCENES = Parameters(1.2, 0.75)


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over the queries, in percent. mrr: 1/rank among the first 100. hit: whether among the first 10."""

    mrr: float
    hit: float


@dataclass(frozen=True, slots=True)
class Row:
    """A language: xqe with Lucene's k1 and b, xqe with its defaults, and Lucene."""

    code: str
    queries: int | None
    same: Quality
    default: Quality
    lucene: Quality | None

    def sides(self) -> tuple[Quality, Quality, Quality | None]:
        return self.same, self.default, self.lucene


# Anserini 0.38 with -language LANG on the same files; `--anserini` computes these anew.
LUCENE = {
    "en": Quality(69.81, 84.38),
    "de": Quality(67.71, 82.13),
    "es": Quality(78.66, 89.97),
    "fr": Quality(71.86, 86.13),
    "it": Quality(69.87, 84.05),
    "ja": Quality(76.51, 88.41),
    "pt": Quality(73.63, 87.37),
    "ru": Quality(74.01, 86.90),
    "zh": Quality(82.23, 93.05),
}


def main() -> None:
    arguments = _arguments()
    folder: Path = arguments.debdesc
    codes = arguments.language or [code for code in LANGUAGES if code in LUCENE or arguments.all]
    codes = [code for code in codes if documents_of(folder, code).is_file()]
    if not codes:
        raise SystemExit(f"{folder}: holds no docs.LANG.jsonl of these languages")
    if arguments.anserini and (shutil.which(arguments.java) is None or not Path(arguments.anserini).is_file()):
        raise SystemExit("--anserini JAR and --java JAVA must name a jar and a program")
    rows = []
    for code in codes:
        queries = read_queries(folder, code)
        with tempfile.TemporaryDirectory(prefix="xqe-languages-") as work:
            row = Row(code, len(queries), *xqe_sides(folder, code, queries, Path(work)), LUCENE.get(code))
            if arguments.anserini:
                lucene = lucene_hits(arguments.java, arguments.anserini, folder, code, queries, Path(work))
                row = replace(row, lucene=quality(lucene, queries))
        rows.append(row)
    print(report(rows, arguments.markdown))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debdesc", type=Path, metavar="DEBDESC")
    parser.add_argument("--language", action="append", choices=list(LANGUAGES), help="only this one; repeatable")
    parser.add_argument("--all", action="store_true", help="languages without a figure of Lucene's too")
    parser.add_argument("--anserini", metavar="JAR", help="compute Lucene's side, with this anserini-*-fatjar.jar")
    parser.add_argument("--java", default="java", metavar="JAVA", help="a Java that runs it (21)")
    parser.add_argument("--markdown", action="store_true")
    return parser.parse_args()


def documents_of(folder: Path, code: str) -> Path:
    return folder / f"docs.{code}.jsonl"


def read_queries(folder: Path, code: str) -> dict[str, str]:
    """The queries whose document exists, by id."""
    known = {row["id"] for row in _rows(documents_of(folder, code))}
    return {row["id"]: row["query"] for row in _rows(folder / f"queries.{code}.jsonl") if row["id"] in known}


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def xqe_sides(folder: Path, code: str, queries: Mapping[str, str], work: Path) -> tuple[Quality, Quality]:
    """With Lucene's parameters, and with the defaults."""
    build(work / "index", code, documents([str(documents_of(folder, code))]))
    index = open_index(work / "index")

    def found(parameters: Parameters) -> Quality:
        hits = {
            identifier: [hit.id for hit in index.search(weights, DEPTH, parameters=parameters)]
            for identifier, weights in analysed.items()
        }
        return quality(hits, queries)

    analysed = {identifier: index.analyzer.weights(query) for identifier, query in queries.items()}
    return found(LUCENES), found(index.manifest.parameters)


def lucene_hits(
    java: str, jar: str, folder: Path, code: str, queries: Mapping[str, str], work: Path
) -> dict[str, list[str]]:
    """What Anserini finds with Lucene's analyzer of the language."""
    source, index, topics, run = work / "source", work / "lucene", work / "topics.tsv", work / "run"
    source.mkdir()
    with (source / "documents.jsonl").open("w", encoding="utf-8") as file:
        for row in _rows(documents_of(folder, code)):
            file.write(json.dumps({"id": row["id"], "contents": row["text"]}) + "\n")
    topics.write_text("".join(f"{key}\t{' '.join(text.split())}\n" for key, text in queries.items()), "utf-8")
    program = [java, "-cp", jar]
    indexing = ["-collection", "JsonCollection", "-generator", "DefaultLuceneDocumentGenerator", "-threads", "1"]
    _run([*program, "io.anserini.index.IndexCollection", *indexing, "-input", source, "-index", index], code)
    searching = ["-topicReader", "TsvString", "-bm25", "-bm25.k1", LUCENES.k1, "-bm25.b", LUCENES.b, "-hits", DEPTH]
    where = ["-index", index, "-topics", topics, "-output", run]
    _run([*program, "io.anserini.search.SearchCollection", *searching, *where], code)
    found: dict[str, list[str]] = {}
    for line in run.read_text("utf-8").splitlines():
        query, _, document, *_ = line.split()
        found.setdefault(query, []).append(document)
    return found


def _run(command: Sequence[object], code: str) -> None:
    done = subprocess.run([*map(str, command), "-language", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[3]} failed for {code}:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")


def quality(found: Mapping[str, Sequence[str]], queries: Mapping[str, str]) -> Quality:
    ranks = [hits.index(key) + 1 for key in queries if key in (hits := found.get(key, ()))]
    share = 100 / len(queries)
    return Quality(share * sum(1 / rank for rank in ranks), share * sum(rank <= HIT for rank in ranks))


def report(rows: Sequence[Row], markdown: bool) -> str:
    """The table, with the means over the languages that have a figure of Lucene's."""
    lines = [_line(row) for row in rows]
    beside = [row for row in rows if row.lucene]
    if len(beside) > 1:
        means = [_mean([side for side in column if side]) for column in zip(*map(Row.sides, beside), strict=True)]
        lines.append(_line(Row("mean", None, means[0], means[1], means[2])))
    measures = [
        f"{measure}{side}" if side else "+/-"
        for measure in ("MRR ", f"Hit@{HIT} ")
        for side in ("Lucene", "same k1, b", "", "its own", "")
    ]
    return table(("", "queries", *measures), lines, markdown)


def _line(row: Row) -> list[str]:
    cells = [row.code, str(row.queries or "")]
    for value in (attrgetter("mrr"), attrgetter("hit")):
        theirs = value(row.lucene) if row.lucene else None
        cells.append(MISSING if theirs is None else f"{theirs:.2f}")
        for own in (value(row.same), value(row.default)):
            cells += [f"{own:.2f}", MISSING if theirs is None else f"{own - theirs:+.2f}"]
    return cells


def _mean(qualities: Sequence[Quality]) -> Quality:
    count = len(qualities)
    return Quality(sum(one.mrr for one in qualities) / count, sum(one.hit for one in qualities) / count)


if __name__ == "__main__":
    main()
