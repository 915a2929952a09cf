"""xqe eval: what runs are worth against qrels, as a table for a person and as JSONL for a program; and whether that
is enough, as an exit status for a cron job."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xqe.commands.eval.gates import Gates, Test, limits_of, say_verdicts
from xqe.commands.options.common import DropSelf
from xqe.commands.options.groups import takes
from xqe.commands.options.lists import fields_of
from xqe.commands.streams import FAILED_STATUS
from xqe.errors import InputError, XqeError
from xqe.evaluation import measures
from xqe.files import jsonl
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.evaluation.comparison import QueryRow, Row
    from xqe.evaluation.decisions import Test as TestName
    from xqe.evaluation.measures import Measure
    from xqe.evaluation.values import Evaluation
    from xqe.files.trec import Qrels

Shape = Literal["rows", "matrix", "queries"]


class Format(StrEnum):
    table = "table"
    jsonl = "jsonl"


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
            f"[default: {','.join(map(str, measures.DEFAULT))}]",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="FIELD,...",
            show_default=False,
            help="Average for each value of these fields of the records too, for example source.lang,index.lang, "
            "or source.script (Latin, non-Latin).",
        ),
    ] = None,
    matrix: Annotated[
        bool,
        typer.Option("--matrix", help="With two fields in --by: a line for each value of one, a column for the other."),
    ] = False,
    per_query: Annotated[bool, typer.Option("--per-query", help="Each query instead of averages.")] = False,
    ci: Annotated[bool, typer.Option("--ci", help="95% confidence intervals of averages and differences.")] = False,
    test: Annotated[
        Test, typer.Option("--test", help="How to test differences: paired randomization, paired t-test, or not.")
    ] = Test.randomization,
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
    format: Annotated[
        Format | None,
        typer.Option("--format", show_default=False, help="[default: table on a terminal, jsonl elsewhere]"),
    ] = None,
    gates: Gates,
) -> None:
    """Evaluate runs against qrels; fail where they are too low.

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

    With --per-query, JSONL has {"run", "group", "id", "missing", "measures", "difference"} for each query and
    language pair; the table begins with what lost most in the first measure.

    Limits are said on standard error: a line for each that is not kept, with exit status 1, and one line if all are.
    A drop is no chance where the p of --test, for itself alone, is below 0.05. --fail-under asks no test, and not
    of the RUN of --baseline, whose failed records do not count either. Two runs that share fewer than half of the
    queries they answer, or are over other language pairs, are not compared with --baseline or --max-drop.

    With --languages, JSONL has {"run", "group", "at", "queries", "languages", "documents"}: the share of each language
    among the first hits, the mean over the queries that have hits, and among the documents that were searched.
    """
    fields = fields_of(by, "source.lang,index.lang")
    if languages:
        if qrels or baseline or measure or matrix or per_query or ci or rel != 1 or not complete or gates != Gates():
            raise XqeError(
                "--languages looks at no judgements", "beside it give runs, --at, --by, --drop-self and --format only"
            )
        from xqe.commands.eval.languages import write_languages
        from xqe.evaluation.languages import AT

        write_languages(_paths(runs, None, None), at or AT, fields, drop_self, _is_table(format))
        return
    if at is not None:
        raise XqeError("--at has no effect without --languages", "a measure names its depth, such as -m nDCG@10")
    if qrels is None:
        raise XqeError("missing option '--qrels'", "see xqe eval --help")
    paths = _paths(runs, qrels, baseline)
    limits = limits_of(gates, paths, fields, test)
    shape = _shape(matrix, per_query, ci, fields)
    wanted = measures.parse_all(measure, "--measure") if measure else measures.DEFAULT
    wanted = tuple(dict.fromkeys([*wanted, *(limit.measure for limit in (*limits.least, *limits.drops))]))
    from xqe.evaluation.comparison import Asked, check_comparable, compare, query_by_query
    from xqe.evaluation.values import evaluate_run
    from xqe.files.trec import file_name, read_qrels, read_run

    judgements = read_qrels(qrels)
    _say_without_relevant(file_name(qrels), judgements, rel, wanted)
    evaluations = [
        evaluate_run(file_name(path), read_run(path), judgements, wanted, rel, fields, complete, drop_self)
        for path in paths
    ]
    _say_doubts(evaluations, drop_self)
    if baseline is not None or limits.drops:
        for evaluation in evaluations[1:]:
            check_comparable(evaluation, evaluations[0], gates.each_group)
    tested = _TESTS[test]
    if shape == "queries":
        _write_queries(query_by_query(evaluations), wanted, format)
    else:
        rows = compare(evaluations, Asked(tested, intervals=ci, margins=matrix))
        _write_rows(rows, shape, fields, wanted, format)
    judged = evaluations if baseline is None else evaluations[1:]
    is_kept = say_verdicts(judged, evaluations[0], limits, gates, tested or "randomization")
    if not is_kept or any(evaluation.failed for evaluation in judged):
        raise typer.Exit(FAILED_STATUS)


def _paths(runs: list[str] | None, qrels: str | None, baseline: str | None) -> list[str]:
    """The runs to read, the baseline first."""
    if not runs and sys.stdin is not None and sys.stdin.isatty():
        raise InputError("no RUN given", "give run files, or pipe one in: xqe search ... | xqe eval --qrels FILE")
    paths = runs or [jsonl.STDIN]
    if baseline is not None:
        paths = [baseline, *(path for path in paths if path != baseline)]
    if len(paths) == 1 and baseline is not None:
        raise XqeError("the only RUN is the --baseline itself", "give another to compare with it")
    if [*paths, qrels].count(jsonl.STDIN) > 1:
        raise XqeError("standard input can be read once only", "give the others, qrels or runs, as files")
    return paths


def _shape(matrix: bool, per_query: bool, ci: bool, fields: Sequence[str]) -> Shape:
    if matrix and len(fields) != 2:
        raise XqeError("--matrix needs two fields", "for example --by source.lang,index.lang")
    if per_query and (matrix or ci):
        raise XqeError(
            f"--per-query has no averages, so there is no {'--matrix' if matrix else '--ci'}", "give one of them"
        )
    return "queries" if per_query else "matrix" if matrix else "rows"


def _say_without_relevant(file: str, qrels: Qrels, rel: int, wanted: Sequence[Measure]) -> None:
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


def _say_doubts(evaluations: Sequence[Evaluation], drop_self: bool) -> None:
    """Say of each run what its averages do not show."""
    groups = {group for evaluation in evaluations for group in evaluation.groups}
    for one in evaluations:
        expected = sum(map(len, one.values.values()))
        nowhere = len(one.values.get(None, ()))
        without = groups.difference(one.groups)
        counted = (
            (len(one.missing), f"of {expected} expected queries are missing from the run and count as 0"),
            (
                one.left_out,
                f"of {expected + one.left_out} queries are missing from the run and left out, as --no-complete says",
            ),
            (nowhere, "of the missing queries belong to no known group, and count as 0 in the whole run only"),
            (one.failed, f"of {one.answers} records failed before the evaluation, and count with the hits they have"),
            (one.ignored, f"of {one.answers} queries of the run are not in the qrels and are ignored"),
            (len(without), f"of {len(groups)} groups are not in the run; it has no row for them"),
            (_in_doubt(one, drop_self), _OWN.format(one.answers)),
            (
                one.own_relevant if drop_self else 0,
                f"of {one.answers} queries have a relevant hit of their own id, which --drop-self leaves out",
            ),
        )
        for count, what in counted:
            if count:
                say(f"{one.run}: {count} {what}")
        for field in one.absent:
            say(f'{one.run}: no record has the field "{field}" of --by')


_OWN = "of {} queries have a hit of their own id; where that is the query itself, leave it out with --drop-self"


def _in_doubt(one: Evaluation, drop_self: bool) -> int:
    """How many queries have a hit of their own id; 0 where these are left out, or so few that the ids met by chance."""
    return one.own if not drop_self and 2 * one.own >= one.answers - one.ignored else 0


def _is_table(format: Format | None) -> bool:
    return format is Format.table or (format is None and sys.stdout.isatty())


def _write_rows(
    rows: Sequence[Row], shape: Shape, fields: Sequence[str], wanted: Sequence[Measure], format: Format | None
) -> None:
    if not _is_table(format):
        for row in rows:
            jsonl.write(jsonl.dumps(asdict(row)))
        return
    from xqe.commands.eval import screen

    draw = screen.of_matrix if shape == "matrix" else screen.of_rows
    jsonl.write(draw(rows, fields, list(map(str, wanted))))


def _write_queries(rows: Iterator[QueryRow], wanted: Sequence[Measure], format: Format | None) -> None:
    if not _is_table(format):
        for row in rows:
            jsonl.write(jsonl.dumps(asdict(row)))
        return
    from xqe.commands.eval import screen

    jsonl.write(screen.of_queries(list(rows), list(map(str, wanted))))
