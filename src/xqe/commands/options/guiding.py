"""How an encoder guides what is generated: what a prompt shows of a collection and of examples, and what becomes of
texts that stray from the query."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from xqe.commands.options.common import DropSelf
from xqe.commands.options.judging import Judge
from xqe.commands.options.panels import GUIDING
from xqe.stages.librarian.choices import NEARBY


class Choosing(StrEnum):
    """Which of more worked examples are shown: those that the seed draws, or the nearest to each query."""

    SEED = "seed"
    NEAREST = "nearest"


def nearby(of: str, default: str) -> Any:
    """--nearby, of the documents of an index; `default` says what it is where it is not given."""
    return typer.Option(
        "--nearby",
        metavar="N",
        min=1,
        show_default=False,
        help=f"Documents {of} that are shown to the model. [default: {default}]",
        rich_help_panel=GUIDING,
    )


@dataclass(frozen=True, slots=True)
class Guiding:
    """The options of a command whose texts an encoder guides."""

    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            metavar="DIR",
            show_default=False,
            help="Show the model the documents of this index that are nearest to each query, as it first came, by the "
            "vectors of xqe embed; or the best hits that a record has: how such things are called there.",
            rich_help_panel=GUIDING,
        ),
    ] = None
    nearby: Annotated[int | None, nearby("of --index", str(NEARBY))] = None
    drop_self: DropSelf = False
    choose: Annotated[
        Choosing,
        typer.Option(
            "--choose",
            help="Which of the worked examples of --examples: those that the seed draws, or for each query the nearest "
            "by an encoder, diverse, and none that is a near copy of it.",
            rich_help_panel=GUIDING,
        ),
    ] = Choosing.SEED
    judge: Judge = None
