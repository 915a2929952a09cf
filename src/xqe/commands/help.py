"""xqe help: what --help shows, by another name."""

from __future__ import annotations

from typing import Annotated

import typer


def help_of(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND]...", show_default=False, help="A command, and one of those that it has."),
    ] = None,
) -> None:
    """Show this help, or that of a command."""
    xqe = context.find_root()
    xqe.command.main([*(command or []), "--help"], prog_name=xqe.info_name, standalone_mode=False)
