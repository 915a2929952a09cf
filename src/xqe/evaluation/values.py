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
from dataclasses import dataclass, replace
from itertools import islice
from operator import gt
from typing import TypeVar

import pytrec_eval_ext

from xqe.evaluation.evaluated import Evaluation, Key, Reading, Values
from xqe.evaluation.measures import Measure
from xqe.files.trec import Answer, Grades, Hits

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


def evaluate_run(
    run: str,
    answers: Iterable[Answer],
    qrels: Mapping[str, Grades],
    measures: Sequence[Measure],
    rel: int = 1,
    fields: Sequence[str] = (),
    complete: bool = True,
    drop_own: bool = False,
    macro: bool = False,
) -> Evaluation:
    """Judge the answers of a run, named `run`, as they are read; `groups.py` says which queries are expected.

    complete: expect those of the qrels, else those that the run has a record of. drop_own: leave hits out that have the
    query's id. macro: as of `Evaluation`. A record that failed before its cell was known is missing from the cells it
    may belong to. Raises InputError for a query that is answered twice in a cell, a run without fields where `fields`
    are named, and a run that shares no query with the qrels.
    """
    reading = Reading(run, qrels, "the qrels", fields)
    own = _Own()

    def cases() -> Iterator[tuple[Key, Grades, Hits]]:
        for key, answer in reading.judged(answers):
            grades = qrels[answer.id]
            if answer.id in answer.hits:
                own.count(grades.get(answer.id, 0))
            yield key, grades, without_own(answer.id, answer.hits) if drop_own else answer.hits

    judgements = dict(_judge(cases(), measures, rel))
    zero = {str(measure): 0.0 for measure in measures}
    evaluation = reading.evaluation(judgements, lambda query: zero, complete, macro)
    return replace(evaluation, own=own.others, own_relevant=own.relevant)


@dataclass(slots=True)
class _Own:
    """How many queries have a hit of their own id, that is judged relevant and that is not."""

    relevant: int = 0
    others: int = 0

    def count(self, grade: int) -> None:
        self.relevant += grade > 0
        self.others += grade <= 0
