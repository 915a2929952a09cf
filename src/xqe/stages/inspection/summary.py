"""Means over records, by groups of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from xqe.evaluation.groups import field_value
from xqe.files.records import Record, has_failed
from xqe.stages.inspection.measures import FLAGGED, MEASURES, REFERENCED, Value

BY = ("model", "strategy", "order", "source.lang", "lang")
"""What a summary is grouped by, unless told: fields of "inspection" or of the record."""


@dataclass(slots=True)
class Row:
    """What a group's records have in common. group: {} for all of them.

    failed: passed over because they had failed. inspected: records that have measures. counted: of these, how many
    had each measure; measures: its mean over them. flagged: the share of records with a flagged text.
    """

    group: dict[str, str | None]
    records: int = 0
    failed: int = 0
    inspected: int = 0
    flagged: float | None = None
    measures: dict[str, Value] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)


def summary(records: Iterable[Record], by: Sequence[str] = BY) -> list[Row]:
    """Return a row for all inspected records, and one for each group where there is more than one, in their order."""
    sums = {(): _Sum()}
    groups: dict[tuple[str | None, ...], _Sum] = {}
    for record in records:
        values = tuple(value_of(record, name) for name in by)
        for one in (sums[()], groups.setdefault(values, _Sum())):
            one.add(record)
    rows = [one.row(dict(zip(by, values, strict=True))) for values, one in groups.items()]
    return rows if len(rows) == 1 else [sums[()].row({}), *rows]


def value_of(record: Record, name: str) -> str | None:
    """A field of "inspection" where it has it, else of the record."""
    found = record.get("inspection") or {}
    return field_value(found if name.split(".")[0] in found else record, name)


class _Sum:
    def __init__(self) -> None:
        self.records = self.failed = self.flagged = 0
        self.found: Counter[str] = Counter()
        self.total: dict[str, float] = defaultdict(float)
        self.inspected = 0

    def add(self, record: Record) -> None:
        self.records += 1
        self.failed += has_failed(record)
        measures = record.get("inspection")
        if not measures:
            return
        self.inspected += 1
        self.flagged += measures[FLAGGED] > 0
        for measure in (*MEASURES, *REFERENCED):
            value = measures.get(measure.name)
            if value is not None:
                self.found[measure.name] += 1
                self.total[measure.name] += value

    def row(self, group: dict[str, str | None]) -> Row:
        referenced = [measure for measure in REFERENCED if self.found[measure.name]]
        counted = {measure.name: self.found[measure.name] for measure in (*MEASURES, *referenced)}
        averages = {name: self.total[name] / number if number else None for name, number in counted.items()}
        flagged = self.flagged / self.inspected if self.inspected else None
        return Row(group, self.records, self.failed, self.inspected, flagged, dict(averages), counted)
