"""xqe models verify: whether model files are what they should be."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from xqe.files import jsonl
from xqe.messages import say

DAMAGED_STATUS = 1


def verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|PATH]...", show_default=False, help="Default: all that are there."),
    ] = None,
) -> None:
    """Check the size, structure and sha256 of model files.

    Exit status 1 if one is damaged. The sha256 is compared to the one recorded at download ("against": "record"), else
    to the one that xqe knows ("table"), else to none (null).
    """
    from xqe.models.gguf import DamagedError
    from xqe.models.lookup import installed, locate
    from xqe.models.purposes import kind_of
    from xqe.models.verification import verify as check

    found = [locate(model) for model in models] if models else installed()
    if not found:
        say("no models are there; xqe models pull NAME downloads one")
    damaged = 0
    for model in found:
        row: dict[str, Any] = {"name": model.name, "path": str(model.path)}
        try:
            whole = check(model.path)
        except DamagedError as error:
            say(str(error))
            damaged += 1
            row |= {"ok": False, "error": error.message}
        else:
            row |= {
                "ok": True,
                "kind": kind_of(model.path),
                "size": whole.size,
                "sha256": whole.sha256,
                "against": whole.against,
            }
        if not sys.stdout.isatty():
            jsonl.write(jsonl.dumps(row))
        elif row["ok"]:
            jsonl.write(f"{model.name}: ok, {row['kind']} ({_CHECKED[row['against']]})")
    if damaged:
        raise typer.Exit(DAMAGED_STATUS)


_CHECKED = {
    "record": "sha256 as recorded at download",
    "table": "sha256 as known",
    None: "structure only: nothing says what its sha256 should be",
}
