"""Questions that documents carry: what a system gains as they count more, by language pair, beside documents that are
translated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xqe.experiments.report import labels
from xqe.experiments.report.averages import Difference, Frame, corrected
from xqe.experiments.report.blocks import Block, Curve, Row, Table, Value, percent, points
from xqe.experiments.report.results import DOCUMENTS, Pair, Questions, Results, System
from xqe.experiments.report.tables import FAMILY_NOTE, told

NONE = "none"
_TRANSLATED = "translated documents"


def blocks(results: Results, main: str) -> Iterator[Block]:
    """What there is to say of each collection and retriever that was searched with questions."""
    for collection in results.collections:
        for retriever in results.retrievers(collection):
            groups = results.with_questions(collection, retriever)
            sweeps = [_Sweep(results, collection, main, plain, group) for plain, group in groups.items()]
            sweeps = [sweep for sweep in sweeps if sweep.frame.size]
            for sweep in sweeps:
                yield from sweep.curves()
            if sweeps:
                yield _table(collection, retriever, main, sweeps)


class _Sweep:
    """A system as questions count more and more, over the language pairs that all of it has."""

    def __init__(self, results: Results, collection: str, main: str, plain: System, group: Sequence[System]) -> None:
        self.results, self.collection, self.main = results, collection, main
        self.plain, self.group = plain, group
        self.translated = self._translated()
        systems = [plain, *group, *([self.translated] if self.translated else [])]
        there = results.pairs(collection)
        pairs = [pair for pair in there if pair[0] != pair[1]] or there
        has = [pair for pair in pairs if all(results.cell(collection, pair, one) is not None for one in systems)]
        self.frame = Frame(results, collection, has)

    def _translated(self) -> System | None:
        """Documents that are translated, by the system's own model, or else by any."""
        found = [one for one in self.results.systems(self.collection, self.plain.retriever) if one.kind == DOCUMENTS]
        return next((one for one in found if one.model == self.plain.model), next(iter(found), None))

    @property
    def name(self) -> str:
        return ", ".join(part for part in (self.plain.model, *labels.setting(self.plain)) if part)

    def value(self, system: System | None, frame: Frame) -> float | None:
        column = None if system is None else frame.column(system, self.main)
        return None if column is None else frame.average(column)

    def changes(self) -> list[Difference | None]:
        """How the mean of each system with questions differs from that without, and then that of translated documents,
        as a family."""
        base = self.frame.column(self.plain, self.main)
        columns = [None if one is None else self.frame.column(one, self.main) for one in (*self.group, self.translated)]
        return corrected(
            [None if base is None or column is None else self.frame.compare(column, base) for column in columns]
        )

    def of_pair(self, pair: Pair) -> Frame:
        return Frame(self.results, self.collection, [pair])

    def curves(self) -> Iterator[Curve]:
        """A picture for the share, and one for the weight, of systems in which the other counts nothing."""
        for axis, other in (("share", "weight"), ("weight", "share")):
            chosen = [one for one in self.group if not getattr(one.questions, other)]
            if len(chosen) < 2:
                continue
            places = (0.0, *(float(getattr(one.questions, axis)) for one in chosen))
            systems = [self.plain, *chosen]
            frames = {"-".join(pair): self.of_pair(pair) for pair in self.frame.pairs}
            lines = {name: self._line(systems, frame) for name, frame in frames.items()}
            level = self.value(self.translated, self.frame)
            yield Curve(
                f"{self.collection}-{self.plain.name}-{axis}",
                f"{self.main} by the {axis} of questions: {labels.full(self.plain)}, {self.collection}",
                f"{axis} of questions",
                places,
                (*lines.items(), ("mean", self._line(systems, self.frame))),
                None if level is None else (_TRANSLATED, 100 * level),
                f"{self.main}, percent",
            )

    def _line(self, systems: Sequence[System], frame: Frame) -> tuple[float | None, ...]:
        values = (self.value(system, frame) for system in systems)
        return tuple(None if value is None else 100 * value for value in values)


def _table(collection: str, retriever: str, main: str, sweeps: Sequence[_Sweep]) -> Table:
    """Language pairs by what questions count; a column is there for all that some system has."""
    counted = sorted({_counts(one) for sweep in sweeps for one in sweep.group})
    has_translated = any(sweep.translated is not None for sweep in sweeps)
    rows: list[Row] = []
    for sweep in sweeps:
        by = {_counts(one): one for one in sweep.group}
        systems = [sweep.plain, *(by.get(one) for one in counted), *([sweep.translated] * has_translated)]
        mine = [
            Row((sweep.name, "-".join(pair)), tuple(percent(sweep.value(one, frame)) for one in systems))
            for pair in sweep.frame.pairs
            for frame in [sweep.of_pair(pair)]
        ]
        each = dict(zip([*sweep.group, sweep.translated], sweep.changes(), strict=True))
        means = (_starred(sweep.value(one, sweep.frame), each.get(one)) for one in systems)
        rows += [*mine, Row((sweep.name, "mean"), tuple(means), "mean")]
    names = [labels.questions(Questions("", *one)) for one in counted]
    return Table(
        f"{collection}-{retriever}-questions",
        f"{main} as questions of documents count more: {labels.retriever(retriever)}, {collection}",
        ("system", "pair"),
        (NONE, *names, *([_TRANSLATED] * has_translated)),
        tuple(rows),
        (("questions count", 1 + len(names)),),
        tuple(_notes(sweeps)),
    )


def _counts(system: System) -> tuple[float, float]:
    assert system.questions is not None  # or it is none of a sweep
    return system.questions.weight, system.questions.share


def _starred(value: float | None, change: Difference | None) -> Value:
    if value is None or change is None:
        return percent(value)
    return Value(f"{100 * value:.2f}{change.stars}", value, "", f"{points(change.difference)} points; {told(change)}")


def _notes(sweeps: Sequence[_Sweep]) -> Iterator[str]:
    for sweep in sweeps:
        yield f"{sweep.name}: {sweep.frame.counted}."
    yield "Stars: the difference of a mean to that without questions. " + FAMILY_NOTE.format(
        family="the means of a system"
    )
    if any(sweep.translated is not None for sweep in sweeps):
        yield "Translated documents are searched with the query as it was asked; what they took stands in the costs."
