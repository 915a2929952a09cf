"""What the commands that build indexes say of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xqe.retrieval.lexical import Contents


def summary_of_all(directory: Path, manifests: Mapping[str, Contents]) -> dict[str, Any]:
    """What a line says of an index of several languages, and of each."""
    each = {code: summary(directory / code, manifest) for code, manifest in manifests.items()}
    return {
        "index": str(directory),
        "name": directory.resolve().name,
        "lang": ",".join(manifests),
        "documents": sum(manifest.documents for manifest in manifests.values()),
        "languages": each,
        "bytes": sum(manifest.size for manifest in manifests.values()),
    }


def summary(directory: Path, manifest: Contents) -> dict[str, Any]:
    """What a line says of an index."""
    return {
        "index": str(directory),
        "name": directory.resolve().name,
        "lang": manifest.language,
        **_shards(manifest),
        "documents": manifest.documents,
        "empty": manifest.empty,
        "terms": manifest.terms,
        "distinct": manifest.distinct,
        "average_length": round(manifest.average_length, 2),
        **_questions(manifest),
        "k1": manifest.k1,
        "b": manifest.b,
        "bytes": manifest.size,
    }


def _questions(manifest: Contents) -> dict[str, Any]:
    """How many questions there are in each language, and how many documents have any."""
    counts = {
        code: {"documents": its["documents"], "questions": its["questions"]} for code, its in manifest.questions.items()
    }
    return {"questions": counts} if counts else {}


def _shards(manifest: Contents) -> dict[str, Any]:
    """How many shards there are, where it is not in one piece."""
    from xqe.retrieval.lexical import Shards

    return {"shards": len(manifest.shards)} if isinstance(manifest, Shards) else {}
