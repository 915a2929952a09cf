"""What was measured of BM25 within each language: measured.tsv, which `benchmarks/languages.py --tsv` writes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any


@cache
def _rows() -> list[list[str]]:
    lines = Path(__file__).with_name("measured.tsv").read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def measured(code: str) -> list[dict[str, Any]]:
    """Of each collection that the language was measured in: queries, words of a document on the mean, and the MRR over
    100 hits of xqe and of Lucene in percent, None where Lucene has no analyzer of the language."""
    return [
        {
            "collection": collection,
            "queries": int(queries),
            "words": int(words),
            "mrr": float(mrr),
            "lucene": float(lucene) if lucene else None,
        }
        for its, collection, queries, words, mrr, lucene in _rows()
        if its == code
    ]
