"""Commands that have commands: `xqe data`, `xqe store` and the like."""

from __future__ import annotations

import typer

UNABLE_STATUS = 2


def group(name: str, help: str, epilog: str | None = None) -> typer.Typer:
    """A command that shows its help, with the status of a wrong usage, where none of its own commands is given."""
    app = typer.Typer(name=name, rich_markup_mode=None, help=help, epilog=epilog)

    @app.callback(invoke_without_command=True)
    def _top(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help(), err=True)
            raise typer.Exit(UNABLE_STATUS)

    return app
