"""xqe finetune export: an adapter of PEFT becomes one of llama.cpp."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xqe.commands.options.common import Threads
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.messages import say

DIFFERENT_STATUS = 1
STDIN = "-"
TOLERANCE = 0.05


class Type(StrEnum):
    """Of an adapter's numbers."""

    F32 = "f32"
    F16 = "f16"


def export(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", show_default=False, help="An adapter as PEFT saves it, trained anywhere."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", show_default=False, help="The GGUF adapter to write.")],
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="DIR|FILE|NAME",
            show_default=False,
            help="What it was trained on: a checkpoint's folder, OWNER/NAME in the hub's cache, a GGUF file, or a name "
            'of "xqe models list". [default: what the adapter names]',
        ),
    ] = None,
    type: Annotated[Type, typer.Option("--type", help="Of the numbers in the file.")] = Type.F32,
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare",
            metavar="NAME|PATH",
            show_default=False,
            help="Compare llama.cpp with this model and the adapter to transformers with the base and the adapter.",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            metavar="TEXT",
            show_default=False,
            help="Compare on this text; - reads one a line from standard input. Repeatable. [default: built-in ones]",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            metavar="SHARE",
            min=0.0,
            show_default=False,
            help="How far the adapter's effect may differ, as a share of it, beyond what quantization makes. "
            f"[default: {TOLERANCE:g}]",
        ),
    ] = None,
    threads: Threads = None,
) -> None:
    """Turn a LoRA adapter of PEFT into a GGUF file.

    The file is for xqe expand --lora; what it is like is written as JSON. What a GGUF adapter cannot hold is refused by
    name: DoRA, modules trained as a whole, embeddings, biases. Only the base's configuration is read, unless --compare
    is given, which loads the base's weights as 32-bit floats.

    Exit status: 0; 1 if --compare finds that llama.cpp does something else with the adapter than transformers.
    """
    from xqe.models.lookup import resolve
    from xqe.training.adapters import base_named, export
    from xqe.training.peftconfig import read_config

    if compare is None:
        for option, value in (("--text", text), ("--tolerance", tolerance)):
            if value is not None:
                raise XqeError(f"{option} has no effect without --compare", "leave it out, or name a model to compare")
    model = None if compare is None else resolve(compare)
    source = base or base_named(read_config(folder))
    if model is not None:
        from xqe.training.base import find_base
        from xqe.training.comparing import compare as compared

        find_base(source)
    texts = _texts(text or [])
    exported = export(folder, out, base, type.value)
    for note in exported.notes:
        say(f"{out}: {note}")
    row = exported.record()
    agrees = True
    if model is not None:
        comparison = compared(source, folder, str(model.path), out, texts, threads)
        limit = TOLERANCE if tolerance is None else tolerance
        agrees = comparison.effect.agrees(limit)
        row["comparison"] = {"model": model.name, **comparison.record(), "tolerance": limit, "agrees": agrees}
    jsonl.write(jsonl.dumps(row))
    if not agrees:
        say(f"{out}: llama.cpp does something else with it than transformers; see effect in the comparison")
        raise typer.Exit(DIFFERENT_STATUS)


def _texts(given: Sequence[str]) -> list[str]:
    """The texts of --text, with the lines of standard input in place of "-"; none for the built-in ones."""
    if STDIN not in given:
        return list(given)
    lines = [line.rstrip("\n") for line in sys.stdin if line.strip()]
    return [part for one in given for part in (lines if one == STDIN else [one])]
