"""xqe serve: a process that keeps models and indexes open for the commands that follow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.messages import say
from xqe.resident.client import address


def serve(
    context: typer.Context,
    idle: Annotated[
        float, typer.Option("--idle", metavar="MINUTES", min=0.01, help="End when nothing was asked for so long.")
    ] = 30.0,
    status: Annotated[bool, typer.Option("--status", help="Say what the server that is there has open.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End the server that is there.")] = False,
) -> None:
    """Keep models and indexes open for the commands that follow.

    While it runs, other commands of the same user find it and have it do their work, which saves them the loading of
    models, encoders and indexes: a second xqe trace takes a fraction of a second. They print what they would print by
    themselves. It runs one at a time; another that comes meanwhile, or one that reads from a pipe, runs by itself.

    "xqe --server off COMMAND", or XQE_SERVER=off, leaves it out. It listens at a socket that only its owner can use.
    """
    from xqe.resident.server import Server, ask

    path = Path(address())
    if status or stop:
        told = ask(path, "end" if stop else "state")
        if told is None:
            raise XqeError("no server is there", "xqe serve starts one")
        if "refused" in told:
            raise XqeError(f"the server {told['refused']}", "end it with that one")
        if status:
            jsonl.write(jsonl.dumps(told))
        return

    with Server(path, context.obj) as server:
        say(f"listening at {path}; ends after {idle:g} minutes without a command, or by Ctrl-C")
        server.serve(idle * 60)
