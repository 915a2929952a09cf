"""xqe search: the documents of an index that answer each query best."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xqe import jsonl
from xqe.commands import options
from xqe.commands.streams import Queries, emit, report_failures
from xqe.errors import XqeError
from xqe.machine import available_cores
from xqe.messages import progress, say
from xqe.records import Record, has_failed
from xqe.search import GREATEST_WEIGHT, Settings, Use, run_lines
from xqe.search import search as search_records

AUTO = "auto"


class RunFormat(StrEnum):
    JSONL = "jsonl"
    TREC = "trec"


def search(
    directory: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="The folder of the index.")],
    query: options.Query = None,
    use: Annotated[
        Use, typer.Option("--use", help="Search with the query, with its passages (doc), or with both.")
    ] = Use.QUERY_DOC,
    query_weight: Annotated[
        str,
        typer.Option(
            "--query-weight",
            metavar="W",
            help="With passages, the query counts W times; 1 is the paper's, auto gives it half of all weight.",
        ),
    ] = AUTO,
    source_weight: Annotated[
        float,
        typer.Option(
            "--source-weight",
            metavar="W",
            min=0.0,
            max=GREATEST_WEIGHT,
            help="Search also with the untranslated query, each of its words counted W times.",
        ),
    ] = 0.0,
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, help="Most hits for a query.")] = 1000,
    form: Annotated[
        RunFormat, typer.Option("--format", help="Records with hits, or the lines of a TREC run.")
    ] = RunFormat.JSONL,
    tag: Annotated[str, typer.Option("--tag", metavar="NAME", help="Name of the run, in a TREC run.")] = "xqe",
    threads: options.Threads = None,
    files: options.Input = None,
) -> None:
    """Search an index with BM25: adds "index" and "hits", best first, to each query record.

    Hits of equal score are ordered by id, from high to low, as trec_eval does.
    """
    settings = Settings(use, _weight(query_weight), source_weight, k)
    if tag.split() != [tag]:
        raise XqeError(f'--tag "{tag}" is empty or contains white space', "a TREC run separates fields by white space")
    queries = Queries(query, files)
    from xqe.index import open_index

    index = open_index(directory)
    cores = threads or available_cores()
    found = search_records(queries, index, settings, cores, lambda: queries.place)
    if form is RunFormat.TREC:
        _write_run(progress(found, queries.total, "search"), tag)
    else:
        report_failures(*emit(found, "search", queries.total))


def _weight(text: str) -> float | None:
    """The query weight that was asked for, None for an automatic one."""
    if text == AUTO:
        return None
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight <= GREATEST_WEIGHT:
        raise XqeError(
            f'--query-weight "{text}" is neither auto nor a number above 0 and up to {GREATEST_WEIGHT:g}',
            "to search with the passages alone, give --use doc",
        )
    return weight


def _write_run(records: Iterable[Record], tag: str) -> None:
    count = failures = unanswered = 0
    for record in records:
        if lines := run_lines(record, tag):
            jsonl.write("\n".join(lines))
        count += 1
        failures += has_failed(record)
        unanswered += not lines
    if unanswered:
        say(f"{unanswered} of {count} queries have no hits, and so no line in the run")
    report_failures(count, failures)
