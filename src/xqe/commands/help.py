"""xqe help: what --help shows, by another name."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def _names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The commands that may be named next, and their lines, for a shell."""
    xqe: Any = context.find_root().command
    rows = [row for rows in xqe.table.values() for row in rows]
    for name in context.params.get("command") or ():
        rows = next((list(row.verbs) for row in rows if row.name == name and hasattr(row, "verbs")), [])
    return [(row.name, row.help) for row in rows]


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
    """Show this help, or that of a command."""
    xqe = context.find_root()
    xqe.command.main([*(command or []), "--help"], prog_name=xqe.info_name, standalone_mode=False)
