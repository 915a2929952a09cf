"""Evaluation: what a run is worth under some measures, query by query and on average.

pytrec_eval, which wraps trec_eval's own code, computes the values; only its extension is imported, since the package
itself imports numpy. xqe puts the hits in trec_eval's order first (`ranking`), so that ties break in one way for every
measure.

Which queries are averaged is trec_eval's rule, too: with its -c, as xqe does unless told, all of the qrels, and what a
run lacks is 0; without it, those that the run answers. A query without a relevant document counts in both, as 0. The
least grade that is relevant (-l) is for binary measures: it changes no nDCG, and no query comes or goes by it.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import fsum
from operator import gt
from typing import TypeVar

import pytrec_eval_ext

from xqe.errors import InputError
from xqe.evaluation.groups import NO_VALUE, Cell, Group, cell_fields, field_value, place
from xqe.evaluation.measures import Measure
from xqe.files.trec import Answer, Grades, Hits

Values = dict[str, float]  # measure -> value in 0..1
Key = tuple[Cell | None, str]
Part = tuple[str | None, ...]  # a value for each field to group by, None where any will do
T = TypeVar("T")

_QUERIES_AT_ONCE = 256  # of 1,000 hits each, some 30 MB


def ranking(hits: Hits) -> list[str]:
    """Return document ids, best first: by score as a 32-bit float, then by id, both descending.

    This is the order of trec_eval, which holds scores in 32 bits and does not look at the ranks of a run.
    """
    scores = array("f", hits.values())  # one beyond 32 bits is infinite, and ties with the like
    if all(map(gt, scores, islice(scores, 1, None))):
        return list(hits)
    return [document for _, document in sorted(zip(scores, hits, strict=True), reverse=True)]


def without_relevant(qrels: Mapping[str, Grades], rel: int = 1) -> list[str]:
    """Return the queries that no document of grade `rel` or more is known for: each binary measure of them is 0."""
    return [query for query, grades in qrels.items() if max(grades.values(), default=0) < rel]


def called(rel: int) -> str:
    """What a message calls a document of grade `rel` or more."""
    return "relevant document" if rel == 1 else f"document of grade {rel} or more"


def without_own(query: str, hits: Hits) -> Hits:
    """Return the hits without the document that has the query's id: the query itself, where queries are documents."""
    return {document: score for document, score in hits.items() if document != query} if query in hits else hits


def per_query(
    qrels: Mapping[str, Grades],
    run: Mapping[str, Hits],
    measures: Sequence[Measure],
    rel: int = 1,
) -> dict[str, Values]:
    """Return query id -> measure -> value in 0..1 for each query of the qrels.

    A query that the run lacks has 0 everywhere; one that only the run has is ignored. rel: the least grade
    that is relevant to a binary measure; nDCG takes the grade as its gain.

    >>> from xqe.evaluation.measures import parse_all
    >>> per_query({"q1": {"d1": 1}}, {"q1": {"d2": 2.0, "d1": 1.0}}, parse_all(["Hit@1", "MRR"]))
    {'q1': {'Hit@1': 0.0, 'MRR': 0.5}}
    """
    return dict(_judge(((query, grades, run.get(query, {})) for query, grades in qrels.items()), measures, rel))


def average(values: Iterable[Values]) -> Values:
    """Return the arithmetic mean of each measure over queries; it does not depend on their order."""
    columns: dict[str, list[float]] = defaultdict(list)
    for one in values:
        for measure, value in one.items():
            columns[measure].append(value)
    return {measure: fsum(column) / len(column) for measure, column in columns.items()}


def _judge(
    cases: Iterable[tuple[T, Grades, Hits]], measures: Sequence[Measure], rel: int
) -> Iterator[tuple[T, Values]]:
    """Yield the values of each case, which is a query under any key, its grades and its hits; some are read ahead."""
    asked = _asked(measures)
    rest = iter(cases)
    while batch := list(islice(rest, _QUERIES_AT_ONCE)):
        qrels = {str(number): _not_negative(grades) for number, (_, grades, _) in enumerate(batch)}
        run = {str(number): _falling(ranking(hits)) for number, (_, _, hits) in enumerate(batch)}
        evaluator = pytrec_eval_ext.RelevanceEvaluator(
            query_relevance=qrels, measures=asked, relevance_level=rel, judged_docs_only_flag=False
        )
        found = evaluator.evaluate(run)
        for number, (key, _, _) in enumerate(batch):
            yield key, {str(measure): _value(measure, found[str(number)]) for measure in measures}


def _not_negative(grades: Grades) -> dict[str, int]:
    # a negative grade is as good as 0 to trec_eval, and can send pytrec_eval into an endless loop
    return {document: max(grade, 0) for document, grade in grades.items()}


def _falling(documents: Sequence[str]) -> dict[str, float]:
    return dict(zip(documents, map(float, range(len(documents), 0, -1)), strict=True))


def _asked(measures: Iterable[Measure]) -> set[str]:
    """What trec_eval is asked for: "map", "success.5,10"; it takes the cutoffs of a measure together."""
    cutoffs: dict[str, set[int]] = defaultdict(set)
    for name, cutoff in map(_stated, measures):
        cutoffs[name].update(() if cutoff is None else (cutoff,))
    return {f"{name}.{','.join(map(str, sorted(of)))}" if of else name for name, of in cutoffs.items()}


def _stated(measure: Measure) -> tuple[str, int | None]:
    """The name of a measure in trec_eval, and its cutoff there; what has none there is cut afterwards."""
    family = measure.family
    return (family.whole, None) if measure.cutoff is None or not family.cut else (family.cut, measure.cutoff)


def _value(measure: Measure, found: Mapping[str, float]) -> float:
    name, cutoff = _stated(measure)
    value = found[name if cutoff is None else f"{name}_{cutoff}"]
    is_beyond = cutoff is None and measure.cutoff is not None and value < 1 / measure.cutoff
    return 0.0 if is_beyond else value


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run judged query by query, from which averages, differences and tests are made.

    values: cell (see groups.py) -> query id -> measure -> value, with an entry for each query expected; the
    cell is () without fields to group by, and None for queries that no cell can be told for. missing: what
    the run lacks, which is 0 in `values`. left_out: what it lacks and is not expected, since only the run's queries
    are. answers, failed, ignored, own: records of the run in all, those that a stage before could not do, those whose
    query is not in the qrels, and those with a hit of the query's own id that is not judged relevant; own_relevant:
    with one that is. absent: fields that no record has.
    """

    run: str
    fields: tuple[str, ...]
    values: dict[Cell | None, dict[str, Values]]
    missing: frozenset[Key]
    left_out: int
    answers: int
    failed: int
    ignored: int
    own: int
    own_relevant: int
    absent: tuple[str, ...]

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


def evaluate_run(
    run: str,
    answers: Iterable[Answer],
    qrels: Mapping[str, Grades],
    measures: Sequence[Measure],
    rel: int = 1,
    fields: Sequence[str] = (),
    complete: bool = True,
    drop_own: bool = False,
) -> Evaluation:
    """Judge the answers of a run, named `run`, as they are read; `groups.py` says which queries are expected.

    complete: expect those of the qrels, else those that the run has a record of. drop_own: leave hits out that have the
    query's id. A record that failed before its cell was known is missing from the cells it may belong to. Raises
    InputError for a query that is answered twice in a cell, a run without fields where `fields` are named,
    and a run that shares no query with the qrels.
    """
    reading = _Reading(run, qrels, tuple(fields), drop_own)
    judgements: dict[Key, Values] = dict(_judge(reading.cases(answers), measures, rel))
    if not reading.shares:
        examples = f'the run has "{reading.example}", the qrels "{next(iter(qrels))}"'
        raise InputError(f"{run}: shares no query id with the qrels ({examples})", "use those of one collection")
    cells = sorted({cell for cell, _ in judgements if cell is not None}) if fields else [()]
    owed = place(qrels, cells, reading.seen)
    expected = owed if complete else _answered(owed, judgements, reading.lost)
    zero = {str(measure): 0.0 for measure in measures}
    return Evaluation(
        run,
        tuple(fields),
        {cell: {query: judgements.get((cell, query), zero) for query in its} for cell, its in expected.items()},
        frozenset((cell, query) for cell, its in expected.items() for query in its if (cell, query) not in judgements),
        sum(map(len, owed.values())) - sum(map(len, expected.values())),
        reading.answers,
        reading.failed,
        reading.ignored,
        reading.own,
        reading.own_relevant,
        reading.absent,
    )


def _answered(
    owed: Mapping[Cell | None, Sequence[str]], judgements: Mapping[Key, Values], lost: set[str]
) -> dict[Cell | None, list[str]]:
    """What is expected of a run for its own queries only: what it answers, and what failed before its cell was known,
    in each that it may belong to."""
    return {
        cell: [query for query in its if (cell, query) in judgements or query in lost] for cell, its in owed.items()
    }


class _Reading:
    """One pass over the answers of a run, which leaves behind what is known when it has ended."""

    def __init__(self, run: str, qrels: Mapping[str, Grades], fields: tuple[str, ...], drop_own: bool) -> None:
        self.run, self.qrels, self.fields, self.drop_own = run, qrels, fields, drop_own
        self.cell_fields = cell_fields(fields)
        self.answers = self.failed = self.ignored = self.own = self.own_relevant = 0
        self.example = ""
        self.seen: list[tuple[tuple[str | None, ...], str]] = []
        self._valued: set[str] = set()

    @property
    def shares(self) -> bool:
        return self.ignored < self.answers

    @property
    def lost(self) -> set[str]:
        """The queries of records that failed before their cell was known."""
        return {query for values, query in self.seen if None in values}

    @property
    def absent(self) -> tuple[str, ...]:
        return tuple(field for field in self.fields if field not in self._valued)

    def cases(self, answers: Iterable[Answer]) -> Iterator[tuple[Key, Grades, Hits]]:
        """Yield the key, grades and hits of each answer to a query that is judged."""
        first: dict[Key, str] = {}
        for answer in answers:
            self.answers += 1
            self.failed += answer.failed
            self.example = self.example or answer.id
            values = self._values(answer)
            cell = tuple(NO_VALUE if value is None else value for value in values)
            lost = None in values and answer.failed and not answer.hits
            if not lost:
                if (cell, answer.id) in first:
                    raise self._again(answer, cell, first[cell, answer.id])
                first[cell, answer.id] = answer.where
            if answer.id not in self.qrels:
                self.ignored += 1
                continue
            grades = self.qrels[answer.id]
            if answer.id in answer.hits:
                is_relevant = grades.get(answer.id, 0) > 0
                self.own_relevant += is_relevant
                self.own += not is_relevant
            self.seen.append((values if lost else cell, answer.id))
            if not lost:
                hits = without_own(answer.id, answer.hits) if self.drop_own else answer.hits
                yield (cell, answer.id), grades, hits

    def _values(self, answer: Answer) -> tuple[str | None, ...]:
        if not self.fields:
            return ()
        if answer.record is None:
            raise InputError(
                f"{self.run}: a run of columns has no fields to group by",
                "give the JSONL of xqe search, or leave --by out",
            )
        values = tuple(field_value(answer.record, field) for field in self.cell_fields)
        self._valued.update(field for field, value in zip(self.cell_fields, values, strict=True) if value is not None)
        return values

    def _again(self, answer: Answer, cell: Cell, before: str) -> InputError:
        if not self.fields:
            hint = "a run of several language pairs needs --by, for example --by source.lang,index.lang"
            return InputError(f'{answer.where}: query "{answer.id}" again (first at {before})', hint)
        named = " ".join(f"{field}={value}" for field, value in zip(self.cell_fields, cell, strict=True))
        hint = "keep one of them, or add the field in which they differ to --by"
        return InputError(f'{answer.where}: query "{answer.id}" again in {named} (first at {before})', hint)
