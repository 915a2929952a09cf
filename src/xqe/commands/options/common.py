"""What commands of many kinds have: records to read, a screen, cores, the store, a switch."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from xqe.commands.options.panels import HARDWARE, SERVER, STORE
from xqe.files.forms import DOCUMENTS, QUERIES, Form, Kind
from xqe.files.numbers import GREATEST, whole

AUTO = "auto"


def number_or_auto(least: int, most: int | None = None) -> Callable[[str], int | None]:
    """A parser of "auto" (None) and of whole numbers from `least` to `most`."""

    def parse(text: str) -> int | None:
        if text == AUTO:
            return None
        try:
            number = whole(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is neither a whole number nor {AUTO}") from None
        if not least <= number <= (GREATEST if most is None else most):
            span = f"of at least {least}" if most is None and number < least else f"from {least} to {most or GREATEST}"
            raise typer.BadParameter(f"{number} is not a number {span}")
        return number

    return parse


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
        help="Read this file (plain, .gz, .bz2, .xz or .zst; - is standard input) instead of standard input. "
        "Repeatable.",
    ),
]


def _input_format(kind: Kind) -> Any:
    forms = ", ".join(form for form in Form if form in kind.forms)
    return typer.Option(
        "--input-format",
        metavar="FORM",
        help=f"How the {kind.several} are written: {forms}; auto goes by the name of a file, or its first line. "
        "In place of a file there may be ir_datasets:ID.",
    )


QueriesForm = Annotated[Form, _input_format(QUERIES)]
DocumentsForm = Annotated[Form, _input_format(DOCUMENTS)]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        envvar="XQE_THREADS",
        show_default=False,
        help="CPU threads. [default: the cores this process may use]",
        rich_help_panel=HARDWARE,
    ),
]
GpuLayers = Annotated[
    Any,
    typer.Option(
        "--gpu-layers",
        metavar="N|auto",
        parser=number_or_auto(0),
        envvar="XQE_GPU_LAYERS",
        show_default=False,
        help="Layers to put on the GPU. [default: auto, as many as fit]",
        rich_help_panel=HARDWARE,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        envvar=["XQE_BASE_URL", "OPENAI_BASE_URL"],
        show_default=False,
        help="Of the OpenAI-compatible server for openai:NAME, such as http://localhost:8080/v1.",
        rich_help_panel=SERVER,
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.001,
        envvar="XQE_TIMEOUT",
        help="For one server request.",
        rich_help_panel=SERVER,
    ),
]
Retries = Annotated[
    int,
    typer.Option(
        "--retries",
        metavar="N",
        min=0,
        envvar="XQE_RETRIES",
        help="Of a server request that failed in passing.",
        rich_help_panel=SERVER,
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show what llama.cpp logs, or each retry of a server.")]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="FILE",
        envvar="XQE_STORE",
        show_default=False,
        help="The file of finished generations. [default: generations.sqlite in xqe's cache folder]",
        rich_help_panel=STORE,
    ),
]

DropSelf = Annotated[
    bool,
    typer.Option(
        "--drop-self",
        help="Leave out hits that have the query's own id, where queries are documents of the collection (ArguAna, "
        "Quora).",
    ),
]


def spoken(*spellings: str, of: str = "queries") -> Any:
    """The option for the language of records that name none."""
    return typer.Option(
        *spellings,
        metavar="LANG|auto",
        show_default=False,
        help=f'Language of the {of} that have no "lang" of their own; auto tells it from each text.',
    )


class Switch(StrEnum):
    """An option that the engine decides unless told."""

    AUTO = AUTO
    ON = "on"
    OFF = "off"


def examples_file(what: str) -> Any:
    """--examples; `what` says of what, and what there is without it."""
    return typer.Option("--examples", metavar="FILE", show_default=False, help=what)
