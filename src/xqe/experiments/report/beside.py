"""One collection by several retrievers: which systems are the same, and how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from xqe.experiments.report import labels
from xqe.experiments.report.averages import Difference, Frame
from xqe.experiments.report.results import GENERATED, System
from xqe.experiments.report.study import Study


class Beside:
    """The studies of a collection by several retrievers, over the language pairs that all of them have."""

    def __init__(self, studies: Sequence[Study]) -> None:
        self.studies = studies
        self.first, *self.others = studies
        self.main = self.first.main
        self.pairs = [pair for pair in self.first.frame.pairs if all(pair in one.frame.pairs for one in self.others)]
        self.frame = Frame(self.first.results, self.first.collection, self.pairs)

    @property
    def names(self) -> list[str]:
        return [name(study) for study in self.studies]

    def average(self, system: System, measure: str, frame: Frame | None = None) -> float | None:
        frame = frame or self.frame
        column = frame.column(system, measure)
        return None if column is None else frame.average(column)

    @cached_property
    def best(self) -> list[System | None]:
        """The best system with passages by each retriever."""
        found: list[System | None] = []
        for study in self.studies:
            values = {one: self.average(one, self.main) for one in study.systems if one.kind in GENERATED}
            there = {one: value for one, value in values.items() if value is not None}
            found.append(max(there, key=lambda one: there[one], default=None))
        return found

    def change(self, study: Study, system: System, frame: Frame | None = None) -> Difference | None:
        """How a system differs from itself by the first retriever."""
        same = None if study is self.first else counterpart(self.first, system)
        return None if same is None else study.difference(frame or self.frame, [system], [same], self.main)


def name(study: Study) -> str:
    return labels.retriever(study.retriever)


def counterpart(study: Study, system: System) -> System | None:
    """The same system by the retriever of a study. Where query weights make several of it, the one of the same weight,
    or else of the automatic one, or else the first."""
    same = [one for one in study.systems if _made(one) == _made(system)]
    return min(
        same, key=lambda one: (one.query_weight != system.query_weight, one.query_weight != "auto"), default=None
    )


def _made(system: System) -> tuple[object, ...]:
    return system.kind, system.model, system.strategy, system.order, system.use, system.samples
