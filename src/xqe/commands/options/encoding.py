"""How texts become vectors: the encoder, what stands before a text, the machine, the server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands.options.cluster import On, WorkerCpus, WorkerGpus, Workers
from xqe.commands.options.common import BaseUrl, GpuLayers, Retries, Threads, Timeout, Verbose
from xqe.commands.options.panels import ENCODER, HARDWARE

if TYPE_CHECKING:
    from xqe.commands.options.generation import Generation


class Pooling(StrEnum):
    """How the vectors of its tokens become that of a text: their mean, that of the first, that of the last."""

    MEAN = "mean"
    CLS = "cls"
    LAST = "last"


class Runtime(StrEnum):
    """What computes an encoder in this process."""

    AUTO = "auto"
    LLAMA_CPP = "llama.cpp"
    ONNXRUNTIME = "onnxruntime"


@dataclass(frozen=True, slots=True)
class Encoding:
    """The options of every command that encodes."""

    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="NAME|PATH",
            envvar="XQE_ENCODER",
            show_default=False,
            help='A name of "xqe models list", a GGUF file, openai:NAME on a server, sentence-transformers:NAME, or '
            '"fake". [default: e5-small, or the one of the index]',
            rich_help_panel=ENCODER,
        ),
    ] = None
    pooling: Annotated[
        Pooling | None,
        typer.Option(
            "--pooling",
            show_default=False,
            help="What is taken of a text's tokens. [default: the model's]",
            rich_help_panel=ENCODER,
        ),
    ] = None
    query_prefix: Annotated[
        str | None,
        typer.Option(
            "--query-prefix",
            metavar="TEXT",
            show_default=False,
            help="What the encoder wants before a query. [default: the model's]",
            rich_help_panel=ENCODER,
        ),
    ] = None
    passage_prefix: Annotated[
        str | None,
        typer.Option(
            "--passage-prefix",
            metavar="TEXT",
            show_default=False,
            help="What the encoder wants before a passage. [default: the model's]",
            rich_help_panel=ENCODER,
        ),
    ] = None
    limit: Annotated[
        int | None,
        typer.Option(
            "--max-text-tokens",
            metavar="N",
            min=8,
            show_default=False,
            help="Most tokens of a text; what is longer is cut. [default: the model's]",
            rich_help_panel=ENCODER,
        ),
    ] = None
    runtime: Annotated[
        Runtime,
        typer.Option(
            "--runtime", help="What computes a GGUF file; auto takes the fastest that can.", rich_help_panel=ENCODER
        ),
    ] = Runtime.AUTO
    threads: Threads = None
    gpu_layers: GpuLayers = None
    encode_batch: Annotated[
        int | None,
        typer.Option(
            "--encode-batch",
            metavar="N",
            min=1,
            show_default=False,
            help="Texts in a request to a server, or together in sentence-transformers. [default: 32]",
            rich_help_panel=HARDWARE,
        ),
    ] = None
    on: On = None
    workers: Workers = None
    worker_cpus: WorkerCpus = None
    worker_gpus: WorkerGpus = None
    base_url: BaseUrl = None
    timeout: Timeout = 120.0
    retries: Retries = 5
    verbose: Verbose = False


SHARED = ("gpu_layers", "base_url", "timeout", "retries", "verbose")
"""The options that `Generation` has, too: a command that takes both offers them once."""


def beside(encoding: Encoding, generation: Generation) -> Encoding:
    """The options of the encoder of a command that generates, too, with what both share."""
    return replace(encoding, **{name: getattr(generation, name) for name in SHARED})
