"""xqe eval: what runs are worth against qrels, as a table for a person and as JSONL for a program."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from xqe import jsonl, measures
from xqe.commands.streams import FAILED_STATUS
from xqe.errors import InputError, XqeError
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.evaluate import Evaluation, Row
    from xqe.measures import Measure
    from xqe.trec import Qrels


class Format(StrEnum):
    table = "table"
    jsonl = "jsonl"


def evaluate(
    qrels: Annotated[
        str,
        typer.Option("--qrels", metavar="FILE", show_default=False, help="Judgements: TREC or BEIR, plain or .gz."),
    ],
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            show_default=False,
            help="Runs: records of xqe search, TREC or MS MARCO, plain or .gz; - or none reads standard input. "
            "Each is compared with the first.",
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
    rel: Annotated[
        int, typer.Option("--rel", min=1, metavar="N", help="Least grade that is relevant; nDCG takes all grades.")
    ] = 1,
    format: Annotated[
        Format | None,
        typer.Option("--format", show_default=False, help="[default: table on a terminal, jsonl elsewhere]"),
    ] = None,
) -> None:
    """Evaluate runs against qrels, with trec_eval's values.

    A query of the qrels that a run lacks counts as 0; a query without a relevant document is left out, and one
    that is not in the qrels is ignored. Hits count in the order of their scores, equal scores by descending id.

    With --by, a query may stand once in each group and language pair, and an average is over all of them. Each
    group and pair is expected to answer every query of the qrels, except where a field belongs to the query
    (it has several values, and each id only one): then those under its own value. A missing query whose own
    value is unknown counts as 0 in the whole run only.

    The table shows percent, and beside it the difference to the first run in points. JSONL has one object for
    each run and group: {"run", "group", "queries", "missing", "measures", "difference"}, values from 0 to 1;
    the group of the whole run is {}. A difference is null where the two averages are over other queries or pairs.
    """
    paths = _paths(runs, qrels)
    wanted = measures.parse_all(measure, "--measure") if measure else measures.DEFAULT
    fields = _fields(by)
    from xqe.evaluate import compare, evaluate_run
    from xqe.trec import file_name, read_qrels, read_run

    judgements = read_qrels(qrels)
    _say_left_out(file_name(qrels), judgements, rel)
    evaluations = [evaluate_run(file_name(path), read_run(path), judgements, wanted, rel, fields) for path in paths]
    _say_doubts(evaluations)
    rows = compare(evaluations)
    if format is Format.table or (format is None and sys.stdout.isatty()):
        jsonl.write(_table(rows, fields, wanted))
    else:
        for row in rows:
            jsonl.write(jsonl.dumps(asdict(row)))
    if any(evaluation.failed for evaluation in evaluations):
        raise typer.Exit(FAILED_STATUS)


def _paths(runs: list[str] | None, qrels: str) -> list[str]:
    if not runs and sys.stdin is not None and sys.stdin.isatty():
        raise InputError("no RUN given", "give run files, or pipe one in: xqe search ... | xqe eval --qrels FILE")
    paths = runs or [jsonl.STDIN]
    if [*paths, qrels].count(jsonl.STDIN) > 1:
        raise XqeError("standard input can be read once only", "give the others, qrels or runs, as files")
    return paths


def _fields(by: str | None) -> tuple[str, ...]:
    fields = () if by is None else tuple(field.strip() for field in by.split(","))
    if not all(all(field.split(".")) for field in fields) or len(set(fields)) < len(fields):
        raise XqeError(f'--by: "{by}" does not name one or more fields', "for example source.lang,index.lang")
    return fields


def _say_left_out(file: str, qrels: Qrels, rel: int) -> None:
    from xqe.evaluate import judged

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


def _table(rows: Sequence[Row], fields: Sequence[str], wanted: Sequence[Measure]) -> str:
    """Return the rows as a table in percent; names fold, and numbers never do, where the terminal is narrow."""
    from rich.table import Table
    from rich.text import Text

    from xqe.commands.screens import rendered

    table = Table(box=None, pad_edge=False)
    for heading in (*fields, "run"):
        table.add_column(Text(heading), overflow="fold")  # Text, since rich would read "[...]" in a str as markup
    for heading in ("queries", "missing", *map(str, wanted)):
        table.add_column(Text(heading), justify="right", min_width=max(len(heading), len("+100.00")))
    for row in rows:
        group = [row.group[field] if row.group else "all" for field in fields]
        cells = [Text(cell) for cell in (*group, row.run, str(row.queries), str(row.missing))]
        for measure in map(str, wanted):
            cell = Text(f"{100 * row.measures[measure]:.2f}")
            if row.difference is not None:
                points = round(100 * row.difference[measure], 2) + 0.0  # makes -0.0 positive
                cell.append(f" {points:+.2f}", style="red" if points < 0 else "green")
            cells.append(cell)
        table.add_row(*cells)
    return rendered(table)
