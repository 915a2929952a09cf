"""xqe eval: what runs are worth against qrels, as a table for a person and as JSONL for a program; and whether that
is enough, as an exit status for a cron job."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from xqe.commands.eval.answers import answer_measures_of, evaluate_answers
from xqe.commands.eval.doubts import OF_RANKINGS, say_doubts
from xqe.commands.eval.gates import Gates, Test, limits_of, say_verdicts
from xqe.commands.options.common import DropSelf
from xqe.commands.options.forms import Rows, RowsFormat
from xqe.commands.options.groups import takes
from xqe.commands.options.lists import fields_of
from xqe.commands.rows import write_rows
from xqe.commands.streams import FAILED_STATUS
from xqe.errors import InputError, XqeError
from xqe.evaluation import measures
from xqe.evaluation.answers import measures as answer_measures
from xqe.files import jsonl
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.evaluation.answers.measures import AnswerMeasure
    from xqe.evaluation.comparison import QueryRow, Row
    from xqe.evaluation.decisions import Test as TestName
    from xqe.evaluation.evaluated import Evaluation
    from xqe.evaluation.measures import Measure
    from xqe.files.trec import Qrels

Shape = Literal["rows", "matrix", "queries"]


_TESTS: dict[Test, TestName | None] = {Test.randomization: "randomization", Test.t: "t", Test.none: None}


@takes(gates=Gates)
def evaluate(
    *,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            show_default=False,
            help="Runs: records of xqe search, TREC or MS MARCO, plain or packed; - or none reads standard input. "
            "Each is compared with the baseline, which is the first without --baseline.",
        ),
    ] = None,
    qrels: Annotated[
        str | None,
        typer.Option("--qrels", metavar="FILE", show_default=False, help="Judgements: TREC or BEIR, plain or packed."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="RUN",
            show_default=False,
            help="The run to compare the others with; it must answer the same questions.",
        ),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            "-m",
            metavar="MEASURE",
            show_default=False,
            help=f"One of {measures.KNOWN}, for any k, or several separated by commas. Success, R, RR and AP are "
            "understood too, and trec_eval's names, such as ndcg_cut_10. Repeatable. "
            f"[default: {','.join(map(str, measures.DEFAULT))}] With --answers: one of {answer_measures.KNOWN}. "
            "[default: all that there is something to compute by]",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="FIELD,...",
            show_default=False,
            help="Average for each value of these fields of the records too, for example source.lang,index.lang, "
            "or source.script (Latin, non-Latin), source.family, source.resources.",
        ),
    ] = None,
    matrix: Annotated[
        bool,
        typer.Option("--matrix", help="With two fields in --by: a line for each value of one, a column for the other."),
    ] = False,
    macro: Annotated[
        bool,
        typer.Option(
            "--macro", help="With --by: in the average of the whole run each group counts the same, and not each query."
        ),
    ] = False,
    per_query: Annotated[bool, typer.Option("--per-query", help="Each query instead of averages.")] = False,
    ci: Annotated[bool, typer.Option("--ci", help="95% confidence intervals of averages and differences.")] = False,
    test: Annotated[
        Test, typer.Option("--test", help="How to test differences: paired randomization, paired t-test, or not.")
    ] = Test.randomization,
    answers: Annotated[
        bool, typer.Option("--answers", help="Evaluate the answers of xqe answer, and not rankings.")
    ] = False,
    gold: Annotated[
        str | None,
        typer.Option(
            "--gold",
            metavar="FILE",
            show_default=False,
            help='With --answers: those that are right, JSONL {"id", "answers"}, or XOR-TyDi\'s, MKQA\'s or SQuAD\'s.',
        ),
    ] = None,
    index: Annotated[
        list[Path] | None,
        typer.Option(
            "--index",
            metavar="DIR",
            show_default=False,
            help="With --answers: the index that was searched, to ask what a sentence ranks first. Repeatable.",
        ),
    ] = None,
    languages: Annotated[
        bool,
        typer.Option(
            "--languages",
            help="Without qrels: the share of each document language among the first hits; with --by, of each group.",
        ),
    ] = False,
    at: Annotated[
        int | None,
        typer.Option(
            "--at",
            metavar="K",
            min=1,
            show_default=False,
            help="With --languages: how many hits are first. [default: 10]",
        ),
    ] = None,
    rel: Annotated[
        int,
        typer.Option(
            "--rel",
            "-l",
            min=1,
            metavar="N",
            help="Least grade that is relevant to a binary measure, as trec_eval's -l; nDCG takes all grades.",
        ),
    ] = 1,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete/--no-complete",
            "-c",
            help="Average over all queries of the qrels, as trec_eval with its -c; or over those that a run answers, "
            "as trec_eval without it.",
        ),
    ] = True,
    drop_self: DropSelf = False,
    form: RowsFormat = Rows.AUTO,
    gates: Gates,
) -> None:
    """Evaluate runs, or answers; fail where they are too low.

    Values and averages are trec_eval's. A query of the qrels that a run lacks counts as 0, as with trec_eval's -c, or
    with --no-complete is left out, as without it; a query without a relevant document counts as 0, and one that is not
    in the qrels is ignored. Hits count in the order of their scores, equal scores by descending id.

    With --by, a query may stand once in each group and language pair, and an average is over all of them. Each
    group and pair is expected to answer every query of the qrels, except where a field belongs to the query
    (it has several values, and each id only one): then those under its own value. A missing query whose own
    value is unknown counts as 0 in the whole run only.

    The table shows percent, and beside it the difference to the baseline in points, with * where p < 0.05 after
    Holm's adjustment for all differences shown. JSONL has one object for each run and group: {"run", "group",
    "queries", "missing", "measures", "difference", "comparison", "interval"}, values from 0 to 1. The group of the
    whole run is {}; with --matrix, that of a line or column has one field. A difference is null where the two
    averages are over other queries or pairs. "comparison" has for each measure {"test", "p", "p_holm", "interval"
    (of the difference), "wins", "ties", "losses"}; "interval" is that of the average, with --ci.

    Where --by has a field of languages, the object of the whole run has "spreads", by field and measure: {"languages",
    "mean", "best", "best_value", "worst", "worst_value", "gap", "deviation"}, between its languages; the table has it
    of the first measure.

    With --per-query, JSONL has {"run", "group", "id", "missing", "measures", "difference", "asked"} for each query and
    language pair, "asked" being the query as it first came, where a run has it; the table begins with what lost most in
    the first measure, and says how to look at that.

    Limits are said on standard error: a line for each that is not kept, with exit status 1, and one line if all are.
    A drop is no chance where the p of --test, for itself alone, is below 0.05. --fail-under asks no test, and not
    of the RUN of --baseline, whose failed records do not count either. Two runs that share fewer than half of the
    queries they answer, or are over other language pairs, are not compared with --baseline or --max-drop.

    With --answers, runs are records with "answer". An answer that is missing, failed or refuses counts as 0 by gold
    answers; a refusal as 1 where these say that there is none. Other measures are over the answers that they mean
    something for: JSONL counts these in "counts", and a difference is over those of both runs.

    With --languages, JSONL has {"run", "group", "at", "queries", "languages", "documents"}: the share of each language
    among the first hits, the mean over the queries that have hits, and among the documents that were searched.
    """
    fields = fields_of(by, "source.lang,index.lang")
    if languages:
        others = (qrels, baseline, measure, matrix, macro, per_query, ci, rel != 1, not complete, answers, gold, index)
        if any(others) or gates != Gates():
            raise XqeError(
                "--languages looks at no judgements", "beside it give runs, --at, --by, --drop-self and --format only"
            )
        from xqe.commands.eval.languages import write_languages
        from xqe.evaluation.languages import AT

        write_languages(_paths(runs, None, None), at or AT, fields, drop_self, form)
        return
    if at is not None:
        raise XqeError("--at has no effect without --languages", "a measure names its depth, such as -m nDCG@10")
    _check(answers, qrels, gold, index, rel, drop_self)
    shape = _shape(matrix, per_query, ci, macro, fields)
    paths = _paths(runs, gold if answers else qrels, baseline)
    parse = answer_measures.parse if answers else measures.parse
    limits = limits_of(gates, paths, fields, test, parse)
    limited = [limit.measure for limit in (*limits.least, *limits.drops)]
    wanted: Sequence[Measure | AnswerMeasure]
    from xqe.evaluation.comparison import Asked, check_comparable, compare, query_by_query

    if answers:
        wanted = answer_measures_of(measure, limited, gold, index)
        evaluations = evaluate_answers(paths, wanted, gold, index, fields, complete, macro)
    else:
        assert qrels is not None
        wanted = of_rankings = tuple(dict.fromkeys([*_measures(measure), *limited]))
        evaluations = _evaluate_rankings(paths, of_rankings, qrels, rel, fields, complete, drop_self, macro)
    if baseline is not None or limits.drops:
        for evaluation in evaluations[1:]:
            check_comparable(evaluation, evaluations[0], gates.each_group)
    tested = _TESTS[test]
    if shape == "queries":
        _write_queries(query_by_query(evaluations), wanted, form, qrels)
    else:
        rows = compare(evaluations, Asked(tested, intervals=ci, margins=matrix))
        _write_rows(rows, shape, fields, wanted, form)
    judged = evaluations if baseline is None else evaluations[1:]
    is_kept = say_verdicts(judged, evaluations[0], limits, gates, tested or "randomization")
    if not is_kept or any(evaluation.failed for evaluation in judged):
        raise typer.Exit(FAILED_STATUS)


def _check(
    answers: bool, qrels: str | None, gold: str | None, index: list[Path] | None, rel: int, drop_self: bool
) -> None:
    """Raise XqeError for options that mean nothing together."""
    if not answers:
        for option, given in (("--gold", gold), ("--index", index)):
            if given:
                raise XqeError(f"{option} has no effect without --answers", "add it, or leave it out")
        if qrels is None:
            raise XqeError("missing option '--qrels'", "judgements are named by it: xqe eval --qrels QRELS RUN")
        return
    for option, has_value in (("--qrels", qrels is not None), ("--rel", rel != 1), ("--drop-self", drop_self)):
        if has_value:
            raise XqeError(f"{option} has no effect on --answers", "leave it out; gold answers are given with --gold")


def _measures(named: Sequence[str] | None) -> tuple[Measure, ...]:
    return measures.parse_all(named, "--measure") if named else measures.DEFAULT


def _evaluate_rankings(
    paths: Sequence[str],
    wanted: Sequence[Measure],
    qrels: str,
    rel: int,
    fields: Sequence[str],
    complete: bool,
    drop_self: bool,
    macro: bool,
) -> list[Evaluation]:
    from xqe.evaluation.values import evaluate_run
    from xqe.files.trec import file_name, read_qrels, read_run

    judgements = read_qrels(qrels)
    say_without_relevant(file_name(qrels), judgements, rel, wanted)
    evaluations = [
        evaluate_run(file_name(path), read_run(path), judgements, wanted, rel, fields, complete, drop_self, macro)
        for path in paths
    ]
    say_doubts(evaluations, OF_RANKINGS, drop_self)
    return evaluations


def _paths(runs: list[str] | None, judgements: str | None, baseline: str | None) -> list[str]:
    """The runs to read, the baseline first. judgements: the file that they are judged by."""
    if not runs and sys.stdin is not None and sys.stdin.isatty():
        raise InputError("no RUN given", "give run files, or pipe one in: xqe search ... | xqe eval --qrels FILE")
    paths = runs or [jsonl.STDIN]
    if baseline is not None:
        paths = [baseline, *(path for path in paths if path != baseline)]
    if len(paths) == 1 and baseline is not None:
        raise XqeError("the only RUN is the --baseline itself", "give another to compare with it")
    if [*paths, judgements].count(jsonl.STDIN) > 1:
        raise XqeError("standard input can be read once only", "give the others, qrels or runs, as files")
    return paths


def _shape(matrix: bool, per_query: bool, ci: bool, macro: bool, fields: Sequence[str]) -> Shape:
    if macro and not fields:
        raise XqeError("--macro: there are no groups", "name their fields with --by, for example --by source.lang")
    if macro and (ci or matrix):
        option = "--ci" if ci else "--matrix"
        raise XqeError(f"--macro has no effect on {option}, which counts each query the same", "give one of them")
    if matrix and len(fields) != 2:
        raise XqeError("--matrix needs two fields", "for example --by source.lang,index.lang")
    if per_query and (matrix or ci or macro):
        option = "--matrix" if matrix else "--ci" if ci else "--macro"
        raise XqeError(f"--per-query has no averages, so there is no {option}", "give one of them")
    return "queries" if per_query else "matrix" if matrix else "rows"


def say_without_relevant(file: str, qrels: Qrels, rel: int, wanted: Sequence[Measure]) -> None:
    """Say how many queries can be worth nothing. Raises InputError where none can be worth anything."""
    from xqe.evaluation.values import called, without_relevant

    is_graded = [measure.family.is_graded for measure in wanted]
    least = 1 if all(is_graded) else rel
    relevant = called(least)
    count = len(without_relevant(qrels, least))
    if count == len(qrels):
        raise InputError(f"{file}: no query has a {relevant}", "check the relevance column, and --rel")
    if count:
        but = ", but for nDCG, which takes all grades" if least > 1 and any(is_graded) else ""
        say(f"{file}: {count} of {len(qrels)} queries have no {relevant} and count as 0, as in trec_eval{but}")


def _write_rows(
    rows: Sequence[Row],
    shape: Shape,
    fields: Sequence[str],
    wanted: Sequence[Measure | AnswerMeasure],
    form: Rows,
) -> None:
    from xqe.commands.eval import screen

    draw = screen.of_matrix if shape == "matrix" else screen.of_rows
    said = map(_without_idle, map(asdict, rows))
    write_rows(said, form, lambda: draw(rows, fields, list(map(str, wanted))))


_OCCASIONAL = ("counts", "macro", "spreads")


def _without_idle(said: dict[str, Any]) -> dict[str, Any]:
    return {name: said[name] for name in said if said[name] or name not in _OCCASIONAL}


def _write_queries(
    rows: Iterator[QueryRow], wanted: Sequence[Measure | AnswerMeasure], form: Rows, qrels: str | None
) -> None:
    from xqe.commands.eval import screen

    def as_json(row: QueryRow) -> dict[str, Any]:
        said = asdict(row)
        return said if row.asked else {name: value for name, value in said.items() if name != "asked"}

    write_rows(map(as_json, rows), form, lambda: screen.of_queries(list(rows), list(map(str, wanted)), qrels))
