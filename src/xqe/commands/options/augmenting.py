"""What questions documents get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from xqe.commands.options.common import examples_file

QUESTIONS = 5
QUESTION_TOKENS = 64
DOCUMENT_TOKENS = 192
TEMPERATURE = 0.7
"""Of 72 texts of the embedded model about real descriptions, 38 % find theirs first among 33,000; at 1, 29 %."""


@dataclass(frozen=True, slots=True)
class Augmenting:
    """The options of what a model is shown of a document, and what it is asked for."""

    to: Annotated[
        list[str],
        typer.Option(
            "--to",
            metavar="LANG,...",
            show_default=False,
            help="Languages of the questions, that of the documents too. Repeatable.",
        ),
    ]
    questions: Annotated[
        int, typer.Option("--questions", "-n", metavar="N", min=1, help="Most questions of a document in a language.")
    ] = QUESTIONS
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples",
            metavar="N",
            min=1,
            show_default=False,
            help="Texts to draw for these, of which some are dropped. [default: as many as --questions]",
        ),
    ] = None
    document_tokens: Annotated[
        int, typer.Option("--document-tokens", metavar="N", min=8, help="Read about so many tokens of a document.")
    ] = DOCUMENT_TOKENS
    max_tokens: Annotated[
        int,
        typer.Option("--max-tokens", metavar="N", min=1, help="Most tokens of a question; longer ones are dropped."),
    ] = QUESTION_TOKENS
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", metavar="FILE", show_default=False, help="A prompt file (TOML) of your own."),
    ] = None
    examples: Annotated[
        str | None,
        examples_file(
            'Worked examples to choose from, JSONL {"query", "passage"}, perhaps with "lang" and "passage_lang". '
            "[default: five built-in ones]"
        ),
    ] = None
    shots: Annotated[
        int | None,
        typer.Option(
            "--shots",
            min=0,
            metavar="N",
            show_default=False,
            help="Worked examples to show, where the prompt shows any; 0 for none. [default: 5]",
        ),
    ] = None
