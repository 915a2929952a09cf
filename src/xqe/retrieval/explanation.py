"""Why a document scores what it scores, as a record that sums to the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xqe.retrieval.lexical import Index, Parameters


def explained(index: Index, weights: Mapping[str, float], number: int, parameters: Parameters | None) -> dict[str, Any]:
    """Return the score of a document for weighted terms with all that makes it.

    document, score (as `Index.search` gives it), rank (among all documents, None for one that matches nothing),
    documents (of the index), length, average_length (terms), k1, b, K; terms: {"term", "weight", "tf", "df", "idf",
    "score"} of those that occur, the greatest score first; missing: the same without score of those that do not.
    """
    import numpy

    parameters = parameters or index.manifest.parameters
    parts = index.explain(weights, number, parameters)
    terms = [part._asdict() for part in parts]
    return {
        "document": index.id(number),
        "score": float(numpy.float32(sum(part.score for part in parts))),
        "rank": index.rank(weights, number, parameters),
        "documents": len(index),
        "length": int(index.vectors.lengths[number]),
        "average_length": index.manifest.average_length,
        "k1": parameters.k1,
        "b": parameters.b,
        "K": index.norm(number, parameters),
        "terms": [term for term in terms if term["tf"]],
        "missing": [
            {name: value for name, value in term.items() if name not in ("tf", "score")}
            for term in terms
            if not term["tf"]
        ],
    }
