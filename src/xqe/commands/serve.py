"""xqe serve: a process that keeps models and indexes open for the commands that follow."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands.options.encoding import Encoding
from xqe.commands.options.generation import Generation
from xqe.commands.summaries import write_summary
from xqe.errors import XqeError
from xqe.messages import say
from xqe.models.engines import FAKE
from xqe.resident.client import address

if TYPE_CHECKING:
    from xqe.models.encoders.base import Encoder
    from xqe.models.engines.base import Engine
    from xqe.resident.server import Server

LOOPBACK = "127.0.0.1"


def serve(
    context: typer.Context,
    idle: Annotated[
        float, typer.Option("--idle", metavar="MINUTES", min=0.01, help="End when nothing was asked for so long.")
    ] = 30.0,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="N",
            min=0,
            max=65535,
            show_default=False,
            help="Also answer at this port of HTTP, as OpenAI's interface has it; 0 for a free one.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="NAME", help="Where the port is; 0.0.0.0 for all networks.")
    ] = LOOPBACK,
    status: Annotated[bool, typer.Option("--status", help="Say what the server that is there has open.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End the server that is there.")] = False,
) -> None:
    """Keep models and indexes open for the commands that follow.

    While it runs, other commands of the same user find it and have it do their work, which saves them the loading of
    models, encoders and indexes: a second xqe trace takes a fraction of a second. They print what they would print by
    themselves. It runs one at a time; another that comes meanwhile, or one that reads from a pipe, runs by itself.

    With --port, its models answer /v1/chat/completions, /v1/completions and /v1/embeddings, many texts at a time. The
    key is that of XQE_API_KEY, or one that is said when it starts.

    "xqe --server off COMMAND", or XQE_SERVER=off, leaves it out. It listens at a socket that only its owner can use.
    """
    if host != LOOPBACK and port is None:
        raise XqeError("--host has no effect without --port", "add it, or leave --host out")
    from xqe.resident.server import Server, ask

    path = Path(address())
    if status or stop:
        told = ask(path, "end" if stop else "state")
        if told is None:
            raise XqeError("no server is there", "xqe serve starts one")
        if "refused" in told:
            raise XqeError(f"the server {told['refused']}", "end it with that one")
        if status:
            write_summary(told)
        return
    with Server(path, context.obj) as server, _endpoint(host, port, server) as at:
        say(f"listening at {path}; ends after {idle:g} minutes without a command, or by Ctrl-C")
        if at:
            say(at)
        server.serve(idle * 60)


@contextmanager
def _endpoint(host: str, port: int | None, server: Server) -> Iterator[str]:
    """Answer at a port, if there is one: what to say of it."""
    if port is None:
        yield ""
        return
    from xqe.resident.endpoint import Endpoint, Models

    given = os.environ.get("XQE_API_KEY")
    key = given or secrets.token_urlsafe(24)
    endpoint = Endpoint(Models(_names, _generator, _encoder, server.work, server.used), host, port, key)
    endpoint.start()
    try:
        said = "the key is that of XQE_API_KEY" if given else f"the key is {key}"
        yield f"answering at http://{host}:{endpoint.port}/v1; {said}"
    finally:
        endpoint.close()


def _names() -> list[str]:
    """The models that are here, and the one that XQE_MODEL names."""
    from xqe.models.lookup import installed

    named = os.environ.get("XQE_MODEL")
    return list(dict.fromkeys([*([named] if named else []), *(model.name for model in installed())]))


def _generator(name: str) -> Engine:
    from xqe.commands.generating import open_engine

    return open_engine(Generation(model=name))


def _encoder(name: str) -> Encoder:
    from xqe.commands.encoding import open_encoder

    if name == FAKE:
        return open_encoder(Encoding(encoder=name))
    return open_encoder(Encoding(encoder=name, query_prefix="", passage_prefix=""))
