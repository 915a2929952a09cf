"""Where models run: in this process, or in workers of a Ray cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from xqe.commands.options.panels import CLUSTER

On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ray|ray:ADDRESS",
        show_default=False,
        help="Run the model in workers of Ray: of one that is started here, or of a cluster, by the HOST:PORT of its "
        "head, auto, or ray://HOST:PORT of Ray Client.",
        rich_help_panel=CLUSTER,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        show_default=False,
        help="Workers, each with a model of its own. [default: one a GPU; without any, one a machine]",
        rich_help_panel=CLUSTER,
    ),
]
WorkerCpus = Annotated[
    int | None,
    typer.Option(
        "--worker-cpus",
        metavar="N",
        min=1,
        show_default=False,
        help="Cores, and threads, of a worker. [default: --threads, else those of a machine divided among its workers]",
        rich_help_panel=CLUSTER,
    ),
]
WorkerGpus = Annotated[
    float | None,
    typer.Option(
        "--worker-gpus",
        metavar="X",
        min=0.0,
        show_default=False,
        help="GPUs of a worker; 0.5 is half of one. [default: 1 where there are any]",
        rich_help_panel=CLUSTER,
    ),
]
OPTIONS = ("on", "workers", "worker_cpus", "worker_gpus")
"""The names of these options as fields of groups."""
