"""xqe doctor: what is true of this machine, and what of it is off."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from xqe.commands.options.forms import Screen
from xqe.errors import XqeError
from xqe.files import jsonl

PROBLEM_STATUS = 1


def doctor(
    context: typer.Context,
    form: Annotated[
        Screen,
        typer.Option(
            "--format", help="Of what is written; auto is text, everywhere; jsonl one object, sizes in bytes."
        ),
    ] = Screen.AUTO,
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all of every model file and of the store, which may take minutes.")
    ] = False,
) -> None:
    """Say what is true of this machine, and what is wrong.

    That is of llama.cpp, cores, memory, models, folders and the store. Writes a text for people, to a file or a pipe as
    well. Keys and tokens are not shown, only that they are set. No server is asked, and nothing is repaired. A model
    file is "ok" where its size, its header and the sha256 from when it was last read are as they should be.

    Exit status: 0 if there is no problem, though there may be warnings; 1 if there is one.
    """
    if as_json:
        raise XqeError("--json has another name", "give --format jsonl")
    from dataclasses import asdict

    from xqe.doctor.facts import examine
    from xqe.doctor.findings import PROBLEM, findings, worst

    facts = examine(_variables(context.find_root().command), verify)
    found = findings(facts)
    if form is Screen.JSONL:
        rows = [asdict(finding) for finding in found]
        jsonl.write(jsonl.dumps({"status": worst(found), "findings": rows, **asdict(facts)}))
    else:
        from xqe.commands.doctor.screen import screen

        jsonl.write(screen(facts, found))
    if worst(found) == PROBLEM:
        raise typer.Exit(PROBLEM_STATUS)


def _variables(command: Any) -> set[str]:
    """The variables that the options of a command, and of those below it, read."""
    given = (getattr(option, "envvar", None) or () for option in command.params)
    names = {name for names in given for name in ([names] if isinstance(names, str) else names)}
    return names.union(*map(_variables, getattr(command, "commands", {}).values()))
