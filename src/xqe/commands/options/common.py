"""What commands of many kinds have: records to read, a screen, cores, the store, a switch."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

AUTO = "auto"

Query = Annotated[
    str | None,
    typer.Argument(
        metavar="[QUERY]", show_default=False, help="One query, instead of records; - reads standard input."
    ),
]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="FILE",
        show_default=False,
        help="Read this file (plain or .gz; - is standard input) instead of standard input. Repeatable.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        envvar="XQE_THREADS",
        show_default=False,
        help="CPU threads. [default: the cores this process may use]",
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="FILE",
        envvar="XQE_STORE",
        show_default=False,
        help="The file of finished generations. [default: generations.sqlite in xqe's cache folder]",
    ),
]


def spoken(*spellings: str) -> Any:
    """The option for the language of records that name none."""
    return typer.Option(
        *spellings, metavar="LANG", show_default=False, help='Language of the queries that have no "lang" of their own.'
    )


class Screen(StrEnum):
    """How what is meant for a person is written."""

    TEXT = "text"
    JSONL = "jsonl"


ScreenFormat = Annotated[
    Screen | None,
    typer.Option("--format", show_default=False, help="[default: text on a terminal, jsonl elsewhere]"),
]


class Switch(StrEnum):
    """An option that the engine decides unless told."""

    AUTO = AUTO
    ON = "on"
    OFF = "off"
