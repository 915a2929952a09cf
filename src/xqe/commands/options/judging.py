"""What becomes of texts that stray from their query."""

from __future__ import annotations

from typing import Annotated

import typer

from xqe.commands.options.panels import GUIDING
from xqe.stages.judging.choices import Judging

Judge = Annotated[
    Judging | None,
    typer.Option(
        "--judge",
        show_default=False,
        help="Compare texts with the query as it first came, by an encoder: weigh them by that in a search, also drop "
        "those that strayed, or keep the closest alone.",
        rich_help_panel=GUIDING,
    ),
]
