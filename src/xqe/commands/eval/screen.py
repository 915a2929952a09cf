"""The tables of xqe eval: runs and groups line by line, a matrix of two fields, and queries one by one."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xqe.commands.screens import legible, rendered

if TYPE_CHECKING:
    from rich.text import Text

    from xqe.evaluation.comparison import QueryRow, Row

ALL, MACRO, RUN = "all", "macro", "run"
_TESTS = {"randomization": "paired randomization test", "t": "paired t-test"}


def of_rows(rows: Sequence[Row], fields: Sequence[str], measures: Sequence[str]) -> str:
    """Return the rows as a table in percent (`columns`)."""
    lines: list[list[Text | str]] = [
        [
            *(row.group.get(field, MACRO if row.macro else ALL) for field in fields),
            row.run,
            *(str(row.queries), str(row.missing)),
            *(_cell(row, measure) for measure in measures),
        ]
        for row in rows
    ]
    shown = _table((*fields, RUN), ("queries", "missing", *measures), lines)
    return "\n\n".join([_with_notes(shown, rows), *_spreads(rows, measures[0])])


def of_matrix(rows: Sequence[Row], fields: Sequence[str], measures: Sequence[str]) -> str:
    """Return a table for each measure and run: a line for each value of the first field, a column for the second's."""
    shown = _with_notes("\n\n".join(_matrices(rows, fields, measures)), rows, "\n\n")
    return "\n\n".join([shown, *_spreads(rows, measures[0])])


def _matrices(rows: Sequence[Row], fields: Sequence[str], measures: Sequence[str]) -> Iterator[str]:
    down, across = fields
    at = {(row.run, row.group.get(down, ALL), row.group.get(across, ALL)): row for row in rows}
    names, columns = (
        [*dict.fromkeys(row.group[field] for row in rows if field in row.group), ALL] for field in (down, across)
    )
    first = rows[0].run
    for measure in measures:
        for run in dict.fromkeys(row.run for row in rows):
            lines: list[list[Text | str]] = [
                [name, *(_cell(at.get((run, name, column)), measure) for column in columns)] for name in names
            ]
            beside = "" if run == first else f", beside {first}"
            title = f"{measure} of {run}{beside}: {at[run, ALL, ALL].queries} queries; columns are {across}"
            yield f"{rendered(title)}\n{_table((down,), columns, lines)}"


def _spreads(rows: Sequence[Row], measure: str) -> Iterator[str]:
    """A table of how far apart the languages of each run lie, if there are any."""
    lines = [
        [
            *(name, row.run, str(one.languages)),
            *(
                f"{code} {100 * value:.2f}"
                for code, value in ((one.best, one.best_value), (one.worst, one.worst_value))
            ),
            *(f"{100 * number:.2f}" for number in (one.gap, one.deviation)),
        ]
        for row in rows
        for name, of_measures in row.spreads.items()
        if (one := of_measures.get(measure)) is not None
    ]
    if lines:
        title = f"{measure} between languages: gap of the best and the worst, and standard deviation (SD), in points"
        columns = ("languages", "best", "worst", "gap", "SD")
        yield f"{rendered(title)}\n{_table(('by', RUN), columns, lines)}"


def of_queries(rows: Sequence[QueryRow], measures: Sequence[str], qrels: str | None = None) -> str:
    """Return a line for each query of the runs that are compared, those first that lost most in the first measure;
    of a run alone, those first that are worst in it."""
    first = measures[0]
    rows = [row for row in rows if row.difference is not None] or rows
    fields = list(dict.fromkeys(field for row in rows for field in row.group))
    tells = any(row.asked for row in rows)
    worst = sorted(rows, key=lambda row: (row.difference or row.measures).get(first, math.inf))
    lines: list[list[Text | str]] = [
        [
            *(row.group.get(field, "") for field in fields),
            row.run,
            row.id,
            *(_cell(row, measure) for measure in measures),
            *([row.asked] if tells else []),
        ]
        for row in worst
    ]
    shown = _table((*fields, RUN, "query"), measures, lines, ["asked"] if tells else [])
    if not tells or not worst:
        return shown
    judged = shlex.quote(qrels) if qrels is not None else "QRELS"
    command = f'grep -F \'"id":"{worst[0].id}"\' {shlex.quote(worst[0].run)} | xqe trace --index DIR --qrels {judged}'
    return f"{shown}\nthe first of them, all of its way: {legible(command)}"


def _table(
    keys: Sequence[str], numbers: Sequence[str], lines: Sequence[Sequence[Text | str]], prose: Sequence[str] = ()
) -> str:
    """A table of numbers, and of what they are of."""
    from xqe.commands.columns import Column, Kind, laid_out

    columns = [Column(key, Kind.RUN if key == RUN else Kind.KEY) for key in keys]
    columns += [Column(number, Kind.NUMBER) for number in numbers]
    return laid_out([*columns, *(Column(name, Kind.PROSE) for name in prose)], lines)


def _cell(row: Row | QueryRow | None, measure: str) -> Text:
    from rich.text import Text

    if row is None:
        return Text("")
    if measure not in row.measures:
        return Text("–")
    cell = Text(f"{100 * row.measures[measure]:.2f}")
    interval, comparison = getattr(row, "interval", None), getattr(row, "comparison", None)
    if interval:
        low, high = interval[measure]
        cell.append(f" [{100 * low:.2f},{100 * high:.2f}]")
    if row.difference is None or measure not in row.difference:
        return cell
    points = round(100 * row.difference[measure], 2) + 0.0  # makes -0.0 positive
    found = comparison[measure] if comparison else None
    mark = "*" if found and found.is_significant else ""
    cell.append(f" {points:+.2f}{mark}", style="red" if points < 0 else "green" if points > 0 else "")
    if interval and found:
        low, high = found.interval
        cell.append(f" [{100 * low:+.2f},{100 * high:+.2f}]")
    return cell


def _with_notes(text: str, rows: Sequence[Row], parting: str = "\n") -> str:
    """A text, and what the mark in it means, where something could have one."""
    found = [one for row in rows for one in (row.comparison or {}).values()]
    if not found:
        return text
    many = f", adjusted for {len(found)} differences (Holm)" if len(found) > 1 else ""
    return f"{text}{parting}{rendered(f'* p < 0.05 in a {_TESTS[found[0].test]}{many}')}"
