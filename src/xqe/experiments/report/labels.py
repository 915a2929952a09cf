"""What things are called in a report: the paper's words for its parameters."""

from __future__ import annotations

from collections.abc import Iterable

from xqe.experiments.report.results import (
    DIRECT,
    DOCUMENTS,
    EXPANSION,
    GENERATED,
    HUMAN,
    ORIGINAL,
    PRESETS,
    SOURCE_EXPANSION,
    TRANSLATION,
    WORDS,
    Guided,
    Questions,
    Reranker,
    System,
)
from xqe.text.languages import known, name_of

STRATEGIES = {
    "zeroshot": "Zero-shot",
    "cot": "CoT",
    "rar": "RaR",
    "fewshot": "Few-shot",
    "query2doc": "Query2doc",
    "hyde": "HyDE",
    "mugi": "MuGI",
    "lamer": "LameR",
    "csqe": "CSQE",
    "grf": "GRF",
    "keywords": "Keywords",
    "genqr": "GenQR",
    "genqr-ensemble": "GenQREnsemble",
    "qa-expand": "QA-Expand",
    "exp4fuse": "Exp4Fuse",
    "auto": "Chosen by query",
}
ORDERS = {"te": "T + E", "et": "E + T"}
USES = {"doc": "Doc only", "query+doc": "Q + doc", "query": "Query"}
RETRIEVERS = {WORDS: "BM25", "dense": "dense", "hybrid": "hybrid"}
KINDS = {
    ORIGINAL: "Original query",
    TRANSLATION: "Translated query alone",
    DOCUMENTS: "Translated documents",
    HUMAN: "Query as people wrote it",
    **{preset: f"Preset: {preset}" for preset in PRESETS},
    SOURCE_EXPANSION: "Expanded, not translated",
    DIRECT: "Generated directly",
    EXPANSION: "Translated and expanded",
}


def strategy(system: System) -> str:
    return STRATEGIES.get(system.strategy or "", system.strategy or "")


def order(system: System) -> str:
    return ORDERS.get(system.order or "", system.order or "")


def retriever(by: str) -> str:
    return RETRIEVERS.get(by, by)


def use(system: System) -> str:
    """How the texts were used, with the query's weight where the grid has several, and the samples above one."""
    said = [USES.get(system.use, system.use)]
    if system.query_weight is not None and system.varies:
        said.append(f"weight {system.query_weight}")
    if (system.samples or 1) > 1:
        said.append(f"{system.samples} samples")
    return ", ".join(said)


def setting(system: System) -> tuple[str, str, str]:
    """(method, order, used), the first columns of tables 5, 9 and 12."""
    if system.kind not in GENERATED:
        return KINDS[system.kind], "", ""
    if system.kind == EXPANSION:
        return strategy(system), order(system), use(system)
    return strategy(system), {SOURCE_EXPANSION: "E only", DIRECT: "direct"}[system.kind], use(system)


def full(system: System) -> str:
    """A system in words: "tiny, Few-shot, E + T, Q + doc"."""
    by = "" if system.retriever == WORDS else retriever(system.retriever)
    again = "" if system.reranker is None else f" + {reranker(system.reranker)}"
    asked = "" if system.questions is None else f"questions {questions(system.questions)}"
    guide = "" if system.guided is None else guided(system.guided)
    return ", ".join(part for part in (system.model, *setting(system), by, guide, asked) if part) + again


def guided(one: Guided) -> str:
    """How an encoder guided a system, in words: "nearby, judge weigh"."""
    return ", ".join(part for part in (one.guide, one.judge and f"judge {one.judge}") if part)


def questions(one: Questions) -> str:
    """What the questions of documents count, in words: "weight 0.5, share 0.25"."""
    parts = [f"weight {one.weight:g}"] * bool(one.weight) + [f"share {one.share:g}"] * bool(one.share)
    return ", ".join(parts)


def reranker(one: Reranker) -> str:
    """What re-ranks hits, in words: "likelihood@20, weight 0.5"."""
    weight = f", weight {one.first_weight:g}" if one.varies and one.first_weight is not None else ""
    return f"{one.name}@{one.n}{weight}"


def language(code: str) -> str:
    return name_of(code)


def is_latin(code: str) -> bool | None:
    row = known(code)
    return None if row is None else row.is_latin


def listed(names: Iterable[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    some = list(names)
    return some[0] if len(some) == 1 else f"{', '.join(some[:-1])} and {some[-1]}" if some else "none"
