"""xqe man: pages of the manual, made of what --help shows."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from xqe.commands.manual import pages
from xqe.errors import XqeError, why
from xqe.files import jsonl

FOLDER = "~/.local/share/man/man1"


def man(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND]...", show_default=False, help="A command, and one of those that it has."),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="DIR",
            show_default=False,
            help=f"Write all pages into this folder, such as {FOLDER}, where man finds them.",
        ),
    ] = None,
) -> None:
    """Show or write pages of the manual.

    On a terminal man shows the page; elsewhere it is written as man reads it. With --dir all pages are written, after
    which "man xqe", "man xqe-search" and so on work.
    """
    made = pages(context.find_root())
    if directory is not None:
        if command:
            raise XqeError("--dir writes all pages", "leave the command out")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for name, text in made.items():
                (directory / f"{name}.1").write_text(text, "utf-8")
        except OSError as error:
            raise XqeError(f"{directory}: {why(error)}", "name a folder that can be written to") from None
        return
    name = "-".join(["xqe", *(command or [])])
    if name not in made:
        raise XqeError(f'"{" ".join(command or [])}" is no command', "see xqe help")
    if sys.stdout.isatty() and shutil.which("man"):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / f"{name}.1"
            page.write_text(made[name], "utf-8")
            subprocess.run(["man", str(page)], check=False)
    else:
        jsonl.write(made[name].rstrip("\n"))
