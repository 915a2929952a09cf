"""xqe eval: what runs are worth against qrels, as a table for a person and as JSONL for a program; and whether that
is enough, as an exit status for a cron job."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xqe.commands.options.groups import takes
from xqe.commands.options.lists import fields_of
from xqe.commands.streams import FAILED_STATUS
from xqe.errors import InputError, XqeError
from xqe.evaluation import measures
from xqe.files import jsonl
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.evaluation.comparison import QueryRow, Row
    from xqe.evaluation.decisions import Limit
    from xqe.evaluation.decisions import Test as TestName
    from xqe.evaluation.measures import Measure
    from xqe.evaluation.values import Evaluation, Part
    from xqe.files.trec import Qrels

Shape = Literal["rows", "matrix", "queries"]
Outcome = Literal["fell", "noise", "kept"]


class Format(StrEnum):
    table = "table"
    jsonl = "jsonl"


class Test(StrEnum):
    """How a difference is tested; the command line's names."""

    randomization = "randomization"
    t = "t"
    none = "none"


_TESTS: dict[Test, TestName | None] = {Test.randomization: "randomization", Test.t: "t", Test.none: None}


@dataclass(frozen=True, slots=True)
class Gates:
    """The options that hold runs to limits."""

    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-under",
            metavar="MEASURE=X",
            show_default=False,
            help="End with status 1 if a run's measure is below X, 0.30 or 30%. Repeatable, or separated by commas.",
        ),
    ] = None
    max_drop: Annotated[
        list[str] | None,
        typer.Option(
            "--max-drop",
            metavar="MEASURE=X",
            show_default=False,
            help="End with status 1 if a run's measure is more than X below the baseline's, and this is no chance. "
            "Repeatable, or separated by commas.",
        ),
    ] = None
    strict: Annotated[
        bool, typer.Option("--strict", help="With --max-drop: a drop that may be chance fails as well.")
    ] = False
    each_group: Annotated[
        bool, typer.Option("--each-group", help="Hold each group of --by to the limits, and not the whole run only.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No line that says that all limits are kept.")] = False

    @property
    def given(self) -> bool:
        return bool(self.fail_under or self.max_drop)


@takes(gates=Gates)
def evaluate(
    *,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            show_default=False,
            help="Runs: records of xqe search, TREC or MS MARCO, plain or .gz; - or none reads standard input. "
            "Each is compared with the baseline, which is the first without --baseline.",
        ),
    ] = None,
    qrels: Annotated[
        str,
        typer.Option("--qrels", metavar="FILE", show_default=False, help="Judgements: TREC or BEIR, plain or .gz."),
    ],
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
            f"understood too. Repeatable. [default: {','.join(map(str, measures.DEFAULT))}]",
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
    rel: Annotated[
        int, typer.Option("--rel", min=1, metavar="N", help="Least grade that is relevant; nDCG takes all grades.")
    ] = 1,
    format: Annotated[
        Format | None,
        typer.Option("--format", show_default=False, help="[default: table on a terminal, jsonl elsewhere]"),
    ] = None,
    gates: Gates,
) -> None:
    """Evaluate runs against qrels; fail where they are too low.

    Values are trec_eval's. A query of the qrels that a run lacks counts as 0; a query without a relevant document is
    left out, and one that is not in the qrels is ignored. Hits count in the order of their scores, equal scores by
    descending id.

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
    """
    fields = fields_of(by, "source.lang,index.lang")
    paths = _paths(runs, qrels, baseline)
    limits = _limits(gates, paths, fields, test)
    shape = _shape(matrix, per_query, ci, fields)
    wanted = measures.parse_all(measure, "--measure") if measure else measures.DEFAULT
    wanted = tuple(dict.fromkeys([*wanted, *(limit.measure for limit in (*limits.least, *limits.drops))]))
    from xqe.evaluation.comparison import Asked, check_comparable, compare, query_by_query
    from xqe.evaluation.values import evaluate_run
    from xqe.files.trec import file_name, read_qrels, read_run

    judgements = read_qrels(qrels)
    _say_left_out(file_name(qrels), judgements, rel)
    evaluations = [evaluate_run(file_name(path), read_run(path), judgements, wanted, rel, fields) for path in paths]
    _say_doubts(evaluations)
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
    is_kept = _say_verdicts(judged, evaluations[0], limits, gates, tested or "randomization")
    if not is_kept or any(evaluation.failed for evaluation in judged):
        raise typer.Exit(FAILED_STATUS)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What runs are held to: least values, and greatest drops below the baseline."""

    least: tuple[Limit, ...]
    drops: tuple[Limit, ...]


def _paths(runs: list[str] | None, qrels: str, baseline: str | None) -> list[str]:
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


def _limits(gates: Gates, paths: Sequence[str], fields: Sequence[str], test: Test) -> _Limits:
    from xqe.evaluation.decisions import parse_limits

    refusals = (
        (gates.max_drop and len(paths) < 2, "--max-drop: there is no run to compare with", "give --baseline RUN"),
        (gates.strict and not gates.max_drop, "--strict: there is no drop to be strict about", "give --max-drop"),
        (gates.each_group and not fields, "--each-group: there are no groups", "name their fields with --by"),
        (gates.each_group and not gates.given, "--each-group: there are no limits", "give --fail-under or --max-drop"),
        (
            gates.max_drop and test is Test.none and not gates.strict,
            "--max-drop: without a test, a drop cannot be told from chance",
            "leave --test none out, or give --strict",
        ),
    )
    for is_wrong, message, hint in refusals:
        if is_wrong:
            raise XqeError(message, hint)
    return _Limits(
        parse_limits(gates.fail_under or (), "--fail-under"), parse_limits(gates.max_drop or (), "--max-drop")
    )


def _shape(matrix: bool, per_query: bool, ci: bool, fields: Sequence[str]) -> Shape:
    if matrix and len(fields) != 2:
        raise XqeError("--matrix needs two fields", "for example --by source.lang,index.lang")
    if per_query and (matrix or ci):
        raise XqeError(
            f"--per-query has no averages, so there is no {'--matrix' if matrix else '--ci'}", "give one of them"
        )
    return "queries" if per_query else "matrix" if matrix else "rows"


def _say_left_out(file: str, qrels: Qrels, rel: int) -> None:
    from xqe.evaluation.values import judged

    relevant = "relevant document" if rel == 1 else f"document of grade {rel} or more"
    left_out = len(qrels) - len(judged(qrels, rel))
    if left_out == len(qrels):
        raise InputError(f"{file}: no query has a {relevant}", "check the relevance column, and --rel")
    if left_out:
        say(f"{file}: left out {left_out} of {len(qrels)} queries, which have no {relevant}")


def _say_doubts(evaluations: Sequence[Evaluation]) -> None:
    """Say of each run what its averages do not show."""
    groups = {group for evaluation in evaluations for group in evaluation.groups}
    for one in evaluations:
        expected = sum(map(len, one.values.values()))
        nowhere = len(one.values.get(None, ()))
        without = groups.difference(one.groups)
        counted = (
            (len(one.missing), f"of {expected} expected queries are missing from the run and count as 0"),
            (nowhere, "of the missing queries belong to no known group, and count as 0 in the whole run only"),
            (one.failed, f"of {one.answers} records failed before the evaluation, and count with the hits they have"),
            (one.ignored, f"of {one.answers} queries of the run are not in the qrels and are ignored"),
            (len(without), f"of {len(groups)} groups are not in the run; it has no row for them"),
        )
        for count, what in counted:
            if count:
                say(f"{one.run}: {count} {what}")
        for field in one.absent:
            say(f'{one.run}: no record has the field "{field}" of --by')


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


def _say_verdicts(
    evaluations: Sequence[Evaluation], baseline: Evaluation, limits: _Limits, gates: Gates, test: TestName
) -> bool:
    """Say which limits are not kept, or that all are; return whether all are."""
    lines: dict[Outcome, list[str]] = {"fell": [], "noise": [], "kept": []}
    several = sum(bool(limits.least) or evaluation is not baseline for evaluation in evaluations) > 1
    for evaluation in evaluations:
        for part in (None, *(evaluation.groups if gates.each_group else ())):
            subject = _subject(evaluation, part, several)
            held = chain(
                _held_alone(evaluation, part, limits),
                _held_to(baseline, evaluation, part, limits, gates.strict, test) if evaluation is not baseline else (),
            )
            for outcome, line in held:
                lines[outcome].append(subject + line)
    for line in (*lines["fell"], *lines["noise"]):
        say(line)
    if not lines["fell"] and not gates.quiet:
        _say_kept(lines["kept"], len(lines["noise"]))
    return not lines["fell"]


def _say_kept(kept: Sequence[str], noise: int) -> None:
    """One line that says that all limits are kept; where the only one is in doubt, a line has said so."""
    if len(kept) + noise > 1:
        in_doubt = f", {noise} of them in doubt" if noise else ""
        say(f"{len(kept) + noise} limits kept{in_doubt}")
    elif kept:
        say(f"{kept[0]}; kept")


def _held_alone(evaluation: Evaluation, part: Part | None, limits: _Limits) -> Iterator[tuple[Outcome, str]]:
    from xqe.evaluation.comparison import columns
    from xqe.evaluation.decisions import standings

    for standing in standings(columns(evaluation.of(part).values()), limits.least):
        yield "fell" if standing.is_failure else "kept", standing.line()


def _held_to(
    baseline: Evaluation, evaluation: Evaluation, part: Part | None, limits: _Limits, strict: bool, test: TestName
) -> Iterator[tuple[Outcome, str]]:
    from xqe.evaluation.comparison import paired
    from xqe.evaluation.decisions import drops

    if limits.drops:
        for verdict in drops(*paired(evaluation, baseline, part), limits.drops, strict, test=test):
            yield "fell" if verdict.is_failure else "noise" if verdict.is_noise else "kept", verdict.line()


def _subject(evaluation: Evaluation, part: Part | None, several: bool) -> str:
    """The run and the group that a line is about, where it could be about another."""
    from xqe.evaluation.comparison import named

    group = " ".join(f"{field}={value}" for field, value in named(evaluation, part).items())
    about = " ".join(word for word in (evaluation.run if several else "", group) if word)
    return f"{about}: " if about else ""
