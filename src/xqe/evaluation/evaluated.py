"""A run judged query by query: which queries count in it and in which cells, whatever each is worth.

What is measured is another module's: `values` judges rankings, `answers.judging` answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import TypeVar

from xqe.errors import InputError
from xqe.evaluation.groups import NO_VALUE, Cell, Group, cell_fields, field_value, place
from xqe.files.records import as_asked
from xqe.files.trec import Answer

Values = dict[str, float]  # measure -> value in 0..1
Key = tuple[Cell | None, str]
Part = tuple[str | None, ...]  # a value for each field to group by, None where any will do
A = TypeVar("A", bound=Answer)


def average(values: Iterable[Values]) -> Values:
    """Return the arithmetic mean of each measure over queries; it does not depend on their order."""
    columns: dict[str, list[float]] = defaultdict(list)
    for one in values:
        for measure, value in one.items():
            columns[measure].append(value)
    return {measure: fsum(column) / len(column) for measure, column in columns.items()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run judged query by query, from which averages, differences and tests are made.

    values: cell (see groups.py) -> query id -> measure -> value, with an entry for each query expected; the
    cell is () without fields to group by, and None for queries that no cell can be told for. A query has no value of a
    measure that has no meaning for it. missing: what the run lacks. left_out: what it lacks and is not expected, since
    only the run's queries are. answers, failed, ignored, own: records of the run in all, those that a stage before
    could not do, those whose query nothing is known of to judge by, and those with a hit of the query's own id that is
    not judged relevant; own_relevant: with one that is. absent: fields that no record has. macro: in averages over
    several groups, each group counts the same. asked: the queries as they first came, by id, where the run has them.
    """

    run: str
    fields: tuple[str, ...]
    values: dict[Cell | None, dict[str, Values]]
    missing: frozenset[Key]
    left_out: int
    answers: int
    failed: int
    ignored: int
    absent: tuple[str, ...]
    own: int = 0
    own_relevant: int = 0
    macro: bool = False
    asked: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> list[Group]:
        return sorted({cell[: len(self.fields)] for cell in self.values if cell is not None})

    @property
    def answered(self) -> set[str]:
        """The queries that the run has an answer to, in some cell."""
        return {query for _, query in self.of().keys() - self.missing}

    def of(self, group: Part | None = None) -> dict[Key, Values]:
        """The values of a group, or of the whole run, by cell and query: what two runs are paired by."""
        return {
            (cell, query): values
            for cell, queries in self.values.items()
            if group is None or (cell is not None and _is_in(cell, group))
            for query, values in queries.items()
        }


def _is_in(cell: Cell, group: Part) -> bool:
    return all(wanted is None or wanted == value for wanted, value in zip(group, cell, strict=False))


class Reading:
    """One pass over the answers of a run, which leaves behind what is known when it has ended.

    known: the queries that there is anything to judge by; None for those of the run. called: what holds them, for
    messages.
    """

    def __init__(self, run: str, known: Collection[str] | None, called: str, fields: Sequence[str]) -> None:
        self.run, self._known, self._called, self.fields = run, known, called, tuple(fields)
        self._cell_fields = cell_fields(self.fields)
        self._answers = self._failed = self._ignored = 0
        self._example = ""
        self._asked: dict[str, str] = {}
        self._seen: list[tuple[tuple[str | None, ...], str]] = []
        self._valued: set[str] = set()

    def judged(self, answers: Iterable[A]) -> Iterator[tuple[Key, A]]:
        """Yield the key of each answer that can be judged, and the answer."""
        first: dict[Key, str] = {}
        for answer in answers:
            self._answers += 1
            self._failed += answer.failed
            self._example = self._example or answer.id
            values = self._values(answer)
            cell = tuple(NO_VALUE if value is None else value for value in values)
            lost = None in values and answer.failed and not answer.hits
            if not lost:
                if (cell, answer.id) in first:
                    raise self._again(answer, cell, first[cell, answer.id])
                first[cell, answer.id] = answer.where
            if self._known is not None and answer.id not in self._known:
                self._ignored += 1
                continue
            self._seen.append((values if lost else cell, answer.id))
            if answer.record is not None and isinstance(answer.record.get("query"), str):
                self._asked.setdefault(answer.id, as_asked(answer.record))
            if not lost:
                yield (cell, answer.id), answer

    def evaluation(
        self,
        judgements: Mapping[Key, Values],
        lacking: Callable[[str], Values],
        complete: bool,
        macro: bool = False,
        told: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Evaluation:
        """What the run is worth, when all of it was read. lacking: the values of a query that it has no answer to.
        told: query -> field -> value, known from elsewhere, for queries that it has no record of.

        Raises InputError where it shares no query with those that are known.
        """
        if self._known is not None and self._ignored == self._answers:
            examples = f'the run has "{self._example}", {self._called} "{next(iter(self._known))}"'
            raise InputError(
                f"{self.run}: shares no query id with {self._called} ({examples})", "use those of one collection"
            )
        queries = self._known if self._known is not None else dict.fromkeys(query for _, query in self._seen)
        cells = sorted({cell for cell, _ in judgements if cell is not None}) if self.fields else [()]
        seen = {query for _, query in self._seen}
        known = [
            (tuple(its.get(field) for field in self._cell_fields), query)
            for query, its in (told or {}).items()
            if query not in seen
        ]
        owed = place(queries, cells, [*self._seen, *known])
        lost = {query for values, query in self._seen if None in values}
        expected = owed if complete else _answered(owed, judgements, lost)
        missing = [(cell, query) for cell, its in expected.items() for query in its if (cell, query) not in judgements]
        values: dict[Cell | None, dict[str, Values]] = {
            cell: {query: judgements[cell, query] if (cell, query) in judgements else lacking(query) for query in its}
            for cell, its in expected.items()
        }
        return Evaluation(
            self.run,
            self.fields,
            values,
            frozenset(missing),
            sum(map(len, owed.values())) - sum(map(len, expected.values())),
            self._answers,
            self._failed,
            self._ignored,
            tuple(field for field in self.fields if field not in self._valued),
            macro=macro,
            asked=self._asked,
        )

    def _values(self, answer: Answer) -> tuple[str | None, ...]:
        if not self.fields:
            return ()
        if answer.record is None:
            raise InputError(
                f"{self.run}: a run of columns has no fields to group by",
                "give the JSONL of xqe search, or leave --by out",
            )
        values = tuple(field_value(answer.record, field) for field in self._cell_fields)
        self._valued.update(field for field, value in zip(self._cell_fields, values, strict=True) if value is not None)
        return values

    def _again(self, answer: Answer, cell: Cell, before: str) -> InputError:
        if not self.fields:
            hint = "a run of several language pairs needs --by, for example --by source.lang,index.lang"
            return InputError(f'{answer.where}: query "{answer.id}" again (first at {before})', hint)
        named = " ".join(f"{field}={value}" for field, value in zip(self._cell_fields, cell, strict=True))
        hint = "keep one of them, or add the field in which they differ to --by"
        return InputError(f'{answer.where}: query "{answer.id}" again in {named} (first at {before})', hint)


def _answered(
    owed: Mapping[Cell | None, Sequence[str]], judgements: Mapping[Key, Values], lost: set[str]
) -> dict[Cell | None, list[str]]:
    """What is expected of a run for its own queries only: what it answers, and what failed before its cell was known,
    in each that it may belong to."""
    return {
        cell: [query for query in its if (cell, query) in judgements or query in lost] for cell, its in owed.items()
    }
