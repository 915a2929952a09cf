"""What the published methods make of a query and their texts, after their papers or QueryGym's code: references, each
of a few lines, that know nothing of xqe."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence


def query2doc(query: str, texts: Sequence[str]) -> str:
    """Wang et al. 2023, section 2, sparse: the query five times, then the passage."""
    return " ".join([query] * 5 + list(texts))


def mugi(query: str, texts: Sequence[str]) -> str:
    """QueryGym, core/base.py, adaptive_query_repeat_plus_generated, with adaptive_times = 5."""
    generated = " ".join(texts)
    times = max(1, (len(generated) // len(query)) // 5)
    return (query + " ") * times + generated


def lamer(query: str, texts: Sequence[str]) -> str:
    """QueryGym, core/base.py, interleaved_query_content."""
    parts = []
    for passage in texts:
        parts += [query, passage]
    return " ".join(parts)


def csqe(query: str, texts: Sequence[str]) -> str:
    """QueryGym, methods/csqe.py, with gen_num = 2."""
    return " ".join([query] * 2 + list(texts)).lower().strip()


def repeated(times: int) -> Callable[[str, Sequence[str]], str]:
    """QueryGym, core/base.py, query_repeat_plus_generated."""
    return lambda query, texts: " ".join([query] * times + [" ".join(texts)])


JOINED: dict[str, Callable[[str, Sequence[str]], str]] = {
    "query2doc": query2doc,
    "mugi": mugi,
    "lamer": lamer,
    "csqe": csqe,
    "keywords": repeated(5),  # QueryGym, methods/query2e.py
    "genqr": repeated(5),
    "genqr-ensemble": repeated(5),  # methods/genqr_ensemble.py
    "qa-expand": repeated(3),  # methods/qa_expand.py
    "exp4fuse": repeated(5),  # liuliuyuan6/Exp4Fuse, fuser.py: question*5 and the document
}
"""The text that each has searched."""


def grf(query: Sequence[str], texts: Sequence[Sequence[str]], terms: int, mix: float) -> dict[str, float]:
    """Mackie et al. 2023, equation 1: the query's model and that of the best terms of what was generated."""
    generated = Counter(term for text in texts for term in text)
    best = sorted(generated.items(), key=lambda pair: (-pair[1], pair[0]))[:terms]
    total = sum(count for _, count in best)
    weights: defaultdict[str, float] = defaultdict(float)
    for term, count in best:
        weights[term] += (1 - mix) * count / total
    for term in query:
        weights[term] += mix / len(query)
    return dict(weights)


def hyde(query: Sequence[float], texts: Sequence[Sequence[float]]) -> list[float]:
    """Gao et al. 2023, equation 8: the mean of all vectors, here at length 1."""
    rows = [query, *texts]
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    length = math.sqrt(sum(value * value for value in mean))
    return [value / length for value in mean]


def exp4fuse(original: Sequence[str], expanded: Sequence[str]) -> list[tuple[str, float]]:
    """liuliuyuan6/Exp4Fuse, fuser.py: documents with their scores, the best first; the lists have ranks from 1."""
    shares: defaultdict[str, list[float]] = defaultdict(list)
    for ranked in (expanded, original):
        for rank, document in enumerate(ranked, 1):
            shares[document].append(1 / (60 + rank))
    scores = {document: (len(its) / 10 + 1) * sum(its) for document, its in shares.items()}
    return sorted(scores.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)


HYDE_USER = "Please write a passage to answer the question.\nQuestion: {query}\nPassage:"
"""texttron/hyde, src/hyde/promptor.py, WEB_SEARCH."""
HYDE_IN = "Please write a passage in {language} to answer the question in detail.\nQuestion: {query}\nPassage:"
"""The same, MR_TYDI."""
Q2E_USER = "Write a list of keywords for the following query: {query}"
"""Jagerman et al. 2023, Q2E/ZS, as QueryGym's q2e.zs.v1."""
GENQR_ENSEMBLE = (
    "Improve the search effectiveness by suggesting expansion terms for the query",
    "Recommend expansion terms for the query to improve search results",
    "Improve the search effectiveness by suggesting useful expansion terms for the query",
    "Maximize search utility by suggesting relevant expansion phrases for the query",
    "Enhance search efficiency by proposing valuable terms to expand the query",
    "Elevate search performance by recommending relevant expansion phrases for the query",
    "Boost the search accuracy by providing helpful expansion terms to enrich the query",
    "Increase the search efficacy by offering beneficial expansion keywords for the query",
    "Optimize search results by suggesting meaningful expansion terms to enhance the query",
    "Enhance search outcomes by recommending beneficial expansion terms to supplement the query",
)
"""Dhole and Agichtein 2024, table 1, as QueryGym's genqr_ensemble.inst1 to inst10."""
RECIPES = {  # texts, temperature, tokens, documents
    "query2doc": (1, 1.0, 128, 0),
    "hyde": (8, 0.7, 512, 0),  # texttron/hyde, src/hyde/generator.py
    "mugi": (5, 1.0, 1024, 0),  # QueryGym, methods/*.py from here on
    "lamer": (5, 1.0, 128, 10),
    "csqe": (4, 1.0, 1024, 10),
    "keywords": (1, 0.0, 256, 0),
    "genqr": (5, 0.8, 256, 0),
    "genqr-ensemble": (10, 0.92, 256, 0),
    "exp4fuse": (1, 0.7, 128, 0),  # hypothesis_documents_generator.py
    "grf": (10, 0.7, 512, 0),
}
