"""xqe eval --answers: runs of answers judged, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from xqe.commands.eval.doubts import OF_ANSWERS, say_doubts
from xqe.errors import XqeError
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.evaluation.answers.measures import AnswerMeasure
    from xqe.evaluation.evaluated import Evaluation


def answer_measures_of(
    texts: Sequence[str] | None, limited: Sequence[AnswerMeasure], gold: str | None, index: Sequence[Path] | None
) -> tuple[AnswerMeasure, ...]:
    """The measures that are wanted: those named, else all that can be computed; and those that limits are on. Raises
    XqeError for one that lacks what it is computed by."""
    from xqe.evaluation.answers import measures

    given = {"--gold": gold is not None, "--index": bool(index), "": True}
    named = measures.parse_all(texts, "--measure") if texts else ()
    for measure in (*named, *limited):
        if not given[measure.needs]:
            raise XqeError(f"{measure} needs {measure.needs}", f"give it, or leave {measure} out")
    wanted = named or tuple(measure for measure in measures.MEASURES if given[measure.needs])
    wanted = tuple(dict.fromkeys((*wanted, *limited)))
    for option, is_given in given.items():
        if is_given and option and all(measure.needs != option for measure in wanted):
            raise XqeError(f"{option} has no effect on {', '.join(map(str, wanted))}", "leave it out")
    return wanted


def evaluate_answers(
    paths: Sequence[str],
    wanted: Sequence[AnswerMeasure],
    gold: str | None,
    index: Sequence[Path] | None,
    fields: Sequence[str],
    complete: bool,
    macro: bool,
) -> list[Evaluation]:
    """Judge each run, and say what its averages do not show."""
    from xqe.commands.eval.support import ranking_first
    from xqe.evaluation.answers.judging import evaluate_answers as judged
    from xqe.evaluation.answers.reading import read_answers, read_golds
    from xqe.files.trec import file_name

    golds = read_golds(gold) if gold is not None else None
    with ranking_first(index) if index else nullcontext() as first:
        evaluations = [
            judged(file_name(path), read_answers(path), wanted, golds, first, fields, complete, macro) for path in paths
        ]
    say_doubts(evaluations, OF_ANSWERS)
    for evaluation in evaluations:
        _say_partial(evaluation, wanted)
    return evaluations


def _say_partial(evaluation: Evaluation, wanted: Sequence[AnswerMeasure]) -> None:
    """Say for how many answers the measures mean something that do not for all."""
    values = evaluation.of().values()
    counts = {str(measure): sum(str(measure) in one for one in values) for measure in wanted}
    fewer = ", ".join(f"{measure} {count}" for measure, count in counts.items() if count < len(values))
    if fewer:
        say(f"{evaluation.run}: of {len(values)} answers, so many have a value: {fewer}")
