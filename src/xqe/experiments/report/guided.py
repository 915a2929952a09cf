"""What an encoder gains that guides the texts: what its prompts show, and its judge, each alone and together, with what
it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xqe.experiments.report import labels
from xqe.experiments.report.averages import Difference, Frame, corrected
from xqe.experiments.report.blocks import Block, Row, Table, Value, percent, points
from xqe.experiments.report.reranking import took_before
from xqe.experiments.report.results import Results, System
from xqe.experiments.report.tables import FAMILY_NOTE, told

NONE = "none"
_NO_TIME = "-"


def blocks(results: Results, main: str) -> Iterator[Block]:
    """A table for each collection and retriever for which texts were guided."""
    for collection in results.collections:
        there = results.pairs(collection)
        pairs = [pair for pair in there if pair[0] != pair[1]] or there
        for retriever in results.retrievers(collection):
            groups = [
                _Group(results, collection, main, pairs, plain, group)
                for plain, group in results.with_guides(collection, retriever).items()
            ]
            if groups := [group for group in groups if group.frame.size]:
                yield _table(collection, retriever, main, groups)


class _Group:
    """A system with those of it that are guided, over the language pairs that all of them have."""

    def __init__(
        self,
        results: Results,
        collection: str,
        main: str,
        pairs: Sequence[tuple[str, str]],
        plain: System,
        guided: Sequence[System],
    ) -> None:
        self._results, self._collection, self._main = results, collection, main
        self.systems = [plain, *guided]
        self.name = ", ".join(part for part in (plain.model, *labels.setting(plain)) if part)
        has = [pair for pair in pairs if all(results.cell(collection, pair, one) for one in self.systems)]
        self.frame = Frame(results, collection, has)

    def rows(self) -> Iterator[Row]:
        columns = [self.frame.column(one, self._main) for one in self.systems]
        base = columns[0]
        changes = corrected(
            [None if base is None or one is None else self.frame.compare(one, base) for one in columns[1:]]
        )
        for system, column, change in zip(self.systems, columns, [None, *changes], strict=True):
            value = None if column is None else self.frame.average(column)
            name = NONE if system.guided is None else labels.guided(system.guided)
            seconds = took_before(self._results, self._collection, self.frame.pairs, system)
            took = Value(_NO_TIME, None) if seconds is None else Value(f"{seconds:.2f}", seconds)
            yield Row((self.name, name), (percent(value), _change(change), took))


def _change(change: Difference | None) -> Value:
    if change is None:
        return Value("", None)
    return Value(f"{points(change.difference)}{change.stars}", change.difference, "", told(change))


def _table(collection: str, retriever: str, main: str, groups: Sequence[_Group]) -> Table:
    notes = [f"{group.name}: {group.frame.counted}." for group in groups]
    notes.append(
        "Stars: the difference to the same system that no encoder guided. "
        + FAMILY_NOTE.format(family="the rows of a system")
    )
    return Table(
        f"{collection}-{retriever}-guided",
        f"{main} of texts that an encoder guided: {labels.retriever(retriever)}, {collection}",
        ("system", "guided by"),
        (main, "change", "seconds a query"),
        tuple(row for group in groups for row in group.rows()),
        (),
        tuple(notes),
    )
