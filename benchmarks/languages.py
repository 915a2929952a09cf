"""Retrieval within one language, for each language beside Lucene, on folders of documents and titles.

    python benchmarks/languages.py FOLDER... [--language LANG]... [--lucene JAR [--java JAVA]] [--most N] [--tsv FILE]

A FOLDER is a collection of xqe's, such as `xqe data build debian`, `gnome-help` and `manpages` make, or holds
docs.LANG.jsonl ({"id", "text"}) and queries.LANG.jsonl ({"id", "query"}): the one relevant document of a query has its
id.
Documents are indexed and searched by what `xqe index` and `xqe search` call, with their defaults, and with k1 = 1.2 and
b = 0.75, which Lucene has. Of more than N queries (1500) a sample is taken, the same on both sides. Lucene's analyzer
is its own of the language; a language without one has no figure of Lucene's. --tsv writes what xqe languages tells.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tables import MISSING, table

from xqe.files.documents import documents
from xqe.retrieval.lexical import Parameters, build, open_index
from xqe.text.languages import LANGUAGES, known

DEPTH, HIT, MOST = 100, 10, 1500
LUCENES = Parameters(1.2, 0.75)
PROGRAM = Path(__file__).with_name("LuceneRun.java")
_LIKE_ITS_NAME = (
    *("ar", "bg", "bn", "ca", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "gl", "hi", "hu", "hy", "id"),
    *("it", "ja", "lt", "lv", "nl", "no", "pt", "ro", "ru", "sr", "sv", "ta", "te", "th", "tr"),
)
ANALYZERS = {
    **{
        code: f"{package}.{name}"
        for code, package, name in (
            ("cs", "cz", "Czech"),
            ("ko", "cjk", "CJK"),
            ("pl", "morfologik", "Morfologik"),
            ("uk", "uk", "UkrainianMorfologik"),
            ("zh", "cjk", "CJK"),
        )
    },
    **{code: f"{code}.{LANGUAGES[code].name}" for code in _LIKE_ITS_NAME},
}
"""Lucene's analyzers, below org.apache.lucene.analysis and before "Analyzer"."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over the queries, in percent. mrr: 1/rank among the first 100. hit: whether among the first 10."""

    mrr: float
    hit: float


@dataclass(frozen=True, slots=True)
class Row:
    """A language in a collection. words: of a document, on the mean. parameters: those of the index."""

    code: str
    collection: str
    queries: int
    words: float
    parameters: Parameters
    own: Quality
    same: Quality
    lucene: Quality | None

    def cells(self) -> list[str]:
        theirs, p = self.lucene, self.parameters
        mrr, hit = (theirs.mrr, theirs.hit) if theirs is not None else (None, None)
        each = [f"{self.own.mrr:.2f}", *_beside(self.own.mrr, mrr)]
        each += [f"{self.same.mrr:.2f}", *_beside(self.same.mrr, mrr)[1:]]
        each += [f"{self.own.hit:.2f}", *_beside(self.own.hit, hit)]
        return [self.code, self.collection, str(self.queries), f"{self.words:.0f}", f"{p.k1:g}, {p.b:g}", *each]

    def line(self) -> str:
        """A line of measured.tsv."""
        theirs = "" if self.lucene is None else f"{self.lucene.mrr:.2f}"
        return "\t".join(
            (self.code, self.collection, str(self.queries), f"{self.words:.0f}", f"{self.own.mrr:.2f}", theirs)
        )


def _beside(own: float, theirs: float | None) -> list[str]:
    return [MISSING, MISSING] if theirs is None else [f"{theirs:.2f}", f"{own - theirs:+.2f}"]


def main() -> None:
    arguments = _arguments()
    rows = []
    for folder in arguments.folder:
        for code, path in documents_of(folder).items():
            row = known(code)
            if row is None or not row.is_known or (arguments.language and row.code not in arguments.language):
                continue
            queries = read_queries(folder, code, arguments.most)
            if len(queries) < arguments.fewest:
                continue
            rows.append(measured(row.code, folder.name, path, queries, arguments.lucene, arguments.java))
            print(" ".join(rows[-1].cells()), flush=True)
    print(report(rows, arguments.markdown))
    if arguments.tsv is not None:
        head = "# language\tcollection\tqueries\twords\tmrr\tlucene\n"
        lines = [row.line() for row in sorted(rows, key=lambda row: (row.code, row.collection))]
        arguments.tsv.write_text(head + "".join(f"{line}\n" for line in lines), "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--language", action="append", choices=list(LANGUAGES), help="only this one; repeatable")
    parser.add_argument(
        "--lucene", metavar="JAR", help="compute Lucene's side, by this jar, such as Anserini's fat one"
    )
    parser.add_argument("--java", default="java", metavar="JAVA", help="a Java that runs it (21)")
    parser.add_argument("--most", type=int, default=MOST, metavar="N", help="queries of a language, if there are more")
    parser.add_argument("--fewest", type=int, default=100, metavar="N", help="with fewer a language is left out")
    parser.add_argument("--tsv", type=Path, metavar="FILE", help="write src/xqe/text/languages/measured.tsv")
    parser.add_argument("--markdown", action="store_true")
    return parser.parse_args()


def documents_of(folder: Path) -> dict[str, Path]:
    """The file of the documents in each language."""
    own = {path.name.partition(".")[0]: path for path in folder.glob("documents/*.jsonl*")}
    flat = {path.name.split(".")[1]: path for path in folder.glob("docs.*.jsonl")}
    return dict(sorted((own or flat).items()))


def read_queries(folder: Path, code: str, most: int) -> dict[str, str]:
    """The queries whose document exists, by id, or a sample of them."""
    there = {row["id"] for row in read_rows(documents_of(folder)[code])}
    paths = sorted(folder.glob(f"queries/*/{code}.jsonl*")) or [folder / f"queries.{code}.jsonl"]
    found = [row for path in paths for row in read_rows(path) if row["id"] in there]
    if len(found) > most:
        found = random.Random(1).sample(found, most)
    return {row["id"]: row["query"] for row in found}


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def measured(code: str, name: str, path: Path, queries: Mapping[str, str], jar: str | None, java: str) -> Row:
    with tempfile.TemporaryDirectory(prefix="xqe-languages-") as folder:
        work = Path(folder)
        build(work / "index", code, documents([str(path)]))
        index = open_index(work / "index")
        weights = {key: index.analyzer.weights(query) for key, query in queries.items()}

        def found(parameters: Parameters) -> Quality:
            hits = {key: index.search(its, DEPTH, parameters=parameters) for key, its in weights.items()}
            return quality({key: [hit.id for hit in its] for key, its in hits.items()}, queries)

        manifest = index.manifest
        words = manifest.average_length / index.analyzer.terms_of_a_word
        own, same = found(manifest.parameters), found(LUCENES)
        lucene = None
        if jar is not None and code in ANALYZERS:
            lucene = quality(lucene_hits(java, jar, code, path, queries, work), queries)
        return Row(code, name, len(queries), words, manifest.parameters, own, same, lucene)


def lucene_hits(
    java: str, jar: str, code: str, path: Path, queries: Mapping[str, str], work: Path
) -> dict[str, list[str]]:
    """What Lucene finds with its analyzer of the language."""
    source, asked = work / "documents.tsv", work / "queries.tsv"
    texts = {row["id"]: f"{row.get('title', '')} {row['text']}" for row in read_rows(path)}
    numbers = {key: str(number) for number, key in enumerate(texts)}
    names = list(texts)
    source.write_text("".join(f"{numbers[key]}\t{' '.join(text.split())}\n" for key, text in texts.items()), "utf-8")
    asked.write_text("".join(f"{numbers[key]}\t{' '.join(text.split())}\n" for key, text in queries.items()), "utf-8")
    analyzer = f"org.apache.lucene.analysis.{ANALYZERS[code]}Analyzer"
    command = [java, "-cp", jar, str(PROGRAM), analyzer, str(source), str(asked), str(DEPTH)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"Lucene failed for {code}:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        query, document = line.split("\t")
        found.setdefault(names[int(query)], []).append(names[int(document)])
    return found


def quality(found: Mapping[str, Sequence[str]], queries: Mapping[str, str]) -> Quality:
    ranks = [hits.index(key) + 1 for key in queries if key in (hits := found.get(key, ()))]
    share = 100 / len(queries)
    return Quality(share * sum(1 / rank for rank in ranks), share * sum(rank <= HIT for rank in ranks))


def report(rows: Sequence[Row], markdown: bool) -> str:
    """The table, and below it of each collection how far its languages are above Lucene on the mean, and the least."""
    head = ("", "collection", "queries", "words", "k1, b", "MRR", "Lucene", "+/-", "1.2, 0.75", "+/-")
    text = table((*head, f"Hit@{HIT}", "Lucene", "+/-"), [row.cells() for row in rows], markdown)
    for name in dict.fromkeys(row.collection for row in rows):
        each = [row.own.mrr - row.lucene.mrr for row in rows if row.collection == name and row.lucene is not None]
        if each:
            mean = sum(each) / len(each)
            text += f"\n{name}: {len(each)} languages beside Lucene, {mean:+.2f} on the mean, {min(each):+.2f} at least"
    return text


if __name__ == "__main__":
    main()
