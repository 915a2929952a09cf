"""xqe report: the results of a grid as a person reads them, and as tidy files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xqe import __version__
from xqe.errors import XqeError, why
from xqe.evaluation import measures
from xqe.experiments.report.grouping import By
from xqe.files import jsonl
from xqe.messages import plural, say

if TYPE_CHECKING:
    from xqe.experiments.report.blocks import Report

FORMATS = ("md", "latex", "csv", "html", "figures")
STDOUT = "-"
_SUFFIXES = {"md": ".md", "latex": ".tex", "html": ".html"}

_OURS = re.compile(
    r"\.?(?:(?:report|history)\.(?:md|tex|html)|history\.csv|(?:cells|queries|differences|maps|costs|failures)\.csv(?:\.gz)?)"
    r"(?:\.[0-9]+\.part)?"
)
"""What is written, and what a kill leaves of it."""
_FOLDERS = {
    "figures": re.compile(r"\.?[A-Za-z0-9+_-]+\.(?:svg|pdf)(?:\.[0-9]+\.part)?"),
    "tables": re.compile(r"\.?[A-Za-z0-9+_-]+\.tex(?:\.[0-9]+\.part)?"),
}
"""The folders that are written in it, and what is in them."""
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
        typer.Option(
            "--format",
            metavar="FORMAT,...",
            help="Any of md, latex, csv, html and figures; the last two need xqe[report].",
        ),
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
    by: Annotated[
        By,
        typer.Option(
            "--by",
            help="What languages are grouped by in maps and tables: as in the paper's maps (European ones in Latin "
            "script, others), Latin script or not, script, family, or resources (classes of Joshi et al.).",
        ),
    ] = By.PAPER,
    examples: Annotated[
        int,
        typer.Option("--examples", metavar="N", min=0, max=50, help="Won and lost queries that are shown of a system."),
    ] = 3,
    history: Annotated[
        bool, typer.Option("--history", help="Report how a nightly grid went from run to run (history.jsonl).")
    ] = False,
) -> None:
    """Report a grid: the paper's tables and figures.

    Published numbers stand beside measured ones. Writes report.md, report.tex with each table for itself in tables/,
    and report.html, which needs no other file; pictures as SVG and PDF in figures/, and tidy CSV: cells, queries,
    differences, maps, costs and failures. Prints the path of each file or folder. With --history the files are
    history.md and so on.

    Averages are means over language pairs of the pairs' means, over the same pairs and queries for everything in
    a table. Differences are tested by the paired randomization test, with Holm's correction.
    """
    formats = _formats(format)
    wanted = None if measure is None else str(measures.parse(measure, "--measure"))
    places = list(dict.fromkeys(map(Path, folders)))
    target = _target(places, out, formats)
    if history and len(places) > 1:
        raise XqeError("--history takes one folder", "report the shards one by one")
    if history and by is not By.PAPER:
        raise XqeError("--by has no effect on --history, which has no table of languages", "leave one of them out")
    if {"html", "figures"} & {*formats}:
        from xqe.experiments.report import drawing  # noqa: F401  (without matplotlib nothing is begun)
    if history:
        files = _history(places[0], formats, wanted, target)
    else:
        files = _grid(places, formats, wanted, by, examples, target)
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
        alien = sorted(_alien(target)) if target.exists() else []
    except OSError as error:
        raise XqeError(f"--out: {target}: {why(error)}", "check its permissions, or name another") from None
    if alien:
        raise XqeError(f'--out: {target} holds "{alien[0]}", so it is not the folder of a report', "name another")
    return target


def _alien(target: Path) -> Iterator[str]:
    """What is in a folder, or in those in it, that is no part of a report."""
    for path in target.iterdir():
        if path.name in _FOLDERS and path.is_dir():
            ours = _FOLDERS[path.name]
            yield from (f"{path.name}/{one.name}" for one in path.iterdir() if not ours.fullmatch(one.name))
        elif not _OURS.fullmatch(path.name):
            yield path.name


def _grid(
    folders: list[Path], formats: tuple[str, ...], measure: str | None, by: By, examples: int, target: Path | None
) -> Files:
    from xqe.experiments.report import tidy
    from xqe.experiments.report.compose import compose
    from xqe.experiments.report.places import Places
    from xqe.experiments.report.results import read
    from xqe.experiments.report.study import main_measure_of, studies_of

    results = read(folders)
    if measure is not None and measure not in results.measures:
        raise XqeError(f"--measure: the grid has no {measure}", f"it has {', '.join(results.measures)}")
    studies = studies_of(results, main_measure_of(results.measures, measure), by)
    beside = list(tidy.files(results, studies)) if "csv" in formats else []
    if set(formats) - {"csv"}:
        made = compose(results, studies, examples, Places(target), [name for name, _ in beside])
        yield from _texts(made, formats, "report", target)
    yield from beside
    values = sum(len(one.queries) for one in results.results)
    parts = [
        f"{plural(len(results.results), 'cell')} of {plural(len(results.folders), 'folder')}",
        plural(values, "value"),
    ]
    if results.broken:
        parts.append(f"{plural(len(results.broken), 'cell')} could not be done")
    say(", ".join(parts))


def _history(folder: Path, formats: tuple[str, ...], measure: str | None, target: Path | None) -> Files:
    from xqe.experiments.report.trend import compose_history, read_history, tidy

    nights, skipped = read_history(folder)
    for line in skipped:
        say(line)
    if set(formats) - {"csv"}:
        yield from _texts(compose_history(nights, measure), formats, "history", target)
    if "csv" in formats:
        from xqe.experiments.report.tidy import as_csv

        columns, *lines = tidy(nights)
        yield "history.csv", as_csv(columns, lines)
    say(plural(len(nights), "run"))


def _texts(made: Report, formats: tuple[str, ...], stem: str, target: Path | None) -> Files:
    """The texts of a report, and what goes with them: what has no place of its own stands in the texts alone."""
    from xqe.experiments.report.blocks import named
    from xqe.experiments.report.latex import latex, parts

    names = named(made)
    pictures = _pictures(made) if "figures" in formats else {}
    tables = dict(parts(made)) if "latex" in formats and target is not None else {}
    if "md" in formats:
        from xqe.experiments.report.markdown import markdown

        yield f"{stem}.md", _encoded(markdown(made))
    if "latex" in formats:
        figures = {key: f"figures/{names[key]}.pdf" for key in pictures}
        yield f"{stem}.tex", _encoded(latex(made, figures, {key: f"tables/{names[key]}" for key in tables}))
    if "html" in formats:
        from xqe.experiments.report.page import page

        saved = {key: [(form, f"figures/{names[key]}.{form}") for form in forms] for key, forms in pictures.items()}
        yield f"{stem}.html", _encoded(page(made, f"Written by xqe {__version__}", saved))
    yield from ((f"tables/{names[key]}.tex", _encoded(text)) for key, text in tables.items())
    for key, forms in pictures.items():
        yield from ((f"figures/{names[key]}.{form}", content) for form, content in forms.items())


def _pictures(made: Report) -> dict[str, dict[str, bytes]]:
    """The files of each picture, by its key and then its form."""
    from xqe.experiments.report import drawing

    blocks = (block for section in made.sections for block in section.blocks)
    return {block.key: dict(drawing.files(block)) for block in blocks if isinstance(block, drawing.Picture)}


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _write(files: Files, target: Path | None) -> None:
    from xqe.files.atomic import replace

    told: set[Path] = set()
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
        path = target / name
        said = path if path.parent == target else path.parent  # of many files, where they are
        if said not in told:
            jsonl.write(str(said))
        told.add(said)
