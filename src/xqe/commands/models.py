"""xqe models: the GGUF models that xqe knows, and where they lie."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.subcommands import group
from xqe.files import jsonl
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.models.lookup import ResolvedModel
    from xqe.models.registry import Model

DAMAGED_STATUS = 1

app = group(
    "models",
    help="The models that xqe knows: list, download, find and check them.",
    epilog="Models lie under XQE_MODELS, by default $XDG_CACHE_HOME/xqe/models, and that ~/.cache/xqe/models.",
)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        show_default=False,
        help='A name of "xqe models list", or OWNER/REPOSITORY/FILE.gguf of the hub.',
    ),
]


@app.command("list")
def list_models() -> None:
    """List the models: a table on a terminal, JSONL elsewhere."""
    from xqe.models.lookup import installed
    from xqe.models.registry import MODELS, find

    there = {found.name: found for found in installed()}
    known = [model.name for model in MODELS]
    rows = [_row(find(name), there.get(name)) for name in [*known, *(name for name in there if name.count("/") >= 2)]]
    if sys.stdout.isatty():
        _show(rows)
        return
    for row in rows:
        jsonl.write(jsonl.dumps(row))


def _row(model: Model, found: ResolvedModel | None) -> dict[str, Any]:
    return {
        "name": model.name,
        "size": found.path.stat().st_size if found is not None else model.size,
        "present": found is not None,
        "gated": model.gated,
        "licence": model.licence.name,
        "licence_url": model.licence.url,
        "description": model.description,
        "repository": model.repository,
        "file": model.file,
        "sha256": model.sha256,
        "path": str(model.path),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("name", "size", "present", "gated", "licence", "description", box=None, pad_edge=False)
    for row in rows:
        size = f"{row['size'] / 1e9:.2f} GB" if row["size"] else "?"
        marks = [["no", "yes"][row[field]] for field in ("present", "gated")]
        table.add_row(*map(Text, [row["name"], size, *marks, row["licence"], row["description"]]))
    Console().print(table)


@app.command()
def path(name: Name) -> None:
    """Print where a model lies; "tiny" is assembled first."""
    from xqe.models.lookup import resolve

    jsonl.write(str(resolve(name).path))


@app.command()
def pull(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Download it although it is there.")] = False,
) -> None:
    """Download a model and print where it lies.

    A download that was cut goes on where it stopped, and what arrived is checked before it is put in place. The
    variables of huggingface_hub count: HF_TOKEN, or the file that "hf auth login" writes, for gated models, and
    HF_ENDPOINT for a mirror.
    """
    from xqe.models.download import pull as download
    from xqe.models.registry import find

    jsonl.write(str(download(find(name), force)))


@app.command()
def verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|PATH]...", show_default=False, help="Default: all that are there."),
    ] = None,
) -> None:
    """Check the size, structure and sha256 of model files; exit with 1 if one is damaged.

    The sha256 is compared to the one recorded at download ("against": "record"), else to the one that xqe knows
    ("table"), else to none (null).
    """
    from xqe.models.gguf import DamagedError
    from xqe.models.lookup import installed, locate
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
            row |= {"ok": True, "size": whole.size, "sha256": whole.sha256, "against": whole.against}
        if not sys.stdout.isatty():
            jsonl.write(jsonl.dumps(row))
        elif row["ok"]:
            jsonl.write(f"{model.name}: ok ({_CHECKED[row['against']]})")
    if damaged:
        raise typer.Exit(DAMAGED_STATUS)


_CHECKED = {
    "record": "sha256 as recorded at download",
    "table": "sha256 as known",
    None: "structure only: nothing says what its sha256 should be",
}
