"""Whether what inspection measures of a translation says what is found with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xqe.evaluation.correlation import kendall, spearman
from xqe.evaluation.measures import Measure
from xqe.evaluation.values import per_query
from xqe.files.records import Record
from xqe.files.trec import Grades, Hits
from xqe.stages.inspection.references import CHRF, SIMILARITY
from xqe.stages.inspection.summary import value_of

OF = (CHRF, SIMILARITY, "kept")
"""What of "inspection" is looked at."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """How a measure of translations goes with a measure of what was found, over the queries of a group that have both.

    group: {} for all. queries: how many. spearman, kendall: {"value", "low", "high"}, with a 95 % interval; None where
    one of the two is the same for all queries, and low and high where there are too few.
    """

    group: dict[str, str | None]
    measure: str
    found: str
    queries: int
    spearman: dict[str, float | None] | None
    kendall: dict[str, float | None] | None


def correlations(
    records: Sequence[tuple[Record, Hits]],
    qrels: Mapping[str, Grades],
    measures: Sequence[Measure],
    rel: int,
    by: Sequence[str],
) -> list[Correlation]:
    """Return the correlations over all records and over each group where there is more than one, in their order.

    records: inspected, with what each found. Those that nothing is judged for are passed over.
    """
    judged = [(record, hits) for record, hits in records if record["id"] in qrels and record["inspection"]]
    names = [str(place) for place in range(len(judged))]
    grades = {name: qrels[record["id"]] for name, (record, _) in zip(names, judged, strict=True)}
    values = per_query(grades, dict(zip(names, (hits for _, hits in judged), strict=True)), measures, rel)
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for place, (record, _) in enumerate(judged):
        groups.setdefault(tuple(value_of(record, name) for name in by), []).append(place)
    parts: list[tuple[dict[str, str | None], Sequence[int]]] = [({}, range(len(judged)))]
    if len(groups) > 1:
        parts += [(dict(zip(by, group, strict=True)), places) for group, places in groups.items()]
    inspections = [record["inspection"] for record, _ in judged]
    found = [values[name] for name in names]
    return [
        _correlation(group, of, str(measure), [inspections[at] for at in places], [found[at] for at in places])
        for group, places in parts
        for of in OF
        for measure in measures
        if any(one.get(of) is not None for one in inspections)
    ]


def _correlation(
    group: dict[str, str | None],
    of: str,
    measure: str,
    inspections: Sequence[Mapping[str, Any]],
    found: Sequence[Mapping[str, float]],
) -> Correlation:
    pairs = [(one[of], its[measure]) for one, its in zip(inspections, found, strict=True) if one.get(of) is not None]
    columns = [one for one, _ in pairs], [value for _, value in pairs]
    ranks = [rank(*columns) if pairs else None for rank in (spearman, kendall)]
    said = [rank._asdict() if rank is not None else None for rank in ranks]
    return Correlation(group, of, measure, len(pairs), *said)
