"""Options that several commands of xqe data have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Languages = Annotated[
    list[str] | None,
    typer.Option(
        "--lang", metavar="LANG,...", show_default=False, help="Of queries and documents alike. [default: all]"
    ),
]
Splits = Annotated[
    list[str] | None,
    typer.Option("--split", metavar="SPLIT,...", show_default=False, help="[default: all that are there]"),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", show_default=False, help="The folder of the collection.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the collection that is in DIR.")]
