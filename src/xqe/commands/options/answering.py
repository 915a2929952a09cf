"""How questions are answered from documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from xqe.stages.answering.cite import CHAT, PRETRAINED, Cite


@dataclass(frozen=True, slots=True)
class Answering:
    """The options of what answers."""

    cite: Annotated[
        Cite | None,
        typer.Option(
            "--cite",
            show_default=False,
            help="The model cites documents; or each sentence gets, after it was written, the document that ranks "
            "first for it; or both, that for sentences without a citation. [default: model; after for a pretrained "
            "model, whose numbers are chance]",
        ),
    ] = None
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            metavar="N",
            min=1,
            show_default=False,
            help="Answer from the best N hits. "
            f"[default: {CHAT.documents}; {PRETRAINED.documents} for a pretrained model]",
        ),
    ] = None
    document_tokens: Annotated[
        int | None,
        typer.Option(
            "--document-tokens",
            metavar="N",
            min=1,
            show_default=False,
            help="Read about N tokens of each document. "
            f"[default: {CHAT.document_tokens}; {PRETRAINED.document_tokens} for a pretrained model]",
        ),
    ] = None
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            metavar="N",
            min=1,
            show_default=False,
            help="Most tokens of an answer. "
            f"[default: {CHAT.max_tokens}; {PRETRAINED.max_tokens} for a pretrained model]",
        ),
    ] = None
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="LANG",
            show_default=False,
            help="Language to answer in. [default: that of the query as it first came]",
        ),
    ] = None
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", metavar="FILE", show_default=False, help="A prompt file (TOML) of your own."),
    ] = None
