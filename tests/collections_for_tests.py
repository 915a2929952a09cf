"""A collection in xqe's layout made of the fixtures: forty topics that say the same in every language."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from conftest import FIXTURES

from xqe.collections.layout import ANY, Collection, CollectionWriter
from xqe.files.records import Document
from xqe.files.trec import read_qrels


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def fixture_collection(
    directory: Path, languages: Sequence[str], topics: int = 40, texts: dict[str, str] | None = None
) -> Collection:
    """Write the first `topics` topics in some languages; `texts` replaces queries by their ids, in every language."""
    writer = CollectionWriter(directory, "fixtures", replace=True)
    qrels = read_qrels(str(FIXTURES / "qrels.txt"))
    for lang in languages:
        documents = [
            Document(one["id"], one["text"], one.get("title", ""))
            for one in lines(FIXTURES / "documents" / f"{lang}.jsonl")
        ]
        writer.documents(lang, documents)
        queries = {one["id"]: one["query"] for one in lines(FIXTURES / "questions" / f"{lang}.jsonl")[:topics]}
        writer.queries("test", lang, {**queries, **(texts or {})}.items())
        judgements = [
            (query, document, grade)
            for query in {**queries, **(texts or {})}
            for document, grade in qrels[query].items()
        ]
        writer.qrels("test", ANY, lang, judgements)
    return writer.finish("the fixtures of xqe", {"name": "fixtures"}, "CC0-1.0", parallel=True)
