"""Options that several commands share, each stated once."""

from __future__ import annotations

from typing import Annotated

import typer

Query = Annotated[
    str | None,
    typer.Argument(
        metavar="[QUERY]", show_default=False, help="One query, instead of records; - reads standard input."
    ),
]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="FILE",
        show_default=False,
        help="Read this file (plain or .gz; - is standard input) instead of standard input. Repeatable.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        envvar="XQE_MODEL",
        show_default=False,
        help='A name of "xqe models list", a GGUF file, or "fake". [default: tiny]',
    ),
]
Temperature = Annotated[
    float,
    typer.Option(
        "--temperature", metavar="T", min=0.0, help="0 takes the likeliest token; above, sampling from the seed."
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Seed of sampling and of choosing examples.")
]
GpuLayers = Annotated[
    int,
    typer.Option(
        "--gpu-layers",
        metavar="N",
        min=-1,
        envvar="XQE_GPU_LAYERS",
        help="Layers to put on the GPU; -1 is all of them.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        envvar="XQE_THREADS",
        show_default=False,
        help="CPU threads. [default: the cores this process may use]",
    ),
]
DEFAULT_BATCH = 32
Batch = Annotated[
    int, typer.Option("--batch", metavar="N", min=1, max=248, envvar="XQE_BATCH", help="Sequences decoded together.")
]
Context = Annotated[
    int | None,
    typer.Option(
        "--ctx",
        metavar="N",
        min=1,
        envvar="XQE_CTX",
        show_default=False,
        help="Tokens of context shared by all sequences. [default: what the prompts need]",
    ),
]
ShowPrompt = Annotated[
    bool,
    typer.Option(
        "--show-prompt", help="Print what the model would see, special tokens included, and generate nothing."
    ),
]
