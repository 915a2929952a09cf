"""From measured rates to collections that cannot be run here: hours, disk, memory and money, stage by stage.

    python benchmarks/reckoning.py [--markdown]

It measures nothing. RATES are what docs/performance.md, docs/dense.md and docs/scaling.md report, each with its place;
PRICES are published; all else is multiplication, and every table of docs/scaling.md that says "reckoned" is printed by
this. With W workers the hours are divided by W and by the efficiency that `benchmarks/cluster.py` measures.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from tables import table

CORES = 2  # of the machine whose CPU rates these are
TOKENS = 100  # of an encoder, a passage: 63 words of English are 85; other languages have more
PASSAGE_TOKENS = 64  # of an expansion
QUERY_TOKENS = 13  # of a translated query (docs/performance.md, four pairs)
PAIRS = 100  # of a query that are re-ranked


@dataclass(frozen=True, slots=True)
class Collection:
    """documents: passages, in all languages. queries: of the experiment reckoned with."""

    name: str
    documents: int
    queries: int


COLLECTIONS = (
    Collection("mMARCO, one language", 8_841_823, 6_980),  # arXiv 2108.13897
    Collection("mMARCO, 14 languages", 14 * 8_841_823, 14 * 6_980),
    Collection("CLIRMatrix", 15_000_000, 100_000),
    Collection("MIRACL, 18 languages", 106_332_152, 13_495),  # TACL 2023, table 1: passages; queries of dev
    Collection("a hundred million", 100_000_000, 100_000),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """dollars: an hour. index: passages/s. encode, translate and expand: tokens/s, of an encoder and of a model that
    generates. rerank: pairs/s. None where it has no business there."""

    name: str
    dollars: float
    index: float | None
    encode: float
    translate: float
    expand: float
    rerank: float


MACHINES = (
    # A vCPU at a 72nd of a c5.18xlarge, $3.06 an hour in AWS's guide of EC2 Auto Scaling.
    Machine(
        "two cores, e5-small and Gemma 3 270M",
        CORES * 3.06 / 72,
        index=13_365,  # docs/scaling.md, a million passages
        encode=1_995,  # docs/dense.md, ONNX Runtime
        translate=QUERY_TOKENS / 0.184,  # docs/performance.md, four pairs
        expand=221,  # docs/performance.md, short prefix
        rerank=2.8,  # docs/performance.md, likelihood
    ),
    # An H200 at the lower end of what specialised providers asked in May 2026 (mercatus-ai.com, cloud GPU pricing).
    Machine(
        "one H200, e5-small by PyTorch and Gemma 3 4B",
        3.50,
        index=None,
        encode=590_000,  # docs/performance.md, On a GPU: a bare loop of PyTorch, the lower figure
        translate=2_067,  # the same page, batch 64
        expand=2_067,
        rerank=36,  # the same page, the 270M model
    ),
)


def hours(collection: Collection, machine: Machine) -> list[float | None]:
    """Hours of indexing, encoding, translating, expanding and re-ranking."""
    work = (
        (collection.documents, machine.index),
        (collection.documents * TOKENS, machine.encode),
        (collection.queries * QUERY_TOKENS, machine.translate),
        (collection.queries * PASSAGE_TOKENS, machine.expand),
        (collection.queries * PAIRS, machine.rerank),
    )
    return [None if rate is None else amount / rate / 3600 for amount, rate in work]


def told(value: float | None, dollars: float) -> str:
    if value is None:
        return "–"
    long = f"{value / 24:,.0f} days" if value >= 100 else f"{value:,.1f} h" if value >= 0.1 else f"{value * 60:.1f} min"
    cost = value * dollars
    return f"{long}, ${cost:,.0f}" if cost >= 1 else f"{long}, ${cost:.2f}"


def sizes(collection: Collection) -> list[str]:
    """Disk of the words' index and of vectors (384 numbers of 16 bits), and the memory of vectors in 32 bits."""
    words = collection.documents * 935  # bytes a passage (docs/scaling.md, a million passages)
    vectors = collection.documents * 384
    return [f"{words / 1e9:,.1f}", f"{vectors * 2 / 1e9:,.1f}", f"{vectors * 4 / 1e9:,.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    for machine in MACHINES:
        rows = [[c.name, *(told(value, machine.dollars) for value in hours(c, machine))] for c in COLLECTIONS]
        header = [machine.name, "index", "encode", "translate", "expand", f"re-rank {PAIRS}"]
        print(f"{table(header, rows, options.markdown)}\n")
    rows = [[c.name, f"{c.documents:,}", f"{c.queries:,}", *sizes(c)] for c in COLLECTIONS]
    print(table(["GB", "passages", "queries", "words", "vectors, 16 bits", "in 32 bits"], rows, options.markdown))


if __name__ == "__main__":
    main()
