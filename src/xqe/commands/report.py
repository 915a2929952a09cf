"""xqe report: the results of a grid as a person reads them, and as tidy files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xqe import __version__
from xqe.errors import XqeError, why
from xqe.evaluation import measures
from xqe.files import jsonl
from xqe.messages import plural, say

if TYPE_CHECKING:
    from xqe.experiments.report.blocks import Report

FORMATS = ("md", "latex", "csv", "html")
STDOUT = "-"
_SUFFIXES = {"md": ".md", "latex": ".tex", "html": ".html"}

_OURS = re.compile(
    r"\.?(?:(?:report|history)\.(?:md|tex|html)|history\.csv|(?:cells|queries|differences|costs|failures)\.csv(?:\.gz)?)"
    r"(?:\.[0-9]+\.part)?"
)
"""What is written, and what a kill leaves of it."""
Files = Iterator[tuple[str, bytes]]


def report(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="GRID...", help="Folders that xqe grid wrote; several are shards of one grid."),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            show_default=False,
            help="Where the files go; - writes one of md, latex and html to standard output. [default: DIR/report]",
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT,...", help="Any of md, latex, csv and html; html needs xqe[report]."),
    ] = ",".join(FORMATS),
    measure: Annotated[
        str | None,
        typer.Option(
            "--measure",
            "-m",
            metavar="MEASURE",
            show_default=False,
            help="The measure that differences are shown of. [default: MRR, or the first of the grid]",
        ),
    ] = None,
    examples: Annotated[
        int,
        typer.Option("--examples", metavar="N", min=0, max=50, help="Won and lost queries that are shown of a system."),
    ] = 3,
    history: Annotated[
        bool, typer.Option("--history", help="Report how a nightly grid went from run to run (history.jsonl).")
    ] = False,
) -> None:
    """Report a grid: the paper's tables and figures.

    Published numbers stand beside measured ones. Writes report.md, report.tex and report.html, which needs no other
    file, and tidy CSV: cells, queries, differences, costs and failures. Prints the path of each file. With --history
    the files are history.md and so on.

    Averages are means over language pairs of the pairs' means, over the same pairs and queries for everything in
    a table. Differences are tested by the paired randomization test, with Holm's correction.
    """
    formats = _formats(format)
    wanted = None if measure is None else str(measures.parse(measure, "--measure"))
    places = list(dict.fromkeys(map(Path, folders)))
    target = _target(places, out, formats)
    if history and len(places) > 1:
        raise XqeError("--history takes one folder", "report the shards one by one")
    if "html" in formats:
        from xqe.experiments.report import page  # noqa: F401  (without matplotlib nothing is begun)
    files = _history(places[0], formats, wanted) if history else _grid(places, formats, wanted, examples)
    _write(files, target)


def _formats(text: str) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(text.replace(",", " ").split()))
    unknown = next((one for one in asked if one not in FORMATS), None)
    if unknown is not None or not asked:
        raise XqeError(f'--format: unknown format "{unknown or text}"', f"give one or more of {','.join(FORMATS)}")
    return asked


def _target(folders: list[Path], out: str | None, formats: tuple[str, ...]) -> Path | None:
    """The folder to write to, None for standard output."""
    if out == STDOUT:
        if len(formats) != 1 or formats[0] not in _SUFFIXES:
            raise XqeError("--out -: standard output takes one text", "add --format md, latex or html")
        return None
    if out is None and len(folders) > 1:
        raise XqeError("several folders have no place for one report", "name one with --out")
    target = folders[0] / "report" if out is None else Path(out)
    if target.exists() and not target.is_dir():
        raise XqeError(f"--out: {target} is not a folder", "name another")
    try:
        names = {path.name for path in target.iterdir()} if target.exists() else set()
    except OSError as error:
        raise XqeError(f"--out: {target}: {why(error)}", "check its permissions, or name another") from None
    if alien := sorted(name for name in names if not _OURS.fullmatch(name)):
        raise XqeError(f'--out: {target} holds "{alien[0]}", so it is not the folder of a report', "name another")
    return target


def _grid(folders: list[Path], formats: tuple[str, ...], measure: str | None, examples: int) -> Files:
    from xqe.experiments.report import tidy
    from xqe.experiments.report.compose import compose
    from xqe.experiments.report.results import read
    from xqe.experiments.report.study import main_measure_of, studies_of

    results = read(folders)
    if measure is not None and measure not in results.measures:
        raise XqeError(f"--measure: the grid has no {measure}", f"it has {', '.join(results.measures)}")
    studies = studies_of(results, main_measure_of(results.measures, measure))
    texts = [one for one in formats if one in _SUFFIXES]
    if texts:
        made = compose(results, studies, examples)
        yield from _texts(made, texts, "report")
    if "csv" in formats:
        yield from tidy.files(results, studies)
    judgements = sum(len(one.queries) for one in results.results)
    parts = [
        f"{plural(len(results.results), 'cell')} of {plural(len(results.folders), 'folder')}",
        plural(judgements, "judgement"),
    ]
    if results.broken:
        parts.append(f"{plural(len(results.broken), 'cell')} could not be done")
    say(", ".join(parts))


def _history(folder: Path, formats: tuple[str, ...], measure: str | None) -> Files:
    from xqe.experiments.report.trend import compose_history, read_history, tidy

    nights, skipped = read_history(folder)
    for line in skipped:
        say(line)
    yield from _texts(compose_history(nights, measure), [one for one in formats if one in _SUFFIXES], "history")
    if "csv" in formats:
        from xqe.experiments.report.tidy import as_csv

        columns, *lines = tidy(nights)
        yield "history.csv", as_csv(columns, lines)
    say(plural(len(nights), "run"))


def _texts(made: Report, formats: list[str], stem: str) -> Files:
    for one in formats:
        yield stem + _SUFFIXES[one], _WRITERS[one](made).encode("utf-8", "backslashreplace")


def _markdown(made: Report) -> str:
    from xqe.experiments.report.markdown import markdown

    return markdown(made)


def _latex(made: Report) -> str:
    from xqe.experiments.report.latex import latex

    return latex(made)


def _html(made: Report) -> str:
    from xqe.experiments.report.page import page

    return page(made, f"Written by xqe {__version__}")


_WRITERS: dict[str, Callable[[Report], str]] = {"md": _markdown, "latex": _latex, "html": _html}


def _write(files: Files, target: Path | None) -> None:
    from xqe.files.atomic import replace

    for name, content in files:
        if target is None:
            jsonl.write(content.decode().removesuffix("\n"))
            continue
        try:
            replace(target / name, content)
        except OSError as error:
            raise XqeError(f"{target / name}: {why(error)}", "name another --out") from None
        other = name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"
        if _OURS.fullmatch(other):  # the same table as it was packed before, or was not
            (target / other).unlink(missing_ok=True)
        jsonl.write(str(target / name))
