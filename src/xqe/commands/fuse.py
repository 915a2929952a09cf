"""xqe fuse: several runs become one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands.options.forms import MOST_HITS, RunForm, RunFormat
from xqe.commands.runs import MORE, writing_run
from xqe.commands.streams import report_failures
from xqe.errors import InputError, XqeError
from xqe.files import jsonl, packing
from xqe.files.records import Record
from xqe.messages import progress, say
from xqe.retrieval.choices import DEPTH
from xqe.retrieval.fusion import (
    DEFAULT_METHOD,
    DEFAULT_NORM,
    GREATEST_WEIGHT,
    METHODS,
    NORMS,
    RRF_K,
    Fusion,
    Method,
    method_named,
    norm_named,
)

if TYPE_CHECKING:
    from xqe.stages.fuse import Run

_SUFFIXES = {".json", ".jsonl", ".res", ".run", ".trec", ".tsv", ".txt", *packing.SUFFIXES}
"""What a run's name does without."""
_TAG = "xqe"


def fuse(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN...",
            show_default=False,
            help="Runs: records of xqe search, TREC or MS MARCO, plain or packed; - reads standard input.",
        ),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", metavar="METHOD", help=f"One of {' '.join(method.name for method in METHODS)}.")
    ] = DEFAULT_METHOD,
    norm: Annotated[
        str | None,
        typer.Option(
            "--norm",
            metavar="NORM",
            show_default=False,
            help="How a method of scores makes them comparable, query by query: one of "
            f"{' '.join(norm.name for norm in NORMS)}. [default: {DEFAULT_NORM}]",
        ),
    ] = None,
    weight: Annotated[
        list[float] | None,
        typer.Option(
            "--weight",
            metavar="W",
            show_default=False,
            help="What a run counts, one for each run in their order; 0 leaves its hits out. [default: 1]",
        ),
    ] = None,
    rrf_k: Annotated[
        int | None,
        typer.Option(
            "--rrf-k", metavar="N", min=0, show_default=False, help=f"The k of rrf, 1 / (k + rank). [default: {RRF_K}]"
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            "--depth",
            metavar="N",
            min=1,
            show_default=False,
            help="Take only the first N hits of each run. [default: all]",
        ),
    ] = None,
    k: Annotated[int | None, MOST_HITS] = None,
    languages: Annotated[
        bool,
        typer.Option(
            "--languages",
            help="The runs are of documents in several languages: queries are the same if their ids are, whichever "
            'languages they were translated into, and each hit says its "lang".',
        ),
    ] = False,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="NAME",
            show_default=False,
            help='What a run is called in "from", one for each run. [default: its file name]',
        ),
    ] = None,
    form: RunForm = RunFormat.AUTO,
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="NAME", show_default=False, help=f"Name of a TREC run. [default: {_TAG}]"),
    ] = None,
) -> None:
    """Fuse runs into one.

    Each query has the hits of all runs, best first. Hits count in the order of their scores, equal scores by descending
    id. A query that some runs lack is fused from those that have it. Each hit says "from" which runs it comes, with its
    rank and score there.
    """
    settings = fusion_of(method, norm, rrf_k, weight)
    paths = _paths(runs)
    weights = weights_of(weight, paths)
    names = _names(name, paths)
    if tag is not None and (form is not RunFormat.TREC or tag.split() != [tag]):
        raise XqeError(
            f'--tag "{tag}" is empty, contains white space, or is given without --format trec',
            "it is the last column of a TREC run",
        )
    from xqe.files.trec import read_run
    from xqe.stages.fuse import Run, Settings
    from xqe.stages.fuse import fuse as fuse_runs

    _say_twice(paths)
    inputs = [Run(name, read_run(path), weight) for name, path, weight in zip(names, paths, weights, strict=True)]
    counts: Counter[str] = Counter()
    fused = counting(fuse_runs(inputs, Settings(settings, depth, k or DEPTH, languages)), inputs, counts)
    written = _once_each(fused) if form is RunFormat.TREC else fused
    count, failures = writing_run(form, tag or _TAG, k, MORE)(progress(written, None, "fuse"))
    say_lacking(counts, names, count)
    report_failures(count, failures)


_HAS_EFFECT: dict[str, Callable[[Method], bool]] = {
    "--norm": lambda method: method.points is None,
    "--rrf-k": lambda method: method.has_k,
    "--weight": lambda method: method.weighted,
}


def fusion_of(method: str, norm: str | None, rrf_k: int | None, weight: Sequence[float] | None) -> Fusion:
    """What the options name; one without an effect on the method is an error."""
    chosen = method_named(method)
    for option, given in {"--norm": norm, "--rrf-k": rrf_k, "--weight": weight or None}.items():
        if given is not None and not _HAS_EFFECT[option](chosen):
            suited = ", ".join(row.name for row in METHODS if _HAS_EFFECT[option](row))
            raise XqeError(f"{option} has no effect on --method {chosen.name}", f"it is for {suited}")
    return Fusion(chosen, norm_named(norm or DEFAULT_NORM), RRF_K if rrf_k is None else rrf_k)


def _paths(runs: Sequence[str] | None) -> list[str]:
    paths = list(runs or ())
    if not paths:
        raise InputError("no RUN given", "give run files, or - for standard input: xqe fuse RUN RUN")
    if paths.count(jsonl.STDIN) > 1:
        raise XqeError("standard input can be read once only", "give the other runs as files")
    return paths


def weights_of(weight: Sequence[float] | None, paths: Sequence[str]) -> list[float]:
    weights = list(weight or [1.0] * len(paths))
    _one_each("--weight", weights, paths)
    for one in weights:
        if not 0 <= one <= GREATEST_WEIGHT:
            raise XqeError(f"--weight {one:g} is not a number from 0 to {GREATEST_WEIGHT:g}", "1 is the default")
    if not any(weights):
        raise XqeError("every --weight is 0", "a run of weight 0 is left out; give one of them more")
    return weights


def _names(name: Sequence[str] | None, paths: Sequence[str]) -> list[str]:
    """What the runs are called: as they are asked to be, else by their files, in as few parts as tell them apart."""
    if name:
        _one_each("--name", name, paths)
        twice = next((one for one, times in Counter(name).items() if times > 1 or not one), None)
        if twice is not None:
            raise XqeError(f'--name "{twice}" is empty or given twice', "each run needs a name of its own")
        return list(name)
    for shorten in (_stem, _file, str):
        names = [shorten(path) for path in paths]
        if len(set(names)) == len(names):
            return names
    seen: Counter[str] = Counter()
    for place, one in enumerate(names):
        seen[one] += 1
        names[place] = one if seen[one] == 1 else f"{one}#{seen[one]}"
    return names


def _file(path: str) -> str:
    return "stdin" if path == jsonl.STDIN else PurePath(path).name


def _stem(path: str) -> str:
    """The name of a file without the endings that runs have."""
    file = PurePath(_file(path))
    while file.suffix in _SUFFIXES:
        file = file.with_suffix("")
    return str(file)


def _one_each(option: str, given: Sequence[object], paths: Sequence[str]) -> None:
    if len(given) != len(paths):
        times = "once" if len(given) == 1 else f"{len(given)} times"
        runs = "1 run" if len(paths) == 1 else f"{len(paths)} runs"
        raise XqeError(f"{option} is given {times} for {runs}", "give it once for each run, in their order")


def _say_twice(paths: Sequence[str]) -> None:
    files = Counter(os.path.realpath(path) for path in paths if path != jsonl.STDIN)
    for path in dict.fromkeys(paths):
        if files[os.path.realpath(path)] > 1 and path != jsonl.STDIN:
            say(f"{path} is given {files[os.path.realpath(path)]} times, and counts as often")


def counting(records: Iterable[Record], runs: Sequence[Run], counts: Counter[str]) -> Iterator[Record]:
    """Pass records on; count those that some runs lack under "", and under the name of each run that lacks it."""
    from xqe.stages.fuse import names_of_lacking

    for record in records:
        if lacking := names_of_lacking(record, runs):
            counts.update(["", *lacking])
        yield record


def say_lacking(counts: Counter[str], names: Sequence[str], count: int) -> None:
    if counts:
        which = ", ".join(f"{name} lacks {counts[name]}" for name in names if counts[name])
        say(f"{counts['']} of {count} queries are not in every run, and are fused from those that have them: {which}")


def _once_each(records: Iterable[Record]) -> Iterator[Record]:
    """Pass records on; raise InputError for a query that stands there in two language pairs."""
    seen: set[str] = set()
    for record in records:
        if record["id"] in seen:
            raise InputError(
                f'query "{record["id"]}" again, in another language pair', "a TREC run has one; leave --format trec out"
            )
        seen.add(record["id"])
        yield record
