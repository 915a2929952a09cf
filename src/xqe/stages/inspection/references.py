"""Queries held to what people wrote in their language: chrF, and the cosine that an encoder sees.

A record is compared with the references that have its id, in its language. Its "inspection" gains

    chrf         0..1, against the reference that the query is most like (see `xqe.evaluation.chrf`)
    similarity   the greatest cosine between the query's vector and that of a reference, where an encoder is given
    length       how many words the query has as it was asked, stop words included: one of `LENGTHS`

which are None where there is no reference. Five words is where the paper's short queries end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from xqe.evaluation.chrf import chrf
from xqe.files.records import Record, has_failed
from xqe.stages.inspection.history import row_of, source
from xqe.stages.inspection.measures import REFERENCED
from xqe.text.analysis import analyzer
from xqe.text.languages import code_of

if TYPE_CHECKING:
    from xqe.models.encoders.base import Encoder, Matrix

CHRF, SIMILARITY = (measure.name for measure in REFERENCED)
LENGTH = "length"
LENGTHS = ((1, "1-2"), (3, "3-4"), (5, "5-8"), (9, "9+"))
"""The fewest words of each, and its name."""
_TOGETHER = 64  # records whose texts are encoded at once

References = Callable[[str, str], Sequence[str]]
"""(id, code of a language) -> what people wrote."""


def referenced(records: Iterable[Record], references: References, encoder: Encoder | None) -> Iterator[Record]:
    """Yield each inspected record with what is measured against its references, in order."""
    rest = iter(records)
    while some := list(islice(rest, _TOGETHER)):
        found = [_of(record, references) for record in some]
        similarities = _similarities(some, found, encoder) if encoder is not None else [None] * len(some)
        for record, its, similarity in zip(some, found, similarities, strict=True):
            if record["inspection"] is None:
                yield record
                continue
            values = {CHRF: chrf(record["query"], its) if its else None, SIMILARITY: similarity}
            yield {**record, "inspection": {**record["inspection"], **values, LENGTH: _length(record)}}


def _of(record: Record, references: References) -> Sequence[str]:
    return [] if has_failed(record) else references(record["id"], code_of(str(record.get("lang", ""))))


def _similarities(
    records: Sequence[Record], references: Sequence[Sequence[str]], encoder: Encoder
) -> list[float | None]:
    from xqe.models.encoders.base import Side

    pairs = [(record["query"], its) for record, its in zip(records, references, strict=True)]
    texts = list(dict.fromkeys(text for query, its in pairs if its for text in (query, *its)))
    vectors: dict[str, Matrix] = {}
    if texts:
        encoded = encoder.encode(texts, Side.QUERY)
        its_vectors = enumerate(zip(texts, encoded.vectors, strict=True))
        vectors = {text: vector for place, (text, vector) in its_vectors if place not in encoded.errors}

    def nearest(query: str, its: Sequence[str]) -> float | None:
        there = [vectors[one] for one in its if one in vectors] if query in vectors else []
        return max((float(vectors[query] @ one) for one in there), default=None)

    return [nearest(*pair) for pair in pairs]


def _length(record: Record) -> str | None:
    """How many words a query has as it was asked; None in a language that is not known."""
    row = row_of(source(record, "lang"))
    if row is None:
        return None
    words = len(analyzer(row.code).explain(source(record, "query")))
    return next((name for fewest, name in reversed(LENGTHS) if words >= fewest), LENGTHS[0][1])
