"""The parameters of BM25."""

from __future__ import annotations

from typing import Annotated

import typer

from xqe.commands.options.panels import WORDS

K1 = Annotated[
    float | None,
    typer.Option(
        "--k1",
        metavar="X",
        min=0.0,
        max=1000.0,
        show_default=False,
        help="BM25's k1, how slowly repetition saturates.",
        rich_help_panel=WORDS,
    ),
]
B = Annotated[
    float | None,
    typer.Option(
        "--b",
        metavar="X",
        min=0.0,
        max=1.0,
        show_default=False,
        help="BM25's b, how far length counts.",
        rich_help_panel=WORDS,
    ),
]
