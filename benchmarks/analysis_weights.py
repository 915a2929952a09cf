"""What terms beside a stem should weigh in a query, and which k1 and b suit texts of which length.

    python benchmarks/analysis_weights.py FOLDER... [--language LANG]... [--most N]

A FOLDER is one of `languages.py`. Scores are BM25's over whole matrices, of all settings at once: the MRR over 100 hits
of up to N queries (1500), on the mean over the languages.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy
import scipy.sparse
from languages import DEPTH, MOST, documents_of, read_queries, read_rows
from tables import table

from xqe.retrieval.lexical import Parameters
from xqe.retrieval.lexical.bm25 import idf
from xqe.text.analysis import analyzer, is_added

WEIGHTS = (0.0, 0.2, 0.3, 0.5, 1.0)
PARAMETERS = tuple(
    Parameters(k1, b) for k1, b in ((0.82, 0.68), (1.2, 0.75), (0.9, 0.4), (1.5, 0.8), (1.6, 0.85), (2.0, 0.95))
)


class Matrices:
    """Term counts of the documents and queries of a language, and which document each query is to find."""

    def __init__(self, folder: Path, code: str, most: int) -> None:
        texts = {row["id"]: row["text"] for row in read_rows(documents_of(folder)[code])}
        queries = read_queries(folder, code, most)
        self._terms: dict[str, int] = {}
        analyze = analyzer(code)
        self._documents = self._counted([analyze.terms(text) for text in texts.values()])
        self._queries = self._counted([analyze.terms(text) for text in queries.values()])
        self._documents.resize(self._documents.shape[0], len(self._terms))
        places = {key: place for place, key in enumerate(texts)}
        self._wanted = numpy.array([places[key] for key in queries])
        self._added = numpy.array([is_added(term) for term in self._terms])
        self.words = self._documents.sum() / len(texts) / analyze.terms_of_a_word

    def _counted(self, texts: Sequence[Sequence[str]]) -> scipy.sparse.csr_matrix:
        rows, columns, counts = [], [], []
        for row, terms in enumerate(texts):
            for term, count in Counter(terms).items():
                rows.append(row)
                columns.append(self._terms.setdefault(term, len(self._terms)))
                counts.append(float(count))
        return scipy.sparse.csr_matrix((counts, (rows, columns)), shape=(len(texts), len(self._terms)))

    def reciprocal_ranks(self, parameters: Parameters) -> list[float]:
        """The MRR in percent with each of the `WEIGHTS`."""
        counts = self._documents.tocoo()
        lengths = numpy.asarray(self._documents.sum(axis=1)).ravel()
        norms = parameters.norms(lengths, lengths.mean())[counts.row]
        frequencies = numpy.bincount(counts.col, minlength=counts.shape[1])
        scores = (
            idf(counts.shape[0], frequencies)[counts.col] * (parameters.k1 + 1) * counts.data / (counts.data + norms)
        )
        matrix = scipy.sparse.csr_matrix((scores, (counts.row, counts.col)), shape=counts.shape)
        stems, added = ((self._queries[:, its] @ matrix[:, its].T).toarray() for its in (~self._added, self._added))
        return [self._mrr(stems + weight * added) for weight in WEIGHTS]

    def _mrr(self, scores: numpy.ndarray) -> float:
        own = scores[numpy.arange(len(self._wanted)), self._wanted]
        ties = (scores == own[:, None]) & (numpy.arange(scores.shape[1]) < self._wanted[:, None])
        ranks = 1 + (scores > own[:, None]).sum(axis=1) + ties.sum(axis=1)
        return float(100 * numpy.where((ranks <= DEPTH) & (own > 0), 1 / ranks, 0).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--language", action="append", help="only this one; repeatable")
    parser.add_argument("--most", type=int, default=MOST, metavar="N")
    arguments = parser.parse_args()
    for folder in arguments.folder:
        found: defaultdict[Parameters, list[list[float]]] = defaultdict(list)
        words = []
        for code in documents_of(folder):
            if arguments.language and code not in arguments.language:
                continue
            matrices = Matrices(folder, code, arguments.most)
            words.append(matrices.words)
            for parameters in PARAMETERS:
                found[parameters].append(matrices.reciprocal_ranks(parameters))
        print(f"\n{folder.name}: {len(words)} languages, {numpy.mean(words):.0f} words a document")
        means = {parameters: numpy.mean(each, axis=0) for parameters, each in found.items()}
        lines = [[f"{p.k1:g}, {p.b:g}", *(f"{mean:.2f}" for mean in its)] for p, its in means.items()]
        print(table(("k1, b", *(f"weight {weight:g}" for weight in WEIGHTS)), lines, True), flush=True)


if __name__ == "__main__":
    main()
