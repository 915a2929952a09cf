"""xqe help: what --help shows, by another name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from xqe.commands.manual import variables
from xqe.errors import XqeError
from xqe.files import jsonl

ENVIRONMENT = "environment"


def _below(context: typer.Context, names: Sequence[str]) -> list[Any]:
    """The rows of the commands that a command has, named by itself and those above it; none where it has none."""
    xqe: Any = context.find_root().command
    rows = [row for rows in xqe.table.values() for row in rows]
    for name in names:
        rows = next((list(row.verbs) for row in rows if row.name == name and hasattr(row, "verbs")), [])
    return rows


def _names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The commands that may be named next, and their lines, for a shell."""
    names = context.params.get("command") or ()
    topics = [] if names else [(ENVIRONMENT, "The variables that are read.")]
    return [*((row.name, row.help) for row in _below(context, names)), *topics]


def help_of(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND]...",
            show_default=False,
            autocompletion=_names,
            help="A command, and one of those that it has.",
        ),
    ] = None,
) -> None:
    """Show this help, or that of a command.

    "xqe help environment" lists the variables of the environment that are read.
    """
    xqe, names = context.find_root(), command or []
    if names == [ENVIRONMENT]:
        formatter = xqe.make_formatter()
        formatter.write_dl(list(variables(xqe).items()))
        jsonl.write(formatter.getvalue().rstrip())
        return
    above = names[:-1]
    if above and any(row.name == above[0] for row in _below(context, [])) and not _below(context, above):
        raise XqeError(f'"{names[-1]}" is no command of xqe {" ".join(above)}', f"see xqe help {' '.join(above)}")
    xqe.command.main([*names, "--help"], prog_name=xqe.info_name, standalone_mode=False)
