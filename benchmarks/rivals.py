"""The sides of `retrieval.py` that are Python: each call is a process of its own.

    python benchmarks/rivals.py < job      # {"do": a name of JOBS, and its arguments}; a line of JSON answers

bm25s is a package that only this benchmark needs: pip install bm25s numba
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from corpora import DOCUMENTS, Collection, Document, write_documents

TERMS, ANALYSIS, WEIGHTS = "terms", "analysis.json", "weights.json"  # in a collection's folder
SHORT, LONG = "short", "long"
QUERY_WEIGHT = 5
K1, B = 0.82, 0.68  # xqe's own, for all
SECONDS = 1.0  # that a setting is measured for at least
KEPT = 100  # hits that answers are compared by

Weights = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Setting:
    """kind: SHORT is the query, LONG the query five times and its passage. k: hits wanted."""

    kind: str
    k: int


# ---------------------------------------------------------------- the same terms for all


def prepare(folder: str) -> dict[str, Any]:
    """Analyse a collection with xqe: its documents as terms with spaces between them, unless the same analysis has made
    them before, and its queries as weights. The answer says how many terms a query is, repeated ones included."""
    from xqe.text.analysis import analyzer, is_added

    analyze = analyzer("en")
    collection = Collection("", Path(folder))
    terms, made_by = collection.folder / TERMS, collection.folder / ANALYSIS
    if not made_by.exists() or json.loads(made_by.read_text("utf-8")) != analyze.identity:
        shutil.rmtree(terms, ignore_errors=True)
        write_documents(terms, (Document(d.id, " ".join(analyze.terms(d.contents))) for d in collection.documents()))
        made_by.write_text(json.dumps(analyze.identity), "utf-8")
    queries: dict[str, list[Counter[str]]] = {SHORT: [], LONG: []}
    for query in collection.queries():
        short = Counter(analyze.terms(query.query))
        weighted = Counter({term: QUERY_WEIGHT * count for term, count in short.items()})
        queries[SHORT].append(short)
        queries[LONG].append(weighted + Counter(term for term in analyze.terms(query.passage) if not is_added(term)))
    (collection.folder / WEIGHTS).write_text(json.dumps(queries), "utf-8")
    return {kind: sum(query.total() for query in of) / len(of) for kind, of in queries.items()}


def weights(folder: Path, count: int) -> dict[str, list[Weights]]:
    """The first `count` queries of each kind, as the weight of each term."""
    made: dict[str, list[Weights]] = json.loads((folder / WEIGHTS).read_text("utf-8"))
    return {kind: queries[:count] for kind, queries in made.items()}


def repeated(query: Weights) -> list[str]:
    """The terms, each as often as it weighs, for a side that knows no weights."""
    return [term for term, weight in query.items() for _ in range(weight)]


# ---------------------------------------------------------------- bm25s


def _bm25s() -> Any:
    try:
        return importlib.import_module("bm25s")
    except ImportError:
        raise SystemExit("bm25s is not installed, and only this benchmark needs it: pip install bm25s numba") from None


def index_bm25s(collection: str, index: str, backend: str, analysed: bool) -> dict[str, Any]:
    """Index with bm25s. analysed: from the terms that xqe makes of the documents; otherwise with its own tokenizer,
    stop words and the Snowball stemmer of PyStemmer."""
    import Stemmer

    bm25s = _bm25s()
    if backend == "numba":  # which compiles on first use
        bm25s.BM25(method="lucene", backend=backend).index([["a", "b"]], show_progress=False)
    start = perf_counter()
    source = Path(collection) / (TERMS if analysed else DOCUMENTS)
    ids, texts = [], []
    for path in sorted(source.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                ids.append(record["id"])
                texts.append(record["contents"])
    if analysed:
        tokens = [text.split() for text in texts]
    else:
        tokens = bm25s.tokenize(texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False)
    retriever = bm25s.BM25(method="lucene", k1=K1, b=B, backend=backend)
    retriever.index(tokens, show_progress=False)
    retriever.save(index)
    (Path(index) / "ids.json").write_text(json.dumps(ids), "utf-8")
    return {"seconds": perf_counter() - start, "documents": len(ids)}


def _searcher_bm25s(index: Path, backend: str, threads: int) -> Callable[[Sequence[Weights], int], list[list[str]]]:
    retriever = _bm25s().BM25.load(index, load_corpus=False)
    retriever.backend = backend
    if backend == "numba":
        retriever.compile(activate_numba=True, warmup=False)
    ids = json.loads((index / "ids.json").read_text("utf-8"))

    def search(queries: Sequence[Weights], k: int) -> list[list[str]]:
        # asked for one thread, bm25s starts none; numba takes the number as it is
        n_threads = threads if backend == "numba" or threads > 1 else 0
        found, scores = retriever.retrieve(
            [repeated(query) for query in queries],
            k=k,
            n_threads=n_threads,
            backend_selection="auto",
            show_progress=False,
        )
        return [
            [ids[number] for number, score in zip(row, of_row, strict=True) if score > 0]
            for row, of_row in zip(found.tolist(), scores.tolist(), strict=True)
        ]

    return search


# ---------------------------------------------------------------- xqe


def _searcher_xqe(index: Path, _backend: str, threads: int) -> Callable[[Sequence[Weights], int], list[list[str]]]:
    from xqe.retrieval.lexical import open_index

    opened = open_index(index)

    def search(queries: Sequence[Weights], k: int) -> list[list[str]]:
        with ThreadPoolExecutor(threads) as executor:
            answers: Iterable[Any] = executor.map(lambda query: opened.search(query, k), queries)
            return [[hit.id for hit in answer] for answer in answers]

    return search


# ---------------------------------------------------------------- searching


SEARCHERS: dict[str, Callable[[Path, str, int], Callable[[Sequence[Weights], int], list[list[str]]]]] = {
    "xqe": _searcher_xqe,
    "bm25s": _searcher_bm25s,
}


def search(
    side: str, backend: str, collection: str, index: str, threads: int, count: int, settings: list[dict[str, Any]]
) -> dict[str, Any]:
    """Answer the first `count` queries in each setting, after some that do not count, again and again for a second at
    least. "hits" are the ids found."""
    start = perf_counter()
    answer = SEARCHERS[side](Path(index), backend, threads)
    opened = perf_counter() - start
    queries = weights(Path(collection), count)
    runs = [_timed(answer, queries[s["kind"]], Setting(**s)) for s in settings]
    return {"opened": opened, "runs": runs}


def _timed(answer: Callable[..., list[list[str]]], queries: Sequence[Weights], setting: Setting) -> dict[str, Any]:
    answer(queries[: max(1, len(queries) // 4)], setting.k)
    start = perf_counter()
    answered, seconds = 0, 0.0
    while seconds < SECONDS:
        hits = answer(queries, setting.k)
        answered, seconds = answered + len(hits), perf_counter() - start
    return {
        "kind": setting.kind,
        "k": setting.k,
        "queries": answered,
        "seconds": seconds,
        "hits": [found[:KEPT] for found in hits],
    }


JOBS: dict[str, Callable[..., dict[str, Any]]] = {"prepare": prepare, "index": index_bm25s, "search": search}


def main() -> None:
    job = json.load(sys.stdin)
    print(json.dumps(JOBS[job.pop("do")](**job)))


if __name__ == "__main__":
    main()
