"""--format: the form of what a command writes, which is one and the same thing for all of them."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer


class Screen(StrEnum):
    """For a person, or for a program."""

    AUTO = "auto"
    TEXT = "text"
    JSONL = "jsonl"


class QueryFormat(StrEnum):
    """Of queries."""

    AUTO = "auto"
    TEXT = "text"
    JSONL = "jsonl"
    TOPICS = "topics"


class RunFormat(StrEnum):
    """Of records with hits."""

    AUTO = "auto"
    TEXT = "text"
    JSONL = "jsonl"
    TREC = "trec"


class Rows(StrEnum):
    """Of what has the same fields again and again."""

    AUTO = "auto"
    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


Form = Screen | QueryFormat | RunFormat | Rows

ScreenFormat = Annotated[
    Screen,
    typer.Option(
        "--format", show_default=False, help="Of what is written; auto is text on a terminal, jsonl elsewhere."
    ),
]
QueryForm = Annotated[
    QueryFormat,
    typer.Option(
        "--format",
        show_default=False,
        help="Of what is written: for a person, records, or topics of Pyserini and Anserini, an id, a tab and the "
        "query with its passages; auto is text on a terminal, jsonl elsewhere.",
    ),
]
RunForm = Annotated[
    RunFormat,
    typer.Option(
        "--format",
        show_default=False,
        help="Of what is written: for a person, records with hits, or a TREC run; auto is text on a terminal, jsonl "
        "elsewhere.",
    ),
]
RowsFormat = Annotated[
    Rows,
    typer.Option(
        "--format", show_default=False, help="Of what is written; auto is table on a terminal, jsonl elsewhere."
    ),
]

MOST_HITS: Any = typer.Option(
    "-k",
    metavar="N",
    min=1,
    show_default=False,
    help="Most hits for a query. [default: 1000; for a person 10 are shown]",
)


def on_screen(form: Form) -> bool:
    """Whether a person is to read what is written: as was asked, else on a terminal."""
    return form in ("text", "table") or (form == "auto" and sys.stdout.isatty())
