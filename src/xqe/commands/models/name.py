"""A model that is named."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help='A name of "xqe models list", or OWNER/REPOSITORY/FILE.gguf of the hub.',
    ),
]
