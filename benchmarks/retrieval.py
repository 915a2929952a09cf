"""Documents indexed and queries answered per second, by xqe, bm25s and Lucene: `make bench-retrieval`.

    python benchmarks/retrieval.py [--collection real|synthetic] [--documents N] [--queries 200] [--k N] [--threads N]
                                   [--side NAME] [--rounds 1] [--anserini JAR] [--java PROGRAM] [--folder DIR]
                                   [--json FILE] [--markdown]

Every side runs after the other, each in processes of its own, so that whatever else the machine does touches all of
them: read the ratios. README.md says what the sides and the columns are.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Any

from corpora import DOCUMENTS, MAKERS, Collection, cache
from lucene import Lucene
from processes import Done, clock, run, size_on_disk
from rivals import K1, LONG, QUERY_WEIGHT, SHORT, TERMS, B, Setting, weights
from tables import MISSING, processor, spread, table

from xqe.machine import available_cores

XQE, NO_TEXTS, COMMAND, BM25S, NUMBA, LUCENE, COLD = (
    "xqe",
    "xqe, no texts",
    "xqe search",
    "bm25s",
    "bm25s numba",
    "Lucene",
    "Lucene, warm-up included",
)
SIDES = (XQE, NO_TEXTS, COMMAND, BM25S, NUMBA, LUCENE)
OTHERS = (BM25S, NUMBA, LUCENE, COLD)
BACKENDS = {BM25S: "numpy", NUMBA: "numba"}
PACKAGES = {BM25S: ("bm25s",), NUMBA: ("bm25s", "numba")}
KINDS = (SHORT, LONG)
KS = (10, 100, 1000)
DEPTHS = (10, 100)  # at which answers are compared
TIMES = 5  # each query is asked of a program that has to start: what it takes to warm up is told from the rest

RIVALS = str(Path(__file__).with_name("rivals.py"))
CORPORA = str(Path(__file__).with_name("corpora.py"))


@dataclass(frozen=True, slots=True)
class Indexing:
    """seconds: from the first document to the last byte. wall: of the whole process. analysed: the side was given
    terms, not text. Sizes in bytes."""

    collection: str
    side: str
    cores: int
    round: int
    analysed: bool
    documents: int
    seconds: float
    wall: float
    largest: int
    together: int
    size: int

    @property
    def rate(self) -> float:
        return self.documents / self.seconds

    @property
    def whole_rate(self) -> float:
        return self.documents / self.wall


@dataclass(frozen=True, slots=True)
class Searching:
    """seconds: for so many queries, with the index open and everything warm, but for COLD."""

    collection: str
    side: str
    kind: str
    k: int
    threads: int
    round: int
    queries: int
    seconds: float
    largest: int

    @property
    def rate(self) -> float:
        return self.queries / self.seconds


class Results:
    """What was measured so far. hits: the ids found, by collection, side and kind, of the greatest k. terms: of a query
    of each kind, by collection, on the average."""

    def __init__(self) -> None:
        self.indexing: list[Indexing] = []
        self.searching: list[Searching] = []
        self.hits: dict[tuple[str, str, str], list[list[str]]] = {}
        self.terms: dict[str, dict[str, float]] = {}

    def documents(self, collection: str) -> int:
        return next(m.documents for m in self.indexing if m.collection == collection)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a collection's indexes are while it is measured."""

    collection: Collection
    folder: Path

    def index(self, side: str, analysed: bool = False) -> Path:
        return self.folder / f"{side.replace(', ', '-').replace(' ', '-')}{'-terms' if analysed else ''}"


class Bench:
    """The measurements of one collection, in the order in which they are made."""

    def __init__(self, options: argparse.Namespace, place: Place, results: Results) -> None:
        self._options = options
        self._place = place
        self._results = results
        self._name = place.collection.name
        self._lucene = Lucene(options.java, options.anserini) if options.anserini else None
        self._sides: list[str] = options.side
        self._settings = [Setting(kind, k) for kind in KINDS for k in options.k]

    def index(self, number: int) -> None:
        """Index the texts with every side, on each number of cores, and the terms once, to search in."""
        for cores in self._options.threads:
            for side in self._sides:
                if side in INDEXERS:
                    self._indexed(number, side, cores, analysed=False)
        if number == 0:
            searched = dict.fromkeys(BM25S if side == NUMBA else side for side in self._sides)
            for side in (side for side in searched if side in (BM25S, LUCENE)):
                self._indexed(number, side, max(self._options.threads), analysed=True)

    def _indexed(self, number: int, side: str, cores: int, analysed: bool) -> None:
        target = self._place.index(side, analysed)
        shutil.rmtree(target, ignore_errors=True)
        documents, seconds, done = INDEXERS[side](self, side, target, cores, analysed)
        measured = Indexing(
            self._name,
            side,
            cores,
            number,
            analysed,
            documents,
            seconds,
            done.seconds,
            done.largest,
            done.together,
            size_on_disk(target),
        )
        self._results.indexing.append(measured)
        given = ", terms" if analysed else ""
        _say(f"{self._name}: {side} indexed {measured.rate:,.0f} documents/s on {cores} cores{given}")

    def index_xqe(self, side: str, target: Path, cores: int, _analysed: bool) -> tuple[int, float, Done]:
        files = [part for path in self._place.collection.files for part in ("--input", str(path))]
        options = ["--lang", "en", "--k1", str(K1), "--b", str(B), *["--no-texts"] * (side == NO_TEXTS)]
        done = run([sys.executable, "-m", "xqe", "index", str(target), *options, *files], cores)
        summary = json.loads(done.output)
        return summary["documents"], summary["seconds"], done

    def index_bm25s(self, side: str, target: Path, cores: int, analysed: bool) -> tuple[int, float, Done]:
        folder = str(self._place.collection.folder)
        answer, done = _job(
            cores, do="index", collection=folder, index=str(target), backend=BACKENDS[side], analysed=analysed
        )
        return answer["documents"], answer["seconds"], done

    def index_lucene(self, _side: str, target: Path, cores: int, analysed: bool) -> tuple[int, float, Done]:
        assert self._lucene is not None
        source = self._place.collection.folder / (TERMS if analysed else DOCUMENTS)
        return self._lucene.index(source, target, cores, analysed)

    def search(self, number: int) -> None:
        for threads in self._options.threads:
            for side in self._sides:
                if side in SEARCHERS:
                    SEARCHERS[side](self, number, side, threads)

    def search_python(self, number: int, side: str, threads: int) -> None:
        index = self._place.index(XQE) if side == XQE else self._place.index(BM25S, analysed=True)
        answer, done = _job(
            threads,
            do="search",
            side=XQE if side == XQE else BM25S,
            backend=BACKENDS.get(side, ""),
            collection=str(self._place.collection.folder),
            index=str(index),
            threads=threads,
            count=self._options.queries,
            settings=[asdict(setting) for setting in self._settings],
        )
        for ran in answer["runs"]:
            setting = Setting(ran["kind"], ran["k"])
            self._searched(number, side, setting, threads, ran["queries"], ran["seconds"], done, ran["hits"])

    def search_command(self, number: int, side: str, threads: int) -> None:
        """The command from the shell, from its first answer to its last."""
        queries = self._place.collection.queries()[: self._options.queries]
        records = [{"id": q.id, "query": q.query, "lang": "en", "passages": [q.passage]} for q in queries]
        text = "".join(json.dumps(record) + "\n" for record in records) * TIMES
        use = {SHORT: ("--use", "query"), LONG: ("--use", "query+doc", "--query-weight", str(QUERY_WEIGHT))}
        for setting in self._settings:
            command = [sys.executable, "-m", "xqe", "search", str(self._place.index(XQE)), "-k", str(setting.k)]
            command += ["--threads", str(threads), *use[setting.kind]]
            seconds, answers, done = clock(command, threads, text)
            self._searched(number, side, setting, threads, answers, seconds, done)

    def search_lucene(self, number: int, side: str, threads: int) -> None:
        assert self._lucene is not None
        index, folder = self._place.index(LUCENE, analysed=True), self._place.folder
        queries = weights(self._place.collection.folder, self._options.queries)
        for setting in self._settings:
            found = self._lucene.search(index, queries[setting.kind], setting, threads, TIMES, folder)
            asked, done = found.queries, found.done
            self._searched(number, COLD, setting, threads, asked, asked / found.all_rate, done)
            self._searched(number, side, setting, threads, asked, asked / found.rate, done, found.hits)

    def _searched(
        self,
        number: int,
        side: str,
        setting: Setting,
        threads: int,
        queries: int,
        seconds: float,
        done: Done,
        hits: list[list[str]] | None = None,
    ) -> None:
        measured = Searching(self._name, side, setting.kind, setting.k, threads, number, queries, seconds, done.largest)
        self._results.searching.append(measured)
        if hits is not None and setting.k == max(self._options.k):
            self._results.hits[self._name, side, setting.kind] = hits
        _say(f"{self._name}: {side} answered {measured.rate:,.1f} {_what(setting)} queries/s, {threads} threads")


INDEXERS: dict[str, Callable[[Bench, str, Path, int, bool], tuple[int, float, Done]]] = {
    XQE: Bench.index_xqe,
    NO_TEXTS: Bench.index_xqe,
    BM25S: Bench.index_bm25s,
    NUMBA: Bench.index_bm25s,
    LUCENE: Bench.index_lucene,
}
SEARCHERS: dict[str, Callable[[Bench, int, str, int], None]] = {
    XQE: Bench.search_python,
    COMMAND: Bench.search_command,
    BM25S: Bench.search_python,
    NUMBA: Bench.search_python,
    LUCENE: Bench.search_lucene,
}


def _job(cores: int, **job: Any) -> tuple[dict[str, Any], Done]:
    """Have `rivals.py` do it."""
    done = run([sys.executable, RIVALS], cores, json.dumps(job))
    return json.loads(done.output), done


def _what(setting: Setting) -> str:
    return f"{setting.kind}, k = {setting.k}"


def measure(options: argparse.Namespace, results: Results) -> None:
    for name in options.collection:
        made = _collection(name, options)
        results.terms[name], _ = _job(max(options.threads), do="prepare", folder=str(made.folder))
        with tempfile.TemporaryDirectory(dir=options.folder, prefix="indexes-") as folder:
            bench = Bench(options, Place(made, Path(folder)), results)
            for number in range(options.rounds):
                bench.index(number)
                bench.search(number)


def _collection(name: str, options: argparse.Namespace) -> Collection:
    """Made by a process of its own: one that has had much memory would pass it on to its children's accounts."""
    size = ["--documents", str(options.documents)] if options.documents else []
    _say(f"{name}: {MAKERS[name].about}")
    done = run([sys.executable, CORPORA, name, "--folder", str(options.folder), *size], available_cores())
    return Collection(name, Path(done.output.strip()))


# ---------------------------------------------------------------- tables


def report(results: Results, options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """(title, table) of everything that was measured."""
    markdown = options.markdown
    for name in options.collection:
        documents, terms = results.documents(name), results.terms[name]
        size = f"{documents:,} documents, queries of {terms[SHORT]:.1f} and {terms[LONG]:.1f} terms"
        if set(OTHERS) & {m.side for m in results.searching}:
            yield f"{name}: queries/s, xqe over the others", _search_ratios(results, name, markdown)
            yield f"{name}: documents indexed/s, xqe over the others", _index_ratios(results, name, markdown)
            yield (
                f"{name}: part of the first hits that are xqe's, too",
                _overlaps(results, name, max(options.k), markdown),
            )
        yield f"{name}, {size}: queries/s", _search_rates(results, name, markdown)
        yield f"{name}: indexing", _index_rates(results, name, markdown)


def _search_ratios(results: Results, name: str, markdown: bool) -> str:
    found = [m for m in results.searching if m.collection == name]
    others = [side for side in OTHERS if any(m.side == side for m in found)]
    rows = []
    for kind, k, threads in _cases(found):
        of = {side: _by_round(found, side, kind, k, threads) for side in (XQE, *others)}
        ratios = ([of[XQE][n] / of[side][n] for n in of[XQE].keys() & of[side].keys()] for side in others)
        rows.append([_row(kind, k, threads), *(spread(values) for values in ratios)])
    return table(["", *others], rows, markdown)


def _search_rates(results: Results, name: str, markdown: bool) -> str:
    found = [m for m in results.searching if m.collection == name]
    sides = [side for side in (XQE, COMMAND, *OTHERS) if any(m.side == side for m in found)]
    rows = [
        [_row(*case), *(_number(list(_by_round(found, side, *case).values())) for side in sides)]
        for case in _cases(found)
    ]
    return table(["", *sides], rows, markdown)


def _cases(found: Sequence[Searching]) -> list[tuple[str, int, int]]:
    return list(dict.fromkeys((m.kind, m.k, m.threads) for m in found))


def _row(kind: str, k: int, threads: int) -> str:
    return f"{kind}, k = {k}, {threads} thread{'s' * (threads > 1)}"


def _by_round(found: Sequence[Searching], side: str, kind: str, k: int, threads: int) -> dict[int, float]:
    """Queries per second."""
    return {m.round: m.rate for m in found if (m.side, m.kind, m.k, m.threads) == (side, kind, k, threads)}


def _overlaps(results: Results, name: str, k: int, markdown: bool) -> str:
    hits = {(side, kind): of for (collection, side, kind), of in results.hits.items() if collection == name}
    others = [side for side in OTHERS if (side, SHORT) in hits]
    rows = []
    for kind in KINDS:
        ours = hits.get((XQE, kind), [])
        for depth in (depth for depth in DEPTHS if depth <= k):
            values = (_overlap(ours, hits[side, kind], depth) for side in others)
            rows.append([f"{kind}, first {depth}", *(_share(value) for value in values)])
    return table(["", *others], rows, markdown)


def _overlap(ours: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]], depth: int) -> float | None:
    """The mean part of the first hits that are the same, in whatever order. Queries without hits do not count."""
    parts = [
        len(set(a[:depth]) & set(b[:depth])) / max(len(a[:depth]), len(b[:depth]))
        for a, b in zip(ours, theirs, strict=False)
        if a or b
    ]
    return sum(parts) / len(parts) if parts else None


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _index_ratios(results: Results, name: str, markdown: bool) -> str:
    found = [m for m in results.indexing if m.collection == name and not m.analysed]
    others = [side for side in (NO_TEXTS, *OTHERS) if any(m.side == side for m in found)]
    rows = []
    for cores in dict.fromkeys(m.cores for m in found):
        for about, rate in (("", attrgetter("rate")), (", with start-up", attrgetter("whole_rate"))):
            of = {
                side: {m.round: rate(m) for m in found if (m.side, m.cores) == (side, cores)} for side in (XQE, *others)
            }
            ratios = ([of[XQE][n] / of[side][n] for n in of[XQE].keys() & of[side].keys()] for side in others)
            rows.append([f"{cores} core{'s' * (cores > 1)}{about}", *(spread(values) for values in ratios)])
    return table(["", *others], rows, markdown)


def _index_rates(results: Results, name: str, markdown: bool) -> str:
    found = [m for m in results.indexing if m.collection == name]
    searched = [m for m in results.searching if m.collection == name]
    rows = []
    for side, cores, analysed in dict.fromkeys((m.side, m.cores, m.analysed) for m in found):
        same = [m for m in found if (m.side, m.cores, m.analysed) == (side, cores, analysed)]
        opened = [m.largest for m in searched if m.side == side]
        rows.append(
            [
                f"{side}, {cores} core{'s' * (cores > 1)}{', terms given' * analysed}",
                _number([m.rate for m in same]),
                _megabytes(max(m.largest for m in same)),
                _megabytes(max(m.together for m in same)),
                _megabytes(same[0].size),
                _megabytes(max(opened, default=None)),
            ]
        )
    headers = ["", "documents/s", "largest process, MB", "all processes, MB", "on disk, MB", "searching, MB"]
    return table(headers, rows, markdown)


def _number(values: Sequence[float]) -> str:
    if not values:
        return MISSING
    value = median(values)
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _megabytes(size: int | None) -> str:
    return MISSING if size is None else f"{size / 1e6:,.0f}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _versions(options: argparse.Namespace) -> str:
    names = ["xqe", "tantivy", "bm25s", "numba"]
    found = [f"{name} {_version(name)}" for name in names if _version(name)]
    return ", ".join([*found, *([Lucene(options.java, options.anserini).version()] if options.anserini else [])])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def main() -> None:
    cores = available_cores()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--collection", action="append", choices=list(MAKERS), help="repeatable; both if not given")
    parser.add_argument("--documents", type=int, help="of a collection; all of the real one, 1,000,000 synthetic ones")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--k", type=int, action="append", help="hits for a query; repeatable: 10, 100 and 1000")
    parser.add_argument("--threads", type=int, action="append", help=f"repeatable; 1 and {cores} here")
    parser.add_argument("--side", action="append", choices=SIDES, help="repeatable; xqe is always there")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--anserini", metavar="JAR", help="anserini-*-fatjar.jar, for Lucene")
    parser.add_argument("--java", metavar="PROGRAM", default="java", help="as new as the jar wants it")
    parser.add_argument("--folder", type=Path, default=cache(), help="of collections and, while it runs, indexes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    options.collection = options.collection or list(MAKERS)
    options.k = options.k or list(KS)
    options.threads = sorted(set(options.threads or (1, cores)))
    options.side = [side for side in SIDES if side in (XQE, *(options.side or SIDES)) and _is_there(side, options)]
    results = Results()
    try:
        measure(options, results)
    finally:
        if options.json is not None:
            options.json.write_text(json.dumps(_raw(results, options), default=str), "utf-8")
    print(f"{processor()}, {_versions(options)}")
    for title, text in report(results, options):
        print(f"\n{'### ' if options.markdown else ''}{title}\n\n{text}" if options.markdown else f"\n{title}\n{text}")


def _is_there(side: str, options: argparse.Namespace) -> bool:
    """Whether a side can be measured; says why not."""
    missing = [name for name in PACKAGES.get(side, ()) if find_spec(name) is None]
    if missing:
        _say(f"{side}: left out, not installed; {sys.executable} -m pip install {' '.join(missing)}")
    if side == LUCENE and options.anserini is None:
        _say(f"{side}: left out, no --anserini (ANSERINI=jar for make)")
        return False
    if side == LUCENE:
        Lucene(options.java, options.anserini).check()
    return not missing


def _raw(results: Results, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "processor": processor(),
        "versions": _versions(options),
        "options": vars(options),
        "terms": results.terms,
        "indexing": [asdict(m) for m in results.indexing],
        "searching": [asdict(m) for m in results.searching],
    }


if __name__ == "__main__":
    main()
