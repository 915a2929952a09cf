"""How the vectors of documents are made and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from xqe.retrieval.choices import TEXT_TOKENS, Precision, Windows

WINDOW_TOKENS, OVERLAP = 256, 32


@dataclass(frozen=True, slots=True)
class Embedding:
    """What of a text becomes vectors, and how they are kept."""

    windows: Annotated[
        Windows,
        typer.Option(
            "--windows",
            help="Cut long texts into windows: a text scores as its best one does (max), or has the mean of their "
            f"vectors. none: only the beginning of a text counts, {TEXT_TOKENS} tokens unless --max-text-tokens says "
            "otherwise.",
        ),
    ] = Windows.NONE
    window_tokens: Annotated[
        int | None,
        typer.Option(
            "--window-tokens",
            metavar="N",
            min=1,
            show_default=False,
            help=f"Most tokens of a window. [default: {WINDOW_TOKENS}]",
        ),
    ] = None
    overlap: Annotated[
        int | None,
        typer.Option(
            "--overlap",
            metavar="N",
            min=0,
            show_default=False,
            help=f"Tokens that a window repeats of the one before. [default: {OVERLAP}]",
        ),
    ] = None
    dtype: Annotated[
        Precision, typer.Option("--dtype", help="Keep numbers in 16 bits, or in 8 with a scale for each vector.")
    ] = Precision.F16
    approximate: Annotated[
        bool,
        typer.Option("--approximate", help="Add a graph for approximate search, for millions of documents."),
    ] = False
