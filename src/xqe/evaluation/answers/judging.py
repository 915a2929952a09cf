"""A run of answers judged question by question, in the same form as a ranking, from which the rest follows: groups,
averages, differences, tests and limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xqe.errors import InputError
from xqe.evaluation.answers.measures import GOLD, AnswerMeasure, Case, First
from xqe.evaluation.answers.reading import Answered, Golds, asked_in
from xqe.evaluation.evaluated import Evaluation, Reading, Values

LANGUAGE = "source.lang"
"""The field that a gold answer's language tells, of a question that a run does not have."""


def evaluate_answers(
    run: str,
    answers: Iterable[Answered],
    measures: Sequence[AnswerMeasure],
    golds: Golds | None = None,
    first: First | None = None,
    fields: Sequence[str] = (),
    complete: bool = True,
    macro: bool = False,
) -> Evaluation:
    """Judge the answers of a run, named `run`, as they are read.

    golds: None where there are none; else the questions that are expected are theirs, or with `complete` off those of
    them that the run has. An answer that is not there, as of a record that failed, is worth 0 by gold answers, and has
    no value of any other measure. first: see `measures.First`. Raises InputError for a question that is answered twice
    in a cell or has no gold answer in its language, and a run that shares no question with the gold answers.
    """
    reading = Reading(run, golds, "the gold answers", fields)
    zero: Values = {str(measure): 0.0 for measure in measures if measure in GOLD and golds is not None}
    judgements = {}
    for key, answered in reading.judged(answers):
        if answered.given is None:
            judgements[key] = zero
            continue
        case = _case(answered, golds, first)
        values = ((str(measure), measure.value(case)) for measure in measures)
        judgements[key] = {measure: value for measure, value in values if value is not None}
    told = {
        query: {LANGUAGE: next(iter(its))} for query, its in (golds or {}).items() if len(its) == 1 and "" not in its
    }
    return reading.evaluation(judgements, lambda query: zero, complete, macro, told)


def _case(answered: Answered, golds: Golds | None, first: First | None) -> Case:
    given, lang = answered.given, asked_in(answered)
    assert given is not None
    offered = given.offered
    if offered is None and answered.record is not None and isinstance(hits := answered.record.get("hits"), list):
        offered = tuple(str(hit["id"]) for hit in hits if isinstance(hit, dict) and "id" in hit)
    if golds is None:
        return Case(given, lang, offered=offered, first=first)
    own = golds[answered.id]
    of = lang if lang in own else next(iter(own)) if len(own) == 1 else None
    if of is None:
        lacks = f'has no gold answer in "{lang}"' if lang else 'has gold answers in several languages, and no "lang"'
        raise InputError(f'{answered.where}: question "{answered.id}" {lacks}', f"there are {' '.join(own)}")
    return Case(given, lang, own[of], of or lang, offered, first)
